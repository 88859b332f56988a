//! Recording sessions that others make with us: streams and their tracks, metadata and its
//! changes, hold, what is refused. The flows are those of RFC 7866 section 4 and RFC 8068.

use std::collections::BTreeMap;
use std::time::Duration;

use engine_control::{Command, Event, Refusal, TapId, TapPoint};
use media_units::{Direction, Encoding};
use signaling::{Ending, FrontEndConfig, RecordingId, SiprecConfig};

use crate::harness::{OFFER, Phone, Sent, World, response_to};

const MULTIPART: &str = "multipart/mixed;boundary=edge";

fn recorder() -> World {
    World::with(|config| config.siprec = allowed(4))
}

fn allowed(sessions_max: usize) -> SiprecConfig {
    let accept_from = vec!["192.0.2.0/24".parse().unwrap()];
    SiprecConfig { accept_from, sessions_max, streams_max: 3, ..SiprecConfig::default() }
}

fn client() -> Phone {
    let mut client = Phone::calling("srs").with("Require: siprec");
    "<sip:src@192.0.2.10:5060>;+sip.src".clone_into(&mut client.contact);
    client
}

/// A description of streams, each with its port, its label and more attributes.
fn offer(streams: &[(u16, &str, &str)]) -> String {
    let mut sdp =
        "v=0\r\no=src 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n".to_owned();
    for (port, label, more) in streams {
        let stream =
            format!("m=audio {port} RTP/AVP 0 8\r\na=label:{label}\r\na=sendonly\r\n{more}");
        sdp.push_str(&stream);
    }
    sdp
}

const TWO: [(u16, &str, &str); 2] = [(40000, "96", ""), (40002, "97", "")];

/// Metadata of who sends which stream: (participant, stream, label).
fn metadata(mode: &str, who: &[(&str, &str, &str)]) -> String {
    let mut xml = format!(
        "<?xml version=\"1.0\"?><recording xmlns='urn:ietf:params:xml:ns:recording:1'>\
         <datamode>{mode}</datamode><session session_id='S'/>"
    );
    for (who, stream, label) in who {
        let person = format!(
            "<participant participant_id='{who}'><nameID aor='sip:{who}@x'><name>{who}!</name>\
             </nameID></participant><stream stream_id='{stream}' session_id='S'>\
             <label>{label}</label></stream><participantstreamassoc participant_id='{who}'>\
             <send>{stream}</send></participantstreamassoc>"
        );
        xml.push_str(&person);
    }
    xml + "</recording>"
}

fn anna_and_bert() -> String {
    metadata("complete", &[("anna", "X", "96"), ("bert", "Y", "97")])
}

fn both(sdp: &str, xml: &str) -> String {
    let sdp = if sdp.is_empty() {
        String::new()
    } else {
        format!("--edge\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n")
    };
    format!(
        "{sdp}--edge\r\nContent-Type: application/rs-metadata+xml\r\n\
         Content-Disposition: recording-session\r\n\r\n{xml}\r\n--edge--\r\n"
    )
}

/// A request with a body of several parts.
fn send(world: &mut World, client: &mut Phone, method: &str, body: &str) -> Sent {
    client.sequence += 1;
    client.branches += 1;
    let request = client.write(method, client.sequence, MULTIPART, body);
    let answer = world.ask(request);
    if method == "INVITE" && answer.status() == 200 {
        client.learn(&answer);
        let ack = client.ack("");
        world.send(ack);
        world.silent();
    }
    answer
}

fn begin(world: &mut World, client: &mut Phone) -> Sent {
    let answer = send(world, client, "INVITE", &both(&offer(&TWO), &anna_and_bert()));
    assert_eq!(answer.status(), 200, "{}", answer.text);
    answer
}

/// Label and speaker of each track, by label.
fn tracks(world: &World) -> BTreeMap<String, Option<String>> {
    let recording = world.outside.recordings.last().unwrap();
    let tracks = recording.tracks.iter();
    tracks
        .map(|track| (track.label.clone(), track.participant.clone().map(|who| who.uri)))
        .collect()
}

