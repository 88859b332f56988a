//! INVITE, ACK, BYE and OPTIONS, what can be dialled, and what the API sees of it.

use engine_control::{Command, DigitSource, Event, Refusal, Route, TapPoint};
use media_units::{Cadence, Digits, Direction, Encoding, Gain};
use signaling::{
    DigitsRefusal, Ending, EndpointRule, Fact, Gains, ParticipantId, RecordWish, RecordingId,
};

use crate::harness::{OFFER, Phone, World};

#[test]
fn a_call_with_an_offer_is_answered_and_joins_its_room() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf7");
    let answer = phone.connect(&mut world);
    assert_eq!(answer.header("Content-Type"), "application/sdp");
    assert!(answer.body().contains("m=audio 20000 RTP/AVP 0 101"), "{}", answer.body());
    assert_eq!(answer.header("Contact"), "<sip:conf7@203.0.113.1:5060>");
    assert!(matches!(world.outside.routes()[..], [Route::Room(_)]));
    let media = world.outside.media();
    assert_eq!(media.encoding, Encoding::Pcmu);
    assert_eq!(media.rtp, "192.0.2.10:40000".parse().unwrap());
    let room = world.front.rooms().next().unwrap();
    assert_eq!((room.name.as_str(), room.members.len()), ("7", 1));
    assert_eq!(room.members[0].uri, "sip:alice@example.org");
    assert_eq!(room.members[0].display_name.as_deref(), Some("Alice"));
    phone.hang_up(&mut world);
    assert!(matches!(world.outside.commands.last(), Some(Command::CloseRoom { .. })));
    world.leaves_nothing_behind();
}

