//! 180, reliable 180 with PRACK (RFC 3262), and CANCEL.

use std::time::Duration;

use signaling::{Ending, Reason};

use crate::harness::{OFFER, Phone, Sent, World};

fn ringing_for(seconds: u64) -> World {
    World::with(|config| config.ring_time = Duration::from_secs(seconds))
}

fn prack(phone: &mut Phone, ringing: &Sent, number: u32) -> String {
    let cseq = ringing.header("CSeq");
    let rack = format!("RAck: {number} {cseq}");
    let mut acknowledging = phone.clone().with(&rack);
    let text = acknowledging.request("PRACK", "");
    (phone.sequence, phone.branches) = (acknowledging.sequence, acknowledging.branches);
    text
}

fn number(ringing: &Sent) -> u32 {
    ringing.header("RSeq").parse().unwrap()
}

#[test]
fn with_a_ring_time_the_caller_hears_180_and_then_the_answer() {
    let mut world = ringing_for(2);
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    assert_eq!(ringing.status(), 180);
    assert!(!ringing.has("RSeq") && !ringing.has("Require"));
    phone.learn(&ringing);
    world.pass_ms(1999);
    world.silent();
    world.pass_ms(1);
    let answer = world.only();
    assert_eq!((answer.status(), answer.our_tag()), (200, ringing.our_tag()));
    let ack = phone.ack("");
    world.send(ack);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_caller_who_requires_100rel_gets_a_reliable_180_and_the_200_after_its_prack() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Require: 100rel");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    assert_eq!((ringing.status(), ringing.header("Require")), (180, "100rel"));
    phone.learn(&ringing);
    phone.extra.clear();
    let prack = prack(&mut phone, &ringing, number(&ringing));
    world.send(prack);
    let sent = world.take();
    let lines: Vec<(u16, &str)> = sent.iter().map(|s| (s.status(), s.header("CSeq"))).collect();
    assert_eq!(lines, [(200, "2 PRACK"), (200, "1 INVITE")]);
    phone.sequence = 1;
    let ack = phone.ack("");
    world.send(ack);
    phone.sequence = 2;
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_reliable_180_is_repeated_with_doubling_intervals_and_given_up_with_504() {
    let mut world = ringing_for(1);
    let mut phone = Phone::calling("conf1").with("Supported: 100rel");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    assert!(ringing.has("RSeq"));
    world.pass(Duration::from_millis(31_999));
    let copies: Vec<u64> = world.take().iter().map(|s| s.at.as_nanos() / 1_000_000).collect();
    assert_eq!(copies, [500, 1500, 3500, 7500, 15_500, 31_500], "doubling without a ceiling");
    world.pass_ms(1);
    let refusal = world.only();
    assert_eq!(refusal.status(), 504);
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    assert_eq!(world.front.counters().refused(Reason::NoPrack), 1);
    world.leaves_nothing_behind();
}

#[test]
fn a_prack_for_something_else_is_answered_481_and_acknowledges_nothing() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Require: 100rel");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    phone.learn(&ringing);
    phone.extra.clear();
    let other = prack(&mut phone, &ringing, number(&ringing) + 1);
    assert_eq!(world.ask(other).status(), 481);
    let none = phone.request("PRACK", "");
    assert_eq!(world.ask(none).status(), 400);
    world.pass_ms(500);
    assert_eq!(world.only().status(), 180, "still repeated");
    let right = prack(&mut phone, &ringing, number(&ringing));
    world.send(right);
    assert_eq!(world.take().len(), 2);
}

#[test]
fn an_invite_without_an_offer_is_answered_without_a_reliable_180() {
    let mut world = ringing_for(1);
    let mut phone = Phone::calling("conf1").with("Require: 100rel");
    let invite = phone.invite("");
    world.send(invite);
    world.silent();
    world.pass_ms(1000);
    let sent = world.take();
    assert_eq!(sent.last().unwrap().status(), 200);
    assert!(sent.iter().all(|s| s.status() != 180));
    assert_eq!(sent[0].status(), 100);
    let counted: Vec<_> = world.front.counters().responses_sent().take(2).collect();
    assert_eq!(counted, [("1xx", 1), ("2xx", 1)]);
}

#[test]
fn cancel_while_it_rings_is_answered_200_and_the_invite_487() {
    let mut world = ringing_for(5);
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    let cancel = phone.cancel();
    world.send(cancel);
    let sent = world.take();
    let lines: Vec<(u16, &str)> = sent.iter().map(|s| (s.status(), s.header("CSeq"))).collect();
    assert_eq!(lines, [(200, "1 CANCEL"), (487, "1 INVITE")]);
    assert!(sent.iter().all(|s| s.our_tag() == ringing.our_tag()));
    let ack = phone.ack_refusal(&sent[1]);
    world.send(ack);
    assert_eq!(world.front.counters().ended(Ending::Cancelled), 1);
    world.leaves_nothing_behind();
}

#[test]
fn an_invite_that_expires_before_its_answer_is_487() {
    let mut world = ringing_for(5);
    let mut phone = Phone::calling("conf1").with("Expires: 2");
    let invite = phone.invite(OFFER);
    assert_eq!(world.ask(invite).status(), 180);
    world.pass_ms(1999);
    world.silent();
    world.pass_ms(1);
    let refusal = world.only();
    assert_eq!((refusal.status(), refusal.header("CSeq")), (487, "1 INVITE"));
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    assert_eq!(world.front.counters().refused(Reason::Expired), 1);
    world.leaves_nothing_behind();
}

#[test]
fn an_invite_that_is_answered_in_time_never_expires() {
    let mut world = ringing_for(1);
    let mut phone = Phone::calling("conf1").with("Expires: 2");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    phone.learn(&ringing);
    world.pass_ms(1000);
    assert_eq!(world.only().status(), 200);
    let ack = phone.ack("");
    world.send(ack);
    world.pass_ms(60_000);
    world.silent();
    phone.extra.clear();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn cancel_after_the_200_is_answered_200_and_does_nothing() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.connect(&mut world);
    phone.branches -= 1;
    let cancel = phone.cancel();
    phone.branches += 1;
    let answer = world.ask(cancel);
    assert_eq!((answer.status(), answer.header("CSeq")), (200, "1 CANCEL"));
    assert_eq!(world.front.calls(), 1);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn cancel_for_nothing_is_answered_481() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    phone.branches = 9;
    phone.sequence = 9;
    let cancel = phone.cancel();
    assert_eq!(world.ask(cancel).status(), 481);
    world.leaves_nothing_behind();
}

#[test]
fn an_early_bye_is_answered_200_and_the_invite_487() {
    let mut world = ringing_for(5);
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    phone.learn(&ringing);
    let bye = phone.request("BYE", "");
    world.send(bye);
    let sent = world.take();
    assert_eq!((sent[0].status(), sent[1].status()), (200, 487));
    phone.sequence = 1;
    phone.branches = 1;
    let ack = phone.ack_refusal(&sent[1]);
    world.send(ack);
    world.leaves_nothing_behind();
}
