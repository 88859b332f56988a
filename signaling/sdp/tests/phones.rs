//! Offers in the manner of real phones, and the answers they get. Written here, after what each
//! kind of phone sends.

mod described;

use described::{local, plain, socket};
use engine_control::{RemoteMedia, RtcpTransport, TelephoneEvent};
use media_units::{Direction, Encoding, Law};
use signaling_sdp::{
    Capabilities, Families, Local, Negotiation, SdpRefusal, accept_answer, negotiate, offer,
};

/// A softphone with wideband codecs first, a video stream, and dynamic telephone events.
const SOFTPHONE: &str = "v=0\r
o=alice 1923 2641 IN IP4 192.0.2.17\r
s=Talk\r
c=IN IP4 192.0.2.17\r
t=0 0\r
a=ice-pwd:0123456789abcdef01234567\r
a=ice-ufrag:abcd\r
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r
a=record:off\r
m=audio 7078 RTP/AVP 96 97 98 0 8 101 100 99\r
a=rtpmap:96 opus/48000/2\r
a=fmtp:96 useinbandfec=1\r
a=rtpmap:97 speex/16000\r
a=fmtp:97 vbr=on\r
a=rtpmap:98 speex/8000\r
a=fmtp:98 vbr=on\r
a=rtpmap:101 telephone-event/48000\r
a=rtpmap:100 telephone-event/16000\r
a=rtpmap:99 telephone-event/8000\r
a=candidate:1 1 UDP 2130706303 192.0.2.17 7078 typ host\r
a=rtcp-fb:* trr-int 5000\r
m=video 9078 RTP/AVP 96\r
a=rtpmap:96 VP8/90000\r
";

/// A small open-source agent: IPv6, ptime, its own RTCP port.
const AGENT: &str = "v=0\r
o=- 3869421 1 IN IP6 2001:db8::5\r
s=-\r
c=IN IP6 2001:db8::5\r
t=0 0\r
m=audio 10044 RTP/AVP 8 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=rtcp:10099 IN IP6 2001:db8::6\r
a=sendrecv\r
a=label:1\r
a=ptime:30\r
";

/// A desk phone: no rtpmap for static types, a session-level hold, the address in the stream.
const DESK_PHONE: &str = "v=0\r
o=DeskPhone-UserAgent 14812 0 IN IP4 198.51.100.3\r
s=SIP Call\r
b=AS:4064\r
t=0 0\r
a=sendonly\r
m=audio 32442 RTP/AVP 0 8 18 102\r
c=IN IP4 198.51.100.4\r
b=TIAS:64000\r
a=fmtp:18 annexb=no\r
a=rtpmap:102 telephone-event/8000\r
a=fmtp:102 0-15\r
";

/// A browser: secure transport only, bundled.
const BROWSER: &str = "v=0\r
o=- 4611731400430051336 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE 0 1 2\r
a=extmap-allow-mixed\r
a=msid-semantic: WMS\r
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r
c=IN IP4 0.0.0.0\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=ice-ufrag:9uB6\r
a=ice-pwd:0123456789abcdef01234567\r
a=fingerprint:sha-256 00:11:22:33\r
a=setup:actpass\r
a=mid:0\r
a=sendrecv\r
a=rtcp-mux\r
a=rtpmap:111 opus/48000/2\r
m=video 9 UDP/TLS/RTP/SAVPF 96\r
c=IN IP4 0.0.0.0\r
a=mid:1\r
a=rtpmap:96 VP8/90000\r
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r
c=IN IP4 0.0.0.0\r
a=mid:2\r
";

fn read(offer: &str) -> Result<Negotiation, SdpRefusal> {
    negotiate(offer.as_bytes(), &Capabilities::default())
}

fn media(offer: &str) -> RemoteMedia {
    read(offer).unwrap().media()
}

#[test]
fn a_softphone_gets_g711_with_its_own_event_number_and_no_video() {
    let negotiation = read(SOFTPHONE).unwrap();
    assert_eq!(
        negotiation.media(),
        RemoteMedia {
            telephone_event: Some(TelephoneEvent { receive: 99, send: 99, clock_rate: 8000 }),
            ..RemoteMedia::g711(
                Law::Mu,
                socket("192.0.2.17:7078"),
                RtcpTransport::Separate(socket("192.0.2.17:7079")),
            )
        }
    );
    assert_eq!(
        negotiation.answer(&local()),
        "v=0\r\no=- 77 3 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n\
         m=audio 16384 RTP/AVP 0 99\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:99 telephone-event/8000\r\n\
         a=fmtp:99 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n\
         m=video 0 RTP/AVP 96\r\n"
    );
}

