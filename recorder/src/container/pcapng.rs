//! Packets as they were received, in pcapng (draft-ietf-opsawg-pcapng), for Wireshark and its kin.
//!
//! Of a packet only its payload and the addresses are known, so that it gets new headers of IP and
//! UDP with right lengths and checksums; there is no link layer. Times are nanoseconds. Blocks tell
//! their length at both ends: a file that was cut is whole up to its last whole block.

use std::io::{self, BufReader, Read};
use std::net::{IpAddr, SocketAddr};

use super::{Whole, foreign, read_up_to};

/// The longest payload of a packet: what the 16-bit length of UDP holds.
pub const OCTETS_MAX: usize = 65_535 - UDP_BYTES - V4_BYTES;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Type, length, and the length once more.
const BLOCK_BYTES: u32 = 12;
/// Of a packet's block before the packet: interface, time, two lengths.
const PACKET_HEAD_BYTES: u32 = 20;
/// IPv4 or IPv6, with nothing before it.
const LINK_RAW: u16 = 101;
const V4_BYTES: usize = 20;
const V6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const UDP: u8 = 17;
const HOPS: u8 = 64;
/// No block of ours is longer: the longest packet over IPv6.
const BLOCK_BYTES_MAX: u32 =
    BLOCK_BYTES + PACKET_HEAD_BYTES + (V6_BYTES + UDP_BYTES + OCTETS_MAX) as u32 + 3;

/// The file's first bytes.
pub fn begin(out: &mut Vec<u8>) {
    block(SECTION, out, |out| {
        out.extend(0x1a2b_3c4d_u32.to_le_bytes()); // in this order
        out.extend([1, 0, 0, 0]); // version 1.0
        out.extend(u64::MAX.to_le_bytes()); // of unknown length
    });
    block(INTERFACE, out, |out| {
        out.extend(LINK_RAW.to_le_bytes());
        out.extend([0; 2]);
        out.extend(0_u32.to_le_bytes()); // packets are never cut
        out.extend([9, 0, 1, 0, 9, 0, 0, 0]); // if_tsresol: nanoseconds
        out.extend([0; 4]); // no more options
    });
}

/// Appends a packet. A longer one than [`OCTETS_MAX`] was never received, and is not written.
pub fn append_packet(
    at_unix_nanos: u64,
    source: SocketAddr,
    destination: SocketAddr,
    octets: &[u8],
    out: &mut Vec<u8>,
) {
    if octets.len() > OCTETS_MAX {
        return;
    }
    block(PACKET, out, |out| {
        out.extend(0_u32.to_le_bytes());
        out.extend(((at_unix_nanos >> 32) as u32).to_le_bytes());
        out.extend((at_unix_nanos as u32).to_le_bytes());
        let lengths = out.len();
        out.extend([0; 8]);
        let start = out.len();
        datagram(source, destination, octets, out);
        let length = ((out.len() - start) as u32).to_le_bytes();
        out[lengths..lengths + 4].copy_from_slice(&length); // in the file
        out[lengths + 4..start].copy_from_slice(&length); // on the wire
    });
}

/// A block with its lengths, filled up to a multiple of four bytes.
fn block(kind: u32, out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    content(out);
    out.resize(start + (out.len() - start).next_multiple_of(4), 0);
    let length = ((out.len() - start + 4) as u32).to_le_bytes();
    out.extend(length);
    out[start + 4..start + 8].copy_from_slice(&length);
}

