//! Datagrams with the headers that the kernel would write, and would accept: IPv4 (RFC 791) or IPv6
//! (RFC 8200), and UDP (RFC 768).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::routes::ETHERNET_BYTES;

/// Longest headers: IPv6 and UDP.
pub(crate) const HEADERS_BYTES_MAX: usize = 40 + UDP_BYTES;

/// Types of Ethernet frames.
pub(crate) const ETHERNET_IPV4: u16 = 0x0800;
pub(crate) const ETHERNET_IPV6: u16 = 0x86dd;

const UDP_BYTES: usize = 8;
const UDP: u8 = 17;
/// What Linux gives to datagrams.
const HOPS: u8 = 64;
const DO_NOT_FRAGMENT: [u8; 2] = [0x40, 0];
/// All but the wish not to be fragmented: set in fragments only.
const FRAGMENT: u16 = 0xbfff;

/// A datagram that came in a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrived<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) destination_port: u16,
    pub(crate) payload: &'a [u8],
}

/// Reads the datagram of a frame; `None` where it is not one that the kernel would take: whole and
/// unfragmented, with checksums that hold, from an address that one may send from.
///
/// A sender on the same machine leaves the UDP checksum to hardware that never comes: the sum of the
/// pseudo-header in its place is taken, too.
pub(crate) fn read(frame: &[u8]) -> Option<Arrived<'_>> {
    let packet = frame.get(ETHERNET_BYTES..)?;
    let (source, pseudo, udp) = match word(frame, 12)? {
        ETHERNET_IPV4 => read_ipv4(packet)?,
        ETHERNET_IPV6 => read_ipv6(packet)?,
        _ => return None,
    };
    let length = word(udp, 4)?;
    let udp = udp.get(..usize::from(length))?;
    let payload = udp.get(UDP_BYTES..)?;
    let pseudo = pseudo + u64::from(UDP) + u64::from(length);
    let holds = match word(udp, 6)? {
        0 => source.is_ipv4(),
        left if left == !fold(pseudo) => true,
        _ => fold(pseudo + sum(udp)) == 0,
    };
    let source = SocketAddr::new(source, word(udp, 0)?);
    holds.then_some(Arrived { source, destination_port: word(udp, 2)?, payload })
}

/// The port that a frame is for, if it is a datagram at all.
pub(crate) fn destination_port(frame: &[u8]) -> Option<u16> {
    let ip_bytes = if word(frame, 12)? == ETHERNET_IPV4 { 20 } else { 40 };
    word(frame, ETHERNET_BYTES + ip_bytes + 2)
}

/// The source, the sum of both addresses, and what is behind the header.
fn read_ipv4(packet: &[u8]) -> Option<(IpAddr, u64, &[u8])> {
    let header = packet.first_chunk::<20>()?;
    let source = Ipv4Addr::from([header[12], header[13], header[14], header[15]]);
    let is_good = header[0] == 0x45
        && header[9] == UDP
        && word(header, 6)? & FRAGMENT == 0
        && fold(sum(header)) == 0
        && !(source.is_unspecified()
            || source.is_loopback()
            || source.is_multicast()
            || source.is_broadcast());
    let datagram = packet.get(20..usize::from(word(header, 2)?))?;
    is_good.then(|| (source.into(), sum(&header[12..]), datagram))
}

/// The same. What is behind the datagram, UDP's own length cuts off.
fn read_ipv6(packet: &[u8]) -> Option<(IpAddr, u64, &[u8])> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let source = Ipv6Addr::from(*header[8..].first_chunk::<16>()?);
    let is_good = header[0] >> 4 == 6
        && header[6] == UDP
        && !(source.is_unspecified() || source.is_loopback() || source.is_multicast());
    let datagram = rest.get(..usize::from(word(header, 4)?))?;
    is_good.then(|| (source.into(), sum(&header[8..]), datagram))
}

/// The number at a place, in the network's order.
fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

