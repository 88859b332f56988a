//! re-INVITE and UPDATE: hold, resume, another address, another codec, and crossing offers.

use std::time::Duration;

use engine_control::Command;
use media_units::{Direction, Encoding};
use signaling::RecordState;
use signaling_sdp::Families;

use crate::harness::{OFFER, Phone, Sent, World, response_to, udp};

fn reinvite(world: &mut World, phone: &mut Phone, offer: &str) -> Sent {
    let invite = phone.invite(offer);
    let answer = world.ask(invite);
    if answer.status() == 200 {
        let ack = phone.ack("");
        world.send(ack);
        world.silent();
    }
    answer
}

fn with(attribute: &str) -> String {
    format!("{OFFER}a={attribute}\r\n")
}

fn version(description: &Sent) -> u64 {
    let origin = description.body().lines().find(|line| line.starts_with("o=")).unwrap();
    origin.split(' ').nth(2).unwrap().parse().unwrap()
}

#[test]
fn hold_and_resume_follow_the_attributes_and_the_old_zero_address() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1");
    let first = phone.connect(&mut world);
    let zero = OFFER.replace("c=IN IP4 192.0.2.10", "c=IN IP4 0.0.0.0");
    let table = [
        (with("sendonly"), Direction::ReceiveOnly, "a=recvonly", true),
        (OFFER.to_owned(), Direction::SendReceive, "a=sendrecv", false),
        (with("inactive"), Direction::Inactive, "a=inactive", true),
        (zero, Direction::ReceiveOnly, "a=recvonly", true),
        (with("recvonly"), Direction::SendOnly, "a=sendonly", false),
        (OFFER.to_owned(), Direction::SendReceive, "a=sendrecv", false),
    ];
    for (change, (offer, direction, attribute, held)) in (1..).zip(table) {
        let answer = reinvite(&mut world, &mut phone, &offer);
        assert_eq!(answer.status(), 200);
        assert!(answer.body().contains(attribute), "{}", answer.body());
        assert_eq!(world.outside.media().direction, direction);
        assert_eq!(world.participant().held, held, "{attribute}");
        let expected = version(&first) + change;
        assert_eq!(version(&answer), expected, "another description has another version");
    }
    assert_eq!(world.outside.routes().len(), 1, "the session is one and the same");
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_changed_address_and_a_changed_codec_reach_the_engine() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    let first = phone.connect(&mut world);
    let moved = OFFER.replace("192.0.2.10", "192.0.2.99").replace("40000", "41000");
    let answer = reinvite(&mut world, &mut phone, &moved);
    assert_eq!(world.outside.media().rtp, "192.0.2.99:41000".parse().unwrap());
    assert_eq!(version(&answer), version(&first), "we said nothing new");
    let answer = reinvite(&mut world, &mut phone, &moved.replace("0 8 101", "8 101"));
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    assert!(answer.body().contains("RTP/AVP 8 101"));
}

#[test]
fn a_reinvite_that_cannot_be_accepted_changes_nothing() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    let commands = world.outside.commands.len();
    let refusal = reinvite(&mut world, &mut phone, &OFFER.replace("0 8 101", "18"));
    assert_eq!(refusal.status(), 488);
    assert_eq!(world.outside.commands.len(), commands);
    let ack = phone.ack_refusal(&refusal);
    world.send(ack);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_reinvite_without_an_offer_is_answered_with_ours() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    let invite = phone.invite("");
    let offer = world.ask(invite);
    assert!(offer.body().contains("RTP/AVP 0 8 101"));
    let mut crossing = phone.clone();
    let crossed = crossing.request("UPDATE", OFFER);
    assert_eq!(world.ask(crossed).status(), 491, "our offer waits for its answer");
    let ack = phone.ack(&with("sendonly").replace("0 8 101", "0 101"));
    world.send(ack);
    world.silent();
    assert_eq!(world.outside.media().direction, Direction::ReceiveOnly);
    assert!(world.participant().held);
}

