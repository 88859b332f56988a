//! The way out: every 20 ms exactly one period of sound, decoded or still encoded.

use media_kernels::Kernels;
use media_units::{BLOCK_SAMPLES, Instant, Law};

use super::background::HEAR_EVERY;
use super::decide::{Status, Wish};
use super::stretch::{Bounds, lengthen, shorten, splice};
use super::{Phase, Playout, Pulled, Scratch};
use crate::codec::Decoder;
use crate::g711;

/// Pulls between two looks at the schedule while all is well: 80 ms.
const CALM_PULLS: u8 = 4;

/// Likeness, of 1024, at which a splice is not heard.
const LIKENESS: i64 = 880;

/// The same where the delay is far above what it should be: a splice that is heard a little is
/// better than that.
const LIKENESS_HURRIED: i64 = 700;

/// Delay too much, in periods, from which on it is hurried.
const HURRY_PERIODS: usize = 3;

/// What a pull needs beside the buffer.
struct Means<'a> {
    decoder: &'a mut Decoder,
    kernels: &'a Kernels,
    scratch: &'a mut Scratch,
}

/// What is due next, in pieces.
#[derive(Debug, Clone, Copy)]
enum Piece {
    /// So many samples are there.
    Sound(usize),
    /// So many are missing, and the next of them will be there.
    Hole { length: usize, meant: bool },
    /// So many are missing, and nothing is known of what follows.
    End { length: usize, meant: bool },
}

impl Playout {
    /// Plays the next 20 ms into `samples`, which is one period at the format's sample rate. Call
    /// it every period, with the stream's decoder.
    pub fn pull(
        &mut self,
        now: Instant,
        decoder: &mut Decoder,
        kernels: &Kernels,
        scratch: &mut Scratch,
        samples: &mut [i16],
    ) -> Pulled {
        scratch.begin_pull();
        let pulled = match self.step(now) {
            None => self.background.fill(self.wants_noise, samples),
            Some(wish) => {
                let mut means = Means { decoder, kernels, scratch };
                if self.stretch(wish, &mut means, samples) {
                    Pulled::Played
                } else {
                    self.play(&mut means, samples)
                }
            }
        };
        self.count(pulled)
    }

    /// The next 20 ms still encoded, for a relay of G.711: the same timing, and nothing decoded but
    /// where the delay changes. `frame` is to be sent only where the answer is
    /// [`Pulled::Played`] or [`Pulled::Noise`]; holes in it are filled with silence.
    pub fn pull_frame(
        &mut self,
        now: Instant,
        law: Law,
        kernels: &Kernels,
        scratch: &mut Scratch,
        frame: &mut [u8; BLOCK_SAMPLES],
    ) -> Pulled {
        scratch.begin_pull();
        let pulled = match self.step(now) {
            Some(Wish::Keep) => self.copy(law, kernels, frame),
            None => {
                let mut samples = [0; BLOCK_SAMPLES];
                let pulled = self.background.fill(self.wants_noise, &mut samples);
                if pulled == Pulled::Noise {
                    g711::encode(law, kernels, &samples, frame);
                }
                pulled
            }
            Some(wish) => {
                let mut samples = [0; BLOCK_SAMPLES];
                let decoder = &mut Decoder::G711(law);
                if self.stretch(wish, &mut Means { decoder, kernels, scratch }, &mut samples) {
                    g711::encode(law, kernels, &samples, frame);
                    Pulled::Played
                } else {
                    self.copy(law, kernels, frame)
                }
            }
        };
        self.count(pulled)
    }