#[test]
fn a_call_without_an_offer_finds_ours_in_the_200_and_answers_in_the_ack() {
    let mut world = World::new();
    let mut phone = Phone::calling("3000");
    let invite = phone.invite("");
    let answer = world.ask(invite);
    assert_eq!(answer.status(), 200);
    assert!(answer.body().contains("RTP/AVP 0 8 101"), "{}", answer.body());
    assert!(world.outside.routes().is_empty(), "nothing is agreed on yet");
    phone.learn(&answer);
    let ack = phone.ack(&OFFER.replace("0 8 101", "8 101"));
    world.send(ack);
    world.silent();
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    assert_eq!(world.outside.media().direction, Direction::SendReceive);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn an_ack_without_the_answer_or_with_a_bad_one_ends_the_call() {
    for body in ["", "v=0\r\nnonsense", &OFFER.replace("0 8 101", "18")] {
        let mut world = World::new();
        let mut phone = Phone::calling("3000");
        let invite = phone.invite("");
        let answer = world.ask(invite);
        phone.learn(&answer);
        let ack = phone.ack(body);
        let bye = world.ask(ack);
        assert_eq!(bye.method(), "BYE", "{body:?}");
        assert!(bye.header("Reason").contains("488"));
        world.leaves_nothing_behind();
    }
}

/// An ACK cannot be refused: what stands beside a usable answer is passed over, whatever it says.
#[test]
fn an_ack_whose_answer_has_a_part_beside_it_that_we_do_not_have_is_taken() {
    let mut world = World::new();
    let mut phone = Phone::calling("3000");
    let invite = phone.invite("");
    let offer = world.ask(invite);
    phone.learn(&offer);
    let answer = OFFER.replace("0 8 101", "8 101");
    let parts = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{answer}\r\n\
         --b\r\nContent-Type: application/pidf+xml\r\n\
         Content-Disposition: render;handling=required\r\n\r\n<x/>\r\n--b--\r\n"
    );
    phone.branches += 1;
    let ack = phone.write("ACK", phone.sequence, "multipart/mixed;boundary=b", &parts);
    world.send(ack);
    world.silent();
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn every_service_can_be_dialled_by_name_and_by_number() {
    let table = [
        ("echo", Route::Echo),
        ("9000", Route::Echo),
        ("tone", Route::Tone),
        ("9001", Route::Tone),
        ("record", Route::Idle),
        ("8000", Route::Idle),
    ];
    for (user, route) in table {
        let mut world = World::new();
        let mut phone = Phone::calling(user);
        phone.connect(&mut world);
        assert_eq!(world.outside.routes(), [route], "{user}");
        assert_eq!(world.front.rooms().count(), 0);
        phone.hang_up(&mut world);
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_call_to_the_recorder_is_recorded_as_received() {
    let mut world = World::new();
    let mut phone = Phone::calling("record");
    phone.connect(&mut world);
    let recording = &world.outside.recordings[0];
    let session = world.participant().session;
    let [track] = &recording.tracks[..] else { panic!("{recording:?}") };
    assert_eq!(track.point, TapPoint::Received(session));
    assert_eq!(track.participant.as_ref().unwrap().uri, "sip:alice@example.org");
    assert_eq!(recording.subject, "alice");
    assert_eq!(recording.call_id.as_deref(), Some("call-to-record@192.0.2.10"));
    assert_eq!(world.participant().recording.begun, Some(RecordingId::new(1)));
}

#[test]
fn a_call_to_the_recorder_ends_with_its_recording_and_any_other_goes_on() {
    let mut world = World::new();
    Phone::calling("record").connect(&mut world);
    let over = |world: &mut World, id| {
        let (id, stopped) = (RecordingId::new(id), Ending::RecordingStopped);
        world.front.recording_over(world.now, id, stopped, &mut world.outside);
    };
    over(&mut world, 2);
    world.silent();
    over(&mut world, 1);
    let bye = world.only();
    let reason = "Q.850;cause=16;text=\"Recording stopped\"";
    assert_eq!((bye.method(), bye.header("Reason")), ("BYE", reason));
    world.leaves_nothing_behind();
}

#[test]
fn what_happens_in_a_room_is_told_in_order() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let participant = world.participant();
    let (key, who) = (world.front.rooms().next().unwrap().key, participant.participant);
    let joined = Fact::Joined { participant: who };
    let opened = Fact::RoomOpened { name: "1".into(), key };
    assert_eq!(world.facts(), [opened, joined]);
    for muted in [true, true, false] {
        world.front.mute(world.now, who, muted, &mut world.outside).unwrap();
    }
    let muted = |muted| Fact::Muted { participant: who, muted };
    assert_eq!(world.facts(), [muted(true), muted(false)], "only what is new");
    let session = participant.session;
    world.event(Event::TalkStarted { session });
    world.event(Event::TalkStopped { session });
    let talking = |talking| Fact::Talking { participant: who, talking };
    assert_eq!(world.facts(), [talking(true), talking(false)]);
    phone.hang_up(&mut world);
    let closed = Fact::RoomClosed { name: "1".into() };
    assert_eq!(world.facts(), [Fact::Left { participant: who }, closed]);
}

#[test]
fn callers_of_one_name_share_a_room_until_the_last_has_left() {
    let mut world = World::new();
    let mut first = Phone::calling("conf5");
    let mut second = Phone::calling("conf5").named("second");
    let mut other = Phone::calling("conf6");
    first.connect(&mut world);
    second.connect(&mut world);
    other.connect(&mut world);
    let routes = world.outside.routes();
    assert_eq!(routes[0], routes[1]);
    assert_ne!(routes[0], routes[2]);
    let members: Vec<usize> = world.front.rooms().map(|room| room.members.len()).collect();
    assert_eq!(members, [2, 1]);
    first.hang_up(&mut world);
    assert_eq!(world.front.rooms().count(), 2);
    second.hang_up(&mut world);
    assert_eq!(world.front.rooms().count(), 1);
    other.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn unknown_numbers_are_answered_404() {
    let mut world = World::new();
    for user in ["4000", "nobody", "conf"] {
        let mut phone = Phone::calling(user);
        let invite = phone.invite(OFFER);
        let refusal = world.ask(invite);
        assert_eq!(refusal.status(), 404, "{user}");
        let ack = phone.ack_refusal(&refusal);
        world.send(ack);
    }
    world.leaves_nothing_behind();
}

#[test]
fn no_common_codec_is_answered_488_with_a_warning_that_says_why() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let offer = OFFER.replace("0 8 101", "18 9");
    let invite = phone.invite(&offer);
    let refusal = world.ask(invite);
    assert_eq!(refusal.status(), 488);
    let warning = refusal.header("Warning");
    assert!(warning.starts_with("305 203.0.113.1:5060 \""), "{warning}");
    assert!(warning.contains("PCMU or PCMA") && warning.contains("G729"), "{warning}");
    assert_eq!(world.front.rooms().count(), 0, "no room for a call that is refused");
}

#[test]
fn bodies_that_we_cannot_read_are_refused_with_what_we_can() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let foreign = phone.invite(OFFER).replace("application/sdp", "text/plain");
    let refusal = world.ask(foreign);
    assert_eq!((refusal.status(), refusal.header("Accept")), (415, "application/sdp"));
    let mut phone = Phone::calling("conf1").named("packed").with("Content-Encoding: gzip");
    let packed = phone.invite(OFFER);
    let refusal = world.ask(packed);
    assert_eq!((refusal.status(), refusal.header("Accept-Encoding")), (415, "identity"));
    let mut phone = Phone::calling("conf1").named("nameless");
    let nameless = phone.invite(OFFER).replace("Content-Type: application/sdp\r\n", "");
    let refusal = world.ask(nameless);
    assert_eq!(refusal.start_line(), "SIP/2.0 400 Bad Request - body without Content-Type");
    let mut phone = Phone::calling("conf1").named("picky").with("Accept: text/plain");
    let picky = phone.invite(OFFER);
    assert_eq!(world.ask(picky).status(), 406);
    let mut phone = Phone::calling("conf1").named("broken");
    let broken = phone.invite("this is no description");
    let refusal = world.ask(broken);
    assert_eq!(refusal.status(), 400);
    assert!(refusal.header("Warning").contains("line 1"));
}

#[test]
fn other_schemes_are_answered_416() {
    let mut world = World::new();
    for scheme in ["sips", "tel"] {
        let mut phone = Phone::calling("3000").named(scheme);
        let host = if scheme == "tel" { "" } else { "@203.0.113.1" };
        let uri = format!("INVITE {scheme}:3000{host} ");
        let invite = phone.invite(OFFER).replacen("INVITE sip:3000@203.0.113.1 ", &uri, 1);
        assert_eq!(world.ask(invite).status(), 416, "{scheme}");
    }
}

#[test]
fn options_says_what_we_can_do_to_the_bare_host_to_numbers_and_in_a_call() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let ping = phone.request("OPTIONS", "").replace("sip:conf1@203.0.113.1 ", "sip:203.0.113.1 ");
    let pong = world.ask(ping);
    assert_eq!(pong.status(), 200);
    assert!(pong.header("Allow").contains("INVITE, ACK, BYE, CANCEL, OPTIONS"));
    assert_eq!(pong.header("Accept"), "application/sdp");
    assert_eq!(pong.header("Supported"), "100rel, timer");
    let known = phone.request("OPTIONS", "");
    assert_eq!(world.ask(known).status(), 200);
    let unknown = Phone::calling("nobody").request("OPTIONS", "");
    assert_eq!(world.ask(unknown).status(), 404);
    phone.connect(&mut world);
    let inside = phone.request("OPTIONS", "");
    assert_eq!(world.ask(inside).status(), 200);
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn options_are_refused_where_a_call_would_be() {
    let mut world = World::with(|config| (config.calls_max, config.room_members_max) = (2, 1));
    let ask = |world: &mut World, user: &str| {
        let options = Phone::calling(user).request("OPTIONS", "").replace("sip:@", "sip:");
        world.ask(options)
    };
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    assert_eq!(ask(&mut world, "conf1").status(), 486, "its only seat is taken");
    assert_eq!(ask(&mut world, "conf2").status(), 200);
    world.outside.refuses_media = Some(Refusal::Overloaded);
    for user in ["conf2", "echo"] {
        let refusal = ask(&mut world, user);
        assert_eq!(refusal.status(), 503, "{user}");
        assert!(refusal.header("Warning").contains("No time is left"), "{}", refusal.text);
        assert!(!refusal.header("Retry-After").is_empty());
    }
    world.outside.refuses_media = None;
    let mut second = Phone::calling("echo");
    second.connect(&mut world);
    assert_eq!(ask(&mut world, "conf2").status(), 503, "every call is in use");
    assert_eq!(ask(&mut world, "nobody").status(), 404);
    assert_eq!(ask(&mut world, "").status(), 200, "it is here");
    second.hang_up(&mut world);
    assert_eq!(ask(&mut world, "conf2").status(), 200);
}

#[test]
fn options_to_the_recorder_are_refused_where_nothing_can_be_recorded() {
    let mut world = World::new();
    let ask = |world: &mut World, user: &str| {
        let options = Phone::calling(user).request("OPTIONS", "");
        world.ask(options)
    };
    assert_eq!(ask(&mut world, "8000").status(), 200);
    world.outside.cannot_record = true;
    let refusal = ask(&mut world, "8000");
    assert_eq!(refusal.status(), 503);
    assert!(refusal.header("Warning").contains("Recording is not possible"), "{}", refusal.text);
    assert_eq!(ask(&mut world, "echo").status(), 200);
    assert!(world.outside.recordings.is_empty(), "nothing is begun");
}

#[test]
fn a_caller_that_would_have_to_be_reached_securely_is_refused() {
    let mut world = World::new();
    let contact = "<sips:alice@192.0.2.10>";
    let mut phone = Phone::calling("conf1");
    contact.clone_into(&mut phone.contact);
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 416);
    let mut behind_proxy = Phone::calling("conf1").named("behind-a-proxy");
    contact.clone_into(&mut behind_proxy.contact);
    let behind_proxy = &mut behind_proxy.with("Record-Route: <sip:198.51.100.1;lr>");
    behind_proxy.connect(&mut world);
    behind_proxy.hang_up(&mut world);
    let mut phone = Phone::calling("conf1").named("moves");
    phone.connect(&mut world);
    contact.clone_into(&mut phone.contact);
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 200);
    let ack = phone.ack("");
    world.send(ack);
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    let bye = world.only();
    assert_eq!(bye.start_line(), "BYE sip:alice@192.0.2.10:5060 SIP/2.0", "where it was before");
}

