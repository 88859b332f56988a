//! A session's turn, once in every period: its sound is taken, something is sent to it, and what
//! time alone brings about is noticed.

use std::mem::{replace, take};

use engine_control::{DigitSource, Event, SilenceCause};
use media::codec::Decoder;
use media::dtmf::Sending;
use media::g711;
use media::playout::Pulled;
use media::rtp::HEADER_BYTES_MAX;
use media::talk::SILENT_DBOV;
use media_units::{BLOCK_SAMPLES, BLOCK_SAMPLES_MAX, Block, Encoding, PeriodIndex};
use mixer::{Frame, encode, silence};

use crate::moment::Moment;
use crate::mute::Fade;
use crate::sender::{Packets, Payload};
use crate::session::Session;
use crate::taps::Carried;
use crate::{Decision, Output, Port, Said};

/// Mean of the samples squared up to which what is said is an idle line: what Opus and G.722 make of silence.
/// Opus' own pauses begin not far above it.
const IDLE_POWER: u64 = 4;
/// The same of A-law, which has no zero in it (ITU-T G.711): it says silence as 8 of 32,768, and nothing is softer.
const IDLE_POWER_A_LAW: u64 = 64;

impl Session {
    /// Notes what it said in this turn.
    fn note_said(&mut self, pulled: Pulled, energy: u64) {
        let is_silent = pulled == Pulled::Played && energy == 0;
        self.said = if is_silent { Said::Silent } else { pulled.into() };
    }

    /// Tells what became of its turn in a room.
    pub(crate) fn tell_turn<O: Output>(&self, is_heard: bool, moment: &mut Moment<'_, O>) {
        let (said, is_muted) = (self.said, self.muted);
        moment.output.decided(self.slot(), Decision::Turn { said, is_muted, is_heard });
    }

    /// Begins its turn. It rests where it had its turn in this period already, in another phase.
    pub(crate) fn begin_turn<O>(&mut self, moment: &mut Moment<'_, O>) {
        self.rests = moment.period < self.next_turn;
        self.said = Said::Rested;
        // It may have come from a shard that is further by now.
        self.next_turn = self.next_turn.max(moment.period + 1);
        if moment.left_out > 0 && !self.rests {
            self.leave_out(moment.left_out, moment);
        }
    }

    /// There were so many periods without a turn, for want of time. Sound that came for them passes, but for
    /// the last that came, which is for this one.
    pub(crate) fn leave_out<O>(&mut self, periods: PeriodIndex, moment: &mut Moment<'_, O>) {
        self.send.pause();
        let more = self.playout.periods_there().saturating_sub(1);
        for _ in 0..periods.min(more) {
            self.skip(moment);
        }
    }

    /// Plays the period's sound into `block`, at its rate class, and returns its energy: 0 where
    /// nothing can be heard. That is what a tap has of it.
    pub(crate) fn play<O: Output>(&mut self, block: &mut [i16], moment: &mut Moment<'_, O>) -> u64 {
        if self.rests {
            block.fill(0);
            return 0;
        }
        let pulled = self.pull(block, moment);
        let is_sound = self.count(pulled, moment);
        let is_sound = self.take_tones(is_sound, block, moment);
        let may_be_heard = self.may_be_heard();
        self.soften(&moment.rules.kernels, block);
        let energy = if is_sound { moment.rules.kernels.energy(block) } else { 0 };
        self.note_said(pulled, energy);
        if self.received.is_watched() {
            self.carried = Some(if may_be_heard {
                self.carries(pulled, energy, moment.period)
            } else {
                Carried::Silence(SilenceCause::Muted)
            });
        }
        energy
    }

    /// Makes what was played ready for the mix, and returns what energy is left of it. An idle line is
    /// silence: who only listens is to share an encoder with all who do, and a thousand idle lines would be
    /// heard together.
    pub(crate) fn prepare<O: Output>(
        &mut self,
        energy: u64,
        block: &mut [i16],
        moment: &mut Moment<'_, O>,
    ) -> u64 {
        if self.rests {
            return 0;
        }
        let energy = self.suppress(energy, block, moment);
        let energy = self.hush(energy, block);
        if !take(&mut self.waits) {
            self.measure(energy, block, moment);
        }
        energy
    }

    /// Its noise is suppressed from now on, or no more.
    pub(crate) fn suppress_noise(&mut self, asked: bool) {
        let had_noise = replace(&mut self.has_noise, asked && self.suppressor.is_some());
        if let (false, Some(suppressor)) = (had_noise, &mut self.suppressor) {
            suppressor.reset();
        }
    }