/// Writes a whole packet to the front of `buffer` and gives its length; `None` where it does not
/// fit, or the addresses are of different families.
///
/// Without a source (unspecified), the UDP checksum of IPv4 is left out, because the kernel will
/// write the address; in IPv6 there must be one (RFC 8200 section 8.1).
pub(crate) fn write(
    buffer: &mut [u8],
    from: SocketAddr,
    to: SocketAddr,
    parts: [&[u8]; 2],
) -> Option<usize> {
    let payload = parts[0].len() + parts[1].len();
    let udp_length = u16::try_from(UDP_BYTES + payload).ok()?;
    let (ip_bytes, pseudo) = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (ipv4(buffer, from, to, udp_length)?, pair_sum(&from.octets(), &to.octets()))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) if !from.is_unspecified() => {
            (ipv6(buffer, from, to, udp_length)?, pair_sum(&from.octets(), &to.octets()))
        }
        _ => return None,
    };
    let end = ip_bytes + usize::from(udp_length);
    let udp = buffer.get_mut(ip_bytes..end)?;
    let (header, body) = udp.split_at_mut(UDP_BYTES);
    header[..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..6].copy_from_slice(&udp_length.to_be_bytes());
    header[6..].fill(0);
    let (head, tail) = body.split_at_mut(parts[0].len());
    head.copy_from_slice(parts[0]);
    tail.copy_from_slice(parts[1]);
    if !from.ip().is_unspecified() {
        let sum = pseudo + u64::from(UDP) + u64::from(udp_length) + sum(udp);
        // Zero would mean that there is no checksum.
        let checksum = match fold(sum) {
            0 => 0xffff,
            checksum => checksum,
        };
        udp[6..UDP_BYTES].copy_from_slice(&checksum.to_be_bytes());
    }
    Some(end)
}