#[test]
fn digits_by_info_and_by_rtp_reach_the_same_view() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let relay = phone.info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    assert_eq!(world.ask(relay).status(), 200);
    let plain = phone.info("application/dtmf", "#");
    assert_eq!(world.ask(plain).status(), 200);
    let session = world.participant().session;
    world.event(Event::Digit {
        session,
        digit: '7',
        duration_ms: 100,
        source: DigitSource::TelephoneEvent,
    });
    assert_eq!(world.participant().digits, "5#7");
    let counted: Vec<_> = world.front.counters().digits().collect();
    assert_eq!(counted, [("rfc4733", 1), ("in_band", 0), ("info", 2)]);
}

#[test]
fn a_press_told_by_info_and_by_rtp_counts_once() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let session = world.participant().session;
    for digit in ['5', '5', '*'] {
        let relay =
            phone.info("application/dtmf-relay", &format!("Signal={digit}\r\nDuration=160\r\n"));
        assert_eq!(world.ask(relay).status(), 200);
        let source = DigitSource::TelephoneEvent;
        world.event(Event::Digit { session, digit, duration_ms: 160, source });
    }
    assert_eq!(world.participant().digits, "55*");
    assert_eq!(world.front.counters().digits_repeated, 3);
}

#[test]
fn a_broken_digit_is_refused_by_name() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let info = phone.info("application/dtmf-relay", "Signal=55\r\n");
    let refusal = world.ask(info);
    assert_eq!(refusal.status(), 400);
    assert!(refusal.text.starts_with("SIP/2.0 400 Bad Request - the signal is no key\r\n"));
    assert_eq!(world.participant().digits, "");
}

