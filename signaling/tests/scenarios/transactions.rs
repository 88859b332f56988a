//! Retransmissions, timers, and requests out of order (RFC 3261 sections 8, 12 and 17, RFC 6026).

use std::time::Duration;

use signaling::{Dropped, Ending};

use crate::harness::{OFFER, Phone, Sent, World, response_to, udp};

fn times_ms(sent: &[Sent]) -> Vec<u64> {
    sent.iter().map(|s| s.at.as_nanos() / 1_000_000).collect()
}

#[test]
fn a_200_is_repeated_until_its_ack_and_64_t1_without_one_ends_the_call_with_bye() {
    let mut world = World::new();
    let invite = Phone::calling("conf1").invite(OFFER);
    let answer = world.ask(invite);
    world.pass_ms(31_999);
    let copies = world.take();
    let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times_ms(&copies), expected);
    assert!(copies.iter().all(|copy| copy.text == answer.text));
    world.pass_ms(1);
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    assert!(bye.header("Reason").contains("ACK missing"));
    let ok = response_to(&bye, "200 OK", "", "");
    world.send(ok);
    assert_eq!(world.front.counters().ended(Ending::NoAck), 1);
    world.leaves_nothing_behind();
}

#[test]
fn an_ack_stops_the_copies_of_the_200() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    world.pass_ms(1600);
    assert_eq!(world.take().len(), 2);
    phone.learn(&answer);
    let ack = phone.ack("");
    world.send(&ack);
    world.send(&ack);
    world.pass_ms(60_000);
    world.silent();
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn an_ack_with_the_branch_of_its_invite_is_understood() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    phone.learn(&answer);
    phone.branches -= 1;
    let ack = phone.ack("");
    world.send(ack);
    world.pass_ms(5000);
    world.silent();
    phone.branches += 1;
    phone.hang_up(&mut world);
}

#[test]
fn a_repeated_invite_makes_no_second_call() {
    let mut world = World::with(|config| config.ring_time = Duration::from_secs(1));
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(&invite);
    assert_eq!(world.ask(&invite).text, ringing.text, "the 180 again");
    world.pass_ms(1000);
    assert_eq!(world.only().status(), 200);
    world.send(&invite);
    world.silent();
    phone.learn(&ringing);
    let ack = phone.ack("");
    world.send(ack);
    world.send(&invite);
    world.silent();
    assert_eq!(world.front.calls(), 1);
    assert_eq!(world.front.counters().retransmissions_received, 3);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_refused_invite_is_repeated_by_timer_g_until_timer_h() {
    let mut world = World::new();
    let invite = Phone::calling("nobody").invite(OFFER);
    assert_eq!(world.ask(invite).status(), 404);
    world.pass_ms(40_000);
    let copies = world.take();
    let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times_ms(&copies), expected);
    assert_eq!(world.front.transactions(), 0);
}

#[test]
fn the_ack_of_a_refusal_stops_timer_g_and_is_absorbed_until_timer_i() {
    let mut world = World::new();
    let mut phone = Phone::calling("nobody");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(&invite);
    let ack = phone.ack_refusal(&refusal);
    world.send(&ack);
    world.send(&ack);
    world.pass_ms(4999);
    assert_eq!(world.front.transactions(), 1);
    world.send(&invite);
    world.pass_ms(1);
    world.silent();
    assert_eq!(world.front.transactions(), 0);
}

#[test]
fn a_repeated_bye_gets_the_same_answer_for_as_long_as_timer_j() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let bye = phone.request("BYE", "");
    let answer = world.ask(&bye);
    world.pass_ms(31_000);
    assert_eq!(world.ask(&bye).text, answer.text);
    world.pass_ms(1001);
    assert_eq!(world.ask(&bye).status(), 481, "forgotten at last");
}

#[test]
fn our_bye_is_repeated_until_it_is_answered_or_given_up() {
    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    let bye = world.only();
    assert!(!world.front.is_drained());
    world.pass_ms(3500);
    assert_eq!(times_ms(&world.take()), [500, 1500, 3500]);
    let ok = response_to(&bye, "200 OK", "", "");
    world.send(ok);
    assert!(world.front.is_drained());
    world.pass_ms(30_000);
    world.silent();

    let mut world = World::new();
    Phone::calling("conf1").connect(&mut world);
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    world.leaves_nothing_behind();
    assert_eq!(world.front.counters().requests_timed_out, 1);
}

#[test]
fn a_merged_request_is_answered_482() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(&invite).status(), 200);
    let other_way = invite.replace("branch=z9hG4bK", "branch=z9hG4bKother");
    let refusal = world.ask(&other_way);
    assert_eq!(refusal.status(), 482);
    assert_eq!(world.front.calls(), 1);
}

