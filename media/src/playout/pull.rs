//! The way out: every 20 ms exactly one period of sound, decoded or still encoded.

use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Block, Instant, Law};

use super::conceal::cross_fade;
use super::decide::{Operation, Status, decide};
use super::delay::Wish;
use super::{Phase, Playout, Pulled, Scratch};
use crate::codec::Decoder;
use crate::g711;

const PERIOD_SAMPLES: u64 = BLOCK_SAMPLES as u64;

/// What a pull is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing, cheaply.
    Rest,
    /// What was decided.
    Run(Operation),
}

/// What is due next, in pieces.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Sound { position: u64, length: usize },
    Hole { position: u64, length: usize, meant: bool },
}

impl Playout {
    /// Plays the next 20 ms into `samples`, which is one period at the format's sample rate. Call
    /// it every period, with the stream's decoder.
    pub fn pull(
        &mut self,
        now: Instant,
        decoder: &mut Decoder,
        kernels: &Kernels,
        _scratch: &mut Scratch,
        samples: &mut [i16],
    ) -> Pulled {
        let Decoder::G711(law) = *decoder else {
            samples.fill(0);
            return Pulled::Silence;
        };
        let mut block = Block::SILENCE;
        let pulled = self.pull_block(now, law, kernels, &mut block);
        samples.copy_from_slice(&block.0);
        pulled
    }

    fn pull_block(
        &mut self,
        now: Instant,
        law: Law,
        kernels: &Kernels,
        block: &mut Block,
    ) -> Pulled {
        let pulled = match self.step(now, law) {
            Step::Rest => {
                *block = Block::SILENCE;
                Pulled::Silence
            }
            Step::Run(Operation::Play) => self.play(law, kernels, block),
            Step::Run(Operation::Insert) => {
                self.invent(self.playhead, law, kernels, &mut block.0);
                Pulled::Concealed
            }
            Step::Run(Operation::LeaveOut) => {
                let mut left_out = Block::SILENCE;
                self.play(law, kernels, &mut left_out);
                let pulled = self.play(law, kernels, block);
                for (step, (from, to)) in left_out.0.iter().zip(&mut block.0).enumerate() {
                    *to = cross_fade(*from, *to, step, BLOCK_SAMPLES);
                }
                pulled
            }
        };
        self.count(pulled)
    }

    /// The next 20 ms still encoded, for a relay: the same timing, nothing decoded or invented.
    /// `frame` is to be sent only where the answer is [`Pulled::Played`]; holes in it are filled
    /// with silence.
    pub fn pull_frame(
        &mut self,
        now: Instant,
        law: Law,
        _kernels: &Kernels,
        _scratch: &mut Scratch,
        frame: &mut [u8; BLOCK_SAMPLES],
    ) -> Pulled {
        let pulled = match self.step(now, law) {
            Step::Rest => Pulled::Silence,
            Step::Run(Operation::Play) => self.copy(law, frame),
            Step::Run(Operation::Insert) => {
                self.concealer.skip(BLOCK_SAMPLES);
                Pulled::Concealed
            }
            Step::Run(Operation::LeaveOut) => {
                self.copy(law, frame);
                self.copy(law, frame)
            }
        };
        self.count(pulled)
    }

    /// Begins a pull: what is to be done, and the schedule moved accordingly.
    fn step(&mut self, now: Instant, law: Law) -> Step {
        self.last_pull = now;
        match self.phase {
            Phase::Empty => return Step::Rest,
            Phase::Held { until } if now < until => return Step::Rest,
            Phase::Held { .. } => self.phase = Phase::Running,
            Phase::Running => {}
        }
        if self.playhead == self.end && self.concealer.is_silent() {
            self.waited += PERIOD_SAMPLES;
            return Step::Rest;
        }
        self.settle();
        self.slack.pulled();
        self.pulls_since_shrink = self.pulls_since_shrink.saturating_add(1);
        let operation = decide(self.status(law));
        match operation {
            Operation::Play => {}
            Operation::Insert => {
                self.slack.shift(BLOCK_SAMPLES as i32);
                self.report.periods_inserted += 1;
            }
            Operation::LeaveOut => {
                self.slack.shift(-(BLOCK_SAMPLES as i32));
                self.pulls_since_shrink = 0;
                self.report.periods_left_out += 1;
            }
        }
        Step::Run(operation)
    }

    /// Settles what was waited for: sound after a hole that was invented already is due now;
    /// sound that came late is played, and all is due later.
    fn settle(&mut self) {
        if self.waited == 0 || self.playhead == self.end {
            return;
        }
        let hole = self.store.gap(self.playhead, (self.end - self.playhead) as usize) as u64;
        self.skip(hole.min(self.waited));
        if hole < self.waited {
            self.accept_wait();
        }
    }

