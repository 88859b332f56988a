//! Endpoints that want to know whether they are recorded (RFC 7866 section 6).

use std::time::Duration;

use signaling::{EndpointRule, Fact, ParticipantId, RecordState, RecordWish, Subject};

use crate::harness::{OFFER, Phone, Sent, World, response_to};

fn aware(user: &str) -> Phone {
    Phone::calling(user).with("Supported: record-aware")
}

fn aware_with_timer() -> Phone {
    Phone::calling("conf1").with(
        "Supported: timer, record-aware\r\nAllow: INVITE, UPDATE\r\n\
         Session-Expires: 300;refresher=uas",
    )
}

/// What a description says of recording.
fn said(message: &Sent) -> Option<&str> {
    message.body().lines().find_map(|line| line.strip_prefix("a=record:"))
}

/// Version of a description.
fn version(message: &Sent) -> u64 {
    message.body().lines().nth(1).unwrap().split(' ').nth(2).unwrap().parse().unwrap()
}

fn set(world: &mut World, id: ParticipantId, state: RecordState) {
    world.front.set_recorded(world.now, id, state, &mut world.outside);
}

/// Answers an INVITE of ours: what was sent then.
fn accept(world: &mut World, invite: &Sent, direction: &str) -> Vec<Sent> {
    let answer = format!("{OFFER}a={direction}\r\n");
    let contact = "Contact: <sip:alice@192.0.2.10:5060>\r\n";
    world.send(response_to(invite, "200 OK", contact, &answer));
    world.take()
}

