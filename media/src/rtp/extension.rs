//! Header extensions: elements of RFC 8285, read in place; the levels of RFC 6464 and RFC 6465.

use media_units::Ssrc;

/// Profile field of the one-byte form.
const ONE_BYTE: u16 = 0xbede;

/// Profile field of the two-byte form; its lower four bits are the application's.
const TWO_BYTE: u16 = 0x1000;

/// The greatest identifier of the one-byte form: 15 ends the list.
const ONE_BYTE_ID_MAX: u8 = 14;

/// Most sources that a header can name (RFC 3550 section 5.1).
pub const CONTRIBUTORS_MAX: usize = 15;

/// Octets of the longest extension that we write: its head, and an element with a level for each
/// of [`CONTRIBUTORS_MAX`] sources, in either form.
pub(super) const EXTENSION_BYTES_MAX: usize = 4 + 20;

/// How loud a packet's sound is, by its sender (RFC 6464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The sender takes it for speech.
    pub is_voice: bool,
    /// In dB below full scale: 0 is loudest, 127 is silence.
    pub dbov: u8,
}

impl AudioLevel {
    /// The content of the element. Octets behind the first are none of ours.
    pub(super) fn read(element: &[u8]) -> Option<Self> {
        let octet = *element.first()?;
        Some(Self { is_voice: octet & 0x80 != 0, dbov: octet & 0x7f })
    }
}

/// One who is heard in a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contributor {
    /// The SSRC under which it came.
    pub ssrc: Ssrc,
    /// How loud it is in the mix, in dB below full scale: 0 is loudest, 127 is silence.
    pub level_dbov: u8,
}

/// The first element with this identifier in an extension of this profile. What is cut short or
/// of no known form has no elements.
pub(super) fn find(profile: u16, mut octets: &[u8], id: u8) -> Option<&[u8]> {
    let is_short = profile == ONE_BYTE;
    if id == 0 || !(is_short || profile & 0xfff0 == TWO_BYTE) {
        return None;
    }
    while let Some((&first, rest)) = octets.split_first() {
        if first == 0 {
            octets = rest; // padding
            continue;
        }
        let (found, length, rest) = if is_short {
            (first >> 4, usize::from(first & 15) + 1, rest)
        } else {
            let (&length, rest) = rest.split_first()?;
            (first, usize::from(length), rest)
        };
        if is_short && found > ONE_BYTE_ID_MAX {
            return None;
        }
        let (element, rest) = rest.split_at_checked(length)?;
        if found == id {
            return Some(element);
        }
        octets = rest;
    }
    None
}

/// Writes an extension whose one element tells the level of each contributor, in the order of
/// the CSRC list (RFC 6465 section 3), and returns its length. In the one-byte form where the
/// identifier allows.
pub(super) fn write_levels(sources: &[Contributor], id: u8, to: &mut [u8]) -> usize {
    let count = sources.len() as u8;
    let (profile, head): (u16, [u8; 2]) = if id <= ONE_BYTE_ID_MAX {
        (ONE_BYTE, [0, id << 4 | (count - 1)])
    } else {
        (TWO_BYTE, [id, count])
    };
    let head = if id <= ONE_BYTE_ID_MAX { &head[1..] } else { &head[..] };
    let words = (head.len() + sources.len()).div_ceil(4);
    let length = 4 + 4 * words;
    to[..2].copy_from_slice(&profile.to_be_bytes());
    to[2..4].copy_from_slice(&(words as u16).to_be_bytes());
    to[4..length].fill(0);
    to[4..4 + head.len()].copy_from_slice(head);
    for (octet, source) in to[4 + head.len()..length].iter_mut().zip(sources) {
        *octet = source.level_dbov & 0x7f;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_of_the_one_byte_form_are_found() {
        let octets = [0x10, 0xaa, 0, 0, 0x32, 1, 2, 3, 0x10, 0xbb, 0xf0, 0x50, 9];
        assert_eq!(find(ONE_BYTE, &octets, 1), Some(&[0xaa][..]), "the first of two");
        assert_eq!(find(ONE_BYTE, &octets, 3), Some(&[1, 2, 3][..]));
        assert_eq!(find(ONE_BYTE, &octets, 5), None, "15 ends the list");
        assert_eq!(find(ONE_BYTE, &octets, 15), None);
        assert_eq!(find(ONE_BYTE, &octets, 0), None);
        assert_eq!(find(ONE_BYTE, &[0x33, 1, 2], 3), None, "cut short");
        assert_eq!(find(ONE_BYTE, &[0x02, 9, 9, 9, 0x10, 7], 1), Some(&[7][..]), "padding of 3");
    }

    #[test]
    fn elements_of_the_two_byte_form_are_found() {
        let octets = [200, 0, 0, 16, 2, 8, 9, 1, 1, 5];
        for profile in [0x1000, 0x100f] {
            assert_eq!(find(profile, &octets, 200), Some(&[][..]));
            assert_eq!(find(profile, &octets, 16), Some(&[8, 9][..]));
            assert_eq!(find(profile, &octets, 1), Some(&[5][..]));
        }
        assert_eq!(find(0x1000, &[16], 16), None);
        assert_eq!(find(0x1000, &[16, 3, 1, 2], 16), None);
        assert_eq!(find(0x1234, &octets, 16), None, "another profile");
    }

    #[test]
    fn a_level_is_seven_bits_beside_the_voice_bit() {
        let loud = AudioLevel { is_voice: true, dbov: 30 };
        assert_eq!(AudioLevel::read(&[0x9e]), Some(loud));
        assert_eq!(AudioLevel::read(&[127, 9]), Some(AudioLevel { is_voice: false, dbov: 127 }));
        assert_eq!(AudioLevel::read(&[]), None);
    }

    proptest! {
        #[test]
        fn any_octets_have_elements_or_none(
            profile in prop_oneof![Just(ONE_BYTE), 0x1000u16..0x1010, any::<u16>()],
            octets in prop::collection::vec(any::<u8>(), 0..60), id: u8,
        ) {
            if let Some(element) = find(profile, &octets, id) {
                prop_assert!(element.len() < octets.len());
            }
        }

        #[test]
        fn levels_that_are_written_are_found(
            levels in prop::collection::vec(0u8..128, 1..=CONTRIBUTORS_MAX), id in 1u8..,
        ) {
            prop_assume!(id != 15);
            let sources: Vec<_> =
                levels.iter().map(|&level_dbov| Contributor { ssrc: Ssrc(1), level_dbov }).collect();
            let mut octets = [0xff; EXTENSION_BYTES_MAX];
            let length = write_levels(&sources, id, &mut octets);
            prop_assert_eq!(length % 4, 0);
            let profile = u16::from_be_bytes([octets[0], octets[1]]);
            prop_assert_eq!(usize::from(octets[3]) * 4 + 4, length);
            prop_assert_eq!(find(profile, &octets[4..length], id), Some(&levels[..]));
        }
    }
}