/// Calls without an offer and takes ours with an answer that keeps both sounds: gives our offer and
/// the one that follows.
fn answered_with_both(world: &mut World, phone: &mut Phone) -> (Sent, Sent) {
    let offer = phone.answer_late(world, &OFFER.replace("0 8 101", "8 0 101"));
    assert!(offer.body().contains("RTP/AVP 0 8 101"));
    let narrowed = world.only();
    assert_eq!(narrowed.method(), "INVITE");
    assert!(narrowed.body().contains("RTP/AVP 0 101"), "{}", narrowed.body());
    assert_eq!(version(&narrowed), version(&offer) + 1);
    (offer, narrowed)
}

/// What a phone says to our re-INVITE with 200: both sounds, whatever was offered.
fn both(invite: &Sent) -> String {
    response_to(invite, "200 OK", "Contact: <sip:alice@192.0.2.10:5060>\r\n", OFFER)
}

#[test]
fn an_answer_that_keeps_several_sounds_is_narrowed_to_the_one_we_expect_and_once() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    let (_, narrowed) = answered_with_both(&mut world, &mut phone);
    assert_eq!(world.outside.media().encoding, Encoding::Pcmu, "our order");
    let commands = world.outside.commands.len();
    world.send(both(&narrowed));
    assert_eq!(world.only().method(), "ACK", "and it is left at that");
    assert_eq!(world.outside.commands.len(), commands, "the session goes on as it was");
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// A phone with one clock for all its keys is heard pressing them afterwards, too.
#[test]
fn a_narrowed_offer_leaves_the_phone_its_keys() {
    let mut world = World::with(|config| {
        config.capabilities.encodings = vec![Encoding::Opus, Encoding::Pcma];
    });
    let mut phone = Phone::calling("echo");
    let invite = phone.invite("");
    let offer = world.ask(invite);
    phone.learn(&offer);
    let kept =
        |formats| format!("{}a=rtpmap:96 opus/48000/2\r\n", OFFER.replace("0 8 101", formats));
    let ack = phone.ack(&kept("96 8 101"));
    world.send(ack);
    let narrowed = world.only();
    assert!(narrowed.body().contains("RTP/AVP 96 104 101\r\n"), "{}", narrowed.body());
    let contact = "Contact: <sip:alice@192.0.2.10:5060>\r\n";
    world.send(response_to(&narrowed, "200 OK", contact, &kept("96 101")));
    assert_eq!(world.only().method(), "ACK");
    let media = world.outside.media();
    let keys = media.telephone_event.map(|keys| (keys.receive, keys.clock_rate));
    assert_eq!((media.encoding, keys), (Encoding::Opus, Some((101, 8000))));
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_phone_that_cannot_narrow_its_answer_now_is_asked_again_and_one_that_will_not_is_not() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    let (offer, crossed) = answered_with_both(&mut world, &mut phone);
    world.send(response_to(&crossed, "491 Request Pending", "", ""));
    assert_eq!(world.only().method(), "ACK");
    world.pass_ms(2000);
    let again = world.take().remove(0);
    assert_eq!((again.method(), again.body()), ("INVITE", crossed.body()));
    world.send(response_to(&again, "488 Not Acceptable Here", "", ""));
    assert_eq!(world.only().method(), "ACK");
    world.pass_ms(60_000);
    world.silent();
    assert_eq!(world.front.calls(), 1);
    // Whoever will not keep to our order goes by its own: it is heard in the first of its answer.
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    let invite = phone.invite("");
    let later = world.ask(invite);
    assert!(later.body().contains("RTP/AVP 8 0 101"), "{}", later.body());
    assert_eq!(version(&later), version(&offer) + 1, "what was refused was never said");
    let ack = phone.ack(&OFFER.replace("0 8 101", "0 101"));
    world.send(ack);
    world.silent();
}

