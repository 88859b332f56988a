//! Session timers (RFC 4028): who refreshes, how, and what happens when nobody does.

use std::time::Duration;

use media_units::Instant;
use signaling::{Ending, RecordState};

use crate::harness::{OFFER, Phone, Sent, World, response_to};

fn call(headers: &str) -> (World, Phone, Sent) {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with(headers);
    let answer = phone.connect(&mut world);
    phone.extra.clear();
    (world, phone, answer)
}

fn pass_s(world: &mut World, seconds: u64) {
    world.pass(Duration::from_secs(seconds));
}

#[test]
fn what_a_caller_asks_for_is_granted_and_its_choice_of_refresher_stands() {
    let table = [
        ("Supported: timer\r\nSession-Expires: 300;refresher=uac", "300;refresher=uac", true),
        ("Supported: timer\r\nSession-Expires: 300;refresher=uas", "300;refresher=uas", true),
        ("Supported: timer\r\nSession-Expires: 300", "300;refresher=uac", true),
        ("Session-Expires: 300", "300;refresher=uas", false),
        ("Supported: timer\r\nSession-Expires: 9000", "1800;refresher=uac", true),
        ("Supported: timer\r\nSession-Expires: 9000\r\nMin-SE: 3600", "3600;refresher=uac", true),
        ("Supported: timer", "1800;refresher=uac", true),
        ("Subject: none", "1800;refresher=uas", false),
    ];
    for (asked, granted, required) in table {
        let (_, _, answer) = call(asked);
        assert_eq!(answer.header("Session-Expires"), granted, "{asked}");
        assert_eq!(answer.headers("Require").contains(&"timer"), required, "{asked}");
    }
}

#[test]
fn a_server_that_wants_no_timers_has_them_only_with_callers_that_ask() {
    for (asked, is_granted) in
        [("Subject: none", false), ("Supported: timer", false), ("Session-Expires: 300", true)]
    {
        let mut world = World::with(|config| config.session_expires = Duration::ZERO);
        let answer = Phone::calling("conf1").with(asked).connect(&mut world);
        assert_eq!(answer.has("Session-Expires"), is_granted, "{asked}");
    }
}

/// A caller without session timers holds: no media is expected of it any more.
fn held_call(allow: &str) -> World {
    let (mut world, mut phone, _) = call(allow);
    let hold = phone.invite(&format!("{OFFER}a=inactive\r\n"));
    let answer = world.ask(hold);
    assert!(answer.body().contains("a=inactive"), "{}", answer.body());
    let ack = phone.ack("");
    world.send(ack);
    world.silent();
    world
}

