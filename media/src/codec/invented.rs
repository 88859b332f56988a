//! Sound that a format invents a frame at a time, for who asks for less than a frame of it.

/// Samples of the longest frame: 30 ms at 8 kHz.
const SAMPLES_MAX: usize = 240;

/// What is left of the last invented frame.
#[derive(Debug, Clone)]
pub(super) struct Invented {
    samples: [i16; SAMPLES_MAX],
    /// Where the rest begins. It goes to the end.
    next: usize,
}

impl Invented {
    /// Nothing.
    pub(super) const NONE: Self = Self { samples: [0; SAMPLES_MAX], next: SAMPLES_MAX };

    /// A frame, all of it. At most [`SAMPLES_MAX`] samples.
    pub(super) fn new(frame: &[i16]) -> Self {
        let mut invented = Self::NONE;
        invented.next -= frame.len().min(SAMPLES_MAX);
        for (sample, invented) in frame.iter().zip(&mut invented.samples[invented.next..]) {
            *invented = *sample;
        }
        invented
    }

    /// Moves as much as there is and gives back what is still to be filled.
    pub(super) fn take<'a>(&mut self, into: &'a mut [i16]) -> &'a mut [i16] {
        let rest = &self.samples[self.next..];
        let count = rest.len().min(into.len());
        let (filled, open) = into.split_at_mut(count);
        filled.copy_from_slice(&rest[..count]);
        self.next += count;
        open
    }
}
