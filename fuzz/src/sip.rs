//! Any SIP messages at any time, over UDP and TCP, into a front end that has a call: it never
//! panics, and once it has stopped and its timers have run out it holds nothing.
//!
//! The input is a script: messages with a NUL byte and a letter between them. The letter says how
//! long to wait, whether the next message comes over TCP, and whether the engine is busy then.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine_control::{
    Command, Event, MediaAddress, Refusal, RoomKey, SessionKey, SlotPool, TapPoint,
};
use media_units::Instant;
use signaling::{
    Carrier, FrontEnd, FrontEndConfig, Outside, Peer, RecordedTrack, RecordingId, RecordingStart,
};

/// Runs one input.
pub fn run(script: &[u8]) {
    let config =
        FrontEndConfig { ring_time: Duration::from_millis(300), ..FrontEndConfig::default() };
    let mut world = World { front: FrontEnd::new(config, 1), now: Instant::START };
    let mut wire = Wire {
        sessions: SlotPool::new(0, 4),
        rooms: SlotPool::new(0, 2),
        events: VecDeque::new(),
        is_busy: false,
    };
    for part in script.split(|byte| *byte == 0).take(32) {
        let Some((how, message)) = part.split_first() else { continue };
        wire.is_busy = how & 1 != 0;
        world.pass(Duration::from_millis(100 << (how >> 1 & 7)), &mut wire);
        let peer = if how & 0x20 != 0 { TCP } else { UDP };
        let message = Bytes::copy_from_slice(message);
        world.front.receive(world.now, peer(), message, &mut wire);
        if how & 0x40 == 0 {
            world.front.closed(world.now, TCP(), &mut wire);
        }
    }
    wire.is_busy = false;
    world.front.drain(world.now, &mut wire);
    world.pass(Duration::from_secs(200), &mut wire);
    assert!(world.front.is_drained());
    assert_eq!((world.front.calls(), world.front.entries()), (0, 0));
    assert_eq!((wire.sessions.taken(), wire.rooms.taken()), (0, 0));
}

const UDP: fn() -> Peer = || Peer { carrier: Carrier::Udp, remote: ([192, 0, 2, 1], 5060).into() };
const TCP: fn() -> Peer =
    || Peer { carrier: Carrier::Tcp(1), remote: ([192, 0, 2, 1], 49152).into() };

struct World {
    front: FrontEnd,
    now: Instant,
}

impl World {
    fn pass(&mut self, duration: Duration, wire: &mut Wire) {
        let end = self.now + duration;
        loop {
            while let Some(event) = wire.events.pop_front() {
                self.front.engine_event(self.now, event, wire);
            }
            let Some(next) = self.front.next_expiry().filter(|next| *next <= end) else { break };
            self.now = next.max(self.now);
            self.front.expire(self.now, wire);
        }
        while self.front.next_fact().is_some() {}
        self.now = end;
    }
}

struct Wire {
    sessions: SlotPool,
    rooms: SlotPool,
    events: VecDeque<Event>,
    is_busy: bool,
}

impl Outside for Wire {
    fn transmit(&mut self, _: Peer, _: Bytes) {}

    fn open_media(
        &mut self,
        _: Option<u8>,
        _: SocketAddr,
    ) -> Result<(SessionKey, MediaAddress), Refusal> {
        let session = self.sessions.take_session().ok_or(Refusal::Full)?;
        Ok((session, MediaAddress { address: [192, 0, 2, 9].into(), rtp_port: 16384 }))
    }

    fn may_open_media(&self, _: Option<u8>) -> Result<(), Refusal> {
        if self.sessions.free() == 0 { Err(Refusal::Full) } else { Ok(()) }
    }

    fn abandon_media(&mut self, session: SessionKey) {
        assert!(self.sessions.give_back(session.slot(), session.generation()));
    }

    fn open_room(&mut self) -> Result<RoomKey, Refusal> {
        self.rooms.take_room().ok_or(Refusal::Full)
    }

    fn abandon_room(&mut self, room: RoomKey) {
        assert!(self.rooms.give_back(room.slot(), room.generation()));
    }

    fn command(&mut self, command: Command) -> Result<(), Refusal> {
        if self.is_busy {
            return Err(Refusal::Busy);
        }
        match command {
            Command::CloseSession { session } => {
                assert!(self.sessions.give_back(session.slot(), session.generation()));
                self.events.push_back(Event::SessionClosed { session });
            }
            Command::CloseRoom { room } => {
                assert!(self.rooms.give_back(room.slot(), room.generation()));
                self.events.push_back(Event::RoomClosed { room });
            }
            _ => {}
        }
        Ok(())
    }

    fn begin_recording(&mut self, _: RecordingStart) -> Result<RecordingId, Refusal> {
        self.may_record().map(|()| RecordingId::new(1))
    }

    fn may_record(&mut self) -> Result<(), Refusal> {
        if self.is_busy { Err(Refusal::Full) } else { Ok(()) }
    }

    fn add_track(&mut self, _: RecordingId, _: RecordedTrack) -> Result<(), Refusal> {
        if self.is_busy { Err(Refusal::Full) } else { Ok(()) }
    }

    fn end_track(&mut self, _: RecordingId, _: TapPoint) {}

    fn end_recording(&mut self, _: RecordingId) {}
}
