//! Bad input and faults: what is full, what fails, who vanishes, who floods.

use std::time::Duration;

use engine_control::{Command, Event, Refusal, TapPoint};
use signaling::{Dropped, Ending, Fact, Reason};

use crate::harness::{OFFER, Phone, World, response_to, udp};

#[test]
fn a_full_server_answers_503_with_retry_after() {
    let mut world = World::with(|config| {
        config.calls_max = 1;
        config.retry_after = Duration::from_secs(7);
    });
    Phone::calling("conf1").connect(&mut world);
    let invite = Phone::calling("conf1").named("second").invite(OFFER);
    let refusal = world.ask(invite);
    assert_eq!((refusal.status(), refusal.header("Retry-After")), (503, "7"));
    assert_eq!(refusal.header("Warning"), "399 203.0.113.1:5060 \"Every call is in use\"");
}

#[test]
fn a_full_room_answers_486() {
    let mut world = World::with(|config| config.room_members_max = 1);
    Phone::calling("conf1").connect(&mut world);
    let invite = Phone::calling("conf1").named("second").invite(OFFER);
    assert_eq!(world.ask(invite).status(), 486);
    let invite = Phone::calling("conf2").named("third").invite(OFFER);
    assert_eq!(world.ask(invite).status(), 200, "another room has a seat");
}

#[test]
fn rooms_and_media_sessions_that_are_used_up_answer_503() {
    let mut world = World::with(|config| config.rooms_max = 1);
    Phone::calling("conf1").connect(&mut world);
    let invite = Phone::calling("conf2").invite(OFFER);
    assert_eq!(world.ask(invite).status(), 503);
    let mut calls = 1;
    loop {
        let invite = Phone::calling("echo").named(&format!("call{calls}")).invite(OFFER);
        let answer = world.ask(invite);
        if answer.status() == 503 {
            assert!(answer.header("Warning").contains("media session"));
            break;
        }
        calls += 1;
    }
    assert_eq!(calls, 64, "every slot was given");
    let invite = Phone::calling("conf3").named("late").invite(OFFER);
    assert_eq!(world.ask(invite).status(), 503);
    world.front.drain(world.now, &mut world.outside);
    world.leaves_nothing_behind();
}

#[test]
fn an_engine_too_busy_for_a_new_call_answers_503_and_nothing_is_kept() {
    let mut world = World::new();
    world.outside.is_busy = true;
    for user in ["conf1", "echo"] {
        let mut phone = Phone::calling(user);
        let invite = phone.invite(OFFER);
        let refusal = world.ask(invite);
        assert_eq!(refusal.status(), 503);
        assert!(refusal.has("Retry-After"));
        assert!(refusal.header("Warning").contains("The media engine is busy"));
        let ack = phone.ack_refusal(&refusal);
        world.send(ack);
    }
    world.outside.is_busy = false;
    world.leaves_nothing_behind();
}

#[test]
fn a_call_without_a_media_socket_is_told_so() {
    let mut world = World::new();
    world.outside.refuses_media = Some(Refusal::NoPort);
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(invite);
    assert_eq!(refusal.status(), 503);
    let warning = "399 203.0.113.1:5060 \"No media socket could be opened\"";
    assert_eq!(refusal.header("Warning"), warning);
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    world.leaves_nothing_behind();
}

#[test]
fn closing_commands_wait_for_a_busy_engine() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    world.outside.is_busy = true;
    phone.hang_up(&mut world);
    world.pass_ms(100);
    assert!(!world.front.is_drained());
    assert_eq!(world.outside.open_sessions.len(), 1);
    world.outside.is_busy = false;
    world.pass_ms(20);
    assert!(world.front.is_drained());
    let last_two = &world.outside.commands[world.outside.commands.len() - 2..];
    assert!(matches!(last_two, [Command::CloseSession { .. }, Command::CloseRoom { .. }]));
    world.leaves_nothing_behind();
}

#[test]
fn a_session_that_the_engine_refuses_late_ends_its_call() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    let position = world.outside.commands.iter();
    let position = position.clone().position(|c| matches!(c, Command::OpenSession { .. })).unwrap();
    let command = world.outside.commands.remove(position);
    let session = world.participant().session;
    world.outside.open_sessions.remove(&session);
    world.event(Event::Refused { command, refusal: Refusal::NoPort });
    let bye = world.only();
    assert!(bye.header("Reason").contains("Media engine failed"));
    world.leaves_nothing_behind();
}