    /// Lets the next 20 ms pass in place of a pull: nobody is to hear them. The same timing, and
    /// nothing decoded or invented; the delay changes freely, as there is no voice to spare. What
    /// is pulled after that fades in, from a decoder that was reset.
    pub fn pass_over(&mut self, now: Instant) -> Pulled {
        let Some(wish) = self.step(now) else {
            return self.background.pass(self.period as usize);
        };
        self.forget_past();
        let period = self.period as usize;
        let there = self.run(2 * period);
        let length = match wish {
            Wish::Grow(wanted) if there >= period => period - wanted.min(period),
            Wish::Shrink(wanted) if there >= period => period + wanted.min(there - period),
            _ => period,
        };
        self.schedule = self.schedule.saturating_add(period as i32 - length as i32);
        let mut pulled = Pulled::Silence;
        let mut left = length;
        while left > 0 {
            let piece = self.next_piece(left);
            match piece {
                Piece::Sound(length) => {
                    self.advance(length as u64);
                    pulled = Pulled::Played;
                    left -= length;
                }
                Piece::Hole { length, .. } | Piece::End { length, .. } => {
                    self.pass(piece);
                    left -= length;
                }
            }
        }
        pulled
    }

    /// What was played is over: nothing is to be invented from it.
    fn forget_past(&mut self) {
        if self.concealer.is_silent() {
            return;
        }
        match &mut self.memory {
            Some(memory) => memory.past.fill(0),
            None => self.past.fill(0),
        }
        self.concealer.skip(self.rate as usize);
    }

    /// Begins a pull: the schedule is settled, and what is to become of it. `None`: there is
    /// nothing to play and nothing to conceal.
    fn step(&mut self, now: Instant) -> Option<Wish> {
        self.last_pull = now;
        match self.phase {
            Phase::Empty => return None,
            Phase::Held { until } if now < until => return None,
            Phase::Held { .. } => {
                self.phase = Phase::Running;
                self.schedule = self.scheduled(now);
            }
            Phase::Running => {}
        }
        if self.playhead == self.end && self.concealer.is_silent() {
            self.waited += u64::from(self.period);
            return None;
        }
        self.settle();
        self.follow(now);
        if self.calm > 0 {
            self.calm -= 1;
            return Some(Wish::Keep);
        }
        let wish = self.status().map_or(Wish::Keep, |status| status.wish());
        if wish == Wish::Keep {
            self.calm = CALM_PULLS;
        }
        Some(wish)
    }

    /// The schedule's delay as this moment shows it.
    fn scheduled(&self, now: Instant) -> i32 {
        self.clock(now).wrapping_sub((self.playhead + self.waited) as u32) as i32
    }

    /// Follows what the moment of the pull says. A tick that runs late is no delay of the stream.
    fn follow(&mut self, now: Instant) {
        let seen = self.scheduled(now);
        if seen < self.schedule {
            self.schedule = seen;
        } else {
            self.schedule += seen.saturating_sub(self.schedule) / 32;
        }
    }

    /// Settles what was waited for: sound after a hole that was invented already is due now;
    /// sound that came late is played, and all is due later.
    fn settle(&mut self) {
        if self.waited == 0 || self.playhead == self.end {
            return;
        }
        let hole = self.gap((self.end - self.playhead) as usize) as u64;
        self.skip(hole.min(self.waited));
        if hole < self.waited {
            self.accept_wait();
        }
    }

    fn status(&self) -> Option<Status> {
        let base = self.estimate.base()?;
        let newest = self.newest?;
        let (period, step) = (self.period as i32, self.step as i32);
        let idle = (newest.position as i64 - self.playhead as i64).rem_euclid(i64::from(step));
        let idle = idle as i32;
        Some(Status {
            slack: self.schedule.saturating_sub(base).saturating_sub(period - step + idle),
            target: self.target() as i32,
            step,
            idle,
            tolerance: period / 5,
            idle_allowed: period / 4,
        })
    }