    /// What comes next does not follow what came last.
    pub(crate) fn interrupt_suppression(&mut self) {
        if let Some(suppressor) = self.suppressor.as_mut().filter(|_| self.has_noise) {
            suppressor.interrupt();
        }
    }

    /// Makes silence of an idle line; returns what energy is left.
    fn hush(&self, energy: u64, block: &mut [i16]) -> u64 {
        let is_a_law = self.media.encoding == Encoding::Pcma;
        let idle_power = if is_a_law { IDLE_POWER_A_LAW } else { IDLE_POWER };
        if energy > idle_power * block.len() as u64 {
            return energy;
        }
        if energy > 0 {
            block.fill(0);
        }
        0
    }

    /// Takes noise out of its sound where the room asks for it; a tap has it as it came. Returns the
    /// energy of what is left, which comes later.
    fn suppress<O>(&mut self, energy: u64, block: &mut [i16], moment: &Moment<'_, O>) -> u64 {
        let Some(suppressor) = self.suppressor.as_mut().filter(|_| self.has_noise) else {
            return energy;
        };
        if energy == 0 {
            if suppressor.is_drained() {
                return 0;
            }
            block.fill(0);
        }
        suppressor.block(block);
        moment.rules.kernels.energy(block)
    }

    /// Its level in this period, where it tells one and nothing but the mix listens. It is early
    /// by the delay of playout.
    pub(crate) fn told_level(&self, period: PeriodIndex) -> Option<u8> {
        let told = self.told_dbov.filter(|_| !self.rests && !self.must_be_decoded())?;
        Some(if period <= self.loud_until { told.min(SILENT_DBOV - 1) } else { SILENT_DBOV })
    }

    /// Takes part in the selection by its level, and is decoded only if it is wanted.
    pub(crate) fn rank<O: Output>(&mut self, level_dbov: u8, moment: &mut Moment<'_, O>) {
        self.waits = true;
        let talk = self.talk.level(level_dbov);
        self.tell_talk(talk, moment.output);
    }

    /// Lets the period's sound pass, where its level says that nobody would hear it.
    pub(crate) fn skip<O>(&mut self, moment: &mut Moment<'_, O>) {
        self.waits = false;
        self.was_skipped = true;
        self.fade = Fade::None;
        self.interrupt_suppression();
        let pulled = self.playout.pass_over(moment.now);
        let is_sound = pulled == Pulled::Played;
        self.said = if is_sound { Said::Skipped } else { pulled.into() };
        moment.totals.blocks_skipped += u64::from(is_sound);
    }

    fn pull<O>(&mut self, block: &mut [i16], moment: &mut Moment<'_, O>) -> Pulled {
        let (now, kernels, bench) = (moment.now, &moment.rules.kernels, &mut *moment.bench);
        let rate = self.media.encoding.sample_rate();
        let was_skipped = take(&mut self.was_skipped);
        self.playout.want_noise(moment.fills_pauses);
        let Some(equipment) = &mut self.equipment else {
            let decoder = &mut Decoder::G711(self.law());
            return self.playout.pull(now, decoder, kernels, &mut bench.scratch, block);
        };
        if was_skipped {
            equipment.forget_received();
        }
        let decoder = &mut equipment.decoder;
        if rate as usize / 50 == block.len() {
            return self.playout.pull(now, decoder, kernels, &mut bench.scratch, block);
        }
        let samples = &mut bench.samples[..rate as usize / 50];
        let pulled = self.playout.pull(now, decoder, kernels, &mut bench.scratch, samples);
        equipment.bring_to_class(bench, rate, block);
        pulled
    }

    /// What it said in this period, for those who listen to it, where it is not muted.
    fn carries(&self, pulled: Pulled, energy: u64, period: PeriodIndex) -> Carried {
        let is_digit = self.in_digit && period <= self.digit_until;
        Carried::Silence(match pulled {
            _ if !self.media.direction.receives() => SilenceCause::Held,
            // It was made here: a recording has what came.
            Pulled::Noise if !self.has_tones => SilenceCause::NothingReceived,
            _ if energy > 0 => return Carried::Sound { concealed: pulled == Pulled::Concealed },
            _ if is_digit => SilenceCause::Digit,
            Pulled::Played => SilenceCause::Silent,
            Pulled::Silence | Pulled::Concealed | Pulled::Noise => SilenceCause::NothingReceived,
        })
    }

