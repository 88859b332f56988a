//! Rooms and calls that are sent to a recorder of others: the INVITE and its metadata, who comes and
//! goes, hold, the next recorder, and our own recording of what none takes.

use bytes::Bytes;
use engine_control::{Command, Route, TapPoint};
use media_units::Direction;
use signaling::{Ending, Outside, RecordingId, Subject};
use signaling_siprec::{Metadata, multipart, read};

use crate::harness::{Phone, Sent, World, response_to, udp};

pub(crate) const FIRST: &str = "198.51.100.1:5070";
pub(crate) const SECOND: &str = "198.51.100.2:5060";

pub(crate) fn world() -> World {
    World::with(|config| {
        config.siprec.send_to =
            vec![format!("sip:srs@{FIRST}").parse().unwrap(), "sip:198.51.100.2".parse().unwrap()];
        config.siprec.rooms = vec!["1*".parse().unwrap()];
    })
}

pub(crate) fn phone(name: &str) -> Phone {
    Phone::calling("conf12").named(name)
}

/// Joins the room: what was sent to the recorders meanwhile.
pub(crate) fn join(world: &mut World, phone: &mut Phone) -> Vec<Sent> {
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

pub(crate) fn hang_up(world: &mut World, phone: &mut Phone) -> Vec<Sent> {
    let bye = phone.request("BYE", "");
    world.send(bye);
    world.take().into_iter().filter(|sent| sent.status() != 200).collect()
}

/// Description and metadata of an INVITE.
pub(crate) fn parts(invite: &Sent) -> (String, Metadata) {
    let boundary = invite.header("Content-Type").split_once("boundary=").unwrap().1;
    let body = Bytes::copy_from_slice(invite.body().as_bytes());
    let parts = multipart::parts(&body, boundary.as_bytes()).unwrap();
    assert_eq!(parts[1].disposition.as_deref(), Some("recording-session"));
    let sdp = String::from_utf8(parts[0].content.to_vec()).unwrap();
    (sdp, read(&parts[1].content).unwrap())
}

/// The lines of an offer: port, direction and label of each.
fn lines(sdp: &str) -> Vec<(u16, &str, &str)> {
    let attribute = |media: &'static str| move |line: &&str| line.starts_with(media);
    let media = sdp.split("m=audio ").skip(1).map(|media| {
        let port = media.split(' ').next().unwrap().parse().unwrap();
        let line = |begin| media.lines().find(attribute(begin)).unwrap_or_default();
        let direction = ["a=sendonly", "a=inactive"].map(line).join("");
        let direction = if direction == "a=sendonly" { "sendonly" } else { "inactive" };
        (port, direction, line("a=label:").trim_start_matches("a=label:"))
    });
    media.collect()
}

/// Takes every stream that the offer has, each at a port of its own: 7000 and up.
pub(crate) fn answer(invite: &Sent) -> String {
    let mut sdp =
        "v=0\r\no=srs 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
            .to_owned();
    let (offer, _) = parts(invite);
    for (place, (port, direction, label)) in lines(&offer).into_iter().enumerate() {
        let own = if port == 0 { 0 } else { 7000 + 2 * place };
        let direction = if direction == "sendonly" { "recvonly" } else { "inactive" };
        let line = format!("m=audio {own} RTP/AVP 0\r\na={direction}\r\na=label:{label}\r\n");
        sdp.push_str(&line);
    }
    sdp
}

/// The points that recorders get now, in the order in which they were first sent.
fn carried(world: &World) -> Vec<TapPoint> {
    let opened = world.outside.commands.iter().filter_map(|command| match command {
        Command::OpenSession { session, open } => match open.route {
            Route::Monitor(point) => Some((*session, point)),
            _ => None,
        },
        _ => None,
    });
    let is_open = |(session, _): &(_, _)| world.outside.open_sessions.contains(session);
    opened.filter(is_open).map(|(_, point)| point).collect()
}

/// The session of each participant, in order of arrival.
pub(crate) fn said(world: &World) -> Vec<TapPoint> {
    world.front.participants().map(|view| TapPoint::Received(view.session)).collect()
}

/// What is recorded here now.
pub(crate) fn recorded(world: &World) -> Vec<TapPoint> {
    let tracks = world.outside.recordings.iter().flat_map(|recording| &recording.tracks);
    tracks.map(|track| track.point).collect()
}

/// Who sends the stream of a label.
fn sender(metadata: &Metadata, label: &str) -> Option<String> {
    metadata.sender(label).map(|who| who.id.clone())
}

/// The 200 of a recorder, with its tag where the INVITE has none.
pub(crate) fn accept(world: &mut World, invite: &Sent) -> Vec<Sent> {
    accept_with(world, invite, &answer(invite))
}

fn accept_with(world: &mut World, invite: &Sent, answer: &str) -> Vec<Sent> {
    let headers =
        "Contact: <sip:srs@198.51.100.1:5070>;+sip.srs\r\nSession-Expires: 1800;refresher=uac\r\n";
    let mut response = response_to(invite, "200 OK", headers, answer);
    if !invite.header("To").contains("tag=") {
        let to = invite.header("To");
        response = response.replace(&format!("To: {to}"), &format!("To: {to};tag=srs"));
    }
    world.send_from(invite.to, response);
    world.take()
}

pub(crate) fn refuse(world: &mut World, invite: &Sent, status: &str) -> Vec<Sent> {
    let response = response_to(invite, status, "", "");
    world.send_from(invite.to, response);
    world.take()
}

#[test]
fn each_in_a_room_is_a_stream_of_its_own_under_its_name() {
    let mut world = world();
    let mut anna = phone("anna");
    let invites = join(&mut world, &mut anna);
    let [invite] = &invites[..] else { panic!("{invites:#?}") };
    assert_eq!(invite.start_line(), format!("INVITE sip:srs@{FIRST} SIP/2.0"));
    assert_eq!(invite.to, udp(FIRST));
    assert_eq!(invite.header("Require"), "siprec");
    assert!(invite.header("Contact").ends_with(";+sip.src"));
    let (sdp, metadata) = parts(invite);
    let [(port, "sendonly", "1")] = lines(&sdp)[..] else { panic!("{sdp}") };
    assert!(!sdp.contains("telephone-event"), "{sdp}");
    assert_eq!(metadata.participants.len(), 1);
    assert_eq!(metadata.sender("1").unwrap().aor, "sip:alice@example.org");
    assert_eq!(metadata.participants[0].name.as_deref(), Some("Alice"));
    assert_eq!(metadata.participants[0].sessions[0].session, metadata.sessions[0].id);
    assert!(metadata.sessions[0].start_time.as_deref().unwrap().starts_with("1970-01-01T"));
    assert_eq!(recorded(&world), said(&world), "nobody has answered");

    let sent = accept(&mut world, invite);
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].method(), sent[0].to), ("ACK", udp(FIRST)));
    assert!(sent[0].header("To").ends_with(";tag=srs"));
    assert_eq!(carried(&world), said(&world));
    assert!(recorded(&world).is_empty(), "the recorder has it");
    let media = world.outside.media();
    let rtp = "198.51.100.1:7000".parse().unwrap();
    assert_eq!((media.direction, media.rtp), (Direction::SendOnly, rtp));
    let room = Subject::Room("12".to_owned());
    let recorder = Some("sip:srs@198.51.100.1:5070");
    assert_eq!(world.front.sent().collect::<Vec<_>>(), [(&room, recorder)]);

    // Somebody comes: one stream more, everyone else as before.
    let mut bert = phone("bert");
    let updates = join(&mut world, &mut bert);
    let [update] = &updates[..] else { panic!("{updates:#?}") };
    assert!(update.start_line().starts_with("INVITE sip:srs@198.51.100.1:5070"));
    let (again, later) = parts(update);
    let [(first, "sendonly", "1"), (second, "sendonly", "2")] = lines(&again)[..] else {
        panic!("{again}")
    };
    assert!(first == port && second != port, "{again}");
    assert_eq!(sender(&later, "1"), sender(&metadata, "1"));
    assert_ne!(sender(&later, "2"), sender(&later, "1"));
    let of = |stream: &str| later.streams.iter().find(|it| it.label == stream).unwrap().id.clone();
    assert_eq!(later.associations[0].receives, [of("2")]);
    assert_eq!(later.associations[1].receives, [of("1")]);
    assert_eq!(recorded(&world), said(&world)[1..], "the recorder has not taken the second yet");
    accept(&mut world, update);
    assert_eq!(carried(&world), said(&world));
    assert!(recorded(&world).is_empty());
    hang_up(&mut world, &mut anna);
    let sent = hang_up(&mut world, &mut bert);
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["BYE"]);
    refuse(&mut world, &sent[0], "200 OK");
    world.leaves_nothing_behind();
}