/// An UPDATE without an offer is a sign of life and settles nothing.
#[test]
fn a_refresh_by_the_phone_does_not_stop_what_it_is_to_be_asked_again() {
    for timer in ["", "Supported: timer\r\n"] {
        let mut world = World::new();
        let mut phone = Phone::calling("echo");
        let (_, crossed) = answered_with_both(&mut world, &mut phone);
        world.send(response_to(&crossed, "491 Request Pending", "", ""));
        assert_eq!(world.only().method(), "ACK");
        phone.extra = timer.to_owned();
        let update = phone.request("UPDATE", "");
        assert_eq!(world.ask(update).status(), 200);
        world.pass_ms(2000);
        let again = world.take().remove(0);
        assert_eq!((again.method(), again.body()), ("INVITE", crossed.body()), "{timer}");
        world.send(both(&again));
        assert_eq!(world.only().method(), "ACK");
        phone.hang_up(&mut world);
    }
}

#[test]
fn a_refresh_of_ours_does_not_stop_what_the_phone_is_to_be_asked_again() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo").with("Session-Expires: 300;refresher=uas");
    let (_, refused) = answered_with_both(&mut world, &mut phone);
    world.send(response_to(&refused, "503 Service Unavailable", "Retry-After: 200\r\n", ""));
    assert_eq!(world.only().method(), "ACK");
    world.pass(Duration::from_secs(150));
    let refresh = world.only();
    assert_ne!(refresh.body(), refused.body(), "all is offered, as before");
    world.send(both(&refresh));
    let sent = world.take();
    assert_eq!(sent[0].method(), "ACK");
    assert_eq!(sent[1].method(), "INVITE");
    let formats =
        |sent: &Sent| sent.body().lines().find(|line| line.starts_with("m=")).unwrap().to_owned();
    assert_eq!(formats(&sent[1]), formats(&refused), "and one alone again");
    world.send(both(&sent[1]));
    assert_eq!(world.only().method(), "ACK");
    world.pass(Duration::from_secs(100));
    world.silent();
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// It would be asked as fast as it can answer.
#[test]
fn an_interval_that_is_never_long_enough_is_lengthened_once() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo").with("Session-Expires: 300;refresher=uas");
    let (_, mut invite) = answered_with_both(&mut world, &mut phone);
    let mut asked = 1;
    for number in 0..10 {
        let longer = format!("Min-SE: {}\r\n", 301 + number);
        world.send(response_to(&invite, "422 Session Interval Too Small", &longer, ""));
        match world.take().into_iter().find(|sent| sent.method() == "INVITE") {
            Some(next) => invite = next,
            None => break,
        }
        asked += 1;
    }
    assert_eq!(asked, 2);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

/// RFC 3261 section 13.2.2.4: each copy of a 2xx, also where another INVITE of ours came after.
#[test]
fn a_copy_of_the_200_to_an_earlier_invite_of_ours_is_acknowledged() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf1").with("Supported: record-aware");
    let (_, first) = answered_with_both(&mut world, &mut phone);
    let id = world.participant().participant;
    world.front.set_recorded(world.now, id, RecordState::On, &mut world.outside);
    world.send(both(&first));
    let second = world.take().remove(1);
    let number = |sent: &Sent| sent.header("CSeq").split(' ').next().unwrap().to_owned();
    assert!(number(&second) > number(&first));
    for _ in 0..2 {
        world.send(both(&first));
        let ack = world.only();
        assert_eq!((ack.method(), number(&ack)), ("ACK", number(&first)), "while the other waits");
        world.pass_ms(100);
    }
    world.send(both(&second));
    assert_eq!(world.only().method(), "ACK");
    for invite in [&first, &second] {
        world.send(both(invite));
        let ack = world.only();
        assert_eq!((ack.method(), number(&ack)), ("ACK", number(invite)));
    }
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn update_with_an_offer_renegotiates_and_without_one_refreshes() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    let update = phone.request("UPDATE", &with("sendonly"));
    let answer = world.ask(update);
    assert_eq!(answer.status(), 200);
    assert!(answer.body().contains("a=recvonly"));
    assert_eq!(world.outside.media().direction, Direction::ReceiveOnly);
    let commands = world.outside.commands.len();
    let update = phone.request("UPDATE", "");
    let answer = world.ask(update);
    assert_eq!((answer.status(), answer.body()), (200, ""));
    assert_eq!(world.outside.commands.len(), commands);
}

