//! One phase's turn: its rooms, by their plans, then the sessions that are in none.

use std::iter::{once, zip};

use engine_control::{Route, SilenceCause};
use media::rtp::Contributor;
use media::talk::SILENT_DBOV;
use media::tone::tone_block;
use media_units::{BLOCK_SAMPLES, BLOCK_SAMPLES_MAX, RateClass, Selection};
use mixer::{Format, Frame, Mix, Part, Said, Setting, Source, Sources, Way, encode, silence};

use crate::Output;
use crate::groups::{Encoded, Sharing};
use crate::moment::Moment;
use crate::monitor::{Ears, Monitors};
use crate::quality::SECOND;
use crate::roster::{Group, NO_ROOM, Roster, Span};
use crate::sender::Packets;
use crate::session::Session;
use crate::shard::Room;
use crate::spread::Spread;
use crate::taps::Carried;

/// A mix of sources that are all softer than this has a pause, in dB below full scale.
pub(crate) const PAUSE_DBOV: u8 = 50;

/// Idle turns after which one rests: a second.
const IDLE_TURNS: u8 = 50;

/// So many members ahead the memory of a session is asked for, and so many that of its sound, which
/// the session names. The next room's are among them.
const SESSION_AHEAD: usize = 4;
const SOUND_AHEAD: usize = 2;

static SILENCE: [i16; BLOCK_SAMPLES_MAX] = [0; BLOCK_SAMPLES_MAX];

/// What runs sessions and rooms at one moment.
pub(crate) struct Run<'a, O> {
    pub(crate) sessions: &'a mut [Session],
    pub(crate) sources: &'a mut [Source],
    /// Turns in a row in which nothing could be said or heard, by slot.
    pub(crate) idle: &'a mut [u8],
    pub(crate) rooms: &'a mut [Room],
    pub(crate) monitors: &'a mut Monitors,
    pub(crate) roster: &'a Roster,
    pub(crate) mix: &'a mut Box<Mix>,
    pub(crate) spread: &'a mut Spread,
    pub(crate) encoded: &'a mut Encoded,
    pub(crate) moment: Moment<'a, O>,
}

/// What the mix remembers of the members of one room.
struct Members<'a> {
    parts: &'a [Part],
    sources: &'a mut [Source],
}

impl Sources for Members<'_> {
    fn source(&mut self, position: u32) -> &mut Source {
        &mut self.sources[self.parts[position as usize].member as usize]
    }
}

