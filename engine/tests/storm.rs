//! Any commands in any order, and any octets from anywhere: nothing panics, nothing is lost,
//! every stream stays lawful, and nothing is left behind.

mod rig;

use std::collections::HashMap;
use std::net::SocketAddr;

use engine::Port;
use engine_control::{Command, Event, RoomKey, Route, SessionKey, TapId, TapPoint};
use media_units::{Direction, Law, RoomSound};
use proptest::prelude::*;
use rig::{DIGITS, Rig, media};

const SESSIONS: u32 = 6;
const ROOMS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Open { slot: u32, route: u8, encoding: usize },
    Update { slot: u32, encoding: usize, direction: u8, port: u16 },
    Route { slot: u32, route: u8 },
    Mute { slot: u32, muted: bool },
    Close { slot: u32 },
    OpenRoom { slot: u32 },
    CloseRoom { slot: u32 },
    StartTap { point: u8 },
    StopTap { point: u8 },
    Speak { slot: u32, code: Option<u8>, port: u16, ssrc: u32 },
    Receive { slot: u32, rtcp: bool, port: u16, bytes: Vec<u8> },
    Ticks(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, port) = (0..SESSIONS, 1u16..4);
    let octets = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 12..200).prop_map(|mut bytes| {
            (bytes[0], bytes[1]) = (0x80, bytes[1] % 2 * DIGITS);
            bytes
        }),
    ];
    prop_oneof![
        (slot.clone(), any::<u8>(), 0..2usize).prop_map(|(slot, route, encoding)| Step::Open {
            slot,
            route,
            encoding
        }),
        (slot.clone(), 0..2usize, 0u8..4, port.clone()).prop_map(
            |(slot, encoding, direction, port)| Step::Update { slot, encoding, direction, port }
        ),
        (slot.clone(), any::<u8>()).prop_map(|(slot, route)| Step::Route { slot, route }),
        (slot.clone(), any::<bool>()).prop_map(|(slot, muted)| Step::Mute { slot, muted }),
        slot.clone().prop_map(|slot| Step::Close { slot }),
        (0..ROOMS).prop_map(|slot| Step::OpenRoom { slot }),
        (0..ROOMS).prop_map(|slot| Step::CloseRoom { slot }),
        any::<u8>().prop_map(|point| Step::StartTap { point }),
        any::<u8>().prop_map(|point| Step::StopTap { point }),
        (slot.clone(), any::<Option<u8>>(), port.clone(), 0u32..3)
            .prop_map(|(slot, code, port, ssrc)| Step::Speak { slot, code, port, ssrc }),
        (slot, any::<bool>(), port, octets).prop_map(|(slot, rtcp, port, bytes)| Step::Receive {
            slot,
            rtcp,
            port,
            bytes
        }),
        (1..40usize).prop_map(Step::Ticks),
        (1..400usize).prop_map(Step::Ticks),
    ]
}

fn address(slot: u32, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 10 * slot as u16 + port))
}

/// The rig, with the generations that the control plane would keep.
struct Storm {
    rig: Rig,
    sessions: HashMap<u32, u32>,
    rooms: HashMap<u32, u32>,
    donated: usize,
}

impl Storm {
    fn session(&self, slot: u32) -> SessionKey {
        SessionKey::new(0, slot, self.sessions.get(&slot).copied().unwrap_or(0))
    }

    fn room(&self, slot: u32) -> RoomKey {
        RoomKey::new(0, slot, self.rooms.get(&slot).copied().unwrap_or(0))
    }

    fn route(&self, route: u8) -> Route {
        match route % 12 {
            8.. => Route::Monitor(self.point(route / 12 * 7)),
            0 => Route::Idle,
            1 => Route::Echo,
            2 => Route::Tone,
            _ => Route::Room(self.room(u32::from(route) % ROOMS)),
        }
    }

    fn point(&self, point: u8) -> TapPoint {
        let slot = u32::from(point / 2);
        let session = self.session(slot % SESSIONS);
        match point % 5 {
            0 => TapPoint::Room(self.room(slot % ROOMS)),
            1 => TapPoint::Packets(session),
            2 => TapPoint::Sent(session),
            _ => TapPoint::Received(session),
        }
    }

