//! One period of one room: the sum, and what each member hears of it.

use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Block, Law, Sum};

use crate::{Frame, encode, silence};

/// The memory in which rooms are mixed, one after the other.
///
/// The order of one period is: [`Mix::start`]; for each member [`Mix::next_block`], fill it, and
/// [`Mix::admit`] it where it is to be heard; then [`Mix::whole`] for a tap and
/// [`Mix::heard_by`] for each listener. The price is one addition for each audible source, one
/// subtraction and law for each audible source that listens, and one law for each
/// payload format among all others, however many they are.
#[derive(Debug)]
pub struct Mix {
    kernels: Kernels,
    /// Blocks of the audible sources so far, and after them the one being filled.
    blocks: Vec<Block>,
    /// Positions of the audible sources in the room, ascending.
    audible: Vec<u32>,
    sum: Sum,
    whole: Block,
    whole_is_narrowed: bool,
    /// What everyone hears who is not audible, by [`Law`].
    shared: [Frame; Law::ALL.len()],
    shared_is_encoded: [bool; Law::ALL.len()],
    /// What one audible listener hears, before and after law.
    minus: Block,
    own: Frame,
}

impl Mix {
    /// Memory for rooms of up to `members_max` members, all of them audible at once.
    pub fn new(kernels: Kernels, members_max: u32) -> Self {
        Self {
            kernels,
            blocks: vec![Block::SILENCE; members_max as usize + 1],
            audible: Vec::with_capacity(members_max as usize),
            sum: Sum::ZERO,
            whole: Block::SILENCE,
            whole_is_narrowed: false,
            shared: [[0; BLOCK_SAMPLES]; Law::ALL.len()],
            shared_is_encoded: [false; Law::ALL.len()],
            minus: Block::SILENCE,
            own: [0; BLOCK_SAMPLES],
        }
    }

    /// What [`Mix::new`] reserves.
    pub const fn memory_bytes(members_max: u32) -> usize {
        (members_max as usize + 1) * size_of::<Block>()
            + members_max as usize * size_of::<u32>()
            + size_of::<Self>()
    }

    /// Begins a period of a room: nobody is audible yet.
    pub fn start(&mut self) {
        if !self.audible.is_empty() {
            self.audible.clear();
            self.sum = Sum::ZERO;
        }
        self.whole_is_narrowed = false;
        self.shared_is_encoded = [false; Law::ALL.len()];
    }

    /// Where the next member's sound is to be written; it counts only once admitted.
    pub fn next_block(&mut self) -> &mut Block {
        &mut self.blocks[self.audible.len()]
    }

    /// Lets the block that was written last be heard as the sound of the member at `position`.
    /// Positions ascend within a period.
    pub fn admit(&mut self, position: u32) {
        debug_assert!(self.audible.last().is_none_or(|&last| last < position));
        self.kernels.add(&mut self.sum, &self.blocks[self.audible.len()]);
        self.audible.push(position);
    }

    /// What somebody hears who says nothing: everyone.
    pub fn whole(&mut self) -> &Block {
        if !self.whole_is_narrowed {
            self.whole_is_narrowed = true;
            match self.audible.len() {
                0 => self.whole = Block::SILENCE,
                1 => self.whole = self.blocks[0],
                _ => self.kernels.narrow(&self.sum, &mut self.whole),
            }
        }
        &self.whole
    }

    /// What the member at `position` hears: everyone but itself.
    pub fn heard_by(&mut self, position: u32, law: Law) -> &Frame {
        match (self.audible.len(), self.audible.binary_search(&position)) {
            (0, _) | (1, Ok(_)) => silence(law),
            (_, Ok(own)) => {
                self.kernels.minus(&self.sum, &self.blocks[own], &mut self.minus);
                encode(self.kernels, law, &self.minus, &mut self.own);
                &self.own
            }
            (_, Err(_)) => self.shared(law),
        }
    }