impl<O: Output> Run<'_, O> {
    /// Runs one group of a phase.
    pub(crate) fn group(&mut self, phase: u8, group: Group) {
        let phase = self.roster.phase(phase);
        for &span in phase.spans(group) {
            let (count, upcoming) = (span.count as usize, phase.parts_from(span));
            if span.room == NO_ROOM {
                // They have nothing to do with each other.
                (0..count).for_each(|index| self.turn(&upcoming[index..], 1, span));
            } else {
                self.turn(upcoming, count, span);
            }
        }
    }

    /// Gives a room its turn, or someone who is in none, the first `count` of those whose turn is to
    /// come; not to those who rest.
    fn turn(&mut self, upcoming: &[Part], count: usize, span: Span) {
        let parts = &upcoming[..count];
        if self.rests(parts, span) {
            return self.look_after(parts, span);
        }
        let is_whole = span.room != NO_ROOM && span.way != Way::Part;
        self.moment.fills_pauses = is_whole && parts.len() == 2;
        match (span.room, span.way, parts) {
            (NO_ROOM, ..) => parts.iter().for_each(|part| self.alone(part.member)),
            (room, Way::Relay, [one, other]) => {
                self.rooms[room as usize].state.passed_by();
                self.relay([one.member, other.member]);
            }
            (room, Way::Part, _) => self.part(parts, span, room),
            (room, Way::Translate, &[one, other]) => self.translate([one, other], room),
            _ => self.mix(upcoming, count, span),
        }
        for part in parts {
            let (idle, session) =
                (&mut self.idle[part.member as usize], &self.sessions[part.member as usize]);
            let is_idle = !part.says && !part.hears && session.is_idle();
            *idle = if is_idle { idle.saturating_add(1) } else { 0 };
        }
    }

    /// Whether all of them were on hold for a second and more. A part of a room tells the others of
    /// itself, always.
    fn rests(&self, parts: &[Part], span: Span) -> bool {
        let is_idle = |part: &Part| {
            let idle = self.idle[part.member as usize];
            !part.says && !part.hears && !part.tapped && idle >= IDLE_TURNS
        };
        let room = self.rooms.get(span.room as usize);
        let is_settled =
            room.is_none_or(|room| span.tap_class.is_none() && room.state.is_at_rest());
        is_settled && span.way != Way::Part && parts.iter().all(is_idle)
    }

    /// Those who rest look once in a second, rooms by turns, for reports that are due and for seconds that
    /// are over.
    fn look_after(&mut self, parts: &[Part], span: Span) {
        let number = match span.room {
            NO_ROOM => parts.first().map_or(0, |part| part.member),
            room => room,
        };
        if (self.moment.period + u64::from(number)).is_multiple_of(SECOND) {
            for part in parts {
                self.sessions[part.member as usize].look(&mut self.moment);
            }
        }
    }

    /// Runs the first step of one part of a room.
    fn part(&mut self, parts: &[Part], span: Span, room: u32) {
        if let Some(spread) = self.rooms[room as usize].spread {
            self.listen_part(parts, span, spread);
        }
    }

    /// Runs one session by itself.
    pub(crate) fn alone(&mut self, slot: u32) {
        let session = &mut self.sessions[slot as usize];
        let class = session.format().class();
        let mut played = [0; BLOCK_SAMPLES_MAX];
        let played = &mut played[..class.block_samples()];
        self.moment.bench.contributors.clear();
        session.begin_turn(&mut self.moment);
        let is_heard = session.may_be_heard();
        let mut energy = session.play(played, &mut self.moment);
        let (watch, carried) = (session.received, session.carried.take());
        if let Some(carried) = carried {
            let Self { sessions, monitors, encoded, moment, .. } = self;
            let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
            ears.give(watch, carried.with(class, played), moment);
        }
        energy = self.sessions[slot as usize].prepare(energy, played, &mut self.moment);
        let sound = match self.sessions[slot as usize].route {
            Route::Monitor(_) => return self.sessions[slot as usize].look(&mut self.moment),
            Route::Echo if energy > 0 && is_heard => Some(&*played),
            Route::Tone => Some(tone_block(class)),
            Route::Idle | Route::Echo | Route::Room(_) => None,
        };
        let Self { sessions, monitors, encoded, moment, .. } = self;
        speak_alone(&mut sessions[slot as usize], sound, &mut encoded.alone, moment);
        let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
        ears.give_sent(slot, class, sound, moment);
    }

    /// Asks the memory for the sessions, and for the sound, of those who play a little later than the
    /// one at this position.
    fn prefetch(&self, upcoming: &[Part], position: usize) {
        let session = |ahead: usize| {
            upcoming.get(position + ahead).map(|part| &self.sessions[part.member as usize])
        };
        if let Some(session) = session(SESSION_AHEAD) {
            session.prefetch();
        }
        if let Some(session) = session(SOUND_AHEAD) {
            session.playout.prefetch_sound();
        }
    }

    /// Plays everyone, and sends each one the others.
    fn mix(&mut self, upcoming: &[Part], count: usize, span: Span) {
        let parts = &upcoming[..count];
        let period = self.moment.period;
        let Room { sound, state, .. } = self.rooms[span.room as usize];
        self.moment.bench.contributors.clear();
        let Span { classes, has_gains, .. } = span;
        self.mix.start(&Setting { sound, classes, has_gains, period }, state);
        self.listen(upcoming, count, sound.selection);
        self.mix.settle(&mut Members { parts, sources: self.sources });
        for (position, part) in parts.iter().enumerate() {
            let is_heard = self.mix.is_heard(position as u32);
            self.sessions[part.member as usize].tell_turn(is_heard, &mut self.moment);
        }
        self.name_contributors(parts, span);
        if let Some(class) = span.tap_class {
            self.give_whole(span.room, class);
        }
        if span.has_senders {
            let level = |part: &Part| self.sessions[part.member as usize].talk.level_dbov();
            let is_pause = parts.iter().all(|part| !part.says || level(part) > PAUSE_DBOV);
            let groups = &mut self.rooms[span.room as usize].groups;
            let hears_otherwise = |position: u32| {
                let source = &self.sources[parts[position as usize].member as usize];
                self.mix.is_heard(position) || has_gains && source.listens_otherwise()
            };
            groups.settle(self.sessions, parts, period, is_pause, hears_otherwise);
            self.encoded.clear();
        }
        for (position, part) in parts.iter().enumerate() {
            self.speak(position as u32, *part, span.room);
        }
        self.rooms[span.room as usize].state = self.mix.finish();
    }

    /// Gives the whole mix to those who listen to the room.
    pub(crate) fn give_whole(&mut self, room: u32, class: RateClass) {
        let Self { sessions, rooms, mix, monitors, encoded, moment, .. } = self;
        let carried = if mix.is_silent() {
            Carried::Silence(SilenceCause::Silent)
        } else {
            Carried::Sound { concealed: false }
        };
        let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
        ears.give(rooms[room as usize].watch, carried.with(class, mix.whole(class)), moment);
    }

    /// Plays what a member says into the mix's next block and returns its energy. Who listens to
    /// that member gets it, too.
    pub(crate) fn play(&mut self, part: Part) -> u64 {
        let Self { sessions, mix, monitors, encoded, moment, .. } = self;
        let class = part.format.class();
        let block = mix.next_block(class);
        let session = &mut sessions[part.member as usize];
        let energy = session.play(block, moment);
        if let Some(carried) = session.carried.take() {
            let watch = session.received;
            let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
            ears.give(watch, carried.with(class, block), moment);
        }
        self.sessions[part.member as usize].prepare(energy, block, &mut self.moment)
    }

    /// Plays what the members say and offers it to the mix.
    fn listen(&mut self, upcoming: &[Part], count: usize, selection: Selection) {
        let parts = &upcoming[..count];
        let mut are_ranked = false;
        for (position, &part) in parts.iter().enumerate() {
            self.prefetch(upcoming, position);
            are_ranked |= self.hear(position as u32, part, selection);
        }
        if are_ranked {
            self.choose(parts);
        }
    }

    /// Plays what one member says and offers it to the mix. Who tells its level is decoded only
    /// where somebody will hear it: returns whether that is still to be decided.
    #[inline]
    pub(crate) fn hear(&mut self, position: u32, part: Part, selection: Selection) -> bool {
        let Self { sessions, mix, moment, .. } = self;
        let session = &mut sessions[part.member as usize];
        session.begin_turn(moment);
        match session.told_level(moment.period) {
            Some(level) if level == SILENT_DBOV => {
                session.rank(level, moment);
                session.skip(moment);
            }
            Some(level) if part.says && selection != Selection::Everyone => {
                session.rank(level, moment);
                mix.rank(position, level, session.talk.is_talking());
                return true;
            }
            _ => {
                let says = part.says || session.fades_out();
                let energy = self.play(part);
                if says {
                    self.offer(position, part, energy);
                }
            }
        }
        false
    }

    /// Lets what was played last be heard.
    pub(crate) fn offer(&mut self, position: u32, part: Part, energy: u64) {
        let is_talking = self.sessions[part.member as usize].talk.is_talking();
        self.mix.offer(position, part.format.class(), energy, is_talking);
    }

    /// Decodes those of the ranked who are wanted, and skips the others.
    fn choose(&mut self, parts: &[Part]) {
        self.mix.select(&mut Members { parts, sources: self.sources });
        while let Some(position) = self.mix.next_wanted() {
            let part = parts[position as usize];
            let energy = self.play(part);
            self.offer(position, part, energy);
        }
        for part in parts {
            let session = &mut self.sessions[part.member as usize];
            if session.waits {
                session.skip(&mut self.moment);
            }
        }
    }

    /// Notes who is in the mix, where somebody is told.
    fn name_contributors(&mut self, parts: &[Part], span: Span) {
        let contributors = &mut self.moment.bench.contributors;
        contributors.clear();
        if !span.wants_names {
            return;
        }
        for (position, part) in parts.iter().enumerate() {
            if let Some(one) = contributor(&self.sessions[part.member as usize])
                && self.mix.is_heard(position as u32)
            {
                contributors.add(one);
            }
        }
    }

    /// Sends one member what it hears.
    pub(crate) fn speak(&mut self, position: u32, part: Part, room: u32) {
        let Self { sessions, sources, mix, moment, .. } = self;
        let session = &mut sessions[part.member as usize];
        if session.sent.is_watched() {
            return self.speak_aloud(position, part, room);
        }
        match part.format {
            Format::Plain(law) => {
                let listener = &mut sources[part.member as usize];
                let frame = part.hears.then(|| mix.frame_for(position, law, listener));
                session.end_turn(frame, moment);
            }
            Format::Other(class) if part.hears => self.speak_encoded(position, part, class, room),
            Format::Other(_) => session.end_turn_with(None, moment),
        }
    }

    /// Sends one member what it hears, and gives it to those who listen to what that one is sent.
    fn speak_aloud(&mut self, position: u32, part: Part, room: u32) {
        let Self { sessions, sources, mix, monitors, encoded, moment, .. } = self;
        let (member, class) = (part.member as usize, part.format.class());
        let mut sound = None;
        match part.format {
            Format::Other(class) if part.hears => {
                return self.speak_encoded(position, part, class, room);
            }
            Format::Plain(law) if part.hears => {
                let is_silent = mix.hears_nothing(position);
                let (frame, block) = mix.frame_and_block(position, law, &mut sources[member]);
                sessions[member].end_turn(Some(frame), moment);
                sound = (!is_silent).then_some(block);
            }
            Format::Plain(_) => sessions[member].end_turn(None, moment),
            Format::Other(_) => sessions[member].end_turn_with(None, moment),
        }
        let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
        ears.give_sent(part.member, class, sound, moment);
    }

    /// Sends one member what it hears, in anything but plain G.711.
    fn speak_encoded(&mut self, position: u32, part: Part, class: RateClass, room: u32) {
        let Self { sessions, sources, rooms, mix, monitors, encoded, moment, .. } = self;
        let member = part.member as usize;
        if sessions[member].rests {
            // It was sent this period already: its encoder may not hear it twice.
            return sessions[member].end_turn_with(None, moment);
        }
        let is_silent = mix.hears_nothing(position);
        let block = match sessions[member].sharing {
            Sharing::Alone(_) => {
                let block = mix.heard_by(position, class, &mut sources[member]).block;
                sessions[member].end_turn_alone(block, &mut encoded.alone, moment);
                block
            }
            Sharing::Group(group) => {
                let block = mix.whole(class);
                let encoder = rooms[room as usize].groups.leader(group) as usize;
                if let Some(lost) = sessions[member].reported_loss.take() {
                    sessions[encoder].far_end_lost(lost);
                }
                let packets = encoded.shared(group, |packets| {
                    sessions[encoder].encode(block, packets, moment);
                });
                sessions[member].end_turn_with(Some(packets), moment);
                block
            }
        };
        let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
        ears.give_sent(part.member, class, (!is_silent).then_some(block), moment);
    }

    /// Sends each of two what the other says, in its own payload format.
    fn translate(&mut self, parts: [Part; 2], room: u32) {
        self.rooms[room as usize].state.passed_by();
        self.mix.start_pair();
        self.moment.bench.contributors.clear();
        let said = parts.map(|part| self.say(part));
        let Self { sessions, sources, rooms, mix, monitors, encoded, moment, .. } = self;
        let period = moment.period;
        for (listener, (speaker, said)) in zip(parts, zip(parts, said).rev()) {
            let own = listener.member as usize;
            if let Format::Other(_) = listener.format {
                let groups = &mut rooms[room as usize].groups;
                groups.go_alone(sessions, listener.member, once(speaker.member), period);
            }
            sessions[speaker.member as usize].tell_turn(said.is_some(), moment);
            let said = said.filter(|_| listener.hears);
            let (class, source) = (listener.format.class(), &mut sources[speaker.member as usize]);
            let heard = said.and_then(|said| mix.translate(said, class, period, source));
            moment.bench.contributors.clear();
            let speaker = contributor(&sessions[speaker.member as usize]);
            if let Some(one) = speaker.filter(|_| heard.is_some()) {
                moment.bench.contributors.add(one);
            }
            speak_alone(&mut sessions[own], heard, &mut encoded.alone, moment);
            let mut ears = Ears { sessions, monitors, packets: &mut encoded.alone };
            ears.give_sent(listener.member, class, heard, moment);
        }
    }

    /// Plays what one of two says, and returns it where the other may hear it. What it tells to be
    /// silence is not decoded.
    fn say(&mut self, part: Part) -> Option<Said> {
        let Self { sessions, moment, .. } = self;
        let session = &mut sessions[part.member as usize];
        session.begin_turn(moment);
        if session.told_level(moment.period) == Some(SILENT_DBOV) {
            session.rank(SILENT_DBOV, moment);
            session.skip(moment);
            return None;
        }
        let says = part.says || session.fades_out();
        let energy = self.play(part);
        says.then(|| self.mix.keep(part.format.class(), energy))
    }

    /// Passes each one's frames to the other as they came.
    fn relay(&mut self, members: [u32; 2]) {
        let mut frames: [Frame; 2] = [[0; BLOCK_SAMPLES]; 2];
        let mut is_there = [false; 2];
        for (side, &member) in members.iter().enumerate() {
            let session = &mut self.sessions[member as usize];
            session.begin_turn(&mut self.moment);
            is_there[side] = session.take_frame(&mut frames[side], &mut self.moment);
            session.tell_turn(is_there[side], &mut self.moment);
        }
        for (side, &member) in members.iter().enumerate() {
            let other = 1 - side;
            let frame = is_there[other].then_some(&frames[other]);
            self.sessions[member as usize].end_turn(frame, &mut self.moment);
        }
    }
}

/// What a session is called in a mix, once it has sent something.
pub(crate) fn contributor(session: &Session) -> Option<Contributor> {
    let ssrc = session.reception.ssrc()?;
    Some(Contributor { ssrc, level_dbov: session.talk.level_dbov() })
}

/// Sends a session sound that is encoded for nobody else, or silence.
pub(crate) fn speak_alone<O: Output>(
    session: &mut Session,
    sound: Option<&[i16]>,
    packets: &mut Packets,
    moment: &mut Moment<'_, O>,
) {
    match (session.format(), sound) {
        (Format::Plain(law), Some(sound)) => {
            let mut frame = [0; BLOCK_SAMPLES];
            encode(moment.rules.kernels, law, sound, &mut frame);
            session.end_turn(Some(&frame), moment);
        }
        (Format::Plain(law), None) => session.end_turn(Some(silence(law)), moment),
        (Format::Other(class), sound) if session.media.direction.sends() => {
            let sound = sound.unwrap_or(&SILENCE[..class.block_samples()]);
            session.end_turn_alone(sound, packets, moment);
        }
        (Format::Other(_), _) => session.end_turn_with(None, moment),
    }
}
