//! One RTP session with one endpoint: what it is, how it begins, changes and ends.
//!
//! What every packet and every period touches lies together; what only RTCP, digits and reports need is in
//! [`Record`]. A session holds no reference to anything outside itself.

use std::mem::{offset_of, replace};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use engine_control::{
    Event, Limits, Prompt, RemoteMedia, Route, RtcpTransport, SessionKey, SessionOpen, TapId,
};
use media::Random;
use media::dtmf::{DigitReceiver, DigitSender, ToneFilter};
use media::noise_suppression::NoiseSuppressor;
use media::playout::Playout;
use media::reception::Reception;
use media::rtcp::{Timer, bandwidth};
use media::talk::{Talk, TalkDetector};
use media_kernels::{prefetch, prefetch_start};
use media_units::{
    CLOCK_RATE, DISCARDS, Direction, Discard, Instant, Law, PeriodIndex, RtpTimestamp,
    SequenceNumber, Ssrc,
};
use mixer::{Format, Part};

use crate::equipment::{Equipment, playout_limits};
use crate::groups::Sharing;
use crate::latch::Latch;
use crate::luggage::Luggage;
use crate::moment::Moment;
use crate::mute::Fade;
use crate::quality::{Quality, SECOND};
use crate::roster::NO_ROOM;
use crate::send::SendStream;
use crate::taps::{Carried, Watch};
use crate::{Decision, Output, Port, Said};

/// A session's place in the slab, with its present or last tenant. In this order: thousands of them do not fit
/// into a cache, so what every packet and every turn touches lies together.
#[derive(Debug)]
#[repr(C)]
#[allow(clippy::struct_excessive_bools)] // independent facts, not the states of one machine
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    /// The first period in which it had no turn yet.
    pub(crate) next_turn: PeriodIndex,
    /// Until then a digit may end by silence.
    pub(crate) digit_until: PeriodIndex,
    pub(crate) report_due: Instant,
    /// The period in which the present second of its account is over.
    pub(crate) second_ends: PeriodIndex,
    pub(crate) blocks_played: u64,
    /// What it needs beyond plain G.711.
    pub(crate) equipment: Option<Box<Equipment>>,
    pub(crate) is_open: bool,
    pub(crate) muted: bool,
    pub(crate) fade: Fade,
    /// It was reported that no media comes, and none has come since.
    pub(crate) timed_out: bool,
    /// The last packet was of a digit: what is missing now is no loss.
    pub(crate) in_digit: bool,
    /// It had its turn in this period before it came to this phase.
    pub(crate) rests: bool,
    /// What it said in its last turn.
    pub(crate) said: Said,
    /// It has digits to send.
    pub(crate) sends_digits: bool,
    /// Who listens to what it says, and to what it is sent.
    pub(crate) received: Watch,
    pub(crate) sent: Watch,
    /// The tap of its packets.
    pub(crate) packets: Option<TapId>,
    /// Where rooms may ask for it.
    pub(crate) tones: Option<Box<ToneFilter>>,
    /// The same.
    pub(crate) suppressor: Option<Box<NoiseSuppressor>>,
    /// What it said in this turn, where somebody listens.
    pub(crate) carried: Option<Carried>,
    /// What its last packet said of its level, where it did (RFC 6464).
    pub(crate) told_dbov: Option<u8>,
    /// Digits are looked for in its sound, and taken out of it.
    pub(crate) has_tones: bool,
    /// Its noise is suppressed.
    pub(crate) has_noise: bool,
    /// A prompt takes the place of what it would hear.
    pub(crate) is_prompted: bool,
    /// It was ranked in this period by what it told, and is not decoded yet.
    pub(crate) waits: bool,
    /// It has said its part of a period of a spread room, and was not sent the mix of it yet.
    pub(crate) awaits_mix: bool,
    pub(crate) send: SendStream,
    /// Until then something of what it sent may not be silence.
    pub(crate) loud_until: PeriodIndex,
    /// Its last sound was not decoded.
    pub(crate) was_skipped: bool,
    /// It has a gain in rooms, or had one in this room.
    pub(crate) has_gain: bool,
    pub(crate) phase: u8,
    pub(crate) talk: TalkDetector,
    pub(crate) media: RemoteMedia,
    pub(crate) latch: Latch,
    pub(crate) reception: Reception,
    pub(crate) route: Route,
    /// The last period in which a key was in what it was sent.
    pub(crate) keyed: Option<PeriodIndex>,
    pub(crate) blocks_concealed: u64,
    /// Whether what it is sent is encoded for others as well.
    pub(crate) sharing: Sharing,
    /// What the endpoint reported lost (of 256) and no encoder was told yet. Here and not with the encoder,
    /// which those who share another's do not touch.
    pub(crate) reported_loss: Option<u8>,
    pub(crate) playout: Playout,
    pub(crate) record: Record,
}