    /// What it was sent in this period, where somebody listens to that.
    pub(crate) fn was_sent(&self, is_silent: bool, period: PeriodIndex) -> Option<Carried> {
        if self.rests || !self.sent.is_watched() {
            return None;
        }
        Some(if !self.media.direction.sends() {
            Carried::Silence(SilenceCause::Held)
        } else if self.keyed == Some(period) {
            Carried::Silence(SilenceCause::Digit)
        } else if is_silent {
            Carried::Silence(SilenceCause::Silent)
        } else {
            Carried::Sound { concealed: false }
        })
    }

    /// Takes the period's frame as it came, decoded only to be measured. False where it is
    /// missing: whoever listens has its own way to conceal that.
    pub(crate) fn take_frame<O: Output>(
        &mut self,
        frame: &mut Frame,
        moment: &mut Moment<'_, O>,
    ) -> bool {
        if self.rests {
            return false;
        }
        let law = self.law();
        let (kernels, scratch) = (&moment.rules.kernels, &mut moment.bench.scratch);
        self.playout.want_noise(moment.fills_pauses);
        let pulled = self.playout.pull_frame(moment.now, law, kernels, scratch, frame);
        let is_sound = self.count(pulled, moment);
        let (mut energy, mut block) = (0, Block::SILENCE);
        let is_there = matches!(pulled, Pulled::Played | Pulled::Noise);
        if is_there {
            g711::decode(law, &moment.rules.kernels, frame, &mut block.0);
            if self.soften(&moment.rules.kernels, &mut block.0) {
                encode(moment.rules.kernels, law, &block.0, frame);
            }
            energy = moment.rules.kernels.energy(&block.0);
        } else if !is_sound {
            *frame = *silence(law);
        }
        self.note_said(pulled, energy);
        self.measure(energy, &block.0, moment);
        is_there || !is_sound
    }

    /// Sends a frame of plain G.711, if there is one for it, and notices what time brings about.
    pub(crate) fn end_turn<O: Output>(
        &mut self,
        frame: Option<&Frame>,
        moment: &mut Moment<'_, O>,
    ) {
        self.send_plain(frame, moment);
        self.look(moment);
    }

    /// Sends a frame of plain G.711, if there is one for it.
    pub(crate) fn send_plain<O: Output>(
        &mut self,
        frame: Option<&Frame>,
        moment: &mut Moment<'_, O>,
    ) {
        match frame.filter(|_| self.media.direction.sends()) {
            Some(frame) => self.send_frame(frame, moment),
            None => self.pause(),
        }
    }

    /// Sends what a period gave in any other payload format, and notices what time brings about.
    pub(crate) fn end_turn_with<O: Output>(
        &mut self,
        packets: Option<&Packets>,
        moment: &mut Moment<'_, O>,
    ) {
        self.send_packets(packets, moment);
        self.look(moment);
    }

    fn send_packets<O: Output>(&mut self, packets: Option<&Packets>, moment: &mut Moment<'_, O>) {
        match packets.filter(|_| self.media.direction.sends()) {
            Some(packets) => {
                packets.iter().for_each(|payload| self.send(payload, moment));
            }
            None => self.pause(),
        }
    }

    /// Ends its turn in any payload format but plain G.711, with sound that is encoded for nobody
    /// else.
    pub(crate) fn end_turn_alone<O: Output>(
        &mut self,
        sound: &[i16],
        packets: &mut Packets,
        moment: &mut Moment<'_, O>,
    ) {
        self.send_alone(sound, packets, moment);
        self.look(moment);
    }

    /// Sends sound that is encoded for nobody else, in any payload format but plain G.711.
    pub(crate) fn send_alone<O: Output>(
        &mut self,
        sound: &[i16],
        packets: &mut Packets,
        moment: &mut Moment<'_, O>,
    ) {
        if self.rests {
            // It was sent this period already: its encoder may not hear it twice.
            return;
        }
        if let Some(lost) = self.reported_loss.take() {
            self.far_end_lost(lost);
        }
        let sending = self.next_digit(moment.period);
        let mut key = [0; BLOCK_SAMPLES_MAX];
        let key = &mut key[..sound.len()];
        match sending {
            Some(Sending::Tones(pair)) => self.sound_key(pair, key),
            Some(Sending::Silence) => {}
            None | Some(Sending::Event(_)) => {
                if !self.speak_prompt(key, moment.output) {
                    key.copy_from_slice(sound);
                }
            }
        }
        self.encode(key, packets, moment);
        if let Some(Sending::Event(event)) = sending {
            self.send_event(&event, moment);
        } else {
            self.send_packets(Some(packets), moment);
        }
    }

