//! How much sound goes into a packet: what `a=ptime` and `a=maxptime` ask for, within what each
//! encoding's frames allow and a datagram holds.

use media_units::{Encoding, EncodingParameters};
use sdp_types::Media;

/// Packet times that we send, in milliseconds.
const TIMES_MS: [u8; 5] = [10, 20, 30, 40, 60];

/// Octets of sound that a packet of ours may have, so that it is sent in one piece on any link.
const PAYLOAD_BYTES_MAX: u32 = 1400;

/// The packet times in which `encoding` is sent, shortest first.
fn possible_ms(encoding: Encoding, ilbc_mode_ms: u8) -> impl DoubleEndedIterator<Item = u8> {
    let is_possible = move |ms: &u8| match encoding {
        // 30 ms would be several frames (RFC 6716 section 2.1.4).
        Encoding::Opus => *ms != 30,
        Encoding::Ilbc => ms.is_multiple_of(ilbc_mode_ms.max(1)),
        Encoding::Gsm => ms.is_multiple_of(20),
        Encoding::L16At8000
        | Encoding::L16At16000
        | Encoding::L16At44100
        | Encoding::L16At48000 => {
            encoding.clock_rate() / 1000 * 2 * u32::from(*ms) <= PAYLOAD_BYTES_MAX
        }
        // Samples, or (G.729) frames of 10 ms.
        _ => true,
    };
    TIMES_MS.into_iter().filter(is_possible)
}

/// The packet time of `encoding` that comes nearest to `wanted_ms` from below, or the shortest.
fn nearest_ms(encoding: Encoding, ilbc_mode_ms: u8, wanted_ms: u16) -> u8 {
    let shortest = possible_ms(encoding, ilbc_mode_ms).next();
    let fitting = possible_ms(encoding, ilbc_mode_ms).rfind(|ms| u16::from(*ms) <= wanted_ms);
    fitting.or(shortest).unwrap_or(EncodingParameters::DEFAULT.packet_time_ms)
}

/// The packet time that we ask for.
pub(crate) fn ours_ms(encoding: Encoding, parameters: &EncodingParameters) -> u8 {
    nearest_ms(encoding, parameters.ilbc_mode_ms, parameters.packet_time_ms.into())
}

/// The longest packet that we ask for.
pub(crate) fn longest_ms(encoding: Encoding, parameters: &EncodingParameters) -> u8 {
    nearest_ms(encoding, parameters.ilbc_mode_ms, u16::MAX)
}

/// The packet time in which we send: the one asked for (else `usual_ms`), not above the longest
/// and not below the shortest that the endpoint takes.
pub(crate) fn agreed_ms(
    media: &Media,
    encoding: Encoding,
    ilbc_mode_ms: u8,
    usual_ms: u8,
    shortest_ms: Option<u16>,
) -> u8 {
    let asked = |name| {
        let value = media.get_first_attribute_value(name).flatten()?.trim();
        let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
        whole.parse::<u16>().ok().filter(|ms| (1..=1000).contains(ms))
    };
    let wanted = asked("ptime").unwrap_or(usual_ms.into());
    let wanted = shortest_ms.map_or(wanted, |shortest| wanted.max(shortest));
    let longest = asked("maxptime").unwrap_or(u16::MAX);
    nearest_ms(encoding, ilbc_mode_ms, wanted.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_sent_in_whole_frames_and_one_datagram() {
        let times = |encoding| possible_ms(encoding, 30).collect::<Vec<_>>();
        assert_eq!(times(Encoding::Pcmu), [10, 20, 30, 40, 60]);
        assert_eq!(times(Encoding::Opus), [10, 20, 40, 60]);
        assert_eq!(times(Encoding::Gsm), [20, 40, 60]);
        assert_eq!(times(Encoding::Ilbc), [30, 60]);
        assert_eq!(possible_ms(Encoding::Ilbc, 20).collect::<Vec<_>>(), [20, 40, 60]);
        assert_eq!(times(Encoding::L16At16000), [10, 20, 30, 40]);
        assert_eq!(times(Encoding::L16At44100), [10]);
        assert_eq!(times(Encoding::L16At48000), [10]);
        for encoding in Encoding::ALL {
            assert!(possible_ms(encoding, 20).next().is_some(), "{encoding}");
        }
    }

    #[test]
    fn what_is_wanted_is_met_from_below() {
        assert_eq!(nearest_ms(Encoding::Opus, 30, 30), 20);
        assert_eq!(nearest_ms(Encoding::Pcma, 30, 50), 40);
        assert_eq!(nearest_ms(Encoding::Ilbc, 30, 20), 30);
        assert_eq!(nearest_ms(Encoding::Pcma, 30, 5), 10);
        assert_eq!(nearest_ms(Encoding::G722, 30, 200), 60);
    }
}