#[test]
fn who_wants_to_know_is_told_in_the_answer_and_of_every_change() {
    let mut world = World::new();
    let mut phone = aware("conf1");
    let answer = phone.connect(&mut world);
    assert_eq!(said(&answer), Some("off"));
    let id = world.participant().participant;
    assert_eq!(world.front.record_aware().collect::<Vec<_>>(), [id]);
    let mut last = answer;
    for (state, expected) in
        [(RecordState::On, "on"), (RecordState::Paused, "paused"), (RecordState::Off, "off")]
    {
        set(&mut world, id, state);
        let invite = world.only();
        assert_eq!((invite.method(), said(&invite)), ("INVITE", Some(expected)));
        assert_eq!(version(&invite), version(&last) + 1);
        let changed = |message: &Sent| -> Vec<String> {
            let lines = message.body().lines().skip(2).map(str::to_owned);
            lines.filter(|line| !line.starts_with("a=record:")).collect()
        };
        assert_eq!(changed(&invite), changed(&last), "nothing else is new");
        let sent = accept(&mut world, &invite, "sendrecv");
        assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK"]);
        set(&mut world, id, state);
        world.silent();
        last = invite;
    }
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_change_while_another_is_told_is_told_afterwards_and_a_refusal_is_no_end() {
    let mut world = World::new();
    let mut phone = aware("conf1");
    phone.connect(&mut world);
    let id = world.participant().participant;
    set(&mut world, id, RecordState::On);
    let invite = world.only();
    set(&mut world, id, RecordState::Paused);
    set(&mut world, id, RecordState::Off);
    world.silent();
    let sent = accept(&mut world, &invite, "sendrecv");
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!(said(&sent[1]), Some("off"));
    world.send(response_to(&sent[1], "488 Not Acceptable Here", "", ""));
    assert_eq!(world.only().method(), "ACK");
    assert_eq!(world.front.calls(), 1);
    set(&mut world, id, RecordState::On);
    world.silent();
    // Its own offer is answered with how it is now.
    let offer = phone.invite(OFFER);
    let answer = world.ask(offer);
    assert_eq!(said(&answer), Some("on"));
    let ack = phone.ack("");
    world.send(ack);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// RFC 3261 section 14.1: a refused offer changes nothing, so that nothing was told by it.
#[test]
fn who_refuses_to_be_told_is_told_again() {
    let mut world = World::new();
    let mut phone = aware("conf1");
    let answer = phone.connect(&mut world);
    let id = world.participant().participant;
    set(&mut world, id, RecordState::On);
    let mut invite = world.only();
    for (status, headers, seconds) in [
        ("500 Server Internal Error", "Retry-After: 5\r\n", 5),
        ("491 Request Pending", "", 4),
        ("488 Not Acceptable Here", "", 884),
    ] {
        world.send(response_to(&invite, status, headers, ""));
        assert_eq!(world.only().method(), "ACK");
        world.pass(std::time::Duration::from_secs(seconds));
        invite = world.take().remove(0);
        assert_eq!((invite.method(), said(&invite)), ("INVITE", Some("on")), "after {status}");
        assert_eq!(version(&invite), version(&answer) + 1, "after {status}");
    }
    // What is not so any more need not be told.
    world.send(response_to(&invite, "500 Server Internal Error", "Retry-After: 5\r\n", ""));
    world.take();
    set(&mut world, id, RecordState::Off);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// A phone that keeps several sounds, and is asked to keep to one just when its recording begins.
#[test]
fn who_refuses_to_keep_to_one_sound_is_told_at_once() {
    let mut world = World::new();
    let mut phone = aware("conf1");
    let (narrowed, id) = answered_with_both(&mut world, &mut phone);
    assert_eq!(said(&narrowed), Some("off"));
    set(&mut world, id, RecordState::On);
    world.silent();
    world.send(response_to(&narrowed, "488 Not Acceptable Here", "", ""));
    let sent = world.take();
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!(said(&sent[1]), Some("on"));
    // That one is refused, too: it is not asked again at once.
    world.send(response_to(&sent[1], "488 Not Acceptable Here", "", ""));
    assert_eq!(world.only().method(), "ACK");
    world.pass_ms(60_000);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// Calls without an offer and answers ours with both of its sounds: the offer of one of them.
fn answered_with_both(world: &mut World, phone: &mut Phone) -> (Sent, ParticipantId) {
    phone.answer_late(world, OFFER);
    let narrowed = world.only();
    assert!(narrowed.body().contains("RTP/AVP 0 101"), "{}", narrowed.body());
    (narrowed, world.participant().participant)
}

#[test]
fn who_can_never_be_told_now_is_asked_ever_more_rarely() {
    for (status, headers) in
        [("491 Request Pending", ""), ("503 Service Unavailable", "Retry-After: 0\r\n")]
    {
        let mut world = World::new();
        let mut phone = aware("conf1");
        phone.connect(&mut world);
        let id = world.participant().participant;
        set(&mut world, id, RecordState::On);
        let mut asked = 0;
        for _ in 0..600 {
            let invites = world.take().into_iter().filter(|sent| sent.method() == "INVITE");
            for invite in invites.collect::<Vec<_>>() {
                asked += 1;
                world.send(response_to(&invite, status, headers, ""));
            }
            world.pass_ms(100);
        }
        assert!((3..=10).contains(&asked), "{asked} times in a minute: {status}");
        // Once it can be told, it is, and begins anew to be asked soon.
        let invite = loop {
            world.pass_ms(1000);
            if let Some(invite) = world.take().pop() {
                break invite;
            }
        };
        accept(&mut world, &invite, "sendrecv");
        set(&mut world, id, RecordState::Paused);
        let invite = world.only();
        world.send(response_to(&invite, status, headers, ""));
        assert_eq!(world.only().method(), "ACK");
        world.pass_ms(2000);
        assert_eq!(said(&world.take()[0]), Some("paused"));
        phone.hang_up(&mut world);
        world.leaves_nothing_behind();
    }
}

/// What a phone will not be told is no reason to let its session run out.
#[test]
fn who_refuses_to_be_told_has_its_session_refreshed() {
    let mut world = World::new();
    let mut phone = aware_with_timer();
    phone.connect(&mut world);
    let id = world.participant().participant;
    set(&mut world, id, RecordState::On);
    let mut refreshed = 0;
    for _ in 0..900 {
        for request in world.take() {
            match request.method() {
                "INVITE" => world.send(response_to(&request, "488 Not Acceptable Here", "", "")),
                "UPDATE" => {
                    refreshed += 1;
                    let expires = "Session-Expires: 300;refresher=uac\r\n";
                    world.send(response_to(&request, "200 OK", expires, ""));
                }
                method => assert_eq!(method, "ACK"),
            }
        }
        world.pass_ms(1000);
    }
    assert!((5..=6).contains(&refreshed), "{refreshed} times in 900 s");
    phone.extra.clear();
    world.take();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// What it refuses to be told does not count against the refreshes of its session.
#[test]
fn after_a_glare_a_refresh_is_tried_again_soon_whatever_was_refused_before() {
    let mut world = World::new();
    let mut phone = aware_with_timer();
    phone.connect(&mut world);
    let id = world.participant().participant;
    for number in 0..8 {
        set(&mut world, id, [RecordState::On, RecordState::Paused][number % 2]);
        for invite in world.take().into_iter().filter(|sent| sent.method() == "INVITE") {
            world.send(response_to(&invite, "503 Service Unavailable", "Retry-After: 200\r\n", ""));
        }
        world.take();
    }
    world.pass(Duration::from_secs(150));
    let update = world.take().into_iter().find(|sent| sent.method() == "UPDATE").unwrap();
    world.send(response_to(&update, "491 Request Pending", "", ""));
    world.pass_ms(2000);
    assert!(world.take().iter().any(|sent| sent.method() == "UPDATE"));
}

/// The keeper tells all whenever something changes for one.
#[test]
fn who_refused_to_be_told_is_not_asked_again_because_others_are_recorded() {
    let mut world = World::new();
    let mut phone = aware("conf1");
    phone.connect(&mut world);
    let id = world.participant().participant;
    set(&mut world, id, RecordState::On);
    let invite = world.only();
    world.send(response_to(&invite, "503 Service Unavailable", "Retry-After: 600\r\n", ""));
    assert_eq!(world.only().method(), "ACK");
    for _ in 0..5 {
        set(&mut world, id, RecordState::On);
        world.silent();
    }
    set(&mut world, id, RecordState::Paused);
    assert_eq!(said(&world.only()), Some("paused"), "its own state is another");
}

#[test]
fn a_call_to_the_recorder_is_told_in_its_answer_that_it_is_recorded() {
    let mut world = World::new();
    let mut phone = aware("record");
    let answer = phone.connect(&mut world);
    assert_eq!(said(&answer), Some("on"));
    let id = world.participant().participant;
    set(&mut world, id, RecordState::On);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();

    // Where it answers in its ACK, by the offer that it gets anyway.
    let mut phone = aware("record").named("late");
    let (narrowed, _) = answered_with_both(&mut world, &mut phone);
    assert_eq!(said(&narrowed), Some("on"));
    accept(&mut world, &narrowed, "sendrecv");
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn who_does_not_ask_hears_nothing_of_it() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let answer = phone.connect(&mut world);
    assert_eq!(said(&answer), None);
    let id = world.participant().participant;
    assert_eq!(world.front.record_aware().count(), 0);
    set(&mut world, id, RecordState::On);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_call_that_is_sent_to_a_recorder_elsewhere_is_recorded() {
    let mut world = World::with(|config| {
        config.siprec.send_to = vec!["sip:198.51.100.1".parse().unwrap()];
        config.siprec.rooms = vec!["1".parse().unwrap()];
    });
    let mut phone = aware("conf1");
    let invite = phone.invite(OFFER);
    world.send(invite);
    let sent = world.take();
    let answer = sent.iter().find(|sent| sent.status() == 200).unwrap();
    assert_eq!(said(answer), Some("on"));
    phone.learn(answer);
    let ack = phone.ack("");
    world.send(ack);
    world.silent();
    let id = world.participant().participant;
    assert!(world.facts().contains(&Fact::Sent { participant: id, on: true }));
    let room = Subject::Room("1".to_owned());
    world.front.end_sending(world.now, &room, &mut world.outside).unwrap();
    let told = world.take();
    assert_eq!(said(told.last().unwrap()), Some("off"));
    assert!(world.facts().contains(&Fact::Sent { participant: id, on: false }));
    accept(&mut world, told.last().unwrap(), "sendrecv");
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_preference_is_a_wish_of_those_who_may_have_one() {
    let wish = |may_record: bool| {
        let mut world = World::with(|config| {
            let (network, user, encodings) = (None, None, Vec::new());
            let rule = EndpointRule { network, user, encodings, may_record, is_recorded: false };
            config.endpoints = vec![rule];
        });
        let mut phone = aware("conf1");
        let offer = |preference: &str| format!("{OFFER}a=recordpref:{preference}\r\n");
        let invite = phone.invite(&offer("on"));
        let answer = world.ask(invite);
        phone.learn(&answer);
        let ack = phone.ack("");
        world.send(ack);
        let asked = world.participant().recording.asked;
        world.facts();
        for _ in 0..2 {
            let invite = phone.invite(&offer("off"));
            world.ask(invite);
            let ack = phone.ack("");
            world.send(ack);
        }
        let facts = world.facts();
        let wishes = facts.iter().filter(|fact| matches!(fact, Fact::RecordingAsked { .. }));
        (asked, wishes.count())
    };
    assert_eq!(wish(true), (Some(RecordWish::On), 1));
    assert_eq!(wish(false), (None, 0));
}
