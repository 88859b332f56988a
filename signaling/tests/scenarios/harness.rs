//! Phones and a world around the front end. Nothing here sleeps: time is moved by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine_control::{
    Command, Event, MediaAddress, Refusal, RoomKey, Route, SessionKey, SlotPool, TapPoint,
};
use media_units::Instant;
use signaling::{
    Carrier, Fact, FrontEnd, FrontEndConfig, Outside, ParticipantView, Peer, RecordedTrack,
    RecordingId, RecordingStart,
};

/// An offer of both codecs from 192.0.2.10.
pub const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\n\
                         t=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\n\
                         a=rtpmap:101 telephone-event/8000\r\n";

/// The UDP phone that most tests use.
pub fn phone_address() -> Peer {
    udp("192.0.2.10:5060")
}

pub fn udp(address: &str) -> Peer {
    Peer { carrier: Carrier::Udp, remote: address.parse().unwrap() }
}

pub fn tcp(connection: u64, address: &str) -> Peer {
    Peer { carrier: Carrier::Tcp(connection), remote: address.parse().unwrap() }
}

/// The front end, its clock and its surroundings.
pub struct World {
    pub front: FrontEnd,
    pub now: Instant,
    pub outside: Surroundings,
}

/// What is outside: wire and engine, both recorded.
pub struct Surroundings {
    now: Instant,
    sent: VecDeque<Sent>,
    pub commands: Vec<Command>,
    events: VecDeque<Event>,
    session_slots: SlotPool,
    room_slots: SlotPool,
    pub open_sessions: BTreeSet<SessionKey>,
    pub open_rooms: BTreeSet<RoomKey>,
    pub recordings: Vec<RecordingStart>,
    /// What is known about each recording beside, by name.
    pub tags: BTreeMap<(RecordingId, String), String>,
    /// Toward which addresses media was opened.
    pub toward: Vec<SocketAddr>,
    /// The engine's ring is full.
    pub is_busy: bool,
    /// Recordings fail.
    pub cannot_record: bool,
    /// Why no media session can be opened.
    pub refuses_media: Option<Refusal>,
}

/// One message that the front end sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub at: Instant,
    pub to: Peer,
    pub text: String,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(configure: impl FnOnce(&mut FrontEndConfig)) -> Self {
        let mut config = FrontEndConfig {
            advertised_udp: "203.0.113.1:5060".parse().unwrap(),
            advertised_tcp: "203.0.113.1:5060".parse().unwrap(),
            ..FrontEndConfig::default()
        };
        configure(&mut config);
        let outside = Surroundings {
            now: Instant::START,
            sent: VecDeque::new(),
            commands: Vec::new(),
            events: VecDeque::new(),
            session_slots: SlotPool::new(0, 64),
            room_slots: SlotPool::new(0, 16),
            open_sessions: BTreeSet::new(),
            open_rooms: BTreeSet::new(),
            recordings: Vec::new(),
            tags: BTreeMap::new(),
            toward: Vec::new(),
            is_busy: false,
            cannot_record: false,
            refuses_media: None,
        };
        Self { front: FrontEnd::new(config, 42), now: Instant::START, outside }
    }

    /// What the front end told since.
    pub fn facts(&mut self) -> Vec<Fact> {
        std::iter::from_fn(|| self.front.next_fact()).collect()
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.send_from(phone_address(), text);
    }

    pub fn send_from(&mut self, from: Peer, text: impl AsRef<[u8]>) {
        let message = Bytes::copy_from_slice(text.as_ref());
        self.front.receive(self.now, from, message, &mut self.outside);
        self.deliver();
    }

    /// Sends a request and takes the one message that answers it.
    pub fn ask(&mut self, text: impl AsRef<[u8]>) -> Sent {
        self.send(text);
        self.only()
    }

    /// The one message that was sent since.
    pub fn only(&mut self) -> Sent {
        let sent = self.take();
        assert_eq!(sent.len(), 1, "one message expected: {sent:#?}");
        sent.into_iter().next().unwrap()
    }

    /// What was sent since.
    pub fn take(&mut self) -> Vec<Sent> {
        self.outside.sent.drain(..).collect()
    }

    pub fn silent(&mut self) {
        let sent = self.take();
        assert!(sent.is_empty(), "nothing expected: {sent:#?}");
    }

    pub fn event(&mut self, event: Event) {
        self.outside.events.push_back(event);
        self.deliver();
    }

    /// Lets time pass, stopping wherever the front end has something to do.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(next) = self.front.next_expiry().filter(|next| *next <= end) {
            self.move_to(next.max(self.now));
            self.front.expire(self.now, &mut self.outside);
            self.deliver();
        }
        self.move_to(end);
    }

    pub fn pass_ms(&mut self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    /// The engine's answers come home.
    fn deliver(&mut self) {
        while let Some(event) = self.outside.events.pop_front() {
            self.outside.note(&event);
            self.front.engine_event(self.now, event, &mut self.outside);
        }
    }

    fn move_to(&mut self, now: Instant) {
        self.now = now;
        self.outside.now = now;
    }

    pub fn participant(&self) -> ParticipantView {
        self.front.participants().next().expect("a participant")
    }

    /// After all timers nothing may be left of anything.
    pub fn leaves_nothing_behind(&mut self) {
        self.pass(Duration::from_secs(70));
        assert_eq!(self.front.calls(), 0, "calls");
        assert_eq!(self.front.rooms().count(), 0, "rooms");
        assert_eq!(self.front.transactions(), 0, "transactions");
        assert_eq!(self.front.next_expiry(), None, "timers");
        assert_eq!(self.front.entries(), 0, "entries of tables");
        assert!(self.front.is_drained());
        assert!(self.outside.open_sessions.is_empty(), "sessions");
        assert!(self.outside.open_rooms.is_empty(), "rooms of the engine");
        assert_eq!(self.outside.session_slots.taken(), 0, "session slots");
        assert_eq!(self.outside.room_slots.taken(), 0, "room slots");
    }
}