/// The seldom touched part of a session.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) digits: DigitReceiver,
    pub(crate) sender: DigitSender,
    pub(crate) prompt: Option<Box<Prompt>>,
    pub(crate) rtcp_timer: Timer,
    /// Our canonical name, new for each session (RFC 7022 section 4.2).
    pub(crate) cname: [u8; CNAME_BYTES],
    /// Where the endpoint's RTCP came from, where not multiplexed.
    pub(crate) rtcp_source: Option<SocketAddr>,
    /// Packets sent when the last report and the one before were written.
    pub(crate) packets_at_reports: [u64; 2],
    /// When the last reports were written, as an answer to one repeats it: any other is invented.
    pub(crate) reported_at: [u32; 4],
    pub(crate) remote_fraction_lost: u8,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) quality: Quality,
    pub(crate) said_bye: bool,
    pub(crate) discards: [u32; DISCARDS.len()],
}

/// 96 random bits in hexadecimal (RFC 7022 section 5).
const CNAME_BYTES: usize = 24;

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What is agreed on with nobody.
const NO_MEDIA: RemoteMedia = RemoteMedia {
    direction: Direction::Inactive,
    ..RemoteMedia::g711(Law::Mu, NOWHERE, RtcpTransport::Mux)
};

/// What RTCP may take beside this.
fn media_bandwidth(media: &RemoteMedia) -> f64 {
    bandwidth(media.encoding, media.parameters.bit_rate)
}

impl Session {
    /// An empty place with all memory that a tenant will need.
    pub(crate) fn vacant(shard: u8, slot: u32, limits: &Limits) -> Self {
        let mut random = Random::new(0);
        Self {
            key: SessionKey::new(shard, slot, 0),
            is_open: false,
            phase: 0,
            muted: false,
            fade: Fade::None,
            has_gain: false,
            timed_out: false,
            in_digit: false,
            digit_until: 0,
            sends_digits: false,
            is_prompted: false,
            has_tones: false,
            has_noise: false,
            rests: false,
            awaits_mix: false,
            said: Said::Rested,
            next_turn: 0,
            route: Route::Idle,
            received: Watch::default(),
            sent: Watch::default(),
            packets: None,
            carried: None,
            keyed: None,
            report_due: Instant::START,
            second_ends: 0,
            talk: TalkDetector::new(),
            told_dbov: None,
            loud_until: 0,
            waits: false,
            was_skipped: false,
            blocks_played: 0,
            blocks_concealed: 0,
            send: SendStream::new(Ssrc(0), SequenceNumber(0), RtpTimestamp(0), 0),
            media: NO_MEDIA,
            latch: Latch::new(NOWHERE, 0),
            reception: Reception::new(CLOCK_RATE),
            playout: Playout::new(&playout_limits(limits)),
            equipment: None,
            record: Record::new(Timer::new(
                limits.rtcp_interval,
                media_bandwidth(&NO_MEDIA),
                Instant::START,
                &mut random,
            )),
            tones: limits.in_band_digits.then(Box::default),
            suppressor: limits.noise_suppression.then(Box::default),
            sharing: Sharing::NEW,
            reported_loss: None,
        }
    }