    fn command(&mut self, command: Command) {
        let is_donation = matches!(
            command,
            Command::OpenSession { .. } | Command::UpdateSession { .. } | Command::StartTap { .. }
        );
        self.donated += usize::from(is_donation);
        self.rig.command(command);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open { slot, route, encoding } => {
                *self.sessions.entry(slot).or_default() += 1;
                let session = self.session(slot);
                let route = self.route(route);
                let open = Box::new(engine_control::SessionOpen {
                    ssrc: media_units::Ssrc(session.generation() << 8 | slot),
                    sequence: media_units::SequenceNumber(65_000),
                    timestamp: media_units::RtpTimestamp(1 << 31),
                    media: media(slot, Law::ALL[encoding]),
                    route,
                });
                let events = self.rig.taken.events.len();
                self.command(Command::OpenSession { session, open });
                if matches!(self.rig.taken.events[events], Event::Refused { .. }) {
                    *self.sessions.entry(slot).or_default() -= 1;
                }
            }
            Step::Update { slot, encoding, direction, port } => {
                let mut media = Box::new(media(slot, Law::ALL[encoding]));
                media.direction = Direction::of(direction & 1 != 0, direction & 2 != 0);
                media.rtp = address(slot, port);
                let session = self.session(slot);
                self.command(Command::UpdateSession { session, media });
            }
            Step::Route { slot, route } => {
                let (session, route) = (self.session(slot), self.route(route));
                self.command(Command::RouteSession { session, route });
            }
            Step::Mute { slot, muted } => {
                self.command(Command::MuteSession { session: self.session(slot), muted });
            }
            Step::Close { slot } => {
                self.command(Command::CloseSession { session: self.session(slot) });
            }
            Step::OpenRoom { slot } => {
                *self.rooms.entry(slot).or_default() += 1;
                let events = self.rig.taken.events.len();
                self.command(Command::OpenRoom {
                    room: self.room(slot),
                    sound: RoomSound::DEFAULT,
                });
                if self.rig.taken.events.len() > events {
                    *self.rooms.entry(slot).or_default() -= 1;
                }
            }
            Step::CloseRoom { slot } => {
                self.command(Command::CloseRoom { room: self.room(slot) });
            }
            Step::StartTap { point } => {
                let point = self.point(point);
                self.command(Command::StartTap { point, tap: TapId(7), class: None });
            }
            Step::StopTap { point } => self.command(Command::StopTap { point: self.point(point) }),
            Step::Speak { slot, code, port, ssrc } => {
                let phone = self.rig.phone(slot);
                phone.code = code;
                phone.source = address(slot, port);
                phone.ssrc = media_units::Ssrc(ssrc);
            }
            Step::Receive { slot, rtcp, port, bytes } => {
                let kind = if rtcp { Port::Rtcp } else { Port::Rtp };
                self.rig.deliver(slot, kind, address(slot, port), &bytes);
            }
            Step::Ticks(ticks) => (0..ticks).for_each(|_| self.rig.tick()),
        }
    }

    /// Closes everything and asserts that nothing is left.
    fn end(&mut self) {
        for slot in 0..SESSIONS {
            self.take(Step::Close { slot });
        }
        for slot in 0..ROOMS {
            self.take(Step::CloseRoom { slot });
        }
        for _ in 0..4 {
            assert!(self.rig.shard.due().is_empty());
            self.rig.tick();
        }
        let returned = self.rig.taken.events.iter().filter(|event| {
            matches!(
                event,
                Event::SessionOpened { .. }
                    | Event::MediaReturned { .. }
                    | Event::TapEnded { .. }
                    | Event::Refused {
                        command: Command::OpenSession { .. }
                            | Command::UpdateSession { .. }
                            | Command::StartTap { .. },
                        ..
                    }
            )
        });
        assert_eq!(returned.count(), self.donated);
        self.rig.command(Command::ReportShard { report: Box::default() });
        let Some(Event::ShardReported { report }) = self.rig.taken.events.pop() else { panic!() };
        assert_eq!((report.sessions, report.rooms), (0, 0));
    }
}

proptest! {
    #[test]
    fn no_storm_harms_a_shard(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        rig.phones = (0..SESSIONS)
            .map(|slot| rig::Phone::new(slot, Law::Mu, None))
            .collect();
        let (sessions, rooms) = (HashMap::new(), HashMap::new());
        let mut storm = Storm { rig, sessions, rooms, donated: 0 };
        for step in steps {
            storm.take(step);
        }
        storm.end();
        // Each tenant of a slot has an SSRC of its own, and the law holds for each stream.
        let sent = std::mem::take(&mut storm.rig.taken.sent);
        let mut streams: HashMap<_, Vec<_>> = HashMap::new();
        for datagram in sent {
            if media::demux(&datagram.bytes) == media::Demux::Rtp {
                let ssrc = datagram.view().ssrc();
                streams.entry(ssrc).or_default().push(datagram);
            }
        }
        for (_, stream) in streams {
            storm.rig.taken.sent = stream;
            storm.rig.assert_streams_are_lawful();
        }
    }
}