impl Surroundings {
    pub fn routes(&self) -> Vec<Route> {
        self.commands
            .iter()
            .filter_map(|command| match command {
                Command::OpenSession { open, .. } => Some(open.route),
                _ => None,
            })
            .collect()
    }

    /// The media of the last update or opening of a session.
    pub fn media(&self) -> engine_control::RemoteMedia {
        let media = self.commands.iter().rev().find_map(|command| match command {
            Command::OpenSession { open, .. } => Some(open.media),
            Command::UpdateSession { media, .. } => Some(**media),
            _ => None,
        });
        media.expect("a session")
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::SessionClosed { session, .. } => {
                assert!(self.open_sessions.remove(session), "{session} was open");
                assert!(self.session_slots.give_back(session.slot(), session.generation()));
                for recording in &mut self.recordings {
                    recording.tracks.retain(|track| track.point.session() != Some(*session));
                }
            }
            Event::RoomClosed { room } => {
                assert!(self.open_rooms.remove(room), "{room} was open");
                assert!(self.room_slots.give_back(room.slot(), room.generation()));
            }
            _ => {}
        }
    }
}

impl Surroundings {
    fn tracks_of(&mut self, recording: RecordingId) -> &mut Vec<RecordedTrack> {
        &mut self.recordings[recording.as_u64() as usize - 1].tracks
    }
}

impl Outside for Surroundings {
    fn transmit(&mut self, to: Peer, message: Bytes) {
        let text = String::from_utf8_lossy(&message).into_owned();
        self.sent.push_back(Sent { at: self.now, to, text });
    }

    fn open_media(
        &mut self,
        _: Option<u8>,
        toward: SocketAddr,
    ) -> Result<(SessionKey, MediaAddress), Refusal> {
        self.toward.push(toward);
        self.may_open_media(None)?;
        let session = self.session_slots.take_session().ok_or(Refusal::Full)?;
        let address = "203.0.113.1".parse().unwrap();
        Ok((session, MediaAddress { address, rtp_port: 20_000 + 2 * session.slot() as u16 }))
    }

    fn may_open_media(&self, _: Option<u8>) -> Result<(), Refusal> {
        self.refuses_media.map_or(Ok(()), Err)
    }

    fn abandon_media(&mut self, session: SessionKey) {
        assert!(!self.open_sessions.contains(&session), "{session} is open");
        assert!(self.session_slots.give_back(session.slot(), session.generation()));
    }

