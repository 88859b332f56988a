//! Commands, their refusals, and what comes home.

mod rig;

use engine::Port;
use engine_control::{
    Command, Event, Refusal, RemoteMedia, RoomKey, Route, RtcpTransport, SessionKey, SessionReport,
    ShardReport, TapId, TapPoint,
};
use media::rtcp::{Compound, Fact};
use media_units::Law;
use rig::{Rig, SILENCE, media};

fn refusal(rig: &mut Rig, command: Command) -> Refusal {
    rig.forget();
    rig.command(command);
    match rig.taken.events.pop() {
        Some(Event::Refused { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stale_and_foreign_keys_are_refused_and_boxes_come_home() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let session = rig.dial(0, Route::Room(room), None);
    rig.command(Command::CloseSession { session });
    rig.command(Command::CloseRoom { room });
    let next = SessionKey::new(0, 0, 2);
    for (key, expected) in [
        (session, Refusal::Gone),
        (next, Refusal::Gone),
        (SessionKey::new(0, 4000, 1), Refusal::Gone),
        (SessionKey::new(1, 0, 1), Refusal::OtherShard),
    ] {
        let session = key;
        let route = Route::Idle;
        let point = TapPoint::Received(key);
        let media = Box::new(media(0, media_units::Law::Mu));
        for command in [
            Command::UpdateSession { session, media },
            Command::MuteSession { session, muted: true },
            Command::RouteSession { session, route },
            Command::CloseSession { session },
            Command::StopTap { point },
            Command::StartTap { point, tap: TapId(1), class: None },
        ] {
            assert_eq!(refusal(&mut rig, command), expected);
        }
    }
    for (room, expected) in [(room, Refusal::Gone), (RoomKey::new(3, 0, 1), Refusal::OtherShard)] {
        let point = TapPoint::Room(room);
        assert_eq!(refusal(&mut rig, Command::CloseRoom { room }), expected);
        let start = Command::StartTap { point, tap: TapId(1), class: None };
        assert_eq!(refusal(&mut rig, start), expected);
    }
    rig.run(2);
}

#[test]
fn a_slot_in_use_and_a_room_that_is_gone_are_refused() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    assert_eq!(
        refusal(&mut rig, Command::OpenRoom { room, sound: media_units::RoomSound::DEFAULT }),
        Refusal::Occupied
    );
    let beyond = RoomKey::new(0, 16, 1);
    assert_eq!(
        refusal(
            &mut rig,
            Command::OpenRoom { room: beyond, sound: media_units::RoomSound::DEFAULT }
        ),
        Refusal::Full
    );
    let session = rig.dial(0, Route::Room(room), None);
    rig.forget();
    for (slot, route, expected) in [
        (0, Route::Idle, Refusal::Occupied),
        (64, Route::Idle, Refusal::Full),
        (1, Route::Room(RoomKey::new(0, 0, 9)), Refusal::Gone),
        (1, Route::Room(RoomKey::new(1, 0, 1)), Refusal::OtherShard),
    ] {
        rig.dial(slot, route, None);
        match rig.taken.events.pop() {
            Some(Event::Refused { command: Command::OpenSession { open, .. }, refusal }) => {
                assert_eq!((refusal, open.route), (expected, route));
            }
            other => panic!("{other:?}"),
        }
    }
    let route = Route::Room(RoomKey::new(0, 5, 1));
    assert_eq!(refusal(&mut rig, Command::RouteSession { session, route }), Refusal::Gone);
}

#[test]
fn a_slot_has_another_tenant_after_it_was_closed() {
    let mut rig = Rig::new();
    let first = rig.dial(0, Route::Echo, None);
    rig.phone(0).hums = true;
    rig.run(rig::SETTLED);
    rig.forget();
    rig.command(Command::CloseSession { session: first });
    assert_eq!(rig.taken.latches, [(0, Port::Rtp, None)]);
    let [Event::TalkStopped { .. }, Event::SessionClosed { session }] = rig.taken.events[..] else {
        panic!("{:?}", rig.taken.events)
    };
    assert_eq!(session, first);
    let goodbye = Compound::parse(&rig.taken.rtcp(0)[0].bytes).unwrap().facts().last();
    assert!(matches!(goodbye, Some(Fact::Goodbye { .. })));
    rig.run(2);
    assert_eq!(rig.taken.rtp(0).len(), 0, "nobody is there");

    let second = SessionKey::new(0, 0, 2);
    let mut open = engine_control::SessionOpen {
        ssrc: media_units::Ssrc(5),
        sequence: media_units::SequenceNumber(6),
        timestamp: media_units::RtpTimestamp(7),
        media: media(0, media_units::Law::A),
        route: Route::Idle,
    };
    open.media.rtp.set_port(20_000);
    rig.phones.clear();
    rig.forget();
    rig.command(Command::OpenSession { session: second, open: Box::new(open) });
    rig.run(2);
    let sent = rig.taken.rtp(0)[0].view();
    assert_eq!((sent.ssrc().0, sent.sequence().0, sent.payload_type()), (5, 6, 8));
    let mut reports = vec![SessionReport::of(first), SessionReport::of(second)];
    reports.push(SessionReport::of(SessionKey::new(0, 9, 1)));
    rig.command(Command::ReportSessions { reports: Box::new(reports) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    let [report] = reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.session, report.packets_received), (second, 0));
    assert_eq!((report.packets_sent, report.remote), (2, None));
}

#[test]
fn a_report_tells_what_was_sent_received_and_played() {
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let session = rig.dial(0, Route::Room(room), None);
    rig.phone(0).hums = true;
    rig.dial(1, Route::Room(room), None);
    rig.run(100);
    rig.command(Command::MuteSession { session, muted: true });
    rig.command(Command::ReportSessions { reports: Box::new(vec![SessionReport::of(session)]) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    let report = reports[0];
    assert_eq!((report.packets_received, report.packets_sent), (100, 100));
    assert_eq!((report.octets_received, report.octets_sent), (16_000, 16_000));
    assert!(report.blocks_played >= 99, "{report:?}");
    assert!(report.talking && report.muted && report.level_dbov < 35, "{report:?}");
    assert_eq!((report.packets_lost, report.route), (0, Route::Room(room)));
    rig.command(Command::ReportShard { report: Box::default() });
    let Some(Event::ShardReported { report }) = rig.taken.events.pop() else { panic!() };
    let ShardReport { sessions, rooms, ticks, rtp_received, rtp_sent, .. } = *report;
    assert_eq!((sessions, rooms, ticks, rtp_received, rtp_sent), (2, 1, 400, 100, 200));
    assert_eq!(report.lateness.buckets[0], 400);
    assert!(report.rtcp_sent > 0);
}

#[test]
fn late_ticks_run_one_after_the_other_and_are_counted() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Idle, None);
    let late = rig.shard.next_tick() + media_units::TICK * 9;
    let mut ticks = 0;
    while rig.shard.next_tick() <= late {
        rig.shard.tick(late, &mut rig.taken);
        ticks += 1;
    }
    assert_eq!(ticks, 10);
    assert!(rig.taken.rtp(0).len() >= 2, "no period was skipped");
    rig.command(Command::ReportShard { report: Box::default() });
    let Some(Event::ShardReported { report }) = rig.taken.events.pop() else { panic!() };
    assert_eq!((report.lateness.max_us, report.lateness.buckets[0]), (45_000, 1));
}

#[test]
fn rtcp_is_sent_and_taken_on_its_own_port_from_the_same_address_only() {
    let mut rig = Rig::new();
    let session = rig.dial_with(0, Route::Idle, Some(0x90), |media| {
        media.rtcp = RtcpTransport::Separate("192.0.2.1:10001".parse().unwrap());
    });
    rig.run(400);
    let sent = rig.taken.rtcp(0).into_iter().last().unwrap().clone();
    assert_eq!((sent.port, sent.to.to_string()), (Port::Rtcp, "192.0.2.1:10001".into()));
    let facts: Vec<Fact> = Compound::parse(&sent.bytes).unwrap().facts().collect();
    let [Fact::Sender { ssrc, info }, Fact::Reception { block, .. }] = facts[..] else {
        panic!("{facts:?}")
    };
    assert_eq!((ssrc.0, block.ssrc), (0xabc0, rig.phone(0).ssrc));
    assert!(info.packets > 100 && info.octets == info.packets * 160);

    let mut bye = [0; media::rtcp::COMPOUND_BYTES_MAX];
    let reporter = rig.phone(0).ssrc;
    let report = media::rtcp::Report {
        ssrc: reporter,
        sender: None,
        block: Some(media::rtcp::ReportBlock {
            ssrc,
            fraction_lost: 64,
            last_sr: info.ntp.middle(),
            delay_since_last_sr: 0,
            ..Default::default()
        }),
        cname: b"phone",
        extended: media::rtcp::Extended::default(),
        bye: true,
    };
    let length = report.write(&mut bye);
    rig.forget();
    let outsider = "198.51.100.1:10001".parse().unwrap();
    rig.deliver(0, Port::Rtcp, outsider, &bye[..length]);
    assert!(rig.taken.events.is_empty());
    let symmetric = "192.0.2.1:5555".parse().unwrap();
    rig.deliver(0, Port::Rtcp, symmetric, &bye[..length]);
    rig.deliver(0, Port::Rtcp, symmetric, &bye[..length]);
    assert!(matches!(rig.taken.events[..], [Event::RtcpBye { .. }]), "told once");
    rig.command(Command::ReportSessions { reports: Box::new(vec![SessionReport::of(session)]) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    assert_eq!(reports[0].remote_fraction_lost, 64);
    assert!(reports[0].round_trip.is_some());
    rig.run(600);
    assert!(rig.taken.rtcp(0).iter().all(|sent| sent.to == symmetric));
}

#[test]
fn comfort_noise_agreed_on_or_given_up_in_mid_call_is_sent_or_not_from_then_on() {
    const NOISE: u8 = 13;
    let mut rig = Rig::new();
    let leaves_out_silence = |media: &mut RemoteMedia| media.parameters.discontinuous = true;
    let session = rig.dial_with(0, Route::Idle, Some(SILENCE), leaves_out_silence);
    let noise_packets = |rig: &mut Rig| {
        rig.settle_and_run(100);
        let sent = rig.taken.rtp(0);
        sent.iter().filter(|sent| sent.view().payload_type() == NOISE).count()
    };
    assert_eq!(noise_packets(&mut rig), 0);
    rig.update(session, |media| {
        leaves_out_silence(media);
        media.comfort_noise = Some(NOISE);
    });
    assert!(noise_packets(&mut rig) > 0);
    assert!(rig.taken.rtp(0).len() < 50, "the rest is left out");
    rig.update(session, leaves_out_silence);
    assert_eq!(noise_packets(&mut rig), 0);
    assert_eq!(rig.taken.rtp(0).len(), 100, "silence is sent as sound");
}

/// Of 50 packets that phone 1 is sent while phone 0 has described its pause, those that are no silence:
/// in a room of so many, phone 1 in this format.
fn noise_heard_in_a_pause(law: Law, members: u32) -> usize {
    const NOISE: u8 = 13;
    let mut rig = Rig::new();
    let room = rig.open_room(0);
    let takes_noise = |media: &mut RemoteMedia| media.comfort_noise = Some(NOISE);
    rig.dial_with(0, Route::Room(room), Some(SILENCE), takes_noise);
    rig.dial_with(1, Route::Room(room), None, |to| *to = media(1, law));
    for slot in 2..members {
        rig.dial(slot, Route::Room(room), None);
    }
    rig.run(rig::SETTLED);
    let phone = rig.phone(0);
    (phone.code, phone.payload_type) = (None, NOISE);
    let (source, packet) = (phone.source, phone.packet(&[50]));
    rig.deliver(0, Port::Rtp, source, &packet);
    rig.run(10);
    rig.forget();
    rig.run(50);
    let silence = *mixer::silence(law);
    let sent = rig.taken.rtp(1);
    assert_eq!(sent.len(), 50);
    let count = sent.iter().filter(|sent| *sent.view().payload() != silence).count();
    (rig.phone(0).payload_type, rig.phone(0).code) = (0, Some(SILENCE));
    rig.run(10);
    rig.forget();
    rig.run(10);
    let heard_after = rig.taken.rtp(1).iter().any(|sent| *sent.view().payload() != silence);
    assert!(!heard_after, "there is sound again: its silence");
    count
}

#[test]
fn noise_that_one_of_two_describes_is_heard_by_the_other_and_among_many_a_pause_is_silence() {
    assert_eq!(noise_heard_in_a_pause(Law::Mu, 2), 50, "relayed");
    assert_eq!(noise_heard_in_a_pause(Law::A, 2), 50, "translated");
    assert_eq!(noise_heard_in_a_pause(Law::Mu, 3), 0);
}
