//! One phone in the world: its signalling, its sound, and how it misbehaves.

use std::time::Duration;

use media_units::{Encoding, Instant, Law};

use super::wire::{Happening, Wire, media_address, server_sip_address, sip_address};
use crate::Seed;
use crate::caller::{CallEvent, Caller, CallerOutput, Media, Message, Settings};
use crate::code::Code;
use crate::phone::{Phone, Voice};

/// How often a phone sends RTCP.
const REPORT_PERIOD: Duration = Duration::from_secs(5);

/// What a phone does with its sound, whatever was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Conduct {
    /// Sends while the other side wants to hear it.
    #[default]
    Polite,
    /// Sends RTCP only.
    RtcpOnly,
    /// Sends sound even while it is on hold.
    Insistent,
    /// Is gone: neither sends nor receives anything, not even SIP.
    Vanished,
}

/// One phone.
#[derive(Debug)]
pub struct Endpoint {
    /// Its sound.
    pub phone: Phone,
    /// What it plays.
    pub code: Code,
    /// How it behaves.
    pub conduct: Conduct,
    /// Everything that happened to its call, in order.
    pub history: Vec<CallEvent>,
    pub(super) caller: Caller,
    number: usize,
    talks: bool,
    amplitude: f32,
    /// Between two of its packets, by its own clock.
    packet_period: Duration,
    is_pacing: bool,
    wakes_at: Option<Instant>,
}

/// How a phone is made.
#[derive(Debug, Clone)]
pub struct PhoneSettings {
    /// The user part that it dials.
    pub dials: String,
    /// What it speaks, best first.
    pub encodings: Vec<Encoding>,
    /// How much faster its clock runs, in parts per million.
    pub skew_ppm: i32,
    /// Sound in each of its packets, in milliseconds.
    pub packet_time_ms: u8,
    /// Whether the offer is left to the server.
    pub offer_in_ok: bool,
    /// Whether it plays its code, or sends silence.
    pub talks: bool,
    /// The session interval that it asks for, in seconds; the server is to refresh.
    pub session_expires: Option<u32>,
}

impl PhoneSettings {
    /// A polite mu-law phone that dials `user`.
    pub fn dialling(user: &str) -> Self {
        Self {
            dials: user.to_owned(),
            encodings: Law::ALL.map(Law::encoding).to_vec(),
            skew_ppm: 0,
            packet_time_ms: 20,
            offer_in_ok: false,
            talks: true,
            session_expires: None,
        }
    }
}

/// Takes what a caller produces.
pub(super) struct Outlet<'a> {
    number: usize,
    is_gone: bool,
    wire: &'a mut Wire,
    happened: Vec<CallEvent>,
}

impl CallerOutput for Outlet<'_> {
    fn transmit(&mut self, message: &[u8]) {
        if !self.is_gone {
            self.wire.sip_up(self.number, message);
        }
    }

    fn happened(&mut self, event: CallEvent) {
        self.happened.push(event);
    }
}

impl Endpoint {
    pub(super) fn new(
        number: usize,
        settings: &PhoneSettings,
        amplitude: f32,
        seed: &Seed,
    ) -> Self {
        let mut seed = seed.fork(number as u64);
        let encoding = settings.encodings[0];
        let code = Code::of(number);
        let mut phone = Phone::new(encoding, &mut seed);
        phone.sender.set_packet_time_ms(settings.packet_time_ms);
        if settings.talks {
            phone.sender.say(Voice::code(code, amplitude, encoding));
        }
        let nanos = i64::from(settings.packet_time_ms) * 1_000_000;
        let skewed = nanos - nanos * i64::from(settings.skew_ppm) / 1_000_000;
        let server = server_sip_address();
        let settings_of_call = Settings {
            target: format!("sip:{}@{server}", settings.dials),
            user: format!("phone{number}"),
            local: sip_address(number),
            media: media_address(number),
            reliable: false,
            encodings: settings.encodings.clone(),
            offer_in_ok: settings.offer_in_ok,
            session_expires: settings.session_expires,
            call_id: format!("{number}-{:016x}@sim", seed.next_u64()),
        };
        Self {
            phone,
            code,
            conduct: Conduct::Polite,
            history: Vec::new(),
            caller: Caller::new(settings_of_call, &seed),
            number,
            talks: settings.talks,
            amplitude,
            packet_period: Duration::from_nanos(skewed as u64),
            is_pacing: false,
            wakes_at: None,
        }
    }