#[test]
fn who_leaves_is_told_and_the_place_of_its_stream_is_given_to_the_next() {
    let mut world = world();
    let mut people: Vec<Phone> = ["anna", "bert", "carl"].map(phone).into();
    let invite = join(&mut world, &mut people[0]).remove(0);
    accept(&mut world, &invite);
    let update = join(&mut world, &mut people[1]).remove(0);
    // She goes before that is answered: the recorder is told afterwards.
    assert!(hang_up(&mut world, &mut people[0]).is_empty());
    let sent = accept(&mut world, &update);
    assert_eq!(sent.iter().map(Sent::method).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    let (sdp, metadata) = parts(&sent[1]);
    let [(0, _, ""), (_, "sendonly", "2")] = lines(&sdp)[..] else { panic!("{sdp}") };
    let gone = metadata.participants.iter().find(|who| metadata.sender("2") != Some(*who)).unwrap();
    assert!(gone.sessions[0].disassociate_time.is_some());
    assert_eq!((metadata.participants.len(), metadata.streams.len()), (2, 1));
    accept(&mut world, &sent[1]);
    assert_eq!(carried(&world), said(&world));
    let update = join(&mut world, &mut people[2]).remove(0);
    let (sdp, metadata) = parts(&update);
    let [(1.., "sendonly", "3"), (1.., "sendonly", "2")] = lines(&sdp)[..] else { panic!("{sdp}") };
    assert_eq!(metadata.participants.len(), 2, "who is gone was told once");
    accept(&mut world, &update);
    assert_eq!(carried(&world).len(), 2);
    hang_up(&mut world, &mut people[2]);
    let sent = hang_up(&mut world, &mut people[1]);
    refuse(&mut world, &sent[0], "200 OK");
    world.leaves_nothing_behind();
}

#[test]
fn a_participant_on_hold_is_on_hold_for_the_recorder() {
    let mut world = world();
    let mut anna = phone("anna");
    let invite = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &invite);
    let held = crate::harness::OFFER.to_owned() + "a=inactive\r\n";
    let mut holds = |world: &mut World, offer: &str| {
        let reinvite = anna.invite(offer);
        world.send(reinvite);
        let ack = anna.ack("");
        world.send(ack);
        let sent = world.take();
        sent.into_iter().find(|sent| sent.method() == "INVITE").expect("the recorder is told")
    };
    let update = holds(&mut world, &held);
    let (sdp, metadata) = parts(&update);
    let [(1.., "inactive", "1")] = lines(&sdp)[..] else { panic!("{sdp}") };
    assert_eq!(metadata.sender("1"), None);
    accept(&mut world, &update);
    assert_eq!(world.outside.media().direction, Direction::Inactive);
    assert!(recorded(&world).is_empty());
    let update = holds(&mut world, crate::harness::OFFER);
    let (sdp, metadata) = parts(&update);
    let [(1.., "sendonly", "1")] = lines(&sdp)[..] else { panic!("{sdp}") };
    assert!(metadata.sender("1").is_some());
    accept(&mut world, &update);
    assert_eq!(world.outside.media().direction, Direction::SendOnly);
    let bye = hang_up(&mut world, &mut anna);
    refuse(&mut world, &bye[0], "200 OK");
    world.leaves_nothing_behind();
}