    fn status(&self, law: Law) -> Status {
        let wish = self.slack.wish(self.needed as i32, self.delay_max as i32);
        if wish == Wish::Keep {
            return Status::KEEP;
        }
        let ready = self.store.run(self.playhead, 2 * BLOCK_SAMPLES);
        let mut codes = [0; 2 * BLOCK_SAMPLES];
        self.store.read(self.playhead, &mut codes);
        Status {
            wish,
            periods_ready: (ready / BLOCK_SAMPLES) as u8,
            quiet: g711::is_quiet(law, &codes[..ready]),
            pulls_since_shrink: self.pulls_since_shrink,
        }
    }

    /// Decodes the next period, inventing what is missing of it.
    fn play(&mut self, law: Law, kernels: &Kernels, block: &mut Block) -> Pulled {
        let mut pulled = Pulled::Silence;
        let mut filled = 0;
        while filled < BLOCK_SAMPLES {
            let samples = &mut block.0[filled..];
            match self.piece(samples.len()) {
                Piece::Sound { position, length } => {
                    let samples = &mut samples[..length];
                    self.decode(position, law, kernels, samples);
                    if self.concealer.is_active() {
                        self.concealer.rejoin(samples);
                    }
                    pulled = Pulled::Played;
                    filled += length;
                }
                Piece::Hole { position, length, meant } => {
                    pulled = self.judge_hole(pulled, meant);
                    self.invent(position, law, kernels, &mut samples[..length]);
                    filled += length;
                }
            }
        }
        pulled
    }

    /// As `play`, without decoding.
    fn copy(&mut self, law: Law, frame: &mut [u8; BLOCK_SAMPLES]) -> Pulled {
        let mut pulled = Pulled::Silence;
        let mut filled = 0;
        while filled < BLOCK_SAMPLES {
            let codes = &mut frame[filled..];
            match self.piece(codes.len()) {
                Piece::Sound { position, length } => {
                    self.store.read(position, &mut codes[..length]);
                    self.concealer.end();
                    pulled = Pulled::Played;
                    filled += length;
                }
                Piece::Hole { length, meant, .. } => {
                    codes[..length].fill(g711::silence(law));
                    pulled = self.judge_hole(pulled, meant);
                    self.concealer.skip(length);
                    filled += length;
                }
            }
        }
        pulled
    }

    /// What a pull is that comes to a hole: a pause if the hole is meant or has faded.
    fn judge_hole(&mut self, pulled: Pulled, meant: bool) -> Pulled {
        if meant {
            self.concealer.hush();
            return pulled;
        }
        match pulled {
            Pulled::Silence if !self.concealer.is_silent() => Pulled::Concealed,
            _ => pulled,
        }
    }

    /// The next piece of at most `room` samples; the schedule moves over it.
    fn piece(&mut self, room: usize) -> Piece {
        let position = self.playhead;
        let length = self.store.run(position, room);
        if length > 0 {
            self.advance(length as u64);
            return Piece::Sound { position, length };
        }
        let known = room.min((self.end - position) as usize);
        if known == 0 {
            self.waited += room as u64;
            return Piece::Hole { position, length: room, meant: false };
        }
        let length = self.store.gap(position, known);
        self.advance(length as u64);
        Piece::Hole { position, length, meant: self.silent.contains(&position) }
    }

    /// Invents sound for a hole at `position`.
    fn invent(&mut self, position: u64, law: Law, kernels: &Kernels, samples: &mut [i16]) {
        if !self.concealer.is_active() {
            let mut past = [0; BLOCK_SAMPLES];
            let length = self.store.run_before(position, BLOCK_SAMPLES);
            self.decode(position - length as u64, law, kernels, &mut past[..length]);
            self.concealer.begin(&past[..length]);
        }
        self.concealer.fill(samples);
    }

    fn decode(&self, position: u64, law: Law, kernels: &Kernels, samples: &mut [i16]) {
        let mut codes = [0; BLOCK_SAMPLES];
        let codes = &mut codes[..samples.len()];
        self.store.read(position, codes);
        g711::decode(law, kernels, codes, samples);
    }

    fn count(&mut self, pulled: Pulled) -> Pulled {
        match pulled {
            Pulled::Silence => {}
            Pulled::Played => self.report.blocks_played += 1,
            Pulled::Concealed => self.report.blocks_concealed += 1,
        }
        pulled
    }
}