#[test]
fn a_room_that_the_engine_refuses_late_ends_the_calls_in_it() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    Phone::calling("conf1").named("second").connect(&mut world);
    assert!(matches!(world.outside.commands[0], Command::OpenRoom { .. }));
    let command = world.outside.commands.remove(0);
    let room = world.front.rooms().next().unwrap().key;
    world.outside.open_rooms.remove(&room);
    world.event(Event::Refused { command, refusal: Refusal::Full });
    assert_eq!(world.take().iter().filter(|sent| sent.method() == "BYE").count(), 2);
    let last = world.facts().pop();
    assert_eq!(last, Some(Fact::RoomClosed { name: "1".to_owned() }), "its recording ends");
    world.leaves_nothing_behind();
}

#[test]
fn a_recording_that_cannot_start_is_answered_503() {
    let mut world = World::new();
    world.outside.cannot_record = true;
    let mut phone = Phone::calling("record");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(invite);
    assert_eq!(refusal.status(), 503);
    assert!(refusal.header("Warning").contains("Recording"));
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    assert_eq!(world.front.counters().ended(Ending::RecordingFailed), 1);
    world.leaves_nothing_behind();
}

#[test]
fn a_tap_that_the_engine_refuses_late_ends_a_call_to_the_recorder() {
    let mut world = World::new();
    Phone::calling("record").connect(&mut world);
    let point = TapPoint::Received(world.participant().session);
    let command = Command::StartTap { point, tap: engine_control::TapId(1), class: None };
    world.event(Event::Refused { command, refusal: Refusal::Full });
    assert!(world.only().header("Reason").contains("Recording"));
    world.leaves_nothing_behind();
}

#[test]
fn a_tap_that_the_engine_refuses_late_does_not_end_a_call_that_is_recorded_beside() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let point = TapPoint::Received(world.participant().session);
    let command = Command::StartTap { point, tap: engine_control::TapId(1), class: None };
    world.event(Event::Refused { command, refusal: Refusal::Full });
    world.silent();
    assert_eq!(world.front.calls(), 1);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_caller_whose_media_stops_gets_bye_and_leaves_nothing_behind() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    let session = world.participant().session;
    world.event(Event::MediaTimedOut { session });
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    assert!(bye.header("Reason").contains("No media received"));
    assert_eq!(world.front.counters().ended(Ending::MediaTimedOut), 1);
    world.leaves_nothing_behind();
}

#[test]
fn a_caller_who_vanishes_at_any_point_leaves_nothing_behind() {
    let ring = |config: &mut signaling::FrontEndConfig| config.ring_time = Duration::from_secs(1);
    let mut world = World::with(ring);
    world.send(Phone::calling("conf1").named("ringing").invite(OFFER));
    world.send(Phone::calling("conf1").named("reliable").with("Require: 100rel").invite(OFFER));
    world.send(Phone::calling("conf2").named("offerless").invite(""));
    world.send(Phone::calling("nobody").named("refused").invite(OFFER));
    world.pass(Duration::from_secs(100));
    assert_eq!(world.front.counters().ended(Ending::NoAck), 2);
    assert_eq!(world.front.counters().ended(Ending::Refused), 1);
    world.leaves_nothing_behind();
}

#[test]
fn a_flood_of_calls_without_ack_is_bounded_and_forgotten() {
    let mut world = World::with(|config| config.transactions_max = 20);
    let mut statuses = std::collections::BTreeMap::new();
    for call in 0..100 {
        world.send(Phone::calling("echo").named(&format!("flood{call}")).invite(OFFER));
        for sent in world.take() {
            *statuses.entry(sent.status()).or_insert(0) += 1;
        }
    }
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(200, 20), (503, 80)]);
    assert_eq!(world.front.transactions(), 20);
    world.leaves_nothing_behind();
}

#[test]
fn a_flood_of_long_requests_is_bounded_by_their_octets() {
    let mut world = World::with(|config| config.transaction_bytes_max = 50_000);
    let long = format!("Subject: {}", "x".repeat(5000));
    for call in 0..100 {
        let mut phone = Phone::calling("nobody").named(&format!("flood{call}")).with(&long);
        let status = world.ask(phone.invite(OFFER)).status();
        assert_eq!(status, if call < 10 { 404 } else { 503 }, "call {call}");
    }
    assert_eq!(world.front.transactions(), 10);
    world.leaves_nothing_behind();
    // The refusals, again and again for want of an ACK.
    world.take();
    assert_eq!(world.ask(Phone::calling("nobody").invite(OFFER)).status(), 404);
}

