//! Rooms that are sent to a recorder of others: the INVITE and its metadata, who comes and goes,
//! the next recorder, and our own recording where none is left.

use std::time::Duration;

use bytes::Bytes;
use engine_control::{Command, Route, TapPoint};
use media_units::Direction;
use signaling_siprec::{Metadata, multipart, read};

use crate::harness::{Phone, Sent, World, response_to, udp};

const FIRST: &str = "198.51.100.1:5070";
const SECOND: &str = "198.51.100.2:5060";

fn world() -> World {
    World::with(|config| {
        config.siprec.send_to =
            vec![format!("sip:srs@{FIRST}").parse().unwrap(), "sip:198.51.100.2".parse().unwrap()];
        config.siprec.rooms = vec!["1*".parse().unwrap()];
    })
}

fn phone(name: &str) -> Phone {
    Phone::calling("conf12").named(name)
}

/// Joins the room: what was sent to the recorders meanwhile.
fn join(world: &mut World, phone: &mut Phone) -> Vec<Sent> {
    let invite = phone.invite(crate::harness::OFFER);
    world.send(invite);
    let (to_phone, others): (Vec<_>, Vec<_>) = world
        .take()
        .into_iter()
        .partition(|sent| sent.to.remote.to_string().starts_with("192.0.2."));
    phone.learn(&to_phone[0]);
    let ack = phone.ack("");
    world.send(ack);
    others
}

fn hang_up(world: &mut World, phone: &mut Phone) -> Vec<Sent> {
    let bye = phone.request("BYE", "");
    world.send(bye);
    world.take().into_iter().filter(|sent| sent.status() != 200).collect()
}

/// Description and metadata of an INVITE.
fn parts(invite: &Sent) -> (String, Metadata) {
    let boundary = invite.header("Content-Type").split_once("boundary=").unwrap().1;
    let body = Bytes::copy_from_slice(invite.body().as_bytes());
    let parts = multipart::parts(&body, boundary.as_bytes()).unwrap();
    assert_eq!(parts[1].disposition.as_deref(), Some("recording-session"));
    let sdp = String::from_utf8(parts[0].content.to_vec()).unwrap();
    (sdp, read(&parts[1].content).unwrap())
}

fn answer(direction: &str) -> String {
    format!(
        "v=0\r\no=srs 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
         m=audio 7000 RTP/AVP 0\r\na={direction}\r\na=label:1\r\n"
    )
}

/// The 200 of a recorder, with its tag where the INVITE has none.
fn accept(world: &mut World, invite: &Sent) -> Vec<Sent> {
    let headers =
        "Contact: <sip:srs@198.51.100.1:5070>;+sip.srs\r\nSession-Expires: 1800;refresher=uac\r\n";
    let mut response = response_to(invite, "200 OK", headers, &answer("recvonly"));
    if !invite.header("To").contains("tag=") {
        let to = invite.header("To");
        response = response.replace(&format!("To: {to}"), &format!("To: {to};tag=srs"));
    }
    world.send_from(invite.to, response);
    world.take()
}

fn refuse(world: &mut World, invite: &Sent, status: &str) -> Vec<Sent> {
    let response = response_to(invite, status, "", "");
    world.send_from(invite.to, response);
    world.take()
}