    /// The one frame that all silent listeners of this law share.
    fn shared(&mut self, law: Law) -> &Frame {
        let group = law as usize;
        if !self.shared_is_encoded[group] {
            self.whole();
            encode(self.kernels, law, &self.whole, &mut self.shared[group]);
            self.shared_is_encoded[group] = true;
        }
        &self.shared[group]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ramp(step: i16) -> Block {
        Block(std::array::from_fn(|at| step.wrapping_mul(at as i16 + 1)))
    }

    /// Mixes `blocks` by the definition, one listener at a time.
    fn expected(blocks: &[Option<Block>], without: usize, law: Law) -> Frame {
        let mut block = Block::SILENCE;
        for (at, sample) in block.0.iter_mut().enumerate() {
            let others = blocks.iter().enumerate().filter(|(member, _)| *member != without);
            let sum: i32 = others.filter_map(|(_, b)| b.as_ref()).map(|b| i32::from(b.0[at])).sum();
            *sample = sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
        let mut frame = [0; BLOCK_SAMPLES];
        encode(Kernels::SCALAR, law, &block, &mut frame);
        frame
    }

    fn run(mix: &mut Mix, blocks: &[Option<Block>]) {
        mix.start();
        for (position, block) in blocks.iter().enumerate() {
            *mix.next_block() = block.unwrap_or(ramp(77));
            if block.is_some() {
                mix.admit(position as u32);
            }
        }
    }

    #[test]
    fn a_lone_speaker_is_heard_by_all_but_itself() {
        let mut mix = Mix::new(Kernels::SCALAR, 3);
        let blocks = [None, Some(ramp(50)), None];
        run(&mut mix, &blocks);
        assert_eq!(*mix.whole(), ramp(50));
        assert_eq!(mix.heard_by(1, Law::A), silence(Law::A));
        for listener in [0, 2] {
            let frame = expected(&blocks, listener, Law::Mu);
            assert_eq!(mix.heard_by(listener as u32, Law::Mu), &frame);
        }
    }

    #[test]
    fn nothing_of_the_period_before_is_left() {
        let mut mix = Mix::new(Kernels::SCALAR, 2);
        run(&mut mix, &[Some(ramp(100)), Some(ramp(3))]);
        mix.heard_by(5, Law::Mu);
        run(&mut mix, &[None, None]);
        assert_eq!(*mix.whole(), Block::SILENCE);
        assert_eq!(mix.heard_by(0, Law::Mu), silence(Law::Mu));
        assert_eq!(mix.heard_by(5, Law::Mu), silence(Law::Mu));
    }

    #[test]
    fn a_sum_beyond_16_bits_comes_back_exact_when_the_own_block_is_subtracted() {
        let loud = Block([30_000; BLOCK_SAMPLES]);
        let mut mix = Mix::new(Kernels::SCALAR, 2);
        let blocks = [Some(loud), Some(loud)];
        run(&mut mix, &blocks);
        assert_eq!(mix.whole().0[0], i16::MAX);
        assert_eq!(*mix.heard_by(0, Law::Mu), expected(&blocks, 0, Law::Mu));
    }

    proptest! {
        #[test]
        fn everyone_hears_exactly_the_others_at_every_level(
            seeds in prop::collection::vec(prop::option::of(any::<[i16; 8]>()), 1..24),
        ) {
            let blocks: Vec<_> = seeds
                .iter()
                .map(|seed| seed.map(|s| Block(std::array::from_fn(|at| s[at % 8]))))
                .collect();
            for level in Kernels::levels_available() {
                let kernels = Kernels::at(level).unwrap();
                let mut mix = Mix::new(kernels, blocks.len() as u32);
                run(&mut mix, &blocks);
                for listener in 0..=blocks.len() {
                    for law in Law::ALL {
                        let frame = expected(&blocks, listener, law);
                        prop_assert_eq!(mix.heard_by(listener as u32, law), &frame);
                    }
                }
            }
        }
    }
}