    fn open_room(&mut self) -> Result<RoomKey, Refusal> {
        self.room_slots.take_room().ok_or(Refusal::Full)
    }

    fn abandon_room(&mut self, room: RoomKey) {
        assert!(self.room_slots.give_back(room.slot(), room.generation()));
    }

    fn command(&mut self, command: Command) -> Result<(), Refusal> {
        if self.is_busy {
            return Err(Refusal::Busy);
        }
        match &command {
            Command::OpenSession { session, .. } => assert!(self.open_sessions.insert(*session)),
            Command::OpenRoom { room, .. } => assert!(self.open_rooms.insert(*room)),
            Command::CloseSession { session } => {
                self.events.push_back(Event::SessionClosed { session: *session });
            }
            Command::CloseRoom { room } => self.events.push_back(Event::RoomClosed { room: *room }),
            _ => {}
        }
        self.commands.push(command);
        Ok(())
    }

    fn begin_recording(&mut self, start: RecordingStart) -> Result<RecordingId, Refusal> {
        self.may_record()?;
        for track in &start.tracks {
            let exists = match track.point {
                TapPoint::Room(room) => self.open_rooms.contains(&room),
                point => self.open_sessions.contains(&point.session().unwrap()),
            };
            assert!(exists, "what is recorded is open");
        }
        self.recordings.push(start);
        Ok(RecordingId::new(self.recordings.len() as u64))
    }

    fn may_record(&mut self) -> Result<(), Refusal> {
        if self.cannot_record { Err(Refusal::Full) } else { Ok(()) }
    }

    fn add_track(&mut self, recording: RecordingId, track: RecordedTrack) -> Result<(), Refusal> {
        self.may_record()?;
        self.tracks_of(recording).push(track);
        Ok(())
    }

    fn tag_recording(&mut self, recording: RecordingId, name: &str, value: String) {
        self.tags.insert((recording, name.to_owned()), value);
    }

    fn end_track(&mut self, recording: RecordingId, point: TapPoint) {
        self.tracks_of(recording).retain(|track| track.point != point);
    }

    fn end_recording(&mut self, recording: RecordingId) {
        self.tracks_of(recording).clear();
    }
}

impl Sent {
    /// The status of a response, 0 for a request.
    pub fn status(&self) -> u16 {
        let mut words = self.text.split(' ');
        if words.next() == Some("SIP/2.0") { words.next().unwrap().parse().unwrap() } else { 0 }
    }

    /// The method of a request, empty for a response.
    pub fn method(&self) -> &str {
        self.text.split(' ').next().filter(|word| *word != "SIP/2.0").unwrap_or_default()
    }

    pub fn start_line(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    /// All values of a header, as they are written.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    pub fn header(&self, name: &str) -> &str {
        let values = self.headers(name);
        values.first().unwrap_or_else(|| panic!("no {name} in\n{}", self.text))
    }

    pub fn has(&self, name: &str) -> bool {
        !self.headers(name).is_empty()
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    /// The tag that we put into To of a response, or into From of a request.
    pub fn our_tag(&self) -> String {
        let name = if self.method().is_empty() { "To" } else { "From" };
        let value = self.header(name);
        value.split_once(";tag=").unwrap_or_else(|| panic!("no tag in {value}")).1.to_owned()
    }
}

/// A phone's side of one call: writes the requests that a phone writes.
#[derive(Debug, Clone)]
pub struct Phone {
    pub user: String,
    pub call_id: String,
    pub sequence: u32,
    pub branches: u32,
    /// Our tag, once a response named it.
    pub to_tag: Option<String>,
    pub via: String,
    pub contact: String,
    /// More header lines for every request.
    pub extra: String,
}

impl Phone {
    /// A phone at 192.0.2.10 that calls `user`.
    pub fn calling(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            call_id: format!("call-to-{user}@192.0.2.10"),
            sequence: 0,
            branches: 0,
            to_tag: None,
            via: "SIP/2.0/UDP 192.0.2.10:5060".to_owned(),
            contact: "<sip:alice@192.0.2.10:5060>".to_owned(),
            extra: String::new(),
        }
    }