/// The packet with headers of IP and UDP.
fn datagram(source: SocketAddr, destination: SocketAddr, octets: &[u8], out: &mut Vec<u8>) {
    let udp_length = (UDP_BYTES + octets.len()) as u16;
    let start = out.len();
    let mut pseudo = Vec::with_capacity(V6_BYTES);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
            out.extend([0x45, 0]);
            out.extend((V4_BYTES as u16 + udp_length).to_be_bytes());
            out.extend([0, 0, 0x40, 0, HOPS, UDP, 0, 0]); // whole, and not to be divided
            out.extend(&pseudo);
            let sum = checksum(&[&out[start..]]).to_be_bytes();
            out[start + 10..start + 12].copy_from_slice(&sum);
        }
        (from, to) => {
            pseudo.extend(v6(from));
            pseudo.extend(v6(to));
            out.extend([0x60, 0, 0, 0]);
            out.extend(udp_length.to_be_bytes());
            out.extend([UDP, HOPS]);
            out.extend(&pseudo);
        }
    }
    pseudo.extend([0, UDP]);
    pseudo.extend(udp_length.to_be_bytes());
    let udp = out.len();
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    out.extend(udp_length.to_be_bytes());
    out.extend([0; 2]);
    out.extend(octets);
    // Zero means that there is none (RFC 768).
    let sum = match checksum(&[&pseudo, &out[udp..]]) {
        0 => u16::MAX,
        sum => sum,
    };
    out[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The Internet checksum (RFC 1071) of parts, of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |bytes: &[u8]| u64::from(bytes[0]) << 8 | u64::from(*bytes.get(1).unwrap_or(&0));
    let mut sum: u64 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// All whole blocks.
pub(super) fn whole(file: &mut impl Read) -> io::Result<Whole> {
    let mut file = BufReader::new(file);
    let mut begun = Vec::new();
    begin(&mut begun);
    let mut start = vec![0; begun.len()];
    if read_up_to(&mut file, &mut start)? < start.len() || start != begun {
        return Err(foreign());
    }
    let (mut bytes, mut samples) = (begun.len() as u64, 0);
    while let Some(length) = read_packet(&mut file)? {
        bytes += length;
        samples += 1;
    }
    Ok(Whole { bytes, samples, head: Vec::new(), tail: Vec::new() })
}

/// The length of the next block, where it is a whole one of a packet.
fn read_packet(file: &mut impl Read) -> io::Result<Option<u64>> {
    let mut head = [0; 8 + PACKET_HEAD_BYTES as usize];
    if read_up_to(file, &mut head)? < head.len() {
        return Ok(None);
    }
    let field =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (kind, length, captured, original) = (field(0), field(4), field(20), field(24));
    let lawful = kind == PACKET
        && length <= BLOCK_BYTES_MAX
        && captured == original
        && length.checked_sub(BLOCK_BYTES + PACKET_HEAD_BYTES)
            == captured.checked_next_multiple_of(4);
    if !lawful {
        return Ok(None);
    }
    let mut rest = vec![0; length as usize - head.len()];
    let filled = read_up_to(file, &mut rest)?;
    Ok((filled == rest.len() && rest.ends_with(&head[4..8])).then_some(length.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Format;
    use crate::container::testing::repaired;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn file(packets: &[(&str, &str, usize)]) -> Vec<u8> {
        let mut file = Vec::new();
        begin(&mut file);
        for (index, (source, destination, length)) in packets.iter().enumerate() {
            let octets: Vec<u8> = (0..*length).map(|n| n as u8).collect();
            let at = 1_735_689_600_123_456_789 + index as u64 * 20_000_000;
            append_packet(at, address(source), address(destination), &octets, &mut file);
        }
        file
    }

    const PACKETS: [(&str, &str, usize); 4] = [
        ("192.0.2.1:4000", "198.51.100.7:16384", 172),
        ("[2001:db8::1]:4000", "[2001:db8::2]:16384", 33),
        ("[::ffff:192.0.2.1]:4000", "198.51.100.7:16384", 0),
        ("192.0.2.1:4000", "[2001:db8::2]:16384", OCTETS_MAX),
    ];

    #[test]
    fn another_reader_finds_every_packet_with_its_time_and_addresses() {
        let file = file(&PACKETS);
        let mut reader = pcap_file::pcapng::PcapNgReader::new(file.as_slice()).unwrap();
        let mut found = 0;
        while let Some(block) = reader.next_block() {
            let pcap_file::pcapng::Block::EnhancedPacket(packet) = block.unwrap() else { continue };
            let at = 1_735_689_600_123_456_789 + found as u64 * 20_000_000;
            assert_eq!(packet.timestamp.as_nanos(), u128::from(at));
            let (_, _, length) = PACKETS[found];
            let headers = if [0, 2].contains(&found) { 28 } else { 48 };
            assert_eq!(
                (packet.data.len(), packet.original_len as usize),
                (headers + length, headers + length)
            );
            assert_eq!(packet.data[0] >> 4, if headers == 28 { 4 } else { 6 });
            assert!(packet.data[headers..].iter().enumerate().all(|(n, &octet)| octet == n as u8));
            found += 1;
        }
        assert_eq!(found, PACKETS.len());
    }

    #[test]
    fn checksums_are_those_of_known_headers() {
        // The example of RFC 1071 section 3, and a header of IPv4 that is seen everywhere.
        assert_eq!(checksum(&[&[0, 1, 0xf2, 3, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let header = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
            0xc7,
        ];
        assert_eq!(checksum(&[&header]), 0xb861);
    }

    #[test]
    fn a_packet_longer_than_any_is_not_written() {
        let (mut file, mut begun) = (Vec::new(), Vec::new());
        begin(&mut file);
        begin(&mut begun);
        let peer = address("192.0.2.1:4000");
        append_packet(0, peer, peer, &vec![0; OCTETS_MAX + 1], &mut file);
        assert_eq!(file, begun);
    }

    #[test]
    fn a_file_cut_at_any_byte_keeps_every_whole_packet() {
        let ends = [0, 1, 2, 3].map(|count| file(&PACKETS[..count]).len());
        let file = file(&PACKETS[..3]);
        for cut in 0..=file.len() {
            let Some(repaired) = repaired(Format::Pcapng, &file[..cut]) else {
                assert!(cut < ends[0], "{cut}");
                continue;
            };
            let kept = *ends.iter().rfind(|&&end| end <= cut).unwrap();
            assert!(repaired == file[..kept]);
            let mut garbage = file[..cut].to_vec();
            garbage.extend(b"anything that is not a block of a packet");
            if cut == kept {
                assert_eq!(
                    super::super::testing::repaired(Format::Pcapng, &garbage),
                    Some(repaired)
                );
            }
        }
    }
}