#[test]
fn a_room_is_offered_with_its_members_and_its_mix_is_sent() {
    let mut world = world();
    let mut anna = phone("anna");
    let invites = join(&mut world, &mut anna);
    let [invite] = &invites[..] else { panic!("{invites:#?}") };
    assert_eq!(invite.start_line(), format!("INVITE sip:srs@{FIRST} SIP/2.0"));
    assert_eq!(invite.to, udp(FIRST));
    assert_eq!(invite.header("Require"), "siprec");
    assert!(invite.header("Contact").ends_with(";+sip.src"));
    let (sdp, metadata) = parts(invite);
    assert!(sdp.contains("a=sendonly\r\n") && sdp.contains("a=label:1\r\n"), "{sdp}");
    assert!(!sdp.contains("telephone-event"), "{sdp}");
    assert_eq!(metadata.participants.len(), 1);
    assert_eq!(metadata.sender("1").unwrap().aor, "sip:alice@example.org");
    assert_eq!(metadata.participants[0].name.as_deref(), Some("Alice"));
    assert_eq!(metadata.participants[0].sessions[0].session, metadata.sessions[0].id);
    assert!(metadata.sessions[0].start_time.as_deref().unwrap().starts_with("1970-01-01T"));

    let sent = accept(&mut world, invite);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].method(), sent[0].to), ("ACK", udp(FIRST)));
    assert!(sent[0].header("To").ends_with(";tag=srs"));
    let rooms: Vec<_> = world.outside.open_rooms.iter().copied().collect();
    assert_eq!(world.outside.routes(), vec![Route::Room(rooms[0]); 2]);
    let media = world.outside.media();
    assert_eq!(
        (media.direction, media.rtp),
        (Direction::SendOnly, "198.51.100.1:7000".parse().unwrap())
    );
    let Some(Command::MuteSession { session, muted: true }) = world.outside.commands.last() else {
        panic!("the recorder is not heard");
    };
    assert!(world.outside.open_sessions.contains(session));
    assert_eq!(
        world.front.sent_rooms().collect::<Vec<_>>(),
        [("12", Some("sip:srs@198.51.100.1:5070"))]
    );

    // Somebody comes: one more in the metadata, everyone else under the same identifier.
    let mut bert = phone("bert");
    let updates = join(&mut world, &mut bert);
    let [update] = &updates[..] else { panic!("{updates:#?}") };
    assert!(update.start_line().starts_with("INVITE sip:srs@198.51.100.1:5070"));
    let (again, later) = parts(update);
    assert_eq!(again, sdp, "the stream is the same");
    assert_eq!((later.participants.len(), later.senders("1").count()), (2, 2));
    assert!(later.participants.iter().any(|who| who.id == metadata.participants[0].id));
    // Somebody else goes before that is answered: the recorder is told afterwards.
    assert!(hang_up(&mut world, &mut anna).is_empty());
    let sent = accept(&mut world, update);
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    let (_, last) = parts(&sent[1]);
    assert_eq!(last.participants.len(), 1);
    accept(&mut world, &sent[1]);
    // The last one goes: so does the recording session.
    let sent = hang_up(&mut world, &mut bert);
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["BYE"]);
    refuse(&mut world, &sent[0], "200 OK");
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
    assert!(world.outside.recordings.is_empty());
    refuse(&mut world, &sent[1], "486 Busy Here");
    let recording = &world.outside.recordings[0];
    assert_eq!((recording.subject.as_str(), recording.room.as_deref()), ("12", Some("12")));
    assert!(matches!(recording.tracks[0].point, TapPoint::Room(_)));
    assert_eq!(world.front.counters().recorders_gone, 1);
    assert_eq!(world.front.sent_rooms().collect::<Vec<_>>(), [("12", None)]);
    hang_up(&mut world, &mut anna);
    assert!(world.outside.recordings[0].tracks.is_empty(), "it ends with the room");
    world.leaves_nothing_behind();
}

#[test]
fn a_recorder_that_says_nothing_is_not_waited_for() {
    let mut world = world();
    let mut anna = phone("anna");
    let first = join(&mut world, &mut anna).remove(0);
    world.pass(Duration::from_millis(4100));
    let sent = world.take();
    let second = sent.iter().find(|sent| sent.to == udp(SECOND)).expect("the next one is called");
    accept(&mut world, second);
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
    assert_eq!(world.outside.recordings.len(), 1);
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
    world.send_from(udp(FIRST), bye);
    let sent = world.take();
    assert_eq!(sent[0].status(), 200);
    assert_eq!((sent[1].method(), sent[1].to), ("INVITE", udp(SECOND)));
    // The second one refuses the stream.
    let none = answer("recvonly").replace("m=audio 7000", "m=audio 0");
    let to = sent[1].header("To").to_owned();
    let response = response_to(&sent[1], "200 OK", "Contact: <sip:198.51.100.2>\r\n", &none)
        .replace(&format!("To: {to}"), &format!("To: {to};tag=srs"));
    world.send_from(udp(SECOND), response);
    let sent = world.take();
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "BYE"]);
    refuse(&mut world, &sent[1], "200 OK");
    assert_eq!(world.outside.recordings.len(), 1, "we record");
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

#[test]
fn a_room_is_sent_on_demand_and_no_longer_than_that() {
    let mut world = world();
    let mut anna = Phone::calling("conf99");
    assert!(join(&mut world, &mut anna).is_empty(), "it is not one of those that always are");
    assert!(world.front.send_room(world.now, "98", &mut world.outside).is_err());
    world.front.send_room(world.now, "99", &mut world.outside).unwrap();
    let invite = world.only();
    world.front.send_room(world.now, "99", &mut world.outside).unwrap();
    world.silent();
    assert_eq!(parts(&invite).1.participants.len(), 1);
    accept(&mut world, &invite);
    world.front.end_sending(world.now, "99", &mut world.outside).unwrap();
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    refuse(&mut world, &bye, "200 OK");
    assert!(world.front.end_sending(world.now, "99", &mut world.outside).is_err());
    world.silent();
    hang_up(&mut world, &mut anna);
    world.leaves_nothing_behind();
}

#[test]
fn a_server_that_stops_says_bye_to_recorders_and_calls_no_other() {
    let mut world = world();
    let mut anna = phone("anna");
    let invite = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &invite);
    let mut bert = Phone::calling("conf13").named("bert");
    join(&mut world, &mut bert);
    world.front.drain(world.now, &mut world.outside);
    let sent = world.take();
    assert_eq!(
        sent.iter().filter(|sent| sent.method() == "BYE" && sent.to == udp(FIRST)).count(),
        1
    );
    assert!(sent.iter().all(|sent| sent.to != udp(SECOND)), "{sent:#?}");
    for bye in &sent {
        if bye.method() == "BYE" {
            refuse(&mut world, bye, "200 OK");
        }
    }
    world.leaves_nothing_behind();
}
