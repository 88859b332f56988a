//! The waveform preview: lowest and highest sample of every 100 ms, in the binary format that
//! `audiowaveform` writes and `peaks.js` draws (version 2, 8 bits).

use media_units::RateClass;

/// Bytes before the first pair.
pub const HEADER_BYTES: usize = 24;

/// Periods of one pair of peaks.
pub const PERIODS_PER_PAIR: usize = 5;

/// The preview of one file.
#[derive(Debug)]
pub struct Peaks {
    rate: RateClass,
    channels: u16,
    /// Lowest and highest sample of each audio channel since the last pair.
    current: Vec<(i16, i16)>,
    /// Periods in them.
    periods: usize,
    pairs: u32,
}

const NOTHING: (i16, i16) = (i16::MAX, i16::MIN);

impl Peaks {
    /// A preview of nothing yet.
    pub fn new(rate: RateClass, channels: u16) -> Self {
        let current = vec![NOTHING; usize::from(channels)];
        Self { rate, channels, current, periods: 0, pairs: 0 }
    }

    /// Adds whole periods, all audio channels one after the other, and appends the pairs that
    /// are complete.
    pub fn append(&mut self, planes: &[Vec<i16>], out: &mut Vec<u8>) {
        let block = self.rate.block_samples();
        let periods = planes.first().map_or(0, |plane| plane.len() / block);
        let mut at = 0;
        while at < periods {
            let taken = (periods - at).min(PERIODS_PER_PAIR - self.periods);
            for (current, plane) in self.current.iter_mut().zip(planes) {
                let samples = &plane[at * block..(at + taken) * block];
                // One after the other: each is a single instruction for many samples.
                current.0 = samples.iter().fold(current.0, |low, &sample| low.min(sample));
                current.1 = samples.iter().fold(current.1, |high, &sample| high.max(sample));
            }
            self.periods += taken;
            at += taken;
            if self.periods == PERIODS_PER_PAIR {
                self.end(out);
            }
        }
    }

    /// Appends the last pair, which may be of less than 100 ms.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.periods == 0 {
            return;
        }
        for current in &mut self.current {
            out.extend([(current.0 >> 8) as u8, (current.1 >> 8) as u8]);
            *current = NOTHING;
        }
        self.periods = 0;
        self.pairs = self.pairs.saturating_add(1);
    }

    /// What stands at the file's start for what is in it now.
    pub fn head(&self, out: &mut Vec<u8>) {
        header(self.rate, self.channels, self.pairs, out);
    }
}

/// What stands at the start of a preview of so many pairs for each audio channel.
pub fn header(rate: RateClass, channels: u16, pairs: u32, out: &mut Vec<u8>) {
    let per_pair = (rate.block_samples() * PERIODS_PER_PAIR) as u32;
    for field in [2, 1, rate.hertz(), per_pair, pairs, u32::from(channels)] {
        out.extend(field.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_the_lowest_and_highest_of_each_channel_however_the_sound_comes() {
        let left: Vec<i16> = (0..160 * 12).map(|i| (i % 800) as i16 * 10).collect();
        let right: Vec<i16> = left.iter().map(|&sample| -sample).collect();
        let mut whole = Vec::new();
        let mut peaks = Peaks::new(RateClass::Narrow, 2);
        peaks.append(&[left.clone(), right.clone()], &mut whole);
        peaks.end(&mut whole);
        let mut pieces = Vec::new();
        let mut again = Peaks::new(RateClass::Narrow, 2);
        for (left, right) in left.chunks(160 * 3).zip(right.chunks(160 * 3)) {
            again.append(&[left.to_vec(), right.to_vec()], &mut pieces);
        }
        again.end(&mut pieces);
        again.end(&mut pieces);
        assert_eq!(whole, pieces);
        let top = (7990_i16 >> 8) as u8;
        let bottom = (-7990_i16 >> 8) as u8;
        assert_eq!(whole[..4], [0, top, bottom, 0]);
        assert_eq!(whole.len(), 3 * 4, "two of 100 ms and one of 40 ms");
    }

    #[test]
    fn the_head_tells_rate_pairs_and_channels() {
        let mut peaks = Peaks::new(RateClass::Wide, 1);
        peaks.append(&[vec![0; 320 * 5]], &mut Vec::new());
        let mut head = Vec::new();
        peaks.head(&mut head);
        assert_eq!(head.len(), HEADER_BYTES);
        let fields: Vec<u32> =
            head.chunks(4).map(|field| u32::from_le_bytes(field.try_into().unwrap())).collect();
        assert_eq!(fields, [2, 1, 16_000, 1600, 1, 1]);
    }
}
