//! A session's turn, once in every period: its sound is taken, something is sent to it, and what
//! time alone brings about is noticed.

use engine_control::{DigitSource, Event};
use media::codec::Decoder;
use media::dtmf::Sending;
use media::g711;
use media::playout::Pulled;
use media_units::{BLOCK_SAMPLES, Block, PeriodIndex};
use mixer::{Frame, silence};

use crate::moment::Moment;
use crate::session::Session;
use crate::{Output, Port};

impl Session {
    /// Begins its turn. It rests where it had its turn in this period already, in another phase.
    pub(crate) fn begin_turn(&mut self, period: PeriodIndex) {
        self.rests = period < self.next_turn;
        self.next_turn = period + 1;
    }

    /// Plays the period's sound into `block` and returns its energy: 0 where nothing can be heard.
    pub(crate) fn play<O: Output>(&mut self, block: &mut Block, moment: &mut Moment<'_, O>) -> u64 {
        if self.rests {
            return 0;
        }
        let kernels = &moment.rules.kernels;
        let (decoder, scratch) = (&mut Decoder::G711(self.law()), &mut *moment.scratch);
        let pulled = self.playout.pull(moment.now, decoder, kernels, scratch, &mut block.0);
        let is_sound = self.count(pulled, moment);
        let is_sound = self.take_tones(is_sound, block, moment);
        let energy = if is_sound { moment.rules.kernels.energy(&block.0) } else { 0 };
        self.measure(energy, moment);
        if let Some(tap) = self.tap {
            let block = if energy > 0 { block } else { &Block::SILENCE };
            moment.taps.push(tap, moment.period, moment.now, block);
        }
        energy
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
        let (kernels, scratch) = (&moment.rules.kernels, &mut *moment.scratch);
        let pulled = self.playout.pull_frame(moment.now, law, kernels, scratch, frame);
        let is_sound = self.count(pulled, moment);
        let mut energy = 0;
        if pulled == Pulled::Played {
            let mut block = Block::SILENCE;
            g711::decode(law, &moment.rules.kernels, frame, &mut block.0);
            energy = moment.rules.kernels.energy(&block.0);
        } else if !is_sound {
            *frame = *silence(law);
        }
        self.measure(energy, moment);
        pulled == Pulled::Played || !is_sound
    }

    /// Sends what it hears, if there is something for it, and notices what time brings about.
    pub(crate) fn end_turn<O: Output>(
        &mut self,
        frame: Option<&Frame>,
        moment: &mut Moment<'_, O>,
    ) {
        if !self.rests {
            self.send_or_pause(frame, moment);
        }
        self.look(moment);
    }

    fn send_or_pause<O: Output>(&mut self, frame: Option<&Frame>, moment: &mut Moment<'_, O>) {
        let frame = frame.filter(|_| self.media.direction.sends());
        let (Some(frame), Some(to)) = (frame, self.latch.destination()) else {
            self.send.pause();
            return;
        };
        let mut tones = [0; BLOCK_SAMPLES];
        let frame = match self.next_digit(moment.period) {
            None => frame,
            Some(Sending::Event(event)) => return self.send_event(&event, to, moment),
            Some(Sending::Tones(pair)) => {
                self.sound_key(pair, &mut tones, moment);
                &tones
            }
            Some(Sending::Silence) => silence(self.law()),
        };
        let header = self.send.header(moment.period, 0, BLOCK_SAMPLES);
        moment.totals.rtp_sent += 1;
        moment.output.send(self.slot(), Port::Rtp, to, [&header, frame]);
    }

    /// Counts what was pulled and says whether it is sound. What is missing while a digit is
    /// pressed is no loss: the endpoint sends events in place of sound.
    fn count<O>(&mut self, pulled: Pulled, moment: &mut Moment<'_, O>) -> bool {
        match pulled {
            Pulled::Silence => false,
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
    fn measure<O: Output>(&mut self, energy: u64, moment: &mut Moment<'_, O>) {
        let talk = self.talk.block(energy);
        self.tell_talk(talk, moment.output);
    }

    /// Notices what time alone brings about: lost ends of digits, silence, reports.
    fn look<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
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