#[test]
fn calls_that_exist_can_end_while_every_transaction_is_in_use() {
    let mut world = World::with(|config| config.transactions_max = 3);
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    for call in 0..5 {
        world.send(Phone::calling("nobody").named(&format!("flood{call}")).invite(OFFER));
    }
    world.take();
    phone.hang_up(&mut world);
    assert_eq!(world.front.calls(), 0);
}

#[test]
fn a_storm_of_byes_costs_no_memory() {
    let mut world = World::new();
    for call in 0..1000 {
        let mut phone = Phone::calling("conf1").named(&format!("storm{call}"));
        phone.to_tag = Some("gone".to_owned());
        let bye = phone.request("BYE", "");
        let refusal = world.ask(&bye);
        assert_eq!(refusal.status(), 481);
        assert_eq!(world.ask(&bye).text, refusal.text, "each copy is answered alike");
    }
    assert_eq!(world.front.transactions(), 0);
    assert_eq!(world.front.next_expiry(), None);
    assert_eq!(world.front.counters().refused(Reason::NoDialog), 2000);
}

#[test]
fn an_overlong_message_is_refused_without_harm() {
    let mut world = World::with(|config| config.message_bytes_max = 4096);
    let mut phone = Phone::calling("conf1").with(&format!("Subject: {}", "x".repeat(5000)));
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 513);
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with(&format!("Subject: {}", "x".repeat(9000)));
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 400, "one header longer than 8 KiB");
    assert_eq!(world.front.calls(), 0);
}

#[test]
fn noise_is_dropped_and_counted() {
    let mut world = World::new();
    for noise in [&b""[..], b"hello", b"\xff\xfe\x00\x01", b"INVITE"] {
        world.send(noise);
    }
    world.silent();
    assert_eq!(world.front.counters().dropped(Dropped::Unreadable), 4);
}

#[test]
fn a_graceful_stop_says_bye_to_all_and_takes_no_new_calls() {
    let mut world = World::with(|config| config.ring_time = Duration::from_millis(500));
    let mut answered = Phone::calling("conf1");
    let invite = answered.invite(OFFER);
    let ringing = world.ask(invite);
    answered.learn(&ringing);
    world.pass_ms(500);
    assert_eq!(world.only().status(), 200);
    let ack = answered.ack("");
    world.send(ack);
    let mut unacknowledged = Phone::calling("conf1").named("second");
    let invite = unacknowledged.invite(OFFER);
    let ringing = world.ask(invite);
    unacknowledged.learn(&ringing);
    world.pass_ms(500);
    world.take();
    world.send(Phone::calling("conf2").named("third").invite(OFFER));
    world.take();

    world.front.drain(world.now, &mut world.outside);
    let sent = world.take();
    let what: Vec<(u16, &str)> = sent.iter().map(|s| (s.status(), s.method())).collect();
    assert_eq!(what, [(0, "BYE"), (503, "")]);
    assert!(sent[0].header("Reason").contains("Server stopping"));
    world.send(response_to(&sent[0], "200 OK", "", ""));
    assert!(!world.front.is_drained(), "one call waits for its ACK");
    let ack = unacknowledged.ack("");
    let bye = world.ask(ack);
    world.send(response_to(&bye, "200 OK", "", ""));
    assert!(world.front.is_drained());
    let late = world_ask_from_elsewhere(&mut world);
    assert_eq!(late, 503);
    let ping = Phone::calling("conf1").request("OPTIONS", "");
    assert_eq!(world.ask(ping).status(), 503);
}

fn world_ask_from_elsewhere(world: &mut World) -> u16 {
    let mut phone = Phone::calling("conf9").named("late");
    "SIP/2.0/UDP 198.51.100.9:5060".clone_into(&mut phone.via);
    let invite = phone.invite(OFFER);
    world.send_from(udp("198.51.100.9:5060"), invite);
    world.only().status()
}

#[test]
fn the_same_seed_gives_the_same_messages() {
    let run = || {
        let mut world = World::new();
        let mut phone = Phone::calling("conf1").with("Require: 100rel");
        let invite = phone.invite(OFFER);
        let first = world.ask(invite).text;
        world.pass_ms(40_000);
        let rest: Vec<String> = world.take().into_iter().map(|sent| sent.text).collect();
        (first, rest)
    };
    assert_eq!(run(), run());
}