#[test]
fn a_caller_without_timers_that_holds_and_vanishes_leaves_nothing_behind() {
    for (allow, method) in [("Allow: INVITE, UPDATE", "UPDATE"), ("Allow: INVITE", "INVITE")] {
        let mut world = held_call(allow);
        pass_s(&mut world, 899);
        world.silent();
        pass_s(&mut world, 1);
        assert_eq!(world.only().method(), method);
        pass_s(&mut world, 32);
        assert_eq!(world.take().last().unwrap().method(), "BYE");
        assert_eq!(world.front.counters().ended(Ending::SessionExpired), 1);
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_caller_without_timers_that_holds_and_answers_stays_held() {
    let mut world = held_call("Allow: INVITE");
    let commands = world.outside.commands.len();
    let mut offers = Vec::new();
    for _ in 0..4 {
        pass_s(&mut world, 900);
        let invite = world.only();
        assert_eq!(invite.method(), "INVITE");
        offers.push(invite.body().to_owned());
        let inactive = format!("{OFFER}a=inactive\r\n");
        world.send(response_to(&invite, "200 OK", "", &inactive));
        assert_eq!(world.only().method(), "ACK");
    }
    assert_eq!(world.front.calls(), 1);
    assert_eq!(world.outside.commands.len(), commands, "nothing changed");
    assert!(offers.iter().all(|offer| offer.contains("a=inactive")), "no offer ends the hold");
    offers.dedup();
    assert_eq!(offers.len(), 1, "nor does any say something new");
}

#[test]
fn whatever_a_caller_without_timers_answers_it_is_alive_unless_it_knows_no_such_call() {
    let refusals = [
        ("400 Bad Request", ""),
        ("403 Forbidden", ""),
        ("405 Method Not Allowed", ""),
        ("422 Session Interval Too Small", "Min-SE: 90\r\n"),
        ("488 Not Acceptable Here", ""),
        ("501 Not Implemented", ""),
        ("603 Decline", ""),
    ];
    for (status, headers) in refusals {
        let mut world = held_call("Allow: INVITE");
        for _ in 0..3 {
            pass_s(&mut world, 900);
            let invite = world.only();
            assert_eq!(invite.method(), "INVITE", "{status}");
            world.send(response_to(&invite, status, headers, ""));
            assert_eq!(world.only().method(), "ACK", "{status}");
        }
        assert_eq!(world.front.calls(), 1, "{status}");
    }
    for status in ["408 Request Timeout", "481 Call/Transaction Does Not Exist"] {
        let mut world = held_call("Allow: INVITE");
        pass_s(&mut world, 900);
        let invite = world.only();
        world.send(response_to(&invite, status, "", ""));
        assert_eq!(world.take().last().unwrap().method(), "BYE", "{status}");
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_session_interval_too_small_is_answered_422_with_min_se() {
    let mut world = World::with(|config| config.min_se = Duration::from_secs(120));
    let mut phone = Phone::calling("conf1").with("Supported: timer\r\nSession-Expires: 100");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(invite);
    assert_eq!((refusal.status(), refusal.header("Min-SE")), (422, "120"));
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    world.leaves_nothing_behind();
}

#[test]
fn a_caller_that_promised_to_refresh_and_does_not_gets_bye() {
    let (mut world, _, _) = call("Supported: timer\r\nSession-Expires: 300;refresher=uac");
    pass_s(&mut world, 267);
    world.silent();
    pass_s(&mut world, 1);
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    assert!(bye.header("Reason").contains("Session expired"));
    assert_eq!(world.front.counters().ended(Ending::SessionExpired), 1);
    world.leaves_nothing_behind();
}

#[test]
fn a_refresh_by_the_caller_begins_the_interval_anew() {
    let timer = "Supported: timer\r\nSession-Expires: 300;refresher=uac";
    let (mut world, mut phone, _) = call(timer);
    for method in ["UPDATE", "INVITE"] {
        pass_s(&mut world, 200);
        phone.extra = format!("{timer}\r\n");
        let body = if method == "INVITE" { OFFER } else { "" };
        let refresh = phone.request(method, body);
        let answer = world.ask(refresh);
        assert_eq!(answer.header("Session-Expires"), "300;refresher=uac");
        if method == "INVITE" {
            let ack = phone.ack("");
            world.send(ack);
        }
    }
    pass_s(&mut world, 267);
    assert_eq!(world.front.calls(), 1);
    pass_s(&mut world, 1);
    assert_eq!(world.only().method(), "BYE");
}

#[test]
fn we_refresh_by_update_where_the_caller_allows_it() {
    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: INVITE, UPDATE\r\nSession-Expires: 300;refresher=uas");
    for round in 1..4 {
        pass_s(&mut world, 150);
        let update = world.only();
        assert_eq!(update.method(), "UPDATE", "round {round}");
        assert_eq!(update.header("Session-Expires"), "300;refresher=uac");
        assert_eq!(update.body(), "");
        let ok = response_to(
            &update,
            "200 OK",
            "Session-Expires: 300;refresher=uac\r\nContact: <sip:alice@192.0.2.10>\r\n",
            "",
        );
        world.send(ok);
    }
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn we_refresh_by_invite_where_update_is_not_allowed_and_acknowledge_its_200() {
    let (mut world, _, answer) =
        call("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let invite = world.only();
    assert_eq!(invite.method(), "INVITE");
    assert_eq!(invite.body(), answer.body(), "what we said last, with its version");
    assert_eq!(invite.our_tag(), answer.our_tag());
    let commands = world.outside.commands.len();
    let ok = response_to(&invite, "200 OK", "Session-Expires: 300;refresher=uac\r\n", OFFER);
    world.send(&ok);
    let ack = world.only();
    assert_eq!(ack.method(), "ACK");
    assert_eq!(ack.header("CSeq").replace("ACK", "INVITE"), invite.header("CSeq"));
    assert_ne!(ack.header("Via"), invite.header("Via"));
    world.send(&ok);
    assert_eq!(world.only().method(), "ACK", "each copy of the 200 is acknowledged");
    assert_eq!(world.outside.commands.len(), commands, "nothing changed");
    pass_s(&mut world, 150);
    assert_eq!(world.only().method(), "INVITE", "and again");
}

/// RFC 4028 section 7.4: who refreshes is not changed by an INVITE that is about something else.
#[test]
fn an_invite_of_ours_leaves_the_refresher_what_it_is() {
    for (asked, ours, granted, we_refresh) in [
        ("300;refresher=uac", "300;refresher=uas", "Session-Expires: 300;refresher=uas\r\n", false),
        ("300;refresher=uac", "300;refresher=uas", "Session-Expires: 300\r\n", false),
        ("300;refresher=uac", "300;refresher=uas", "", false),
        ("300;refresher=uas", "300;refresher=uac", "Session-Expires: 300;refresher=uac\r\n", true),
        ("300;refresher=uas", "300;refresher=uac", "Session-Expires: 300\r\n", true),
    ] {
        let timer = "Supported: timer, record-aware\r\nAllow: UPDATE\r\nSession-Expires: ";
        let (mut world, _, _) = call(&format!("{timer}{asked}"));
        let id = world.participant().participant;
        world.front.set_recorded(world.now, id, RecordState::On, &mut world.outside);
        let invite = world.only();
        assert_eq!(invite.header("Session-Expires"), ours, "{asked}");
        world.send(response_to(&invite, "200 OK", granted, OFFER));
        assert_eq!(world.only().method(), "ACK");
        pass_s(&mut world, 150);
        let refreshes = world.take().iter().any(|sent| sent.method() == "UPDATE");
        assert_eq!(refreshes, we_refresh, "{asked} {granted}");
    }
}

#[test]
fn an_invite_of_the_callers_that_crosses_ours_is_answered_491_and_ours_is_tried_again() {
    let (mut world, mut phone, _) =
        call("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let ours = world.only();
    let theirs = phone.invite(OFFER);
    let refusal = world.ask(theirs);
    assert_eq!(refusal.status(), 491);
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    world.send(response_to(&ours, "491 Request Pending", "", ""));
    assert_eq!(world.only().method(), "ACK");
    pass_s(&mut world, 2);
    assert_eq!(world.take()[0].method(), "INVITE");
}

#[test]
fn a_caller_that_does_not_know_update_after_all_is_refreshed_by_invite() {
    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let update = world.only();
    world.send(response_to(&update, "405 Method Not Allowed", "", ""));
    assert_eq!(world.only().method(), "INVITE");
}

#[test]
fn a_422_makes_us_ask_for_the_longer_interval() {
    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let update = world.only();
    world.send(response_to(&update, "422 Session Interval Too Small", "Min-SE: 900\r\n", ""));
    assert_eq!(world.only().header("Session-Expires"), "900;refresher=uac");
}

#[test]
fn a_caller_that_no_longer_knows_the_call_or_does_not_answer_is_hung_up_on() {
    let timer = "Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas";
    let (mut world, _, _) = call(timer);
    pass_s(&mut world, 150);
    let update = world.only();
    world.send(response_to(&update, "481 Call/Transaction Does Not Exist", "", ""));
    assert_eq!(world.only().method(), "BYE");
    world.leaves_nothing_behind();

    let (mut world, _, _) = call(timer);
    pass_s(&mut world, 150 + 32);
    assert_eq!(world.take().last().unwrap().method(), "BYE");
    world.leaves_nothing_behind();
}

#[test]
fn a_refused_refresh_lets_the_session_run_out() {
    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let invite = world.only();
    world.send(response_to(&invite, "603 Decline", "", ""));
    assert_eq!(world.only().method(), "ACK");
    pass_s(&mut world, 117);
    world.silent();
    pass_s(&mut world, 1);
    assert_eq!(world.only().method(), "BYE");
    world.leaves_nothing_behind();
}

#[test]
fn a_refresh_that_is_refused_for_now_is_tried_again() {
    let timer = "Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas";
    for (status, headers, wait) in [
        ("500 Server Internal Error", "Retry-After: 7 (in a moment);duration=5\r\n", 7),
        ("500 Server Internal Error", "Retry-After: 0\r\n", 2),
        ("503 Service Unavailable", "", 59),
        ("486 Busy Here", "Retry-After: 3600\r\n", 59),
        ("603 Decline", "Retry-After: 10\r\n", 10),
    ] {
        let (mut world, mut phone, _) = call(timer);
        pass_s(&mut world, 150);
        let update = world.only();
        world.send(response_to(&update, status, headers, ""));
        pass_s(&mut world, wait - 1);
        world.silent();
        pass_s(&mut world, 1);
        let again = world.only();
        assert_eq!(again.method(), "UPDATE", "{status} {headers}");
        world.send(response_to(&again, "200 OK", "Session-Expires: 300;refresher=uac\r\n", ""));
        pass_s(&mut world, 149);
        assert_eq!(world.front.calls(), 1);
        phone.hang_up(&mut world);
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_refresh_that_is_always_refused_for_now_is_tried_a_few_times_until_the_session_is_over() {
    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let mut tries = 0;
    let bye = loop {
        let sent = world.take();
        match sent.last() {
            Some(bye) if bye.method() == "BYE" => break bye.clone(),
            Some(update) => {
                tries += 1;
                world.send(response_to(update, "503 Service Unavailable", "", ""));
            }
            None => pass_s(&mut world, 1),
        }
    };
    assert_eq!(bye.at, Instant::START + Duration::from_secs(268));
    assert!((5..12).contains(&tries), "{tries} tries");
    world.leaves_nothing_behind();
}

#[test]
fn our_invite_that_is_refused_after_the_end_of_its_call_is_acknowledged() {
    let (mut world, mut phone, _) =
        call("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let invite = world.only();
    phone.hang_up(&mut world);
    assert!(world.front.is_drained(), "nobody waits for its answer");
    for _ in 0..2 {
        world.send(response_to(&invite, "487 Request Terminated", "", ""));
        let ack = world.only();
        assert_eq!(ack.method(), "ACK");
        assert_eq!(ack.header("Via"), invite.header("Via"));
    }
    world.leaves_nothing_behind();
}

#[test]
fn a_call_that_ends_during_our_refresh_leaves_nothing_behind() {
    let (mut world, mut phone, _) =
        call("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let invite = world.only();
    world.send(response_to(&invite, "100 Trying", "", ""));
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn absurd_intervals_make_us_neither_hurry_nor_stumble() {
    let huge = u64::MAX;
    let asked = format!(
        "Supported: timer\r\nAllow: UPDATE\r\nMin-SE: {huge}\r\n\
         Session-Expires: {huge};refresher=uas"
    );
    let (mut world, mut phone, answer) = call(&asked);
    assert_eq!(answer.header("Session-Expires"), format!("{};refresher=uas", u32::MAX));
    pass_s(&mut world, 100_000);
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();

    let (mut world, _, _) =
        call("Supported: timer\r\nAllow: UPDATE\r\nSession-Expires: 300;refresher=uas");
    pass_s(&mut world, 150);
    let update = world.only();
    world.send(response_to(&update, "200 OK", "Session-Expires: 0;refresher=uac\r\n", ""));
    pass_s(&mut world, 44);
    world.silent();
    pass_s(&mut world, 1);
    assert_eq!(world.only().method(), "UPDATE", "every 45 s at most (section 11.2)");
}