#[test]
fn an_agent_over_ipv6_keeps_its_rtcp_address_and_packet_time() {
    let media = media(AGENT);
    assert_eq!(media.encoding, Encoding::Pcma);
    assert_eq!(media.rtp, socket("[2001:db8::5]:10044"));
    assert_eq!(media.rtcp, RtcpTransport::Separate(socket("[2001:db8::6]:10099")));
    assert_eq!(media.parameters.packet_time_ms, 30);
    let mut local = local();
    local.address.address = "2001:db8::1".parse().unwrap();
    let answer = read(AGENT).unwrap().answer(&local);
    assert!(answer.contains("c=IN IP6 2001:db8::1\r\n"), "{answer}");
}

#[test]
fn a_desk_phone_on_hold_is_answered_receive_only_at_its_streams_address() {
    let negotiation = read(DESK_PHONE).unwrap();
    assert_eq!(negotiation.media().rtp, socket("198.51.100.4:32442"));
    assert_eq!(negotiation.media().direction, Direction::ReceiveOnly);
    assert!(negotiation.answer(&local()).ends_with("a=recvonly\r\n"));
}

#[test]
fn a_browser_is_told_why_it_is_refused() {
    let refusal = read(BROWSER).unwrap_err();
    assert_eq!((refusal.status(), refusal.warning_code()), (488, 302));
    assert_eq!(refusal.warning_text(), "RTP/AVP expected, UDP/TLS/RTP/SAVPF offered");
}

#[test]
fn the_first_acceptable_stream_wins_and_the_others_keep_their_places() {
    let offer = plain(
        "IP4 192.0.2.1",
        "m=video 4000 RTP/AVP 31\r\nm=audio 0 RTP/AVP 0\r\nm=audio 5000 RTP/SAVP 0\r\n\
         m=audio 6000 RTP/AVPF 9 8\r\nm=audio 7000 RTP/AVP 0\r\nm=image 8000 udptl t38",
        &[],
    );
    let answer = read(&offer).unwrap().answer(&local());
    let streams: Vec<_> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        streams,
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 0 RTP/AVP 0",
            "m=audio 0 RTP/SAVP 0",
            "m=audio 16384 RTP/AVPF 8",
            "m=audio 0 RTP/AVP 0",
            "m=image 0 udptl t38",
        ]
    );
}

#[test]
fn a_dynamic_payload_type_of_a_known_codec_is_honoured_in_both_directions() {
    let offer = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 96", &["rtpmap:96 pcma/8000/1 "]);
    let media = media(&offer);
    assert_eq!((media.encoding, media.receive_payload_type), (Encoding::Pcma, 96));
    assert_eq!(media.send_payload_type, 96);
    assert!(read(&offer).unwrap().answer(&local()).contains("a=rtpmap:96 PCMA/8000\r\n"));
}

#[test]
fn the_offerers_order_decides_among_what_we_can() {
    let offer = |order: &str| plain("IP4 192.0.2.1", &format!("m=audio 4000 RTP/AVP {order}"), &[]);
    assert_eq!(media(&offer("8 0")).encoding, Encoding::Pcma);
    assert_eq!(media(&offer("0 8")).encoding, Encoding::Pcmu);
    let only_mu = Capabilities { encodings: vec![Encoding::Pcmu], ..Capabilities::default() };
    let chosen = negotiate(offer("8 0").as_bytes(), &only_mu).unwrap().media();
    assert_eq!(chosen.encoding, Encoding::Pcmu);
}

#[test]
fn a_rate_or_channels_that_we_do_not_know_is_another_codec() {
    let attributes =
        ["rtpmap:96 PCMU/16000", "rtpmap:97 PCMA/8000/2", "rtpmap:0 L16/8000", "rtpmap:x"];
    let offer = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 96 97 0 9 18 300 x", &attributes);
    let refusal = read(&offer).unwrap_err();
    assert_eq!((refusal.status(), refusal.warning_code()), (488, 305));
    assert_eq!(
        refusal.warning_text(),
        "PCMU or PCMA expected, PCMU/16000 PCMA/8000 L16/8000 G722 G729/8000 offered"
    );
}

