//! How alike two stretches of sound are.

/// What was found about two stretches of the same length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Correlation {
    product: i64,
    energies: [i64; 2],
}

impl Correlation {
    /// Compares every `stride`th sample.
    pub(super) fn of(one: &[i16], other: &[i16], stride: usize) -> Self {
        let (mut product, mut first, mut second) = (0, 0, 0);
        for (&a, &b) in one.iter().step_by(stride).zip(other.iter().step_by(stride)) {
            let (a, b) = (i32::from(a), i32::from(b));
            product += i64::from(a * b);
            first += i64::from(a * a);
            second += i64::from(b * b);
        }
        Self { product, energies: [first, second] }
    }

    /// The normalized correlation, of 1024; more energy on one side than the other is unlike too.
    pub(super) fn likeness(&self) -> i64 {
        let larger = self.energies[0].max(self.energies[1]);
        let mean = i64::midpoint(self.energies[0], self.energies[1]);
        // Between the arithmetic mean, which wants the same loudness, and the larger one.
        self.product * 1024 / i64::midpoint(mean, larger).max(1)
    }

    /// Whether it is more alike.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        self.likeness() > other.likeness()
    }
}

/// The mean of all samples squared.
pub(super) fn mean_square(sound: &[i16]) -> i64 {
    let energy: i64 = sound.iter().map(|&sample| i64::from(i32::from(sample).pow(2))).sum();
    energy / (sound.len() as i64).max(1)
}