    /// Lets a tenant in. `moment.period` is the period of the coming tick.
    pub(crate) fn open<O>(
        &mut self,
        key: SessionKey,
        open: &SessionOpen,
        equipment: Option<Box<Equipment>>,
        phase: u8,
        moment: &mut Moment<'_, O>,
    ) {
        self.key = key;
        self.is_open = true;
        self.phase = phase;
        self.muted = false;
        self.fade = Fade::None;
        self.has_gain = false;
        self.timed_out = false;
        self.in_digit = false;
        self.digit_until = 0;
        self.sends_digits = false;
        self.is_prompted = false;
        self.has_tones = false;
        self.has_noise = false;
        self.rests = false;
        self.awaits_mix = false;
        self.said = Said::Rested;
        self.next_turn = moment.period;
        self.route = open.route;
        self.received = Watch::default();
        self.sent = Watch::default();
        self.packets = None;
        self.carried = None;
        self.keyed = None;
        self.talk = TalkDetector::new();
        self.told_dbov = None;
        self.loud_until = 0;
        self.waits = false;
        self.was_skipped = false;
        self.blocks_played = 0;
        self.blocks_concealed = 0;
        let payload_type = open.media.send_payload_type;
        self.send = SendStream::new(open.ssrc, open.sequence, open.timestamp, payload_type);
        self.send.set_format(payload_type, open.media.encoding.clock_rate(), 0);
        self.equip(equipment);
        self.media = open.media;
        self.latch = Latch::new(open.media.rtp, moment.period);
        self.reception = Reception::new(open.media.encoding.clock_rate());
        let interval = moment.rules.rtcp_interval;
        let timer = Timer::new(interval, media_bandwidth(&open.media), moment.now, moment.random);
        self.report_due = timer.next();
        self.record = Record::new(timer);
        self.record.name(moment.random);
        self.second_ends = moment.period + SECOND;
        self.record.quality = Quality::new(self.counters(moment), self.playout.report());
    }

    /// Applies what another offer and answer agreed on. Codec states go on where the format, its
    /// parameters and what describes silence are the same as before.
    pub(crate) fn update<O: Output>(
        &mut self,
        media: &RemoteMedia,
        equipment: Option<Box<Equipment>>,
        moment: &mut Moment<'_, O>,
    ) {
        let before = replace(&mut self.media, *media);
        self.told_dbov = None;
        let clock_rate = media.encoding.clock_rate();
        self.send.set_format(media.send_payload_type, clock_rate, moment.period);
        self.reception.set_clock_rate(clock_rate);
        self.record.rtcp_timer.set_bandwidth(media_bandwidth(media));
        let is_same = match (&self.equipment, &equipment) {
            (Some(own), Some(other)) => own.sender.is_like(&other.sender),
            (None, None) => before.encoding == media.encoding,
            _ => false,
        };
        let superfluous = if is_same { equipment } else { self.equip(equipment) };
        if let Some(equipment) = superfluous {
            moment.output.retire(Luggage::Equipment(equipment));
        }
        if before.rtcp != media.rtcp {
            self.record.rtcp_source = None;
        }
        if self.latch.rename(media.rtp) {
            moment.output.latch(self.slot(), Port::Rtp, None);
        }
        if !media.direction.receives() {
            self.playout.reset();
            self.interrupt_suppression();
        }
        if !before.direction.sends()
            && let Some(equipment) = &mut self.equipment
        {
            equipment.sender.interrupt();
        }
        if !before.direction.receives() {
            self.latch.hear(moment.period);
            self.timed_out = false;
        }
    }

    /// Takes up what its payload format needs, and gives up what the one before needed. Nothing of
    /// the stream before goes on.
    fn equip(&mut self, mut equipment: Option<Box<Equipment>>) -> Option<Box<Equipment>> {
        let memory = equipment.as_mut().and_then(|equipment| equipment.memory.take());
        let memory = self.playout.equip(memory);
        let mut before = replace(&mut self.equipment, equipment);
        if let Some(before) = &mut before {
            before.memory = memory;
        }
        self.sharing = Sharing::NEW;
        self.reported_loss = None;
        before
    }

    /// The tenant leaves: it is told so, and what it began is ended.
    pub(crate) fn close<O: Output>(&mut self, moment: &mut Moment<'_, O>) {
        self.say_goodbye(moment);
        self.judge_at_end(moment);
        if self.talk.is_talking() {
            self.tell_talk(Some(Talk::Stopped), moment.output);
        }
        moment.output.latch(self.slot(), Port::Rtp, None);
        if let Some(equipment) = self.equip(None) {
            moment.output.retire(Luggage::Equipment(equipment));
        }
        self.prompt(None, moment.output);
        self.is_open = false;
    }

    /// What a session takes, with all that it will ever need.
    pub(crate) const fn memory_bytes(limits: &Limits) -> usize {
        let tones = if limits.in_band_digits { ToneFilter::MEMORY_BYTES } else { 0 };
        let noise = if limits.noise_suppression { size_of::<NoiseSuppressor>() } else { 0 };
        size_of::<Self>() + tones + noise
    }