#[test]
fn digits_are_sent_to_a_participant_by_its_session() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let (participant, session) = (world.participant().participant, world.participant().session);
    let digits = Digits::parse("12#").unwrap();
    let World { front, outside, .. } = &mut world;
    assert_eq!(front.send_digits(participant, digits, Cadence::DEFAULT, outside), Ok(session));
    let sent = outside.commands.last();
    let Some(Command::SendDigits { session: to, digits: sent, .. }) = sent else {
        panic!("{sent:?}")
    };
    assert_eq!((*to, *sent), (session, digits));
    let nobody = ParticipantId::new(999);
    let refusal = front.send_digits(nobody, digits, Cadence::DEFAULT, outside);
    assert_eq!(refusal, Err(DigitsRefusal::NotFound));
}

#[test]
fn other_info_is_refused_and_an_empty_one_is_not() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let empty = phone.request("INFO", "");
    assert_eq!(world.ask(empty).status(), 200);
    let foreign = phone.info("application/vnd.example", "x");
    let refusal = world.ask(foreign);
    assert_eq!(refusal.status(), 415);
    assert_eq!(refusal.header("Accept"), "application/dtmf-relay, application/dtmf");
    let mut packaged = phone.clone().with("Info-Package: foo");
    let info = packaged.request("INFO", "");
    let refusal = world.ask(info);
    assert_eq!(refusal.status(), 469);
    assert_eq!(refusal.header("Recv-Info"), "");
}