#[test]
fn whoever_is_beyond_the_streams_of_a_room_is_in_its_mix() {
    let mut world = World::with(|config| {
        config.siprec.send_to = vec![format!("sip:srs@{FIRST}").parse().unwrap()];
        config.siprec.rooms = vec!["1*".parse().unwrap()];
        config.siprec.send_streams_max = 2;
    });
    let mut people: Vec<Phone> = ["anna", "bert", "carl", "dora"].map(phone).into();
    for (number, phone) in people.iter_mut().enumerate() {
        let invite = join(&mut world, phone).remove(0);
        let (sdp, _) = parts(&invite);
        assert_eq!(lines(&sdp).len(), (number + 1).min(3));
        accept(&mut world, &invite);
    }
    let room = TapPoint::Room(*world.outside.open_rooms.iter().next().unwrap());
    let own = &said(&world)[..2];
    assert_eq!(carried(&world), [own[0], own[1], room]);
    // One with a stream goes: the next in the mix has one, another is left in the mix.
    let update = hang_up(&mut world, &mut people[0]).remove(0);
    let (_, metadata) = parts(&update);
    assert!(metadata.sender("3").is_some(), "one alone is left in the mix: it is known who");
    accept(&mut world, &update);
    assert_eq!(carried(&world), [own[1], room, said(&world)[1]]);
    let update = hang_up(&mut world, &mut people[1]).remove(0);
    accept(&mut world, &update);
    assert_eq!(carried(&world), said(&world), "no mix is needed any more");
    hang_up(&mut world, &mut people[2]);
    world.take();
    hang_up(&mut world, &mut people[3]);
    world.leaves_nothing_behind();
}