#[test]
fn every_direction_is_mirrored_and_an_unspecified_address_is_a_hold() {
    let cases = [
        ("IP4 192.0.2.1", "sendrecv", Direction::SendReceive, "sendrecv"),
        ("IP4 192.0.2.1", "sendonly", Direction::ReceiveOnly, "recvonly"),
        ("IP4 192.0.2.1", "recvonly", Direction::SendOnly, "sendonly"),
        ("IP4 192.0.2.1", "inactive", Direction::Inactive, "inactive"),
        ("IP4 0.0.0.0", "sendrecv", Direction::ReceiveOnly, "recvonly"),
        ("IP4 0.0.0.0", "recvonly", Direction::Inactive, "inactive"),
        ("IP6 ::", "sendrecv", Direction::ReceiveOnly, "recvonly"),
    ];
    for (address, attribute, direction, answered) in cases {
        let offer = plain(address, "m=audio 4000 RTP/AVP 0", &[attribute]);
        let negotiation = read(&offer).unwrap();
        assert_eq!(negotiation.media().direction, direction, "{address} {attribute}");
        let answer = negotiation.answer(&local());
        assert!(answer.ends_with(&format!("a={answered}\r\n")), "{answer}");
    }
}

#[test]
fn the_streams_direction_goes_above_the_sessions() {
    let offer = DESK_PHONE.to_owned() + "a=inactive\r\n";
    assert_eq!(media(&offer).direction, Direction::Inactive);
}

#[test]
fn our_own_hold_narrows_the_answer_and_the_offer() {
    let held = Local { direction: Direction::SendOnly, ..local() };
    let offer_text = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 0", &[]);
    assert!(read(&offer_text).unwrap().answer(&held).ends_with("a=sendonly\r\n"));
    assert!(read(DESK_PHONE).unwrap().answer(&held).ends_with("a=inactive\r\n"));
    assert!(offer(&held, &Capabilities::default()).ends_with("a=sendonly\r\n"));
}

#[test]
fn rtcp_is_multiplexed_only_where_the_offer_asks_for_it() {
    let with = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 0", &["rtcp-mux", "rtcp:4000"]);
    assert_eq!(media(&with).rtcp, RtcpTransport::Mux);
    assert!(read(&with).unwrap().answer(&local()).contains("a=rtcp-mux\r\n"));
    let without = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 0", &["rtcp:4009"]);
    assert_eq!(media(&without).rtcp, RtcpTransport::Separate(socket("192.0.2.1:4009")));
    assert!(!read(&without).unwrap().answer(&local()).contains("rtcp-mux"));
    let last =
        plain("IP4 192.0.2.1", "m=audio 65535 RTP/AVP 0", &["rtcp:4009 IN IP4 host.example"]);
    assert_eq!(media(&last).rtcp, RtcpTransport::Separate(socket("192.0.2.1:4009")));
    let none = plain("IP4 192.0.2.1", "m=audio 65535 RTP/AVP 0", &[]);
    assert_eq!(media(&none).rtcp, RtcpTransport::Separate(socket("192.0.2.1:0")));
}