fn tracked(expected: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    let entry = |(label, who): &(&str, Option<&str>)| ((*label).to_owned(), who.map(str::to_owned));
    expected.iter().map(entry).collect()
}

/// The lines of a description that say something about streams.
fn lines(answer: &Sent) -> Vec<&str> {
    let said = ["m=", "a=label", "a=recvonly", "a=inactive", "a=send"];
    answer.body().lines().filter(|line| said.iter().any(|begin| line.starts_with(begin))).collect()
}

#[test]
fn each_stream_is_received_and_recorded_under_its_participant() {
    let mut world = recorder();
    let mut client = client();
    let answer = begin(&mut world, &mut client);
    let expected = ["m=audio 20000 RTP/AVP 0", "a=recvonly", "a=label:96"];
    assert_eq!(lines(&answer)[..3], expected);
    let expected = ["m=audio 20002 RTP/AVP 0", "a=recvonly", "a=label:97"];
    assert_eq!(lines(&answer)[3..], expected);
    assert!(answer.header("Contact").ends_with(";+sip.srs"), "{}", answer.text);
    let expected = [("96", Some("sip:anna@x")), ("97", Some("sip:bert@x"))];
    assert_eq!(tracks(&world), tracked(&expected));
    let names: Vec<_> = world.outside.recordings[0]
        .tracks
        .iter()
        .map(|track| track.participant.clone().unwrap().display_name.unwrap())
        .collect();
    assert_eq!(names, ["anna!", "bert!"]);
    assert_eq!(world.outside.media().direction, Direction::ReceiveOnly);
    assert_eq!(world.front.participants().count(), 0, "nobody is in a room or a call");
    client.hang_up(&mut world);
    assert!(world.outside.recordings[0].tracks.is_empty(), "the recording is over");
    world.leaves_nothing_behind();
}