/// A proxy that forks serially sends the same request to another number of ours.
#[test]
fn a_request_whose_first_copy_was_refused_is_served() {
    let mut world = World::new();
    let mut phone = Phone::calling("nobody");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(&invite);
    assert_eq!(refusal.status(), 404);
    let ack = phone.ack_refusal(&refusal);
    let again = invite
        .replacen("sip:nobody@", "sip:conf1@", 1)
        .replace("branch=z9hG4bK", "branch=z9hG4bKother");
    assert_eq!(world.ask(&again).status(), 200, "before the ACK of the refusal");
    world.send(ack);
    world.silent();
    let third = again.replace("branch=z9hG4bK", "branch=z9hG4bKthird");
    assert_eq!(world.ask(&third).status(), 482, "the call goes on");
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn the_answer_to_a_cancel_after_the_answer_has_its_tag() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    let cancel = phone.cancel();
    let sent = world.ask(cancel);
    assert_eq!((sent.status(), sent.our_tag()), (200, answer.our_tag()));
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn an_unknown_extension_is_answered_420_and_named() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Require: timer, teleport, 100rel, warp");
    let invite = phone.invite(OFFER);
    let refusal = world.ask(invite);
    assert_eq!(refusal.status(), 420);
    assert_eq!(refusal.header("Unsupported"), "teleport, warp");
}

#[test]
fn require_is_ignored_in_cancel_and_bye_is_refused_with_it_like_all_else() {
    let mut world = World::with(|config| config.ring_time = Duration::from_secs(5));
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    phone.learn(&ringing);
    let mut demanding = phone.clone().with("Require: teleport");
    let bye = demanding.request("BYE", "");
    assert_eq!(world.ask(bye).status(), 420);
    phone.extra = "Require: teleport\r\n".to_owned();
    let cancel = phone.cancel();
    world.send(cancel);
    let statuses: Vec<u16> = world.take().iter().map(Sent::status).collect();
    assert_eq!(statuses, [200, 487]);
}

#[test]
fn an_unknown_method_is_answered_405_with_allow_inside_and_outside_of_calls() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    for method in ["REGISTER", "SUBSCRIBE", "REFER", "MESSAGE", "DANCE"] {
        let request = phone.request(method, "");
        let refusal = world.ask(request);
        assert_eq!(refusal.status(), 405, "{method}");
        assert!(refusal.header("Allow").contains("INVITE"));
    }
    phone.connect(&mut world);
    let request = phone.request("DANCE", "");
    assert_eq!(world.ask(request).status(), 405);
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn an_older_cseq_is_answered_500_and_a_gap_is_accepted() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.sequence = 100;
    phone.connect(&mut world);
    phone.sequence = 50;
    let old = phone.request("OPTIONS", "");
    assert_eq!(world.ask(old).status(), 500);
    phone.sequence = 5000;
    let gap = phone.request("OPTIONS", "");
    assert_eq!(world.ask(gap).status(), 200);
    phone.hang_up(&mut world);
}

#[test]
fn requests_of_unknown_dialogs_are_answered_481() {
    let mut world = World::new();
    for method in ["BYE", "INFO", "UPDATE", "PRACK", "INVITE"] {
        let mut phone = Phone::calling("conf1");
        phone.to_tag = Some("never".to_owned());
        let request = phone.request(method, "");
        assert_eq!(world.ask(request).status(), 481, "{method}");
        phone.to_tag = None;
        if method != "INVITE" {
            let request = phone.request(method, "");
            assert_eq!(world.ask(request).status(), 481, "{method} without a tag");
        }
    }
    world.leaves_nothing_behind();
}

#[test]
fn a_request_with_our_tag_but_another_call_id_or_from_tag_is_of_no_dialog() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let mut thief = phone.clone().named("another-call");
    let bye = thief.request("BYE", "");
    assert_eq!(world.ask(bye).status(), 481);
    let bye = phone.clone().request("BYE", "").replace("tag=alice", "tag=mallory");
    assert_eq!(world.ask(bye).status(), 481);
    assert_eq!(world.front.calls(), 1);
}

#[test]
fn an_ack_is_never_answered() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.to_tag = Some("never".to_owned());
    let ack = phone.ack("");
    world.send(&ack);
    world.send(ack.replace("CSeq: 0 ACK", "CSeq: what"));
    world.send(ack.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    world.send(ack.replace("ACK sip:", "ACK <sip:"));
    world.silent();
    assert_eq!(world.front.counters().dropped(Dropped::StrayAck), 3);
    assert_eq!(world.front.counters().dropped(Dropped::Unreadable), 1);
}

#[test]
fn a_bye_before_the_ack_ends_the_call() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    phone.learn(&answer);
    phone.hang_up(&mut world);
    world.pass_ms(2000);
    world.silent();
    world.leaves_nothing_behind();
}

#[test]
fn a_kick_before_the_ack_stops_the_media_at_once_and_says_bye_after_the_ack() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let answer = world.ask(invite);
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    world.silent();
    assert_eq!(world.front.rooms().count(), 0);
    phone.learn(&answer);
    let ack = phone.ack("");
    let bye = world.ask(ack);
    assert_eq!(bye.method(), "BYE");
    world.leaves_nothing_behind();
}

#[test]
fn a_reinvite_whose_200_gets_no_ack_ends_the_call() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 200);
    world.pass_ms(32_000);
    assert_eq!(world.take().last().unwrap().method(), "BYE");
    world.leaves_nothing_behind();
}

#[test]
fn responses_to_nothing_are_dropped_and_counted() {
    let mut world = World::new();
    let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKx\r\n\
                 From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n\r\n";
    world.send_from(udp("198.51.100.1:5060"), stray);
    world.silent();
    assert_eq!(world.front.counters().dropped(Dropped::StrayResponse), 1);
}