    /// Lets the delay grow or shrink within a period of sound. False where nothing was done.
    fn stretch(&mut self, wish: Wish, means: &mut Means<'_>, samples: &mut [i16]) -> bool {
        let period = self.period as usize;
        let (wanted, most) = match wish {
            Wish::Keep => return false,
            Wish::Grow(wanted) => (wanted, period),
            Wish::Shrink(wanted) => (wanted, period + wanted.min(2 * period)),
        };
        let most = most.min(means.scratch.ahead.len());
        let there = self.run(most);
        if self.concealer.is_active() || there < period || !means.scratch.takes_stretch() {
            return false;
        }
        let ahead = &mut means.scratch.ahead[..there];
        self.peek(means.decoder, means.kernels, ahead);
        let is_hurried = wanted > HURRY_PERIODS * period && matches!(wish, Wish::Shrink(_));
        let likeness = if is_hurried { LIKENESS_HURRIED } else { LIKENESS };
        let bounds = Bounds { quantum: period / 8, period, wanted, likeness };
        let found = match wish {
            Wish::Shrink(_) => shorten(ahead, bounds),
            _ => lengthen(ahead, bounds),
        };
        let Some(found) = found else { return false };
        let used = splice(ahead, found, bounds.quantum, samples);
        self.advance(used as u64);
        self.schedule = self.schedule.saturating_sub(found.jump as i32);
        let changed = found.jump.unsigned_abs() as u64;
        match wish {
            Wish::Shrink(_) => self.report.samples_accelerated += changed,
            _ => self.report.samples_expanded += changed,
        }
        true
    }

    /// Decodes the next period, inventing what is missing of it.
    fn play(&mut self, means: &mut Means<'_>, samples: &mut [i16]) -> Pulled {
        let mut pulled = Pulled::Silence;
        let mut filled = 0;
        while filled < samples.len() {
            let rest = &mut samples[filled..];
            let piece = self.next_piece(rest.len());
            if matches!(piece, Piece::Hole { meant: false, .. }) && self.recover(means.decoder) {
                self.report.packets_recovered += 1;
                continue;
            }
            match piece {
                Piece::Sound(length) => {
                    let is_clean = self.is_clean(length);
                    self.sound(means, &mut rest[..length]);
                    if is_clean && self.is_curious() {
                        self.background.hear(means.kernels, &rest[..length]);
                    }
                    pulled = Pulled::Played;
                    filled += length;
                }
                Piece::Hole { length, meant } | Piece::End { length, meant } => {
                    pulled = self.judge_hole(pulled, meant, length);
                    let invented = self.invent(meant, means, &mut rest[..length]);
                    pulled = if pulled == Pulled::Silence { invented } else { pulled };
                    self.pass(piece);
                    filled += length;
                }
            }
        }
        pulled
    }

    /// As `play`, without decoding.
    fn copy(&mut self, law: Law, kernels: &Kernels, frame: &mut [u8; BLOCK_SAMPLES]) -> Pulled {
        let mut pulled = Pulled::Silence;
        let mut filled = 0;
        while filled < BLOCK_SAMPLES {
            let codes = &mut frame[filled..];
            match self.next_piece(codes.len()) {
                Piece::Sound(length) => {
                    self.store.read(self.playhead, &mut codes[..length]);
                    if self.is_clean(length) && self.is_curious() {
                        let mut samples = [0; BLOCK_SAMPLES];
                        g711::decode(law, kernels, codes, &mut samples);
                        self.background.hear(kernels, &samples);
                    }
                    self.advance(length as u64);
                    if self.concealer.is_active() {
                        self.concealer.end();
                        self.background.end_loss();
                    }
                    pulled = Pulled::Played;
                    filled += length;
                }
                piece @ (Piece::Hole { length, meant } | Piece::End { length, meant }) => {
                    pulled = self.judge_hole(pulled, meant, length);
                    let rests = self.pass_hole(meant, law, kernels, &mut codes[..length]);
                    pulled = if pulled == Pulled::Silence { rests } else { pulled };
                    self.pass(piece);
                    filled += length;
                }
            }
        }
        pulled
    }

    /// As `invent`, without inventing: only what is heard after it.
    fn pass_hole(&mut self, meant: bool, law: Law, kernels: &Kernels, codes: &mut [u8]) -> Pulled {
        if self.concealer.is_silent() {
            let samples = &mut [0; BLOCK_SAMPLES][..codes.len()];
            let pulled = self.background.fill(self.wants_noise, samples);
            g711::encode(law, kernels, samples, codes);
            return pulled;
        }
        if meant && self.background.is_described() {
            self.concealer.skip(self.rate as usize);
            return self.pass_hole(meant, law, kernels, codes);
        }
        codes.fill(g711::silence(law));
        if meant {
            self.concealer.hush();
        }
        self.concealer.skip(codes.len());
        self.fall_silent(meant);
        Pulled::Silence
    }