#[test]
fn packet_time_stays_within_what_is_asked_for_and_possible() {
    let packet_time = |attributes: &[&str]| {
        media(&plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 0", attributes))
            .parameters
            .packet_time_ms
    };
    assert_eq!(packet_time(&[]), 20);
    assert_eq!(packet_time(&["ptime:40"]), 40);
    assert_eq!(packet_time(&["ptime:20.0"]), 20);
    assert_eq!(packet_time(&["ptime:60", "maxptime:30"]), 30);
    assert_eq!(packet_time(&["maxptime:10"]), 10);
    for nonsense in ["ptime:0", "ptime:-3", "ptime:99999", "ptime:5000", "ptime"] {
        assert_eq!(packet_time(&[nonsense]), 20, "{nonsense}");
    }
}

#[test]
fn an_offer_without_any_sound_is_refused_by_the_names_of_what_it_has() {
    let events = ["rtpmap:101 telephone-event/8000"];
    let offer = plain("IP4 192.0.2.1", "m=audio 4000 RTP/AVP 101 13", &events);
    assert_eq!(
        read(&offer).unwrap_err().warning_text(),
        "PCMU or PCMA expected, telephone-event/8000 CN/8000 offered"
    );
}

#[test]
fn streams_that_cannot_be_used_are_refused_for_their_own_reason() {
    let audio = "m=audio 4000 RTP/AVP 0";
    let cases = [
        (plain("IP4 pbx.example.com", audio, &[]), 488, 301),
        (plain("IP4 233.252.0.1/127", audio, &[]), 488, 330),
        (plain("X25 1234", audio, &[]), 488, 300),
        (plain("IP4 192.0.2.1", "m=audio 0 RTP/AVP 0", &[]), 488, 304),
        (plain("IP4 192.0.2.1", "m=video 4000 RTP/AVP 31", &[]), 488, 304),
        (plain("IP4 192.0.2.1", "m=audio 4000 RTP/SAVP 0", &["crypto:1 x inline:y"]), 488, 302),
        (plain("IP4 192.0.2.1", audio, &[]).replace("c=IN IP4 192.0.2.1\r\n", ""), 400, 399),
        ("v=0\r\n".to_owned(), 488, 304),
    ];
    for (offer, status, warning) in cases {
        let refusal = read(&offer).unwrap_err();
        assert_eq!((refusal.status(), refusal.warning_code()), (status, warning), "{offer}");
    }
}

/// RFC 3264 section 6: the answerer may refuse any stream, and takes the first that it can use.
#[test]
fn a_stream_of_a_family_that_we_do_not_serve_is_passed_over() {
    let only = |families| Capabilities { families, ..Capabilities::default() };
    let both = format!(
        "{}m=audio 4002 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=rtcp:4009 IN IP6 2001:db8::2\r\n",
        plain("IP6 2001:db8::1", "m=audio 4000 RTP/AVP 0", &[]),
    );
    let taken = |families| negotiate(both.as_bytes(), &only(families)).unwrap().media();
    assert_eq!(taken(Families::Both).rtp, socket("[2001:db8::1]:4000"));
    assert_eq!(taken(Families::Ipv6).rtp, socket("[2001:db8::1]:4000"));
    let ipv4 = taken(Families::Ipv4);
    assert_eq!(ipv4.rtp, socket("192.0.2.1:4002"));
    assert_eq!(ipv4.rtcp, RtcpTransport::Separate(socket("192.0.2.1:4009")));
    for (families, network, text) in [
        (Families::Ipv4, "IP6 2001:db8::1", "IPv4 address expected, 2001:db8::1 given"),
        (Families::Ipv6, "IP4 192.0.2.1", "IPv6 address expected, 192.0.2.1 given"),
    ] {
        let offer = plain(network, "m=audio 4000 RTP/AVP 0", &[]);
        let refusal = negotiate(offer.as_bytes(), &only(families)).unwrap_err();
        assert_eq!((refusal.status(), refusal.warning_code()), (488, 301));
        assert_eq!(refusal.warning_text(), text);
    }
    let hold = plain("IP4 0.0.0.0", "m=audio 4000 RTP/AVP 0", &[]);
    assert!(negotiate(hold.as_bytes(), &only(Families::Ipv6)).is_ok());
}

#[test]
fn the_family_of_a_bound_address_is_its_own_and_of_the_unspecified_ipv6_both() {
    for (bound, families) in [
        ("0.0.0.0", Families::Ipv4),
        ("192.0.2.1", Families::Ipv4),
        ("::1", Families::Ipv6),
        ("::", Families::Both),
    ] {
        assert_eq!(Families::of(bound.parse().unwrap()), families, "{bound}");
    }
}

#[test]
fn our_offer_lists_every_capability_and_its_answer_is_understood() {
    let capabilities = Capabilities::default();
    assert_eq!(
        offer(&local(), &capabilities),
        "v=0\r\no=- 77 3 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n\
         m=audio 16384 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:60\r\na=rtcp-mux\r\n\
         a=sendrecv\r\n"
    );
    let answer = plain(
        "IP4 192.0.2.1",
        "m=audio 4000 RTP/AVP 8 97",
        &["rtpmap:97 telephone-event/8000", "recvonly", "rtcp-mux"],
    );
    let media = accept_answer(answer.as_bytes(), &capabilities).unwrap().media();
    assert_eq!((media.encoding, media.receive_payload_type), (Encoding::Pcma, 8));
    assert_eq!(
        media.telephone_event.map(|event| event.receive),
        Some(101),
        "the endpoint sends by our numbers"
    );
    assert_eq!(media.direction, Direction::SendOnly);
    assert_eq!(media.rtcp, RtcpTransport::Mux);
}

/// RFC 3264 section 6.1: the answerer sends by the order of the offer among what its answer keeps.
#[test]
fn of_several_sounds_in_an_answer_ours_is_expected_and_a_narrowed_offer_names_it_alone() {
    let capabilities = Capabilities::default();
    let answer = |formats: &str| {
        let line = format!("m=audio 4000 RTP/AVP {formats}");
        plain("IP4 192.0.2.1", &line, &["rtpmap:101 telephone-event/8000"])
    };
    for formats in ["0 8 101", "8 0 101", "18 8 101 0"] {
        let negotiation = accept_answer(answer(formats).as_bytes(), &capabilities).unwrap();
        assert_eq!(negotiation.media().encoding, Encoding::Pcmu, "{formats}");
        assert!(negotiation.keeps_several(), "{formats}");
        let first = if formats.starts_with('0') { Encoding::Pcmu } else { Encoding::Pcma };
        let theirs = negotiation.by_its_order().unwrap().media();
        assert_eq!((theirs.encoding, theirs.rtp), (first, negotiation.media().rtp), "{formats}");
        let narrowed = negotiation.narrowed_offer(&local(), &capabilities);
        assert!(narrowed.contains("\r\nm=audio 16384 RTP/AVP 0 101\r\n"), "{narrowed}");
    }
    let negotiation = accept_answer(answer("8 18 101").as_bytes(), &capabilities).unwrap();
    assert_eq!(negotiation.media().encoding, Encoding::Pcma);
    assert!(!negotiation.keeps_several(), "18 was not offered");
    assert_eq!(negotiation.by_its_order(), None);
    let later = negotiation.accept_answer(answer("0 8 101").as_bytes(), &capabilities).unwrap();
    assert_eq!(later.media().encoding, Encoding::Pcma, "what is agreed on was offered first");
}

#[test]
fn a_narrowed_offer_takes_no_keys_away() {
    let capabilities = Capabilities {
        encodings: vec![Encoding::Opus, Encoding::L16At16000, Encoding::Pcmu, Encoding::Pcma],
        comfort_noise: true,
        ..Capabilities::default()
    };
    // Each of what goes beside the sound, as the answer keeps it.
    let events =
        ["rtpmap:96 opus/48000/2", "rtpmap:100 L16/16000", "rtpmap:101 telephone-event/8000"];
    let both = [&events[..], &["rtpmap:104 telephone-event/48000"]].concat();
    for (kept, attributes, narrowed, clock) in [
        ("96 0 101", &events[..], "96 104 101", Some(8000)),
        ("96 0 104 101", &both, "96 104", Some(48_000)),
        ("100 0 101", &events, "100 105 103 101", Some(8000)),
        ("0 8 13 101", &events, "0 13 101", Some(8000)),
        ("96 0", &events, "96 104", None),
    ] {
        let answer = plain("IP4 192.0.2.1", &format!("m=audio 4000 RTP/AVP {kept}"), attributes);
        let negotiation = accept_answer(answer.as_bytes(), &capabilities).unwrap();
        let agreed = negotiation.media();
        assert_eq!(agreed.telephone_event.map(|events| events.clock_rate), clock, "{kept}");
        let offer = negotiation.narrowed_offer(&local(), &capabilities);
        assert!(offer.contains(&format!("\r\nm=audio 16384 RTP/AVP {narrowed}\r\n")), "{offer}");
        // The phone answers with what it had of that.
        let has = |number: &&str| kept.split(' ').any(|kept| kept == *number);
        let line = narrowed.split(' ').filter(has).collect::<Vec<_>>().join(" ");
        let answer = plain("IP4 192.0.2.1", &format!("m=audio 4000 RTP/AVP {line}"), attributes);
        let later = negotiation.accept_answer(answer.as_bytes(), &capabilities).unwrap().media();
        assert_eq!(
            (later.encoding, later.telephone_event),
            (agreed.encoding, agreed.telephone_event)
        );
    }
}

#[test]
fn an_answer_that_refuses_our_stream_is_a_refusal() {
    let capabilities = Capabilities::default();
    let refused = plain("IP4 192.0.2.1", "m=audio 0 RTP/AVP 0", &[]);
    assert_eq!(accept_answer(refused.as_bytes(), &capabilities), Err(SdpRefusal::NoAudio));
    let moved = plain("IP4 192.0.2.1", "m=video 0 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0", &[]);
    assert_eq!(accept_answer(moved.as_bytes(), &capabilities), Err(SdpRefusal::NoAudio));
}

#[test]
fn a_later_offer_of_ours_keeps_the_streams_in_their_places() {
    let capabilities = Capabilities::default();
    let first = plain(
        "IP4 192.0.2.1",
        "m=video 4000 RTP/AVP 31\r\nm=audio 5000 RTP/AVP 0 96\r\na=rtpmap:96 telephone-event/8000",
        &[],
    );
    let negotiation = read(&first).unwrap();
    let later = negotiation.offer(&local(), &capabilities);
    let streams: Vec<_> = later.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(streams, ["m=video 0 RTP/AVP 31", "m=audio 16384 RTP/AVP 0 8 96"]);
    let answer = plain("IP4 192.0.2.1", "m=video 0 RTP/AVP 31\r\nm=audio 6000 RTP/AVP 8", &[]);
    let media = negotiation.accept_answer(answer.as_bytes(), &capabilities).unwrap().media();
    assert_eq!(media.rtp, socket("192.0.2.1:6000"));
    assert_eq!(media.telephone_event, None);
}