    pub fn named(mut self, call_id: &str) -> Self {
        call_id.clone_into(&mut self.call_id);
        self
    }

    /// With more header lines in every request, without the last line end.
    pub fn with(mut self, headers: &str) -> Self {
        self.extra = format!("{headers}\r\n");
        self
    }

    /// The next request, with a body where `body` is not empty.
    pub fn request(&mut self, method: &str, body: &str) -> String {
        self.sequence += 1;
        self.branches += 1;
        self.write(method, self.sequence, "application/sdp", body)
    }

    pub fn invite(&mut self, offer: &str) -> String {
        self.request("INVITE", offer)
    }

    /// The ACK of a 2xx: another branch, the same `CSeq`.
    pub fn ack(&mut self, body: &str) -> String {
        self.branches += 1;
        self.write("ACK", self.sequence, "application/sdp", body)
    }

    /// The ACK of a refusal: the same branch, and To as the response has it.
    pub fn ack_refusal(&mut self, response: &Sent) -> String {
        let text = self.write("ACK", self.sequence, "", "");
        let (head, tail) = text.split_once("To: ").unwrap();
        let (_, rest) = tail.split_once("\r\n").unwrap();
        format!("{head}To: {}\r\n{rest}", response.header("To"))
    }

    /// The CANCEL of the last request: the same branch and `CSeq`.
    pub fn cancel(&mut self) -> String {
        let tag = self.to_tag.take();
        let text = self.write("CANCEL", self.sequence, "", "");
        self.to_tag = tag;
        text
    }

    pub fn info(&mut self, content_type: &str, body: &str) -> String {
        self.sequence += 1;
        self.branches += 1;
        self.write("INFO", self.sequence, content_type, body)
    }

    pub fn write(&self, method: &str, sequence: u32, content_type: &str, body: &str) -> String {
        let Self { user, call_id, branches, via, contact, extra, .. } = self;
        let tag = self.to_tag.as_ref().map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let content = match body {
            "" => String::new(),
            _ => format!("Content-Type: {content_type}\r\n"),
        };
        let name = call_id.replace('@', "-");
        format!(
            "{method} sip:{user}@203.0.113.1 SIP/2.0\r\n\
             Via: {via};branch=z9hG4bK{name}.{branches}\r\n\
             Max-Forwards: 70\r\n\
             From: \"Alice\" <sip:alice@example.org>;tag=alice\r\n\
             To: <sip:{user}@203.0.113.1>{tag}\r\n\
             Call-ID: {call_id}\r\n\
             CSeq: {sequence} {method}\r\n\
             Contact: {contact}\r\n\
             {extra}{content}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Learns our tag from a response.
    pub fn learn(&mut self, response: &Sent) {
        self.to_tag = Some(response.our_tag());
    }

    /// Calls with an offer and acknowledges the 200, which is returned.
    pub fn connect(&mut self, world: &mut World) -> Sent {
        let invite = self.invite(OFFER);
        let answer = world.ask(invite);
        assert_eq!(answer.status(), 200, "{}", answer.text);
        self.learn(&answer);
        let ack = self.ack("");
        world.send(ack);
        world.silent();
        answer
    }

    /// Calls without an offer and answers ours, which is returned, in the ACK.
    pub fn answer_late(&mut self, world: &mut World, answer: &str) -> Sent {
        let invite = self.invite("");
        let offer = world.ask(invite);
        self.learn(&offer);
        let ack = self.ack(answer);
        world.send(ack);
        offer
    }

    /// Hangs up and expects 200.
    pub fn hang_up(&mut self, world: &mut World) {
        let bye = self.request("BYE", "");
        assert_eq!(world.ask(bye).status(), 200);
    }
}

/// A response to a request that the front end sent.
pub fn response_to(request: &Sent, status: &str, headers: &str, body: &str) -> String {
    let copied = |name| format!("{name}: {}\r\n", request.header(name));
    let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\n{}{}{}{}{}{headers}{content}Content-Length: {}\r\n\r\n{body}",
        copied("Via"),
        copied("From"),
        copied("To"),
        copied("Call-ID"),
        copied("CSeq"),
        body.len()
    )
}
