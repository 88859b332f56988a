//! The sum of a room in one rate class, and the blocks made of it.

use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES_MAX, RateClass};

use crate::limiter::{Curve, Limiter};

/// What a limiter works in, and whether it is wanted at all.
pub(crate) struct Limiting<'a> {
    pub(crate) curve: &'a mut Curve,
    pub(crate) limiter: &'a mut Limiter,
}

/// Samples, aligned for the widest SIMD load.
#[derive(Debug)]
#[repr(align(64))]
struct Aligned<T>([T; BLOCK_SAMPLES_MAX]);

/// The sum of a room in one rate class.
#[derive(Debug)]
pub(crate) struct Sum {
    kernels: Kernels,
    class: RateClass,
    sums: Aligned<i32>,
    whole: Aligned<i16>,
    minus: Aligned<i16>,
    /// Whether something was added.
    is_used: bool,
    /// Whether `whole` is what was added.
    is_whole: bool,
}

impl Sum {
    pub(crate) fn new(kernels: Kernels, class: RateClass) -> Self {
        Self {
            kernels,
            class,
            sums: Aligned([0; BLOCK_SAMPLES_MAX]),
            whole: Aligned([0; BLOCK_SAMPLES_MAX]),
            minus: Aligned([0; BLOCK_SAMPLES_MAX]),
            is_used: false,
            is_whole: false,
        }
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        if self.is_used {
            self.sums.0[..self.class.block_samples()].fill(0);
            self.is_used = false;
        }
        self.is_whole = false;
    }

    pub(crate) fn add(&mut self, block: &[i16]) {
        self.is_used = true;
        self.kernels.add(&mut self.sums.0[..self.class.block_samples()], block);
    }

    /// Adds what was summed up elsewhere.
    pub(crate) fn add_sums(&mut self, sums: impl Iterator<Item = i32>) {
        self.is_used = true;
        let own = &mut self.sums.0[..self.class.block_samples()];
        own.iter_mut().zip(sums).for_each(|(own, sum)| *own = own.wrapping_add(sum));
    }

    /// What was added, if anything was.
    pub(crate) fn sums(&self) -> Option<&[i32]> {
        self.is_used.then(|| &self.sums.0[..self.class.block_samples()])
    }

    /// Whether [`Sum::whole`] was made in this period.
    pub(crate) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What somebody hears who says nothing.
    pub(crate) fn whole(&self) -> &[i16] {
        &self.whole.0[..self.class.block_samples()]
    }

    /// Makes the whole by writing it.
    pub(crate) fn make_whole_with(&mut self, write: impl FnOnce(&mut [i16])) {
        write(&mut self.whole.0[..self.class.block_samples()]);
        self.is_whole = true;
    }

    /// Makes the whole of the sum.
    pub(crate) fn make_whole(&mut self, limiting: Option<Limiting<'_>>) {
        let sums = &self.sums.0[..self.class.block_samples()];
        let whole = &mut self.whole.0[..self.class.block_samples()];
        let is_clipped = self.kernels.narrow(sums, whole);
        if let Some(Limiting { curve, limiter }) = limiting
            && (is_clipped || !limiter.is_idle())
        {
            limiter.limit(sums, curve, whole);
        }
        self.is_whole = true;
    }

    /// Makes the sum without `own`. Returns whether something of it is beyond full scale, and was
    /// clipped.
    pub(crate) fn make_minus(&mut self, own: &[i16]) -> bool {
        let minus = &mut self.minus.0[..self.class.block_samples()];
        self.kernels.minus(&self.sums.0[..self.class.block_samples()], own, minus)
    }

    /// Makes it again, turned down instead of clipped.
    #[cold]
    pub(crate) fn limit_minus(&mut self, own: &[i16], Limiting { curve, limiter }: Limiting<'_>) {
        let samples = self.class.block_samples();
        let mut others = Aligned([0; BLOCK_SAMPLES_MAX]);
        for ((others, &sum), &own) in others.0.iter_mut().zip(&self.sums.0[..samples]).zip(own) {
            *others = sum.wrapping_sub(i32::from(own));
        }
        let minus = &mut self.minus.0[..samples];
        limiter.limit(&others.0[..samples], curve, minus);
    }

    /// What was made last of the sum and somebody's own block.
    pub(crate) fn minus(&self) -> &[i16] {
        &self.minus.0[..self.class.block_samples()]
    }
}