#[test]
fn the_feature_tag_alone_makes_a_recording_session_and_metadata_may_come_later() {
    let mut world = recorder();
    let mut client = client();
    client.extra.clear();
    let invite = client.invite(&offer(&TWO));
    let answer = world.ask(invite);
    assert_eq!(answer.status(), 200);
    client.learn(&answer);
    let ack = client.ack("");
    world.send(ack);
    assert_eq!(tracks(&world), tracked(&[("96", None), ("97", None)]));
    let answer = send(&mut world, &mut client, "UPDATE", &both("", &anna_and_bert()));
    assert_eq!((answer.status(), answer.body()), (200, ""));
    let named = tracked(&[("96", Some("sip:anna@x")), ("97", Some("sip:bert@x"))]);
    assert_eq!(tracks(&world), named);
    assert_eq!(world.outside.recordings.len(), 1, "it is the same recording");
    // A client that sends metadata by INFO, and one part alone.
    client.sequence += 1;
    client.branches += 1;
    let xml = metadata("partial", &[("carl", "Y", "97")])
        .replace("<participant ", "<participantstreamassoc participant_id='bert'/><participant ");
    let info = client.write("INFO", client.sequence, "application/rs-metadata+xml", &xml);
    assert_eq!(world.ask(info).status(), 200);
    let named = tracked(&[("96", Some("sip:anna@x")), ("97", Some("sip:carl@x"))]);
    assert_eq!(tracks(&world), named, "who is transferred to is on a track of its own");
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn hold_and_resume_and_another_codec_change_the_session_and_not_the_track() {
    let mut world = recorder();
    let mut client = client();
    begin(&mut world, &mut client);
    let held = offer(&TWO).replacen("a=sendonly", "a=inactive", 1);
    let hold = metadata("partial", &[]).replace(
        "<session session_id='S'/>",
        "<participantstreamassoc participant_id='anna'><recv>Y</recv></participantstreamassoc>",
    );
    let answer = send(&mut world, &mut client, "INVITE", &both(&held, &hold));
    assert!(lines(&answer)[..3].contains(&"a=inactive"), "{:?}", lines(&answer));
    assert!(lines(&answer)[3..].contains(&"a=recvonly"), "{:?}", lines(&answer));
    assert_eq!(world.outside.media().direction, Direction::Inactive);
    let named = tracked(&[("96", Some("sip:anna@x")), ("97", Some("sip:bert@x"))]);
    assert_eq!(tracks(&world), named, "who is on hold keeps the track");
    let resumed = offer(&TWO).replacen("RTP/AVP 0 8", "RTP/AVP 8", 1);
    let answer = send(&mut world, &mut client, "UPDATE", &both(&resumed, &anna_and_bert()));
    assert_eq!(lines(&answer)[0], "m=audio 20000 RTP/AVP 8");
    let media = world.outside.media();
    assert_eq!((media.direction, media.encoding), (Direction::ReceiveOnly, Encoding::Pcma));
    assert_eq!(world.outside.routes().len(), 2, "the sessions are the same");
    assert_eq!(tracks(&world), named);
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn streams_come_and_go_without_mixing_up_the_others() {
    let mut world = recorder();
    let mut client = client();
    begin(&mut world, &mut client);
    let three = [TWO[0], TWO[1], (40004, "98", "")];
    let more = metadata("partial", &[("carl", "Z", "98")]);
    send(&mut world, &mut client, "INVITE", &both(&offer(&three), &more));
    let (anna, bert, carl) = (Some("sip:anna@x"), Some("sip:bert@x"), Some("sip:carl@x"));
    assert_eq!(tracks(&world), tracked(&[("96", anna), ("97", bert), ("98", carl)]));
    // Anna goes, and her place stays empty.
    let without = [(0, "96", ""), TWO[1], three[2]];
    let answer = send(&mut world, &mut client, "INVITE", &both(&offer(&without), &more));
    assert_eq!(lines(&answer)[..2], ["m=audio 0 RTP/AVP 0 8", "a=label:96"]);
    assert_eq!(tracks(&world), tracked(&[("97", bert), ("98", carl)]));
    assert_eq!(world.outside.open_sessions.len(), 2);
    // Dora takes the place, under a label of her own; the same place with another label is
    // another stream.
    let dora = [(40006, "99", ""), TWO[1], (40004, "100", "")];
    let more = metadata("partial", &[("dora", "W", "99")]);
    send(&mut world, &mut client, "INVITE", &both(&offer(&dora), &more));
    let expected = [("97", bert), ("99", Some("sip:dora@x")), ("100", None)];
    assert_eq!(tracks(&world), tracked(&expected));
    // All of them go, and the session stays.
    let none = [(0, "99", ""), (0, "97", ""), (0, "100", "")];
    let answer = send(&mut world, &mut client, "INVITE", &both(&offer(&none), &more));
    assert_eq!(answer.status(), 200);
    assert!(world.outside.open_sessions.is_empty());
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn video_and_what_is_beyond_the_limit_are_refused_in_their_places() {
    let mut world = recorder();
    let mut client = client();
    let many = [(40000, "1", ""), (40002, "2", ""), (40004, "3", ""), (40006, "4", "")];
    let sdp =
        offer(&many).replacen("m=audio 40000", "m=video 50000 RTP/AVP 31\r\nm=audio 40000", 1);
    let answer = send(&mut world, &mut client, "INVITE", &both(&sdp, &anna_and_bert()));
    let ports: Vec<_> = lines(&answer).into_iter().filter(|line| line.starts_with("m=")).collect();
    let expected = [
        "m=video 0 RTP/AVP 31",
        "m=audio 20000 RTP/AVP 0",
        "m=audio 20002 RTP/AVP 0",
        "m=audio 20004 RTP/AVP 0",
        "m=audio 0 RTP/AVP 0 8",
    ];
    assert_eq!(ports, expected);
    assert_eq!(tracks(&world), tracked(&[("1", None), ("2", None), ("3", None)]));
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_stream_that_several_send_is_a_mix_and_stays_one() {
    let mut world = recorder();
    let mut client = client();
    let sdp = offer(&TWO[..1]);
    let alone = metadata("complete", &[("anna", "X", "96")]);
    send(&mut world, &mut client, "INVITE", &both(&sdp, &alone));
    assert_eq!(tracks(&world), tracked(&[("96", Some("sip:anna@x"))]));
    let two = metadata("complete", &[("anna", "X", "96"), ("bert", "X", "96")]);
    send(&mut world, &mut client, "UPDATE", &both("", &two));
    assert_eq!(tracks(&world), tracked(&[("96", None)]), "it is not hers alone any more");
    let bert = metadata("complete", &[("bert", "X", "96")]);
    send(&mut world, &mut client, "UPDATE", &both("", &bert));
    assert_eq!(tracks(&world), tracked(&[("96", None)]));
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn two_streams_of_one_label_are_nobodys() {
    let mut world = recorder();
    let mut client = client();
    let sdp = offer(&[(40000, "96", ""), (40002, "96", "")]);
    send(&mut world, &mut client, "INVITE", &both(&sdp, &anna_and_bert()));
    assert_eq!(tracks(&world), tracked(&[("stream1", None), ("stream2", None)]));
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn bad_bodies_are_refused_with_a_reason() {
    let sdp = offer(&TWO);
    let broken = both(&sdp, "<recording>");
    let bomb = both(&sdp, "<!DOCTYPE r [<!ENTITY a 'b'>]><recording>&a;</recording>");
    let foreign = both(&sdp, &anna_and_bert()).replace("rs-metadata+xml", "x-other");
    let optional = foreign.replace(
        "Content-Disposition: recording-session",
        "Content-Disposition: x;handling=optional",
    );
    let no_codec = both(&sdp.replace("RTP/AVP 0 8", "RTP/AVP 18"), &anna_and_bert());
    let secure = both(&sdp.replace("RTP/AVP", "RTP/SAVP"), &anna_and_bert());
    let table = [
        (MULTIPART, "no parts at all".to_owned(), 400, "No part"),
        ("multipart/mixed", both(&sdp, "<recording/>"), 400, "Boundary"),
        (MULTIPART, broken, 400, "not well-formed"),
        (MULTIPART, bomb, 400, "Document type"),
        (MULTIPART, both(&sdp, "<html/>"), 400, "no recording"),
        (MULTIPART, foreign, 415, "unknown format"),
        ("text/plain", "hello".to_owned(), 415, "unknown format"),
        (MULTIPART, both("", &anna_and_bert()), 488, "No audio stream"),
        (MULTIPART, both("v=0\r\nrubbish", &anna_and_bert()), 400, "not understood at line 2"),
        (MULTIPART, no_codec, 488, "PCMU or PCMA expected"),
        (MULTIPART, secure, 488, "RTP/AVP expected"),
    ];
    let mut world = recorder();
    for (number, (content_type, body, status, reason)) in table.into_iter().enumerate() {
        let mut client = client().named(&format!("bad{number}@x"));
        client.sequence = 1;
        let answer = world.ask(client.write("INVITE", 1, content_type, &body));
        assert_eq!(answer.status(), status, "{body}");
        assert!(answer.header("Warning").contains(reason), "{}", answer.text);
        assert_eq!(answer.has("Accept"), status == 415);
        let ack = client.ack_refusal(&answer);
        world.send(ack);
    }
    assert!(world.outside.recordings.is_empty());
    let mut client = client();
    assert_eq!(send(&mut world, &mut client, "INVITE", &optional).status(), 200);
    // Inside of the session a bad body changes nothing.
    let answer = send(&mut world, &mut client, "INVITE", &both(&offer(&TWO[..1]), "<recording>"));
    assert_eq!(answer.status(), 400);
    let ack = client.ack_refusal(&answer);
    world.send(ack);
    assert_eq!(world.outside.open_sessions.len(), 2);
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn who_is_not_allowed_and_what_is_beyond_the_limits_is_refused() {
    let refused = |configure: &dyn Fn(&mut FrontEndConfig), prepare: &dyn Fn(&mut World)| {
        let mut world = World::with(|config| configure(config));
        prepare(&mut world);
        let mut client = client();
        let answer = send(&mut world, &mut client, "INVITE", &both(&offer(&TWO), &anna_and_bert()));
        let ack = client.ack_refusal(&answer);
        world.send(ack);
        world.leaves_nothing_behind();
        (answer.status(), answer.headers("Unsupported").join(""))
    };
    let nothing = |_: &mut World| {};
    let off = refused(&|_| {}, &nothing);
    assert_eq!(off, (420, "siprec".to_owned()), "where it is off the extension is unknown");
    let elsewhere = SiprecConfig { accept_from: vec!["10.0.0.0/8".parse().unwrap()], ..allowed(1) };
    assert_eq!(refused(&|config| config.siprec = elsewhere.clone(), &nothing).0, 403);
    assert_eq!(refused(&|config| config.siprec = allowed(0), &nothing).0, 503);
    let on = |config: &mut FrontEndConfig| config.siprec = allowed(1);
    assert_eq!(refused(&on, &|world| world.outside.cannot_record = true).0, 503);
    assert_eq!(refused(&on, &|world| world.outside.refuses_media = Some(Refusal::NoPort)).0, 503);
    assert_eq!(refused(&on, &|world| world.outside.is_busy = true).0, 503);
}

#[test]
fn options_tell_of_recording_only_where_it_is_on() {
    for (mut world, supported) in [(recorder(), true), (World::new(), false)] {
        let options = Phone::calling("").request("OPTIONS", "").replace("sip:@", "sip:");
        let answer = world.ask(options);
        assert_eq!(answer.header("Supported").contains("siprec"), supported);
        assert_eq!(answer.header("Accept").contains("rs-metadata"), supported);
    }
}

#[test]
fn options_about_recording_are_answered_as_an_invite_would_be() {
    let ask = |world: &mut World| {
        let mut client = Phone::calling("rec").with("Require: siprec");
        world.ask(client.request("OPTIONS", "")).status()
    };
    assert_eq!(ask(&mut recorder()), 200);
    assert_eq!(ask(&mut World::new()), 420);
    assert_eq!(ask(&mut World::with(|config| config.siprec = allowed(0))), 503);
    let elsewhere = SiprecConfig { accept_from: vec!["10.0.0.0/8".parse().unwrap()], ..allowed(1) };
    assert_eq!(ask(&mut World::with(|config| config.siprec = elsewhere)), 403);
    let mut world = recorder();
    world.outside.cannot_record = true;
    assert_eq!(ask(&mut world), 503);
}

#[test]
fn a_call_with_several_parts_is_a_call() {
    let mut world = World::new();
    let mut phone = Phone::calling("echo");
    phone.sequence = 1;
    let answer = world.ask(phone.write("INVITE", 1, MULTIPART, &both(OFFER, &anna_and_bert())));
    assert_eq!(answer.status(), 200);
    assert_eq!(world.front.participants().count(), 1);
    phone.learn(&answer);
    let ack = phone.ack("");
    world.send(ack);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn a_shard_that_refuses_a_stream_or_its_tap_ends_the_session() {
    for refuses_tap in [false, true] {
        let mut world = recorder();
        let mut client = client();
        begin(&mut world, &mut client);
        let session = *world.outside.open_sessions.first().unwrap();
        if refuses_tap {
            assert_eq!(world.outside.recordings[0].tracks[0].point, TapPoint::Received(session));
            let point = TapPoint::Received(session);
            let command = Command::StartTap { point, tap: TapId(1), class: None };
            world.event(Event::Refused { command, refusal: Refusal::Full });
        } else {
            let at = world.outside.commands.iter().position(
                |command| matches!(command, Command::OpenSession { session: of, .. } if *of == session),
            );
            let command = world.outside.commands.remove(at.unwrap());
            world.outside.open_sessions.remove(&session);
            world.event(Event::Refused { command, refusal: Refusal::Full });
        }
        let bye = world.only();
        assert_eq!(bye.method(), "BYE");
        world.send(crate::harness::response_to(&bye, "200 OK", "", ""));
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_session_whose_recording_is_over_ends() {
    for ending in [Ending::RecordingStopped, Ending::RecordingFailed] {
        let mut world = recorder();
        let mut client = client();
        begin(&mut world, &mut client);
        let id = RecordingId::new(1);
        world.front.recording_over(world.now, id, ending, &mut world.outside);
        let bye = world.only();
        assert_eq!((bye.method(), bye.header("Reason").contains("Recording")), ("BYE", true));
        assert_eq!(world.front.counters().ended(ending), 1);
        world.send(crate::harness::response_to(&bye, "200 OK", "", ""));
        world.leaves_nothing_behind();
    }
}

#[test]
fn a_client_that_says_nothing_is_asked_whether_it_is_there() {
    let timers = ["Subject: none", "Supported: timer\r\nSession-Expires: 1800;refresher=uas"];
    for (timer, status) in timers
        .into_iter()
        .zip(["405 Method Not Allowed", "200 OK"])
        .chain([(timers[0], "200 OK"), (timers[1], "501 Not Implemented")])
    {
        let mut world = recorder();
        let mut client = client();
        client.extra = [&client.extra, timer, "\r\n"].concat();
        begin(&mut world, &mut client);
        for _ in 0..4 {
            world.pass(Duration::from_secs(900));
            let update = world.only();
            assert_eq!((update.method(), update.body()), ("UPDATE", ""), "{timer} {status}");
            world.send(response_to(&update, status, "", ""));
            world.silent();
        }
        assert_eq!(world.front.calls(), 1, "{timer} {status}");
        world.pass(Duration::from_secs(900));
        assert_eq!(world.only().method(), "UPDATE");
        world.pass(Duration::from_secs(900));
        assert_eq!(world.take().last().unwrap().method(), "BYE", "it is gone");
    }
}

#[test]
fn identifiers_and_times_of_the_communication_session_are_told_to_the_recording() {
    let mut world = recorder();
    let mut client = client();
    let with = |mode: &str, session: &str| {
        metadata(mode, &[("anna", "X", "96"), ("bert", "Y", "97")])
            .replace("<session session_id='S'/>", session)
    };
    let first = "<session session_id='S'><sipSessionID>ab;remote=cd</sipSessionID>\
                 <start-time>2026-11-21T07:00:00Z</start-time></session>";
    send(&mut world, &mut client, "INVITE", &both(&offer(&TWO), &with("complete", first)));
    let tags = |world: &World| -> Vec<(String, String)> {
        let tags = world.outside.tags.iter();
        tags.map(|((_, name), value)| (name.clone(), value.clone())).collect()
    };
    let expected = |stop: Option<&str>| {
        let mut tags = vec![
            ("siprec.session_id".to_owned(), "S".to_owned()),
            ("siprec.sip_session_id".to_owned(), "ab;remote=cd".to_owned()),
            ("siprec.start_time".to_owned(), "2026-11-21T07:00:00Z".to_owned()),
        ];
        tags.extend(stop.map(|stop| ("siprec.stop_time".to_owned(), stop.to_owned())));
        tags
    };
    assert_eq!(tags(&world), expected(None));
    // The end is told, and nothing else any more: the rest stays.
    let last = "<session session_id='S'><stop-time>2026-11-21T08:00:00Z</stop-time></session>";
    send(&mut world, &mut client, "UPDATE", &both("", &with("complete", last)));
    assert_eq!(tags(&world), expected(Some("2026-11-21T08:00:00Z")));
    client.hang_up(&mut world);
    world.leaves_nothing_behind();
}