fn ipv4(buffer: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, udp_length: u16) -> Option<usize> {
    let header = buffer.first_chunk_mut::<20>()?;
    *header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&udp_length.checked_add(20)?.to_be_bytes());
    header[6..8].copy_from_slice(&DO_NOT_FRAGMENT);
    header[8] = HOPS;
    header[9] = UDP;
    header[12..16].copy_from_slice(&from.octets());
    header[16..].copy_from_slice(&to.octets());
    let checksum = fold(sum(header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    Some(20)
}

fn ipv6(buffer: &mut [u8], from: Ipv6Addr, to: Ipv6Addr, udp_length: u16) -> Option<usize> {
    let header = buffer.first_chunk_mut::<40>()?;
    header[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    header[4..6].copy_from_slice(&udp_length.to_be_bytes());
    header[6] = UDP;
    header[7] = HOPS;
    header[8..24].copy_from_slice(&from.octets());
    header[24..].copy_from_slice(&to.octets());
    Some(40)
}

fn pair_sum(from: &[u8], to: &[u8]) -> u64 {
    sum(from) + sum(to)
}

/// Sum of the 16-bit words, the last one padded with zero (RFC 1071), not yet folded.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words + u64::from(u32::from_be_bytes(last))
}

/// The complement of a sum folded to 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet whose checksums hold sums up to all ones with them.
    fn holds(packet: &[u8], ip_bytes: usize) {
        let (addresses, length) = if ip_bytes == 20 {
            assert_eq!(fold(sum(&packet[..20])), 0, "of the IPv4 header");
            (&packet[12..20], packet.len() - 20)
        } else {
            (&packet[8..40], packet.len() - 40)
        };
        let pseudo = sum(addresses) + u64::from(UDP) + length as u64;
        assert_eq!(fold(pseudo + sum(&packet[ip_bytes..])), 0, "of UDP");
    }

    #[test]
    fn a_packet_has_the_headers_of_its_family_and_checksums_that_hold() {
        let mut buffer = [0xaa; 128];
        for (from, to, ip_bytes) in [
            ("192.0.2.1:4000", "198.51.100.7:50002", 20),
            ("[2001:db8::1]:4000", "[2001:db8:0:1::7]:50002", 40),
        ] {
            for length in 0..9 {
                let parts = [&b"head"[..], &b"long tail"[..length]];
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                let written = write(&mut buffer, from, to, parts).unwrap();
                assert_eq!(written, ip_bytes + 8 + 4 + length);
                holds(&buffer[..written], ip_bytes);
                assert_eq!(buffer[ip_bytes..ip_bytes + 4], [0x0f, 0xa0, 0xc3, 0x52], "ports");
                assert_eq!(buffer[ip_bytes + 8..written], parts.concat());
            }
        }
    }

    /// A header that textbooks work out by hand.
    #[test]
    fn the_checksum_of_a_known_header_is_the_known_one() {
        let header = [
            0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x00, 0x00, 0xc0, 0xa8,
            0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7,
        ];
        assert_eq!(fold(sum(&header)), 0xb861);
    }

    #[test]
    fn without_a_source_ipv4_goes_without_checksum_and_ipv6_not_at_all() {
        let mut buffer = [0xaa; 128];
        let to = "198.51.100.7:50002".parse().unwrap();
        let parts = [&b"x"[..], b""];
        write(&mut buffer, "0.0.0.0:4000".parse().unwrap(), to, parts).unwrap();
        assert_eq!(buffer[26..28], [0, 0]);
        let to = "[2001:db8::7]:50002".parse().unwrap();
        assert_eq!(write(&mut buffer, "[::]:4000".parse().unwrap(), to, parts), None);
        assert_eq!(write(&mut buffer, "192.0.2.1:4000".parse().unwrap(), to, parts), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (from, to) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
        assert_eq!(write(&mut [0; 47], from, to, [&[0; 10], &[0; 10]]), None);
        assert_eq!(write(&mut [0; 48], from, to, [&[0; 10], &[0; 10]]), Some(48));
        assert_eq!(write(&mut [0; 19], from, to, [b"", b""]), None);
    }

    /// A frame as it would come: behind 12 bytes of hardware addresses the type and the packet, and padding.
    fn frame(from: &str, to: &str, parts: [&[u8]; 2]) -> (Vec<u8>, SocketAddr) {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let mut packet = [0; 256];
        let length = write(&mut packet, from, to, parts).unwrap();
        let kind = if to.is_ipv4() { ETHERNET_IPV4 } else { ETHERNET_IPV6 };
        ([&[7; 12][..], &kind.to_be_bytes(), &packet[..length], &[0xee; 9]].concat(), from)
    }

    const PAIRS: [(&str, &str, usize); 2] = [
        ("192.0.2.1:4000", "198.51.100.7:50002", 20),
        ("[2001:db8::1]:4000", "[2001:db8::7]:50002", 40),
    ];

    #[test]
    fn what_is_written_is_read_again_without_the_padding() {
        for (from, to, _) in PAIRS {
            for length in 0..9 {
                let (frame, source) = frame(from, to, [b"head", &b"long tail"[..length]]);
                let payload = [&b"head"[..], &b"long tail"[..length]].concat();
                let arrived = Arrived { source, destination_port: 50_002, payload: &payload };
                assert_eq!(read(&frame), Some(arrived));
                assert_eq!(destination_port(&frame), Some(50_002));
            }
        }
    }

    #[test]
    fn a_frame_with_any_bit_wrong_behind_the_hardware_addresses_is_not_read() {
        for (from, to, ip_bytes) in PAIRS {
            let (good, _) = frame(from, to, [b"head", b"and tail"]);
            // Not the padding; nor what no sum covers in IPv6: traffic class, flow label, hop limit, and the
            // length where UDP's own is less.
            for bit in 8 * 12..8 * (good.len() - 9) {
                let mut frame = good.clone();
                frame[bit / 8] ^= 1 << (bit % 8);
                let is_free = match bit / 8 {
                    14 => bit % 8 < 4,
                    15..=19 | 21 => true,
                    _ => false,
                };
                if ip_bytes == 20 || !is_free {
                    assert_eq!(read(&frame), None, "{from}: bit {bit}");
                }
            }
        }
    }

    #[test]
    fn a_checksum_left_to_hardware_is_taken_and_none_only_in_ipv4() {
        for (from, to, ip_bytes) in PAIRS {
            let (mut frame, _) = frame(from, to, [b"head", b"and tail"]);
            let (udp, addresses) =
                (14 + ip_bytes, 14 + ip_bytes - if ip_bytes == 20 { 8 } else { 32 });
            let pseudo = sum(&frame[addresses..udp]) + u64::from(UDP) + 20;
            frame[udp + 6..udp + 8].copy_from_slice(&(!fold(pseudo)).to_be_bytes());
            assert!(read(&frame).is_some());
            frame[udp + 6..udp + 8].fill(0);
            assert_eq!(read(&frame).is_some(), ip_bytes == 20);
        }
    }

    #[test]
    fn nobody_sends_from_everywhere_from_many_or_from_the_loopback() {
        for from in ["0.0.0.0:9", "127.0.0.1:9", "224.0.0.1:9", "255.255.255.255:9"] {
            let (mut frame, _) = frame(from, "198.51.100.7:50002", [b"head", b""]);
            // Its sum was left out where there is no source.
            frame[40..42].fill(0);
            assert_eq!(read(&frame), None, "{from}");
        }
        for from in ["[::1]:9", "[ff02::1]:9"] {
            assert_eq!(read(&frame(from, "[2001:db8::7]:50002", [b"head", b""]).0), None, "{from}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_not_and_never_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120),
            kind in proptest::sample::select(vec![[0x08_u8, 0, 0x45], [0x86, 0xdd, 0x60]]),
        ) {
            let mut frame = bytes;
            frame.iter_mut().skip(12).zip(kind).for_each(|(byte, wanted)| *byte = wanted);
            let _ = (read(&frame), destination_port(&frame));
        }
    }
}