#[test]
fn an_offer_while_the_first_one_has_no_answer_is_refused_500_with_retry_after() {
    let ring = std::time::Duration::from_secs(3);
    let mut world = World::with(|config| config.ring_time = ring);
    let mut phone = Phone::calling("conf1");
    let invite = phone.invite(OFFER);
    let ringing = world.ask(invite);
    phone.learn(&ringing);
    for method in ["UPDATE", "INVITE"] {
        let early = phone.request(method, OFFER);
        let refusal = world.ask(early);
        assert_eq!(refusal.status(), 500, "{method}");
        assert!(refusal.header("Retry-After").parse::<u32>().unwrap() <= 10);
        if method == "INVITE" {
            let ack = phone.ack_refusal(&refusal);
            world.send(ack);
        }
    }
    let refresh = phone.request("UPDATE", "");
    assert_eq!(world.ask(refresh).status(), 200, "an UPDATE without an offer is harmless");
    world.pass_ms(3000);
    assert_eq!(world.only().status(), 200);
}

#[test]
fn a_reinvite_moves_the_remote_target() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    phone.contact = "<sip:alice@192.0.2.77:5077>".to_owned();
    reinvite(&mut world, &mut phone, OFFER);
    let id = world.participant().participant;
    world.front.kick(world.now, id, &mut world.outside).unwrap();
    let bye = world.only();
    assert_eq!(bye.start_line(), "BYE sip:alice@192.0.2.77:5077 SIP/2.0");
    assert_eq!(bye.to.remote, "192.0.2.77:5077".parse().unwrap());
}

#[test]
fn a_full_command_ring_refuses_a_reinvite_for_now() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.connect(&mut world);
    world.outside.is_busy = true;
    let refusal = reinvite(&mut world, &mut phone, &with("sendonly"));
    assert_eq!(refusal.status(), 500);
    assert!(refusal.has("Retry-After"));
    assert!(!world.participant().held);
    world.outside.is_busy = false;
    assert_eq!(reinvite(&mut world, &mut phone, &with("sendonly")).status(), 200);
    assert!(matches!(world.outside.commands.last(), Some(Command::UpdateSession { .. })));
}

#[test]
fn a_caller_that_media_cannot_go_to_is_refused_with_or_without_an_offer() {
    let ipv6 = OFFER.replace("IP4 192.0.2.10", "IP6 2001:db8::10");
    let phone = || {
        let mut phone = Phone::calling("conf1");
        phone.via = "SIP/2.0/UDP [2001:db8::10]:5060".to_owned();
        phone
    };
    for (families, offer, status) in [
        (Families::Ipv4, &ipv6[..], 488),
        (Families::Ipv4, "", 488),
        (Families::Ipv6, &ipv6[..], 200),
        (Families::Both, "", 200),
        (Families::Ipv4, OFFER, 200),
    ] {
        let mut world = World::with(|config| config.capabilities.families = families);
        let invite = phone().invite(offer);
        world.send_from(udp("[2001:db8::10]:5060"), invite);
        let answer = world.only();
        assert_eq!(answer.status(), status, "{families:?} {offer}");
        if status == 488 {
            assert!(answer.header("Warning").starts_with("301 "), "{}", answer.text);
        } else {
            let toward = world.outside.toward[0];
            assert_eq!(toward.is_ipv4(), offer == OFFER, "{families:?}");
        }
    }
}
