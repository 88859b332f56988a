//! Where things are in a frame of the phones: Ethernet, IPv4, UDP, RTP and 20 ms of G.711.

use std::net::Ipv4Addr;

pub(crate) const IP: usize = 14;
pub(crate) const UDP: usize = IP + 20;
pub(crate) const RTP: usize = UDP + 8;
pub(crate) const SOUND: usize = RTP + 12;
pub(crate) const SOUND_BYTES: usize = 160;
pub(crate) const FRAME_BYTES: usize = SOUND + SOUND_BYTES;

/// As it is in the frame.
pub(crate) const ETHERTYPE_IPV4: [u8; 2] = [8, 0];

/// Where the phones are: nobody's hardware address, so that the kernel there lets their packets be.
pub(crate) const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 3];

/// A frame with all that every phone's have in common.
pub(crate) fn template(to: [u8; 6], from: Ipv4Addr, there: Ipv4Addr) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let mut put = |at: usize, bytes: &[u8]| frame[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[&to[..], &HARDWARE, &ETHERTYPE_IPV4].concat());
    let mut ip = [0; 20];
    ip[..9].copy_from_slice(&[0x45, 0, 0, (FRAME_BYTES - IP) as u8, 0, 0, 0x40, 0, 64]);
    ip[9] = libc::IPPROTO_UDP as u8;
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..].copy_from_slice(&there.octets());
    let checksum = !folded(sum(&ip));
    ip[10..12].copy_from_slice(&checksum.to_ne_bytes());
    put(IP, &ip);
    put(UDP + 4, &((FRAME_BYTES - UDP) as u16).to_be_bytes());
    put(RTP, &[0x80, 0]);
    frame
}

/// The sum that UDP's checksum is the complement of (RFC 768), in the machine's order of bytes: nothing
/// changes but that of the result (RFC 1071).
pub(crate) fn udp_sum(frame: &[u8; FRAME_BYTES]) -> u64 {
    let length = [frame[UDP + 4], frame[UDP + 5]];
    sum(&frame[IP + 12..UDP]) + sum(&[0, frame[IP + 9]]) + sum(&length) + sum(&frame[UDP..])
}

/// The sum of the words of 16 bits.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    bytes.as_chunks().0.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum()
}

fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