#[test]
fn a_call_is_sent_as_what_its_caller_says_and_what_it_hears() {
    let mut world = World::with(|config| {
        config.siprec.send_to = vec![format!("sip:srs@{FIRST}").parse().unwrap()];
        config.siprec.calls = vec!["ec*".parse().unwrap()];
    });
    let mut anna = Phone::calling("echo");
    let invite = join(&mut world, &mut anna).remove(0);
    let (sdp, metadata) = parts(&invite);
    let [(1.., "sendonly", "1"), (1.., "sendonly", "2")] = lines(&sdp)[..] else { panic!("{sdp}") };
    assert_eq!(metadata.sender("1").unwrap().aor, "sip:alice@example.org");
    assert_eq!(metadata.sender("2").unwrap().aor, "sip:echo@203.0.113.1:5060");
    let session = world.participant().session;
    let both = [TapPoint::Received(session), TapPoint::Sent(session)];
    assert_eq!(recorded(&world), both);
    assert!(world.outside.recordings[0].call_id.is_some());
    accept(&mut world, &invite);
    assert_eq!(carried(&world), both);
    let bye = hang_up(&mut world, &mut anna);
    assert_eq!(bye.iter().map(Sent::method).collect::<Vec<_>>(), ["BYE"]);
    refuse(&mut world, &bye[0], "200 OK");

    // Others by the API, whether they are in a room or not.
    let mut bert = Phone::calling("conf99").named("bert");
    join(&mut world, &mut bert);
    let call = Subject::Call(world.participant().participant);
    world.front.begin_sending(world.now, &call, &mut world.outside).unwrap();
    let invite = world.only();
    accept(&mut world, &invite);
    assert_eq!(carried(&world).len(), 2);
    world.front.end_sending(world.now, &call, &mut world.outside).unwrap();
    let bye = world.only();
    refuse(&mut world, &bye, "200 OK");
    hang_up(&mut world, &mut bert);
    world.leaves_nothing_behind();
}

#[test]
fn what_a_recorder_does_not_take_is_recorded_here() {
    let mut world = world();
    let (mut anna, mut bert) = (phone("anna"), phone("bert"));
    let invite = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &invite);
    let update = join(&mut world, &mut bert).remove(0);
    let answer = answer(&update).replace("m=audio 7002", "m=audio 0");
    accept_with(&mut world, &update, &answer);
    assert_eq!(carried(&world), said(&world)[..1]);
    assert_eq!(recorded(&world), said(&world)[1..]);
    // It is offered again at the next change, and refused as a whole.
    let mut carl = phone("carl");
    let update = join(&mut world, &mut carl).remove(0);
    let (sdp, _) = parts(&update);
    assert_eq!(lines(&sdp).len(), 3);
    refuse(&mut world, &update, "488 Not Acceptable Here");
    assert_eq!(carried(&world), said(&world)[..1], "what it took before it goes on to get");
    assert_eq!(recorded(&world), said(&world)[1..]);
    world.front.drain(world.now, &mut world.outside);
    for bye in world.take() {
        if bye.method() == "BYE" {
            refuse(&mut world, &bye, "200 OK");
        }
    }
    world.leaves_nothing_behind();
}

