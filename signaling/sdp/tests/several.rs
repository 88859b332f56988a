//! Descriptions of several audio streams, as recording sessions have them.

mod described;

use described::local;
use engine_control::MediaAddress;
use media_units::{Direction, Encoding};
use proptest::prelude::*;
use signaling_sdp::{Capabilities, OfferedStreams, OwnStreams, SdpRefusal};

/// A border controller's offer: addresses in the streams, one of them with another codec, one on
/// hold, video between them.
const OFFER: &str = "v=0\r\no=SBC 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.2\r\na=label:1\r\na=sendonly\r\na=maxptime:20\r\n\
    m=video 4002 RTP/AVP 31\r\nc=IN IP4 192.0.2.2\r\na=label:3\r\n\
    m=audio 4004 RTP/AVP 18 8\r\nc=IN IP4 192.0.2.3\r\na=label:2\r\na=inactive\r\n\
    m=audio 4006 RTP/AVP 18\r\nc=IN IP4 192.0.2.3\r\na=label:4\r\na=sendonly\r\n";

fn port(number: u16) -> MediaAddress {
    MediaAddress { address: [203, 0, 113, 1].into(), rtp_port: number }
}

fn read(offer: &str, earlier: Option<&OfferedStreams>) -> Result<OfferedStreams, SdpRefusal> {
    OfferedStreams::read(offer.as_bytes(), &Capabilities::default(), earlier)
}

fn said(answer: &str) -> Vec<&str> {
    let kept = ["m=", "a=label", "a=recvonly", "a=inactive", "a=sendonly"];
    answer.lines().filter(|line| kept.iter().any(|begin| line.starts_with(begin))).collect()
}

#[test]
fn each_stream_is_agreed_on_for_itself_and_answered_in_its_place() {
    let streams = read(OFFER, None).unwrap();
    let audio: Vec<_> = streams
        .audio()
        .map(|(place, label, media)| (place, label, media.encoding, media.direction))
        .collect();
    let expected = [
        (0, "1", Encoding::Pcmu, Direction::ReceiveOnly),
        (2, "2", Encoding::Pcma, Direction::Inactive),
    ];
    assert_eq!(audio, expected);
    let answer = streams.answer(&local(), |place| Some(port(20_000 + place as u16)));
    let expected = [
        "m=audio 20000 RTP/AVP 0",
        "a=recvonly",
        "a=label:1",
        "m=video 0 RTP/AVP 31",
        "a=label:3",
        "m=audio 20002 RTP/AVP 8",
        "a=inactive",
        "a=label:2",
        "m=audio 0 RTP/AVP 18",
        "a=label:4",
    ];
    assert_eq!(said(&answer), expected);
}

#[test]
fn an_offer_of_nothing_that_can_be_taken_is_refused_and_one_that_gives_up_all_is_not() {
    let unknown = OFFER.replace("RTP/AVP 0", "RTP/AVP 18").replace("18 8", "18");
    assert!(matches!(read(&unknown, None), Err(SdpRefusal::NoCommonCodec { .. })));
    let none: String = OFFER
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((begin, rest)) if begin.starts_with("m=") => {
                format!("{begin} 0 {}\r\n", rest.split_once(' ').unwrap().1)
            }
            _ => format!("{line}\r\n"),
        })
        .collect();
    assert_eq!(read(&none, None), Err(SdpRefusal::NoAudio));
    let earlier = read(OFFER, None).unwrap();
    assert_eq!(read(&none, Some(&earlier)).unwrap().audio().count(), 0);
}

#[test]
fn our_offers_keep_places_and_a_free_place_is_taken_again() {
    let capabilities = Capabilities::default();
    let mut streams = OwnStreams::default();
    assert_eq!(streams.add("a", port(5000)), Some(0));
    assert_eq!(streams.add("b", port(5002)), Some(1));
    let offer = streams.offer(&local(), &capabilities);
    // The recorder reads what we wrote, and we read what it answers.
    let taken = read(&offer, None).unwrap();
    let answer = taken.answer(&local(), |place| Some(port(6000 + 2 * place as u16)));
    let agreed = streams.accept_answer(answer.as_bytes(), &capabilities).unwrap();
    let agreed: Vec<_> = agreed.into_iter().map(Option::unwrap).collect();
    assert_eq!(agreed[1].rtp, port(6002).rtp());
    assert!(agreed.iter().all(|media| media.direction == Direction::SendOnly));
    streams.remove(0);
    let offer = streams.offer(&local(), &capabilities);
    assert!(said(&offer)[0].starts_with("m=audio 0 "), "{offer}");
    let without = read(&offer, Some(&taken)).unwrap();
    let answer = without.answer(&local(), |place| (place == 1).then_some(port(6002)));
    let agreed = streams.accept_answer(answer.as_bytes(), &capabilities).unwrap();
    assert!(agreed[0].is_none() && agreed[1].is_some());
    assert_eq!(streams.add("c", port(5004)), Some(0));
    assert_eq!(streams.add("d", port(5006)), Some(2));
    assert_eq!(said(&streams.offer(&local(), &capabilities)).len(), 9);
    let short = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 1 RTP/AVP 0\r\n";
    assert_eq!(
        streams.accept_answer(short.as_bytes(), &capabilities),
        Err(SdpRefusal::NoAudio),
        "an answer has as many streams as the offer"
    );
}

#[test]
fn a_description_has_room_for_so_many_streams() {
    let mut streams = OwnStreams::default();
    for place in 0..signaling_sdp::STREAMS_MAX {
        assert_eq!(streams.add("x", port(5000)), Some(place));
    }
    assert_eq!(streams.add("x", port(5000)), None);
}

proptest! {
    #[test]
    fn any_offer_is_answered_stream_by_stream_or_refused(
        lines in prop::collection::vec(prop::sample::select(OFFER.lines().collect::<Vec<_>>()), 0..24)
    ) {
        let offer = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n{}\r\n", lines.join("\r\n"));
        let capabilities = Capabilities::default();
        if let Ok(streams) = OfferedStreams::read(offer.as_bytes(), &capabilities, None) {
            let answer = streams.answer(&local(), |place| Some(port(20_000 + place as u16)));
            let count = |text: &str| text.lines().filter(|line| line.starts_with("m=")).count();
            prop_assert_eq!(count(&answer), count(&offer));
            prop_assert_eq!(answer.matches("a=sendonly").count(), 0);
        }
        let mut own = OwnStreams::default();
        own.add("1", port(5000));
        let _ = own.accept_answer(offer.as_bytes(), &capabilities);
    }
}