#[test]
fn participants_can_be_muted_kicked_and_sent_away_with_their_room() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    Phone::calling("conf1").named("b").connect(&mut world);
    Phone::calling("conf1").named("c").connect(&mut world);
    let ids: Vec<_> = world.front.participants().map(|view| view.participant).collect();
    world.front.mute(world.now, ids[0], true, &mut world.outside).unwrap();
    assert!(world.participant().muted);
    let last = world.outside.commands.last();
    assert!(matches!(last, Some(Command::MuteSession { muted: true, .. })));
    let gains = Gains { says: Gain { tenths_db: -65 }, hears: Gain { tenths_db: 20 } };
    world.front.set_gains(world.now, ids[0], gains, &mut world.outside).unwrap();
    assert_eq!(world.participant().gains, gains);
    let Some(Command::SetGain { says, hears, .. }) = world.outside.commands.last() else {
        panic!("the engine is told");
    };
    assert_eq!(Gains { says: *says, hears: *hears }, gains);
    world.front.kick(world.now, ids[0], &mut world.outside).unwrap();
    assert_eq!(world.only().method(), "BYE");
    assert_eq!(world.front.kick(world.now, ids[0], &mut world.outside), Err(signaling::NotFound));
    world.front.end_room(world.now, "1", &mut world.outside).unwrap();
    let byes = world.take();
    assert!(byes.len() == 2 && byes.iter().all(|sent| sent.method() == "BYE"), "{byes:?}");
    assert!(world.front.end_room(world.now, "1", &mut world.outside).is_err());
}

#[test]
fn talking_is_seen() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    let session = world.participant().session;
    world.event(Event::TalkStarted { session });
    assert!(world.participant().talking);
    world.event(Event::TalkStopped { session });
    assert!(!world.participant().talking);
}

#[test]
fn an_endpoint_that_may_record_asks_by_a_header_in_invite_and_info() {
    let boss = EndpointRule {
        network: Some("192.0.2.10".parse().unwrap()),
        user: None,
        encodings: vec![],
        may_record: true,
        is_recorded: false,
    };
    let mut world = World::with(|config| config.endpoints = vec![boss]);
    let mut phone = Phone::calling("conf1").with("Record: on");
    phone.connect(&mut world);
    let view = world.participant();
    assert_eq!((view.recording.may_record, view.recording.asked), (true, Some(RecordWish::On)));
    world.facts();
    let participant = view.participant;
    for (header, wish) in [
        ("Record: pause", RecordWish::Pause),
        ("Record: on", RecordWish::On),
        ("Record: OFF", RecordWish::Off),
    ] {
        phone = phone.with(header);
        let info = phone.request("INFO", "");
        assert_eq!(world.ask(info).status(), 200);
        assert_eq!(world.facts(), [Fact::RecordingAsked { participant, wish }]);
    }
    let mut phone = phone.with("Record: maybe");
    let info = phone.request("INFO", "");
    assert_eq!(world.ask(info).status(), 400);
}

#[test]
fn an_endpoint_that_may_not_record_is_not_heard_or_refused() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Record: on");
    phone.connect(&mut world);
    assert_eq!(world.participant().recording.asked, None);
    let info = phone.request("INFO", "");
    assert_eq!(world.ask(info).status(), 403);
    assert!(!world.facts().iter().any(|fact| matches!(fact, Fact::RecordingAsked { .. })));
}