    /// Encodes a period's sound, at its rate class.
    pub(crate) fn encode<O>(
        &mut self,
        block: &[i16],
        packets: &mut Packets,
        moment: &mut Moment<'_, O>,
    ) {
        if let Some(equipment) = &mut self.equipment {
            equipment.sender.limit_complexity(moment.rules.complexity_max);
            equipment.sender.push(&moment.rules.kernels, moment.bench, block, packets);
            moment.totals.frames_encoded += packets.iter().count() as u64;
        }
    }

    /// Sends a frame of plain G.711, or what takes its place.
    fn send_frame<O: Output>(&mut self, frame: &Frame, moment: &mut Moment<'_, O>) {
        let law = self.law();
        match self.next_digit(moment.period) {
            None if self.is_prompted => {
                let mut block = [0; BLOCK_SAMPLES];
                let mut spoken = *frame;
                if self.speak_prompt(&mut block, moment.output) {
                    encode(moment.rules.kernels, law, &block, &mut spoken);
                }
                self.send(Payload::of_frame(&spoken), moment);
            }
            None => self.send(Payload::of_frame(frame), moment),
            Some(Sending::Event(event)) => self.send_event(&event, moment),
            Some(Sending::Silence) => self.send(Payload::of_frame(silence(law)), moment),
            Some(Sending::Tones(pair)) => {
                let (mut key, mut frame) = ([0; BLOCK_SAMPLES], [0; BLOCK_SAMPLES]);
                self.sound_key(pair, &mut key);
                encode(moment.rules.kernels, law, &key, &mut frame);
                self.send(Payload::of_frame(&frame), moment);
            }
        }
    }

    fn pause(&mut self) {
        if !self.rests {
            self.send.pause();
        }
    }

    /// Sends one payload.
    fn send<O: Output>(&mut self, payload: Payload<'_>, moment: &mut Moment<'_, O>) {
        if self.rests {
            return;
        }
        let Payload { octets, age, is_noise } = payload;
        let Some(to) = self.latch.destination().filter(|_| !octets.is_empty()) else {
            self.send.pause();
            return;
        };
        let header = match self.media.comfort_noise.filter(|_| is_noise) {
            Some(number) => self.send.noise_header(number, moment.period, age, octets.len()),
            None => self.send.header(moment.period, age, octets.len()),
        };
        moment.totals.rtp_sent += 1;
        let Some(levels) = self.media.mixer_levels else {
            return moment.output.send(self.slot(), Port::Rtp, to, [&header.write(), octets]);
        };
        let mut written = [0; HEADER_BYTES_MAX];
        let (contributors, own) = (&moment.bench.contributors, self.reception.ssrc());
        let length = contributors.write_header(&header, own, Some(levels), &mut written);
        moment.output.send(self.slot(), Port::Rtp, to, [&written[..length], octets]);
    }

    /// Counts what was pulled and says whether it is sound. What is missing while a digit is
    /// pressed is no loss: the endpoint sends events in place of sound.
    fn count<O>(&mut self, pulled: Pulled, moment: &mut Moment<'_, O>) -> bool {
        match pulled {
            Pulled::Silence => false,
            // What the endpoint told of its pause, or what a long loss fades to.
            Pulled::Noise => moment.fills_pauses,
            Pulled::Played => {
                self.blocks_played += 1;
                moment.totals.blocks_played += 1;
                moment.totals.playout_delay_sum += self.playout.delay();
                true
            }
            Pulled::Concealed if self.in_digit => false,
            Pulled::Concealed => {
                self.blocks_concealed += 1;
                moment.totals.blocks_concealed += 1;
                true
            }
        }
    }

    /// Follows who speaks.
    fn measure<O: Output>(&mut self, energy: u64, block: &[i16], moment: &mut Moment<'_, O>) {
        let talk = self.talk.block(energy, block);
        self.tell_talk(talk, moment.output);
    }

    /// Notices what time alone brings about: lost ends of digits, silence, reports.
    pub(crate) fn look<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        if moment.period <= self.digit_until {
            let digit = self.record.digits.expire(moment.now);
            self.tell_digit(digit, DigitSource::TelephoneEvent, moment.output);
        }
        if self.media.direction.receives() {
            self.look_at_silence(moment);
        }
        if self.report_due <= moment.now {
            self.report_if_due(moment);
        }
        if self.second_ends <= moment.period {
            self.judge_second(moment);
        }
    }

    fn look_at_silence<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        if self.latch.falls_open(moment.period, moment.rules.latch) {
            moment.output.latch(self.slot(), Port::Rtp, None);
        }
        let Some(timeout) = moment.rules.media_timeout else { return };
        if !self.timed_out && self.latch.silent_for(moment.period) >= timeout {
            self.timed_out = true;
            moment.output.event(Event::MediaTimedOut { session: self.key });
        }
    }
}