    /// Asks the memory for what a packet and a turn touch.
    pub(crate) fn prefetch(&self) {
        prefetch_start(self, offset_of!(Self, media));
        prefetch(&self.media.encoding);
        self.latch.prefetch();
        self.reception.prefetch();
        self.playout.prefetch();
    }

    /// The law of its samples, where it speaks G.711.
    pub(crate) fn law(&self) -> Law {
        self.media.encoding.law().unwrap_or(Law::Mu)
    }

    /// How its sound is encoded, as far as the mix must know.
    pub(crate) fn format(&self) -> Format {
        match self.media.encoding.law() {
            Some(law) if self.equipment.is_none() => Format::Plain(law),
            _ => Format::Other(self.media.encoding.class()),
        }
    }

    /// Those who are sent what its sender encodes lose so much (of 256).
    pub(crate) fn far_end_lost(&mut self, fraction_lost: u8) {
        if let Some(equipment) = &mut self.equipment {
            equipment.sender.far_end_lost(fraction_lost);
        }
    }

    /// The session's slot.
    pub(crate) fn slot(&self) -> u32 {
        self.key.slot()
    }

    /// The slot of the room it is in, or [`NO_ROOM`].
    pub(crate) fn room(&self) -> u32 {
        match self.route {
            Route::Room(room) => room.slot(),
            Route::Idle | Route::Echo | Route::Tone | Route::Monitor(_) => NO_ROOM,
        }
    }

    /// What it may say and hear.
    pub(crate) fn part(&self) -> Part {
        Part {
            member: self.slot(),
            says: self.media.direction.receives() && !self.muted,
            hears: self.media.direction.sends(),
            tapped: self.must_be_decoded() || self.sent.is_watched(),
            wants_names: self.media.mixer_levels.is_some(),
            has_gain: self.has_gain,
            format: self.format(),
        }
    }

    /// Whether nothing comes, nothing is sent and nobody listens: it is on hold, and all that it said
    /// before is told.
    pub(crate) fn is_idle(&self) -> bool {
        self.media.direction == Direction::Inactive
            && self.fade == Fade::None
            && !self.talk.is_talking()
            && !matches!(self.route, Route::Monitor(_))
            && !self.received.is_watched()
            && !self.sent.is_watched()
    }

    /// Whether it must be decoded, whoever hears it. Digits in the sound are only found, and kept
    /// from the others, where it is decoded.
    pub(crate) fn must_be_decoded(&self) -> bool {
        self.received.is_watched() || self.has_tones
    }

    /// Tells that it began or ceased to speak.
    pub(crate) fn tell_talk<O: Output>(&self, talk: Option<Talk>, output: &mut O) {
        let session = self.key;
        match talk {
            Some(Talk::Started) => output.event(Event::TalkStarted { session }),
            Some(Talk::Stopped) => output.event(Event::TalkStopped { session }),
            None => {}
        }
    }

    /// Counts a datagram of this session that was not used.
    pub(crate) fn discard<O: Output>(&mut self, reason: Discard, moment: &mut Moment<'_, O>) {
        self.record.discards[reason as usize] += 1;
        moment.discard(reason);
        moment.output.decided(self.slot(), Decision::Discarded(reason));
    }
}

impl Record {
    fn new(rtcp_timer: Timer) -> Self {
        Self {
            digits: DigitReceiver::new(),
            sender: DigitSender::new(),
            prompt: None,
            rtcp_timer,
            cname: [b'0'; CNAME_BYTES],
            rtcp_source: None,
            packets_at_reports: [0; 2],
            reported_at: [0; 4],
            remote_fraction_lost: 0,
            round_trip: None,
            quality: Quality::default(),
            said_bye: false,
            discards: [0; DISCARDS.len()],
        }
    }

    fn name(&mut self, random: &mut Random) {
        for digits in self.cname.chunks_mut(8) {
            let mut number = random.next_u32();
            for digit in digits {
                *digit = b"0123456789abcdef"[(number & 15) as usize];
                number >>= 4;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slab is as long as the block of ports: 8,192 sessions of 7.6 KiB are 61 MiB that are
    /// reserved, and every turn walks over a part of each. Of it 4.5 KiB are the ring in which half
    /// a second of G.711 waits. What only some sessions need belongs into [`Equipment`].
    #[test]
    fn a_session_is_no_larger_than_it_was_planned() {
        assert!(size_of::<Session>() <= 7808, "{} octets", size_of::<Session>());
    }
}