    /// Where the sound of a loss has faded, the line is heard.
    fn fall_silent(&mut self, meant: bool) {
        if !meant && self.concealer.is_silent() {
            self.background.begin_loss();
        }
    }

    /// Whether samples that are next are a whole period of what was sent.
    fn is_clean(&self, samples: usize) -> bool {
        samples == self.period as usize && !self.concealer.is_active()
    }

    /// Another period was played as it came: whether the line is to be heard in it.
    fn is_curious(&mut self) -> bool {
        self.unheard = (self.unheard + 1) % HEAR_EVERY;
        self.unheard == 0
    }

    /// What a pull is that comes to a hole: a pause if the hole is meant or has faded.
    fn judge_hole(&mut self, pulled: Pulled, meant: bool, length: usize) -> Pulled {
        if meant || self.concealer.is_silent() {
            return pulled;
        }
        self.report.samples_concealed += length as u64;
        if pulled == Pulled::Silence { Pulled::Concealed } else { pulled }
    }

    /// The next piece of at most `room` samples.
    fn next_piece(&self, room: usize) -> Piece {
        let length = self.run(room);
        if length > 0 {
            return Piece::Sound(length);
        }
        let meant = self.silent.contains(&self.playhead);
        let known = room.min((self.end - self.playhead) as usize);
        if known == 0 {
            return Piece::End { length: room, meant };
        }
        let length = self.gap(known).min(self.beyond_redundancy());
        Piece::Hole { length, meant }
    }

    /// The schedule moves over what is missing.
    fn pass(&mut self, piece: Piece) {
        match piece {
            Piece::Sound(_) => {}
            Piece::Hole { length, .. } => self.advance(length as u64),
            Piece::End { length, .. } => self.waited += length as u64,
        }
    }

    /// Plays samples that are there.
    fn sound(&mut self, means: &mut Means<'_>, samples: &mut [i16]) {
        self.peek(means.decoder, means.kernels, samples);
        if self.concealer.is_active() {
            self.amend_past(means.decoder, means.kernels);
            let past = match &mut self.memory {
                Some(memory) => &mut memory.past[..],
                None => &mut self.past[..],
            };
            let fade = self.concealer.rejoin_length();
            self.concealer.rejoin(past, &mut means.scratch.spare[..fade], samples);
            self.background.end_loss();
        }
        self.advance(samples.len() as u64);
    }

    /// Invents sound for a hole. Where that has faded already: what is heard instead.
    fn invent(&mut self, meant: bool, means: &mut Means<'_>, samples: &mut [i16]) -> Pulled {
        if self.concealer.is_silent() {
            return self.background.fill(self.wants_noise, samples);
        }
        let begins = !self.concealer.is_active();
        if begins {
            self.remember_past(means.decoder, means.kernels);
        }
        let past = match &mut self.memory {
            Some(memory) => &mut memory.past[..],
            None => &mut self.past[..],
        };
        if begins {
            self.concealer.begin(past);
        }
        if meant {
            self.concealer.hush();
        }
        let fade = self.concealer.hush_length().min(samples.len());
        if meant && self.background.is_described() {
            // What was said fades within 5 ms, and the pause sounds as it was described from there on.
            let (faded, pause) = samples.split_at_mut(fade);
            self.concealer.fill(past, faded);
            self.concealer.skip(self.rate as usize);
            return self.background.fill(self.wants_noise, pause);
        }
        self.concealer.fill(past, samples);
        self.fall_silent(meant);
        Pulled::Silence
    }

    fn count(&mut self, pulled: Pulled) -> Pulled {
        match pulled {
            Pulled::Silence | Pulled::Noise => {}
            Pulled::Played => self.report.blocks_played += 1,
            Pulled::Concealed => self.report.blocks_concealed += 1,
        }
        pulled
    }
}
