//! INVITE, ACK, BYE, CANCEL, and what can be dialled.

use engine_control::{Command, Route};
use media_units::{Direction, Encoding};

use crate::harness::{OFFER, Phone, World};

#[test]
fn a_call_with_an_offer_is_answered_and_joins_its_room() {
    let mut world = World::new();
    let mut phone = Phone::calling("conf7");
    let answer = phone.connect(&mut world);
    assert_eq!(answer.header("Content-Type"), "application/sdp");
    assert!(answer.body().contains("m=audio 20000 RTP/AVP 0 101"), "{}", answer.body());
    assert_eq!(answer.header("Contact"), "<sip:conf7@203.0.113.1:5060>");
    assert!(matches!(world.outside.routes()[..], [Route::Room(_)]));
    let media = world.outside.media();
    assert_eq!(media.encoding, Encoding::Pcmu);
    assert_eq!(media.rtp, "192.0.2.10:40000".parse().unwrap());
    let room = world.front.rooms().next().unwrap();
    assert_eq!((room.name.as_str(), room.members.len()), ("7", 1));
    assert_eq!(room.members[0].uri, "sip:alice@example.org");
    assert_eq!(room.members[0].display_name.as_deref(), Some("Alice"));
    phone.hang_up(&mut world);
    assert!(matches!(world.outside.commands.last(), Some(Command::CloseRoom { .. })));
    world.leaves_nothing_behind();
}

#[test]
fn a_call_without_an_offer_finds_ours_in_the_200_and_answers_in_the_ack() {
    let mut world = World::new();
    let mut phone = Phone::calling("3000");
    let invite = phone.invite("");
    let answer = world.ask(invite);
    assert_eq!(answer.status(), 200);
    assert!(answer.body().contains("RTP/AVP 0 8 101"), "{}", answer.body());
    assert!(world.outside.routes().is_empty(), "nothing is agreed on yet");
    phone.learn(&answer);
    let ack = phone.ack(&OFFER.replace("0 8 101", "8 101"));
    world.send(ack);
    world.silent();
    assert_eq!(world.outside.media().encoding, Encoding::Pcma);
    assert_eq!(world.outside.media().direction, Direction::SendReceive);
    phone.hang_up(&mut world);
    world.leaves_nothing_behind();
}