#[test]
fn a_room_is_sent_on_demand_and_no_longer_than_that() {
    let mut world = world();
    let mut anna = Phone::calling("conf99");
    assert!(join(&mut world, &mut anna).is_empty(), "it is not one of those that always are");
    let send = |world: &mut World, name: &str| {
        let room = Subject::Room(name.to_owned());
        world.front.begin_sending(world.now, &room, &mut world.outside)
    };
    assert!(send(&mut world, "98").is_err());
    send(&mut world, "99").unwrap();
    let invite = world.only();
    send(&mut world, "99").unwrap();
    world.silent();
    assert_eq!(parts(&invite).1.participants.len(), 1);
    accept(&mut world, &invite);
    world
        .front
        .end_sending(world.now, &Subject::Room("99".to_owned()), &mut world.outside)
        .unwrap();
    let bye = world.only();
    assert_eq!(bye.method(), "BYE");
    refuse(&mut world, &bye, "200 OK");
    assert!(
        world
            .front
            .end_sending(world.now, &Subject::Room("99".to_owned()), &mut world.outside)
            .is_err()
    );
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

/// A request of the recorder's inside of the dialog that its 200 made.
fn from_recorder(
    world: &mut World,
    invite: &Sent,
    request: (&str, u32),
    body: (&str, &str),
) -> Vec<Sent> {
    let (method, sequence) = request;
    let (content_type, body) = body;
    let tag = invite.header("From").split_once("tag=").unwrap().1;
    let text = format!(
        "{method} sip:recording-client@203.0.113.1 SIP/2.0\r\n\
         Via: SIP/2.0/UDP {FIRST};branch=z9hG4bK{method}{sequence}\r\nMax-Forwards: 70\r\n\
         From: <sip:srs@{FIRST}>;tag=srs\r\nTo: <sip:x@y>;tag={tag}\r\nCall-ID: {}\r\n\
         CSeq: {sequence} {method}\r\nContact: <sip:srs@{FIRST}>;+sip.srs\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        invite.header("Call-ID"),
        body.len()
    );
    world.send_from(udp(FIRST), text);
    world.take()
}

#[test]
fn a_recorder_may_pause_its_streams_and_go_on() {
    let mut world = world();
    let mut anna = phone("anna");
    let invite = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &invite);
    let sdp = "application/sdp";
    let paused = answer(&invite).replace("recvonly", "inactive");
    let sent = from_recorder(&mut world, &invite, ("INVITE", 1), (sdp, &paused));
    assert_eq!(sent[0].status(), 200, "{sent:#?}");
    assert!(sent[0].body().contains("a=inactive") && sent[0].body().contains("a=label:1"));
    assert_eq!(world.outside.media().direction, Direction::Inactive);
    assert!(recorded(&world).is_empty(), "it is as the recorder wants it");
    assert!(from_recorder(&mut world, &invite, ("ACK", 1), ("", "")).is_empty());
    let sent = from_recorder(&mut world, &invite, ("UPDATE", 2), (sdp, &answer(&invite)));
    assert!(sent[0].body().contains("a=sendonly"), "{}", sent[0].text);
    assert_eq!(world.outside.media().direction, Direction::SendOnly);
    // What cannot be agreed on changes nothing.
    for wrong in [String::new(), answer(&invite).replace("m=audio", "m=video"), "v=0".to_owned()] {
        let sequence = 3 + wrong.len() as u32;
        let sent = from_recorder(&mut world, &invite, ("INVITE", sequence), (sdp, &wrong));
        assert!(sent[0].status() >= 400, "{}", sent[0].text);
        from_recorder(&mut world, &invite, ("ACK", sequence), ("", ""));
    }
    assert_eq!(carried(&world), said(&world));
    let bye = hang_up(&mut world, &mut anna);
    refuse(&mut world, &bye[0], "200 OK");
    world.leaves_nothing_behind();
}

/// RFC 7866 section 7.2: a recorder that wants nothing for now says so by `a=inactive`.
#[test]
fn what_a_recorder_has_never_wanted_is_recorded_here_until_it_does() {
    let mut world = world();
    let mut anna = phone("anna");
    let invite = join(&mut world, &mut anna).remove(0);
    let unwanted = answer(&invite).replace("recvonly", "inactive");
    accept_with(&mut world, &invite, &unwanted);
    assert_eq!(recorded(&world), said(&world));
    let own = RecordingId::new(1);
    assert!(world.front.is_cover(own));
    // Whoever comes is wanted; the first is not yet.
    let mut bert = phone("bert");
    let update = join(&mut world, &mut bert).remove(0);
    let wants_second = answer(&update).replacen("recvonly", "inactive", 1);
    accept_with(&mut world, &update, &wants_second);
    assert_eq!(recorded(&world), said(&world)[..1]);
    let all = answer(&update);
    let sdp = "application/sdp";
    let sent = from_recorder(&mut world, &invite, ("INVITE", 1), (sdp, &all));
    assert_eq!(sent[0].status(), 200, "{sent:#?}");
    from_recorder(&mut world, &invite, ("ACK", 1), ("", ""));
    assert!(recorded(&world).is_empty() && !world.front.is_cover(own));
    // From now on it is a pause of its own, also where it is offered once more.
    let mut carl = phone("carl");
    let update = join(&mut world, &mut carl).remove(0);
    let paused = answer(&update).replacen("recvonly", "inactive", 2);
    accept_with(&mut world, &update, &paused);
    assert!(recorded(&world).is_empty());
    world.front.drain(world.now, &mut world.outside);
    for bye in world.take().iter().filter(|sent| sent.method() == "BYE") {
        refuse(&mut world, bye, "200 OK");
    }
    world.leaves_nothing_behind();
}

