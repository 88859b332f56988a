//! Payload formats in whole calls: who may use which, what a refresh offers, how rooms sound.

use engine_control::Command;
use media_units::{Encoding, RoomSound, Selection};
use signaling::{EndpointRule, FrontEndConfig, RoomRule};
use signaling_sdp::Capabilities;

use crate::harness::{OFFER, Phone, World, udp};

/// An offer of Opus, G.722 and both laws.
const WIDE: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\n\
                    t=0 0\r\nm=audio 40000 RTP/AVP 111 9 0 8 110 126\r\n\
                    a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
                    a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";

fn able(config: &mut FrontEndConfig) {
    config.capabilities = Capabilities {
        encodings: vec![Encoding::Opus, Encoding::G722, Encoding::Pcmu, Encoding::Pcma],
        ..Capabilities::default()
    };
}

#[test]
fn a_call_moves_from_one_codec_to_another_and_back() {
    let mut world = World::with(able);
    let mut phone = Phone::calling("echo");
    let invite = phone.invite(WIDE);
    let answer = world.ask(invite);
    assert!(answer.body().contains("RTP/AVP 111 110\r\n"), "{}", answer.body());
    phone.learn(&answer);
    let ack = phone.ack("");
    world.send(ack);
    let opened = world.outside.media();
    assert_eq!((opened.encoding, opened.parameters.in_band_fec), (Encoding::Opus, true));
    for (formats, encoding) in [("0 126", Encoding::Pcmu), ("9 0", Encoding::G722)] {
        let offer = WIDE.replace("111 9 0 8 110 126", formats);
        let reinvite = phone.invite(&offer);
        assert_eq!(world.ask(reinvite).status(), 200);
        let ack = phone.ack("");
        world.send(ack);
        assert_eq!(world.outside.media().encoding, encoding);
    }
    let reinvite = phone.invite("");
    let ours = world.ask(reinvite);
    assert!(
        ours.body().contains("RTP/AVP 9 111 0 8 126 110\r\n"),
        "what is agreed on first, every number as it was: {}",
        ours.body()
    );
    let answer = WIDE.replace("111 9 0 8 110 126", "8 126");
    let ack = phone.ack(&answer);
    world.send(ack);
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}

#[test]
fn some_endpoints_may_use_fewer_codecs_than_others() {
    let mut world = World::with(|config| {
        able(config);
        let rule = |network: Option<&str>, user: Option<&str>, encoding| EndpointRule {
            network: network.map(|text| text.parse().unwrap()),
            user: user.map(|text| text.parse().unwrap()),
            may_record: false,
            is_recorded: false,
            encodings: vec![encoding],
        };
        config.endpoints = vec![
            rule(Some("198.51.100.0/24"), None, Encoding::Pcma),
            rule(None, Some("mono*"), Encoding::Pcmu),
        ];
    });
    let mut call = |from: &str, user: &str, offer: &str| {
        let mut phone = Phone::calling("echo").named(user);
        let invite = phone.invite(offer).replace("sip:alice@example.org", &format!("sip:{user}@x"));
        world.send_from(udp(from), invite);
        let mut sent = world.take();
        sent.remove(0)
    };
    assert!(call("192.0.2.10:5060", "phone", WIDE).body().contains("RTP/AVP 111 110\r\n"));
    assert!(call("198.51.100.9:5060", "desk", WIDE).body().contains("RTP/AVP 8 126\r\n"));
    assert!(call("192.0.2.10:5060", "monophone", WIDE).body().contains("RTP/AVP 0 126\r\n"));
    let only_opus = WIDE.replace("111 9 0 8 110 126", "111");
    let refusal = call("198.51.100.9:5060", "other", &only_opus);
    assert_eq!(refusal.status(), 488);
    assert!(refusal.header("Warning").contains("PCMA expected, opus offered"));
}

#[test]
fn a_room_is_opened_with_the_sound_of_its_name() {
    let hall = RoomSound { selection: Selection::Loudest(2), ..RoomSound::DEFAULT };
    let mut world = World::with(|config| {
        config.rooms =
            vec![RoomRule { name: "hall*".parse().unwrap(), sound: hall, spread_above: None }];
        config.room_sound = RoomSound { comfort_noise: true, ..RoomSound::DEFAULT };
    });
    for (number, sound) in [("confhall1", hall), ("confsales", world_sound())] {
        let mut phone = Phone::calling(number).named(number);
        let invite = phone.invite(OFFER);
        assert_eq!(world.ask(invite).status(), 200);
        let opened = world.outside.commands.iter().rev().find_map(|command| match command {
            Command::OpenRoom { sound, .. } => Some(*sound),
            _ => None,
        });
        assert_eq!(opened, Some(sound), "{number}");
    }
}

fn world_sound() -> RoomSound {
    RoomSound { comfort_noise: true, ..RoomSound::DEFAULT }
}
