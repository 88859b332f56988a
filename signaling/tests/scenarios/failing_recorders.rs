//! Recorders of others that refuse, say nothing, hang up or are gone: the next one gets what is sent.

use std::time::Duration;

use signaling::Subject;

use crate::harness::{Sent, response_to, udp};
use crate::recording_client::{
    FIRST, SECOND, accept, answer, hang_up, join, parts, phone, recorded, refuse, said, world,
};

#[test]
fn a_recorder_that_says_nothing_is_not_waited_for() {
    let mut world = world();
    let mut anna = phone("anna");
    let first = join(&mut world, &mut anna).remove(0);
    world.pass(Duration::from_millis(4100));
    let sent = world.take();
    let second = sent.iter().find(|sent| sent.to == udp(SECOND)).expect("the next one is called");
    assert_eq!(recorded(&world), said(&world));
    accept(&mut world, second);
    assert!(recorded(&world).is_empty());
    // The first wakes up: it is told to stop at once.
    let sent = accept(&mut world, &first);
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(sent.iter().all(|sent| sent.to == udp(FIRST)));
    refuse(&mut world, &sent[1], "200 OK");
    let sent = hang_up(&mut world, &mut anna);
    assert_eq!(sent.len(), 1, "only one recorder has a session: {sent:#?}");
    refuse(&mut world, &sent[0], "200 OK");
    world.leaves_nothing_behind();
}

#[test]
fn a_recorder_that_is_gone_without_a_word_is_followed_by_the_next() {
    let mut world = world();
    let mut anna = phone("anna");
    let first = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &first);
    for status in ["200 OK", "405 Method Not Allowed", "200 OK"] {
        world.pass(Duration::from_secs(4));
        let sent = world.take();
        assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["OPTIONS"]);
        assert_eq!(sent[0].to, udp(FIRST));
        assert_eq!(refuse(&mut world, &sent[0], status).len(), 0, "whoever answers is there");
    }
    // From now on it says nothing.
    world.pass(Duration::from_secs(4));
    assert!(world.take().iter().all(|sent| sent.method() == "OPTIONS"));
    world.pass(Duration::from_secs(4));
    let sent = world.take();
    let bye = sent.iter().find(|sent| sent.method() == "BYE").expect("it is told, should it hear");
    let second = sent.iter().find(|sent| sent.to == udp(SECOND)).expect("the next one is called");
    assert_eq!(recorded(&world), said(&world));
    refuse(&mut world, bye, "481 Unknown");
    accept(&mut world, second);
    assert!(recorded(&world).is_empty());
    // The second one was begun anew meanwhile, and knows nothing of a session.
    world.pass(Duration::from_secs(4));
    let options = world.take().remove(0);
    let sent = refuse(&mut world, &options, "481 Unknown");
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["BYE"]);
    refuse(&mut world, &sent[0], "481 Unknown");
    assert_eq!(recorded(&world), said(&world), "we record");
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

#[test]
fn a_recorder_that_rings_for_too_long_is_cancelled() {
    let mut world = world();
    let mut anna = phone("anna");
    let first = join(&mut world, &mut anna).remove(0);
    refuse(&mut world, &first, "100 Trying");
    world.pass(Duration::from_millis(4100));
    let sent = world.take();
    let cancel = sent.iter().find(|sent| sent.method() == "CANCEL").expect("a CANCEL");
    assert_eq!(cancel.header("Via"), first.header("Via"));
    assert_eq!(cancel.header("CSeq").split(' ').next(), first.header("CSeq").split(' ').next());
    refuse(&mut world, cancel, "200 OK");
    let sent_after = refuse(&mut world, &first, "487 Request Terminated");
    assert_eq!(sent_after[0].method(), "ACK");
    let second = sent.iter().find(|sent| sent.to == udp(SECOND)).unwrap();
    refuse(&mut world, second, "603 Decline");
    assert_eq!(recorded(&world), said(&world));
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

/// RFC 3261 section 9.1: an INVITE that was cancelled is over after 64*T1 without an answer.
#[test]
fn a_recorder_that_never_answers_what_was_cancelled_leaves_nothing_behind() {
    let mut world = world();
    let mut anna = phone("anna");
    let mut calls = join(&mut world, &mut anna);
    for _ in 0..2 {
        let invite = calls.remove(0);
        refuse(&mut world, &invite, "100 Trying");
        world.pass(Duration::from_millis(4100));
        let sent = world.take();
        let (cancels, others): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|sent| sent.method() == "CANCEL");
        refuse(&mut world, &cancels[0], "200 OK");
        calls = others;
    }
    assert_eq!(world.front.calls(), 3);
    world.pass(Duration::from_secs(32));
    assert_eq!(world.front.calls(), 1, "anna alone");
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

#[test]
fn a_recorder_that_hangs_up_or_takes_nothing_is_followed_by_the_next() {
    let mut world = world();
    let mut anna = phone("anna");
    let first = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &first);
    let tag = first.header("From").split_once("tag=").unwrap().1.to_owned();
    let bye = format!(
        "BYE sip:recording-client@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP {FIRST};branch=z9hG4bKbye\r\n\
         Max-Forwards: 70\r\nFrom: <sip:srs@{FIRST}>;tag=srs\r\nTo: <sip:x@y>;tag={tag}\r\n\
         Call-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        first.header("Call-ID")
    );
    assert!(recorded(&world).is_empty());
    world.send_from(udp(FIRST), bye);
    let sent = world.take();
    assert_eq!(recorded(&world), said(&world), "from when it is lost");
    assert_eq!(sent[0].status(), 200);
    assert_eq!((sent[1].method(), sent[1].to), ("INVITE", udp(SECOND)));
    // The second one refuses the stream.
    let none = answer(&sent[1]).replace("m=audio 7000", "m=audio 0");
    let to = sent[1].header("To").to_owned();
    let response = response_to(&sent[1], "200 OK", "Contact: <sip:198.51.100.2>\r\n", &none)
        .replace(&format!("To: {to}"), &format!("To: {to};tag=srs"));
    world.send_from(udp(SECOND), response);
    let sent = world.take();
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "BYE"]);
    refuse(&mut world, &sent[1], "200 OK");
    assert_eq!(recorded(&world), said(&world), "we record");
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

#[test]
fn the_next_recorder_is_called_where_one_refuses_and_we_record_where_none_is_left() {
    let mut world = world();
    let mut anna = phone("anna");
    let invites = join(&mut world, &mut anna);
    let sent = refuse(&mut world, &invites[0], "503 Service Unavailable");
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!(sent[1].to, udp(SECOND));
    let (_, metadata) = parts(&sent[1]);
    assert_eq!(metadata.participants.len(), 1);
    assert_eq!(world.front.counters().recorders_gone, 0);
    refuse(&mut world, &sent[1], "486 Busy Here");
    assert_eq!(world.outside.recordings.len(), 1, "one from the beginning to the end");
    let recording = &world.outside.recordings[0];
    assert_eq!((recording.subject.as_str(), recording.room.as_deref()), ("12", Some("12")));
    assert_eq!(recorded(&world), said(&world));
    assert_eq!(world.front.counters().recorders_gone, 1);
    let room = Subject::Room("12".to_owned());
    assert_eq!(world.front.sent().collect::<Vec<_>>(), [(&room, None)]);
    let mut bert = phone("bert");
    assert!(join(&mut world, &mut bert).is_empty());
    assert_eq!(recorded(&world), said(&world));
    hang_up(&mut world, &mut bert);
    hang_up(&mut world, &mut anna);
    assert!(recorded(&world).is_empty(), "it ends with the room");
    world.leaves_nothing_behind();
}