/// Who comes back from hold while the recorder is told something else is offered only afterwards.
#[test]
fn what_was_offered_on_hold_is_recorded_here_until_the_recorder_wants_it() {
    let mut world = world();
    let (mut anna, mut bert) = (phone("anna"), phone("bert"));
    let held = crate::harness::OFFER.to_owned() + "a=inactive\r\n";
    let hold = anna.invite(&held);
    world.send(hold);
    let (answers, mut invites): (Vec<_>, Vec<_>) =
        world.take().into_iter().partition(|sent| sent.status() == 200);
    anna.learn(&answers[0]);
    let ack = anna.ack("");
    world.send(ack);
    let invite = invites.remove(0);
    let (sdp, _) = parts(&invite);
    let [(1.., "inactive", "1")] = lines(&sdp)[..] else { panic!("{sdp}") };
    accept(&mut world, &invite);
    assert!(recorded(&world).is_empty(), "nothing is said");
    let update = join(&mut world, &mut bert).remove(0);
    let resume = anna.invite(crate::harness::OFFER);
    world.send(resume);
    let ack = anna.ack("");
    world.send(ack);
    assert!(world.take().iter().all(|sent| sent.status() == 200), "the recorder is not told yet");
    let both = recorded(&world);
    assert_eq!(both.len(), 2, "no recorder wants either yet");
    assert!(said(&world).iter().all(|point| both.contains(point)));
    let sent = accept(&mut world, &update);
    assert_eq!(recorded(&world), said(&world)[..1]);
    accept(&mut world, &sent[1]);
    assert!(recorded(&world).is_empty());
    world.front.drain(world.now, &mut world.outside);
    for bye in world.take().iter().filter(|sent| sent.method() == "BYE") {
        refuse(&mut world, bye, "200 OK");
    }
    world.leaves_nothing_behind();
}

#[test]
fn our_own_recording_that_is_lost_begins_again_with_the_next_change() {
    let mut world = world();
    let (mut anna, mut bert) = (phone("anna"), phone("bert"));
    let first = join(&mut world, &mut anna).remove(0);
    let second = refuse(&mut world, &first, "503 Service Unavailable").remove(1);
    refuse(&mut world, &second, "503 Service Unavailable");
    let (own, failed) = (RecordingId::new(1), Ending::RecordingFailed);
    world.outside.end_recording(own);
    world.front.recording_over(world.now, own, failed, &mut world.outside);
    world.silent();
    assert!(!world.front.is_cover(own));
    join(&mut world, &mut bert);
    assert_eq!(recorded(&world), said(&world));
    world.front.drain(world.now, &mut world.outside);
    for bye in world.take().iter().filter(|sent| sent.method() == "BYE") {
        refuse(&mut world, bye, "200 OK");
    }
    world.leaves_nothing_behind();
}

#[test]
fn a_recorder_that_asks_for_all_metadata_is_told() {
    let mut world = world();
    let mut anna = phone("anna");
    let invite = join(&mut world, &mut anna).remove(0);
    accept(&mut world, &invite);
    let wish = ("application/rs-metadata-request", "<requestsnapshot/>");
    let sent = from_recorder(&mut world, &invite, ("UPDATE", 1), wish);
    assert_eq!((sent[0].status(), sent[1].method()), (200, "INVITE"), "{sent:#?}");
    assert_eq!(parts(&sent[1]).1.participants.len(), 1);
    accept(&mut world, &sent[1]);
    let bye = hang_up(&mut world, &mut anna);
    refuse(&mut world, &bye[0], "200 OK");
    world.leaves_nothing_behind();
}
