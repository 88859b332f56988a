//! The reports an endpoint sends: SR or RR, SDES with a CNAME, and BYE (RFC 3550 section 6).

use media_units::{Instant, WallClock};

use super::{Receiver, Sender};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

/// A compound packet about what was sent and received.
pub(super) fn compound(
    sender: &Sender,
    receiver: &Receiver,
    now: Instant,
    goodbye: bool,
) -> Vec<u8> {
    let next = sender.next_header();
    let mut packet = Vec::with_capacity(96);
    let mut report = next.ssrc.0.to_be_bytes().to_vec();
    let sends = sender.packets() > 0;
    if sends {
        let ntp = WallClock::default().ntp(now);
        report.extend(ntp.0.to_be_bytes());
        report.extend(next.timestamp.0.to_be_bytes());
        report.extend(sender.packets().to_be_bytes());
        report.extend(sender.octets().to_be_bytes());
    }
    let source = receiver.source();
    if let Some((ssrc, highest)) = source {
        report.extend(ssrc.0.to_be_bytes());
        let lost = receiver.counts().lost.min(0x7f_ffff);
        report.extend(lost.to_be_bytes()); // fraction lost 0, then 24 bits
        report.extend((highest.0 as u32).to_be_bytes());
        report.extend([0; 12]); // jitter, LSR, DLSR: not measured
    }
    let kind = if sends { SENDER_REPORT } else { RECEIVER_REPORT };
    append(&mut packet, kind, u8::from(source.is_some()), &report);

    let mut description = next.ssrc.0.to_be_bytes().to_vec();
    let name = format!("phone-{:08x}", next.ssrc.0);
    description.extend([1, name.len() as u8]);
    description.extend(name.as_bytes());
    description.push(0);
    description.resize(description.len().next_multiple_of(4), 0);
    append(&mut packet, SOURCE_DESCRIPTION, 1, &description);
    if goodbye {
        append(&mut packet, GOODBYE, 1, &next.ssrc.0.to_be_bytes());
    }
    packet
}

fn append(packet: &mut Vec<u8>, kind: u8, count: u8, body: &[u8]) {
    packet.extend([0x80 | count, kind]);
    packet.extend((body.len() as u16 / 4).to_be_bytes());
    packet.extend(body);
}

#[cfg(test)]
mod tests {
    use media_units::Law;

    use crate::Seed;
    use crate::phone::Phone;

    #[test]
    fn a_compound_packet_is_whole_words_and_lists_its_parts() {
        let mut phone = Phone::new(Law::Mu, &mut Seed::new(4));
        let kinds = |mut packet: &[u8]| {
            let mut kinds = Vec::new();
            while let [_, kind, high, low, ..] = packet {
                let words = usize::from(u16::from_be_bytes([*high, *low]));
                kinds.push(*kind);
                packet = &packet[4 + 4 * words..];
            }
            assert!(packet.is_empty());
            kinds
        };
        let start = media_units::Instant::START;
        assert_eq!(kinds(&phone.report(start, false)), [201, 202]);
        phone.sender.packet(start);
        assert_eq!(kinds(&phone.report(start, true)), [200, 202, 203]);
    }
}