    /// Whether its call stands.
    pub fn is_talking(&self) -> bool {
        self.caller.is_talking() && self.conduct != Conduct::Vanished
    }

    /// Lets the caller act, and follows what comes of it.
    pub(super) fn act<R>(
        &mut self,
        wire: &mut Wire,
        action: impl FnOnce(&mut Caller, Instant, &mut Outlet<'_>) -> R,
    ) -> R {
        let now = wire.now;
        let is_gone = self.conduct == Conduct::Vanished;
        let mut outlet = Outlet { number: self.number, is_gone, wire, happened: Vec::new() };
        let result = action(&mut self.caller, now, &mut outlet);
        for event in outlet.happened {
            self.follow(event, wire);
        }
        self.wake(wire);
        result
    }

    fn follow(&mut self, event: CallEvent, wire: &mut Wire) {
        wire.trace.note(wire.now, 4, self.number as u64, format!("{event:?}").as_bytes());
        self.history.push(event);
        if let CallEvent::Answered(media) | CallEvent::Renegotiated(media) = event {
            self.speak(media);
            self.phone.receiver.forgive_gap();
            if !self.is_pacing {
                self.is_pacing = true;
                wire.plan(wire.now, Happening::PhoneSends(self.number));
                wire.plan(wire.now + REPORT_PERIOD, Happening::PhoneReports(self.number));
            }
        }
    }

    /// Speaks and understands from now on what was agreed on.
    fn speak(&mut self, agreed: Media) {
        let encoding = agreed.encoding;
        if self.phone.sender.encoding() != encoding {
            let voice = if self.talks {
                Voice::code(self.code, self.amplitude, encoding)
            } else {
                Voice::silence(encoding)
            };
            self.phone.sender.say(voice);
        }
        self.phone.agree(&agreed);
    }

    /// Plans the caller's next expiry, unless an earlier one is planned.
    fn wake(&mut self, wire: &mut Wire) {
        let Some(at) = self.caller.next_expiry() else { return };
        if self.wakes_at.is_none_or(|planned| at < planned) {
            self.wakes_at = Some(at);
            wire.plan(at, Happening::CallerExpires(self.number));
        }
    }

    pub(super) fn expire(&mut self, wire: &mut Wire) {
        if self.wakes_at.is_none_or(|planned| planned > wire.now) {
            return;
        }
        self.wakes_at = None;
        if self.conduct == Conduct::Vanished {
            return;
        }
        self.act(wire, |caller, now, out| caller.expire(now, out));
    }

    pub(super) fn receive_sip(&mut self, message: &[u8], wire: &mut Wire) {
        let Some(message) = Message::read(message) else { return };
        if self.conduct != Conduct::Vanished {
            self.act(wire, |caller, now, out| caller.receive(now, &message, out));
        }
    }

    pub(super) fn receive_media(&mut self, now: Instant, octets: &[u8]) {
        if self.conduct != Conduct::Vanished {
            self.phone.receiver.receive(now, octets);
        }
    }

    /// One packet time: a packet, or none.
    pub(super) fn send(&mut self, wire: &mut Wire) {
        if !self.is_talking() {
            self.is_pacing = false;
            return;
        }
        let Some(media) = self.caller.media() else { return };
        let insists = self.conduct == Conduct::Insistent;
        if (media.sends && self.conduct == Conduct::Polite) || insists {
            let packet = self.phone.sender.packet(wire.now).to_vec();
            wire.media_up(self.number, media.remote.port(), packet);
        } else {
            self.phone.sender.pause();
        }
        wire.plan(wire.now + self.packet_period, Happening::PhoneSends(self.number));
    }

    /// Sends RTCP; a goodbye where it is the last one.
    pub(super) fn report(&mut self, wire: &mut Wire, goodbye: bool) {
        if !self.is_talking() {
            return;
        }
        let Some(media) = self.caller.media() else { return };
        let report = self.phone.report(wire.now, goodbye);
        wire.media_up(self.number, media.remote.port(), report);
        if goodbye {
            return;
        }
        wire.plan(wire.now + REPORT_PERIOD, Happening::PhoneReports(self.number));
    }
}
