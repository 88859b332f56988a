//! What a packet tells without being decoded (RFC 6716 section 3).

use std::ffi::c_int;
use std::ptr::null_mut;

use crate::{PACKET_SAMPLES_MAX, SAMPLE_RATE};

/// Frames in a packet at most: 120 ms of 2.5 ms each.
const FRAMES_MAX: usize = 48;

/// A packet whose framing is lawful: each of its frames lies within it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    octets: &'a [u8],
    samples: usize,
}

impl<'a> Packet<'a> {
    /// Checks the framing. Network input: anything may come.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let length = i32::try_from(octets.len()).ok().filter(|&length| length > 0)?;
        let mut sizes = [0; FRAMES_MAX];
        // SAFETY: `octets` holds `length` octets, at least one, and is only read; `sizes` has room
        // for the 48 frames that libopus finds at most; what it may leave out is null.
        let frames = unsafe {
            opusic_sys::opus_packet_parse(
                octets.as_ptr(),
                length,
                null_mut(),
                null_mut(),
                sizes.as_mut_ptr(),
                null_mut(),
            )
        };
        let frames = usize::try_from(frames).ok().filter(|&frames| frames > 0)?;
        let samples = frames * frame_samples(octets);
        (samples <= PACKET_SAMPLES_MAX).then_some(Self { octets, samples })
    }

    /// How long it is.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// How long each of its frames is.
    pub fn frame_samples(&self) -> usize {
        frame_samples(self.octets)
    }

    /// Whether CELT alone codes it: such a packet neither holds redundancy nor makes use of it.
    pub fn is_celt(&self) -> bool {
        self.octets[0] & 0x80 != 0
    }

    /// Whether its first frame holds a coarse copy of the frame before it (LBRR).
    pub fn has_redundancy(&self) -> bool {
        // SAFETY: the packet's framing is lawful, and its length was checked to fit.
        let answer = unsafe {
            opusic_sys::opus_packet_has_lbrr(self.octets.as_ptr(), self.octets.len() as c_int)
        };
        answer > 0
    }

    /// All of it.
    pub fn octets(&self) -> &'a [u8] {
        self.octets
    }
}

/// Samples in each frame of a packet that is not empty, by its first octet.
fn frame_samples(octets: &[u8]) -> usize {
    // SAFETY: it reads the first octet only, and there is one.
    let samples = unsafe {
        opusic_sys::opus_packet_get_samples_per_frame(octets.as_ptr(), SAMPLE_RATE as i32)
    };
    usize::try_from(samples).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6716 sections 3.1 and 3.2, written anew.
    fn expected(octets: &[u8]) -> Option<usize> {
        let (&toc, rest) = octets.split_first()?;
        let configuration = usize::from(toc >> 3);
        let frame = match configuration {
            0..12 => [480, 960, 1920, 2880][configuration % 4],
            12..16 => [480, 960][configuration % 2],
            _ => 120 << (configuration % 4),
        };
        let frames = match toc & 3 {
            0 if rest.len() <= 1275 => 1,
            1 if rest.len().is_multiple_of(2) && rest.len() / 2 <= 1275 => 2,
            2 => {
                let (first, used) = length(rest)?;
                let second = rest.len().checked_sub(used + first)?;
                (second <= 1275).then_some(2)?
            }
            3 => many(rest)?,
            _ => return None,
        };
        (frames * frame <= 5760).then_some(frames * frame)
    }

    fn many(rest: &[u8]) -> Option<usize> {
        let (&count, mut rest) = rest.split_first()?;
        let frames = usize::from(count & 63);
        let (mut padding, mut padded) = (0, count & 64 != 0);
        while padded {
            let (&more, left) = rest.split_first()?;
            rest = left;
            padding += usize::from(more.min(254));
            padded = more == 255;
        }
        rest = &rest[..rest.len().checked_sub(padding)?];
        if frames == 0 {
            return None;
        }
        if count & 128 == 0 {
            return (rest.len() % frames == 0 && rest.len() / frames <= 1275).then_some(frames);
        }
        let mut sizes = 0;
        for _ in 1..frames {
            let (size, used) = length(rest)?;
            sizes += size;
            rest = &rest[used..];
        }
        (rest.len().checked_sub(sizes)? <= 1275).then_some(frames)
    }

    fn length(octets: &[u8]) -> Option<(usize, usize)> {
        match *octets {
            [first @ 0..252, ..] => Some((usize::from(first), 1)),
            [first, second, ..] => Some((4 * usize::from(second) + usize::from(first), 2)),
            _ => None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn framing_is_judged_as_the_standard_says(
            toc: u8,
            count: u8,
            rest in proptest::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..700),
        ) {
            let mut octets = vec![toc, count];
            octets.extend(&rest);
            for octets in [&octets[..], &octets[..1], &octets[2..]] {
                let samples = Packet::parse(octets).map(|packet| packet.samples());
                prop_assert_eq!(samples, expected(octets), "{:?}", octets);
            }
        }
    }
}
