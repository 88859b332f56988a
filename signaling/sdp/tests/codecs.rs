//! Every encoding and extension through offer and answer: numbers, parameters, packet times.

mod described;

use described::{agreed, agreed_media, audio, everything, lines, local, plain};
use engine_control::TelephoneEvent;
use media_units::{Encoding, EncodingParameters};
use signaling_sdp::{Capabilities, CodecChoice, SdpRefusal, accept_answer, negotiate, offer};

/// The audio of a browser behind a gateway that took the encryption away: Opus with its
/// redundancy, wideband, comfort noise, events on both clocks, levels of RFC 6464 and 6465.
const BROWSER: &str = "v=0\r
o=- 4611731400430051336 2 IN IP4 192.0.2.20\r
s=-\r
t=0 0\r
a=group:BUNDLE 0\r
a=extmap-allow-mixed\r
m=audio 40000 RTP/AVPF 111 63 9 0 8 13 110 126\r
c=IN IP4 192.0.2.20\r
b=AS:128\r
a=rtcp:9 IN IP4 0.0.0.0\r
a=mid:0\r
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r
a=extmap:5/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level\r
a=sendrecv\r
a=rtcp-mux\r
a=rtcp-rsize\r
a=rtpmap:111 opus/48000/2\r
a=rtcp-fb:111 transport-cc\r
a=fmtp:111 minptime=10;useinbandfec=1\r
a=rtpmap:63 red/48000/2\r
a=fmtp:63 111/111\r
a=rtpmap:9 G722/8000\r
a=rtpmap:13 CN/8000\r
a=rtpmap:110 telephone-event/48000\r
a=rtpmap:126 telephone-event/8000\r
a=ssrc:3735928559 cname:abc\r
";

/// A desk phone in the manner of a large maker: bandwidth at the session, no rtpmap left out.
const DESK_PHONE: &str = "v=0\r
o=Systems-SIPUA 21487 0 IN IP4 192.0.2.21\r
s=SIP Call\r
b=AS:4064\r
t=0 0\r
m=audio 20494 RTP/AVP 114 9 124 0 8 116 18 101\r
c=IN IP4 192.0.2.21\r
b=TIAS:24000\r
a=rtpmap:114 opus/48000/2\r
a=fmtp:114 maxplaybackrate=16000;sprop-maxcapturerate=16000;maxaveragebitrate=64000;stereo=0;sprop-stereo=0;usedtx=0\r
a=rtpmap:9 G722/8000\r
a=rtpmap:124 ISAC/16000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:116 iLBC/8000\r
a=fmtp:116 mode=20\r
a=rtpmap:18 G729/8000\r
a=fmtp:18 annexb=no\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=sendrecv\r
";

/// An exchange that offers what it has in its own order, without header extensions.
const EXCHANGE: &str = "v=0\r
o=- 1089842141 1089842141 IN IP4 192.0.2.22\r
s=Exchange\r
c=IN IP4 192.0.2.22\r
t=0 0\r
m=audio 14230 RTP/AVP 9 8 3 111 10 118 107 101\r
a=rtpmap:9 G722/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:3 GSM/8000\r
a=rtpmap:111 G726-32/8000\r
a=rtpmap:10 L16/8000\r
a=rtpmap:118 L16/16000\r
a=rtpmap:107 opus/48000/2\r
a=fmtp:107 maxplaybackrate=8000;useinbandfec=1;cbr=1;usedtx=1;stereo=1\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-16\r
a=ptime:20\r
a=maxptime:60\r
a=sendrecv\r
";

fn only(encoding: Encoding) -> Capabilities {
    Capabilities { encodings: vec![encoding], ..everything() }
}

fn parameters(formats: &str, attributes: &[&str]) -> EncodingParameters {
    agreed_media(&audio(formats, attributes)).parameters
}

#[test]
fn a_browser_gets_opus_with_events_on_its_clock_and_levels_both_ways() {
    let negotiation = agreed(BROWSER);
    let media = negotiation.media();
    assert_eq!((media.encoding, media.receive_payload_type), (Encoding::Opus, 111));
    let event = TelephoneEvent { receive: 110, send: 110, clock_rate: 48_000 };
    assert_eq!(media.telephone_event, Some(event));
    assert_eq!(media.comfort_noise, None, "Opus has its own");
    assert_eq!((media.audio_level, media.mixer_levels), (Some(1), Some(5)));
    assert!(media.parameters.in_band_fec && !media.parameters.discontinuous);
    assert_eq!(
        negotiation.answer(&local()),
        "v=0\r\no=- 77 3 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n\
         m=audio 16384 RTP/AVPF 111 110\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=fmtp:110 0-15\r\na=ptime:20\r\na=maxptime:60\r\n\
         a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=on\r\n\
         a=extmap:5/sendonly urn:ietf:params:rtp-hdrext:csrc-audio-level\r\n\
         a=rtcp-mux\r\na=sendrecv\r\n"
    );
}

#[test]
fn a_browser_without_opus_falls_back_with_comfort_noise_beside_it() {
    let narrow = Capabilities { encodings: vec![Encoding::G722], ..everything() };
    let negotiation = negotiate(BROWSER.as_bytes(), &narrow).unwrap();
    let media = negotiation.media();
    assert_eq!((media.encoding, media.comfort_noise), (Encoding::G722, Some(13)));
    assert_eq!(media.telephone_event.map(|event| event.receive), Some(126));
    let answer = negotiation.answer(&local());
    assert_eq!(lines(&answer, "m="), ["m=audio 16384 RTP/AVPF 9 13 126"]);
    assert_eq!(lines(&answer, "a=rtpmap:13"), ["a=rtpmap:13 CN/8000"]);
}

#[test]
fn a_desk_phone_is_sent_no_more_than_it_asked_for() {
    let wanted = agreed_media(DESK_PHONE).parameters;
    assert_eq!((wanted.playback_rate, wanted.bit_rate), (16_000, 24_000), "b=TIAS is the least");
    assert!(!wanted.in_band_fec && !wanted.stereo && !wanted.constant_bit_rate);
    let ilbc = negotiate(DESK_PHONE.as_bytes(), &only(Encoding::Ilbc)).unwrap();
    assert_eq!(ilbc.media().parameters.ilbc_mode_ms, 20);
    assert_eq!(lines(&ilbc.answer(&local()), "a=fmtp:116"), ["a=fmtp:116 mode=20"]);
}

#[test]
fn every_encoding_of_an_exchange_can_be_the_only_one_in_common() {
    for (encoding, payload_type) in [
        (Encoding::G722, 9),
        (Encoding::Pcma, 8),
        (Encoding::Gsm, 3),
        (Encoding::G726, 111),
        (Encoding::L16At8000, 10),
        (Encoding::L16At16000, 118),
        (Encoding::Opus, 107),
    ] {
        let media = negotiate(EXCHANGE.as_bytes(), &only(encoding)).unwrap().media();
        assert_eq!((media.encoding, media.receive_payload_type), (encoding, payload_type));
        let event = media.telephone_event.unwrap();
        assert_eq!((event.receive, event.clock_rate), (101, 8000), "the only ones there are");
    }
    let missing = negotiate(EXCHANGE.as_bytes(), &only(Encoding::Ilbc)).unwrap_err();
    assert!(matches!(missing, SdpRefusal::NoCommonCodec { .. }));
    assert_eq!(
        missing.warning_text(),
        "iLBC expected, G722 PCMA GSM G726-32 L16/8000 L16/16000 opus telephone-event/8000 \
         offered"
    );
}

#[test]
fn static_payload_types_need_no_map_and_another_map_wins() {
    for encoding in Encoding::ALL {
        let Some(payload_type) = encoding.static_payload_type() else { continue };
        let offered = audio(&payload_type.to_string(), &[]);
        let agreed = negotiate(offered.as_bytes(), &only(encoding)).unwrap();
        assert_eq!(agreed.media().encoding, encoding);
    }
    let remapped = agreed_media(&audio("9", &["rtpmap:9 l16/48000/1"]));
    assert_eq!((remapped.encoding, remapped.send_payload_type), (Encoding::L16At48000, 9));
    let stereo = audio("96 0", &["rtpmap:96 L16/48000/2"]);
    assert_eq!(agreed_media(&stereo).encoding, Encoding::Pcmu, "one channel only");
    assert_eq!(agreed_media(&audio("96", &["rtpmap:96 OPUS/48000"])).encoding, Encoding::Opus);
}

#[test]
fn the_offerers_order_decides_unless_ours_is_to() {
    assert_eq!(agreed_media(EXCHANGE).encoding, Encoding::G722);
    let ours = Capabilities { choice: CodecChoice::Ours, ..everything() };
    let negotiation = negotiate(EXCHANGE.as_bytes(), &ours).unwrap();
    assert_eq!(negotiation.media().encoding, Encoding::Opus);
    assert_eq!(lines(&negotiation.answer(&local()), "m="), ["m=audio 16384 RTP/AVP 107 101"]);
}

#[test]
fn opus_is_sent_as_it_was_asked_for_within_our_configuration() {
    let generous = Capabilities {
        parameters: EncodingParameters {
            stereo: true,
            discontinuous: true,
            ..Capabilities::PARAMETERS
        },
        ..everything()
    };
    let asked = |fmtp: &str, can: &Capabilities| {
        let offer = audio("96", &["rtpmap:96 opus/48000/2", &format!("fmtp:96 {fmtp}")]);
        negotiate(offer.as_bytes(), can).unwrap().media().parameters
    };
    let all = "maxplaybackrate=24000; maxaveragebitrate=20000; cbr=1; useinbandfec=1; usedtx=1; \
               stereo=1; sprop-stereo=1; minptime=10";
    assert_eq!(
        asked(all, &generous),
        EncodingParameters {
            bit_rate: 20_000,
            playback_rate: 24_000,
            in_band_fec: true,
            constant_bit_rate: true,
            stereo: true,
            discontinuous: true,
            ..EncodingParameters::DEFAULT
        }
    );
    let modest = asked(all, &everything());
    assert!(!modest.stereo && !modest.discontinuous);
    let plain = asked("sprop-maxcapturerate=8000", &generous);
    assert!(!plain.in_band_fec && !plain.stereo && !plain.discontinuous);
    assert_eq!((plain.bit_rate, plain.playback_rate), (32_000, 48_000));
    assert_eq!(asked("maxaveragebitrate=1", &generous).bit_rate, 6000);
    assert_eq!(asked("maxaveragebitrate=510000", &generous).bit_rate, 32_000, "our bound");
    for (given, rate) in [(1, 8000), (12_000, 12_000), (12_001, 16_000), (44_100, 48_000)] {
        let fmtp = format!("maxplaybackrate={given}");
        assert_eq!(asked(&fmtp, &generous).playback_rate, rate);
    }
    assert_eq!(asked("useinbandfec=2;cbr;=;maxplaybackrate=x", &generous).playback_rate, 48_000);
}

#[test]
fn a_bandwidth_bounds_opus_with_the_headers_taken_off() {
    let with = |bandwidth: &str| {
        let m = format!("m=audio 4000 RTP/AVP 96\r\n{bandwidth}");
        let offer = plain("IP4 192.0.2.1", &m, &["rtpmap:96 opus/48000/2"]);
        agreed_media(&offer).parameters.bit_rate
    };
    assert_eq!(with("b=AS:40"), 24_000);
    assert_eq!(with("b=AS:0"), 6000);
    assert_eq!(with("b=TIAS:20000"), 20_000);
    assert_eq!(with("b=AS:18446744073709551615"), 32_000);
    assert_eq!(with("b=CT:1"), 32_000);
}

#[test]
fn parameters_that_a_format_does_not_have_leave_listeners_equal() {
    let (some, other) = (
        parameters("8", &["fmtp:8 maxaveragebitrate=9000;mode=20;usedtx=1"]),
        parameters("0 96", &["rtpmap:96 opus/48000/2", "fmtp:96 stereo=1"]),
    );
    assert_eq!(some, EncodingParameters::DEFAULT);
    assert_eq!(other, EncodingParameters::DEFAULT);
}

#[test]
fn ilbc_has_one_mode_for_both_ways() {
    let offer_of = |fmtp: &[&str]| audio("97", &[&["rtpmap:97 iLBC/8000"], fmtp].concat());
    for (fmtp, mode, times) in [
        (&["fmtp:97 mode=20"][..], 20, [20, 20, 60]),
        (&["fmtp:97 mode=30"], 30, [30, 30, 60]),
        (&[], 30, [30, 30, 60]),
    ] {
        let negotiation = agreed(&offer_of(fmtp));
        let parameters = negotiation.media().parameters;
        assert_eq!(parameters.ilbc_mode_ms, mode);
        assert_eq!(parameters.packet_time_ms, times[0]);
        let answer = negotiation.answer(&local());
        assert_eq!(lines(&answer, "a=fmtp:97"), [format!("a=fmtp:97 mode={mode}")]);
        assert_eq!(lines(&answer, "a=ptime"), [format!("a=ptime:{}", times[1])]);
        assert_eq!(lines(&answer, "a=maxptime"), [format!("a=maxptime:{}", times[2])]);
    }
    let can = only(Encoding::Ilbc);
    let answered = |fmtp: &[&str]| {
        accept_answer(offer_of(fmtp).as_bytes(), &can).unwrap().media().parameters.ilbc_mode_ms
    };
    assert_eq!((answered(&["fmtp:97 mode=20"]), answered(&[])), (20, 30));
}

/// Where G.729 is built in; without, there is none to be agreed on.
#[test]
fn in_g729_silence_is_described_where_both_sides_want_it() {
    let Some(g729) = Encoding::G729_IF_BUILT_IN else {
        assert!(negotiate(audio("18", &[]).as_bytes(), &everything()).is_err());
        return;
    };
    let (with_noise, without) = (only(g729), Capabilities { comfort_noise: false, ..only(g729) });
    for (can, fmtp, annex_b) in [
        // RFC 4856 section 2.1.9: yes, where nothing is said.
        (&with_noise, &[][..], "yes"),
        (&with_noise, &["fmtp:18 annexb=yes"], "yes"),
        (&with_noise, &["fmtp:18 annexb=no"], "no"),
        (&with_noise, &["fmtp:18 AnnexB = NO"], "no"),
        (&without, &[], "no"),
        (&without, &["fmtp:18 annexb=yes"], "no"),
    ] {
        let negotiation = negotiate(audio("18 13", fmtp).as_bytes(), can).unwrap();
        let media = negotiation.media();
        assert_eq!((media.encoding, media.receive_payload_type), (g729, 18));
        assert_eq!(media.comfort_noise, None, "it has its own");
        let answer = negotiation.answer(&local());
        assert_eq!(lines(&answer, "a=rtpmap:18"), ["a=rtpmap:18 G729/8000"]);
        let expected = format!("a=fmtp:18 annexb={annex_b}");
        assert_eq!(lines(&answer, "a=fmtp:18"), [expected], "{fmtp:?}");
    }
    for (can, annex_b) in [(&with_noise, "yes"), (&without, "no")] {
        let offered = offer(&local(), can);
        assert_eq!(lines(&offered, "a=fmtp:18"), [format!("a=fmtp:18 annexb={annex_b}")]);
    }
    let answered = accept_answer(audio("18", &["ptime:30"]).as_bytes(), &with_noise).unwrap();
    assert_eq!(answered.media().parameters.packet_time_ms, 30);
}

#[test]
fn packet_times_are_those_that_the_encoding_has() {
    let time = |formats: &str, attributes: &[&str]| parameters(formats, attributes).packet_time_ms;
    let opus = "rtpmap:96 opus/48000/2";
    assert_eq!(time("96", &[opus, "ptime:30"]), 20);
    assert_eq!(time("96", &[opus, "ptime:120"]), 60);
    assert_eq!(time("96", &[opus, "ptime:3"]), 10);
    assert_eq!(time("96", &[opus, "ptime:10", "fmtp:96 minptime=40"]), 40);
    assert_eq!(time("96", &[opus, "maxptime:40", "fmtp:96 minptime=60"]), 40);
    assert_eq!(time("3", &["ptime:30"]), 20);
    assert_eq!(time("9", &["ptime:30"]), 30);
    assert_eq!(time("96", &["rtpmap:96 L16/48000", "ptime:20"]), 10, "two datagrams otherwise");
}

#[test]
fn events_are_those_of_the_sounds_clock_and_have_keys() {
    let three = [
        "rtpmap:96 L16/16000",
        "rtpmap:101 telephone-event/8000",
        "rtpmap:102 telephone-event/16000",
        "rtpmap:103 telephone-event/48000",
    ];
    let event = |formats: &str, attributes: &[&str]| {
        agreed_media(&audio(formats, attributes)).telephone_event.map(|e| (e.send, e.clock_rate))
    };
    assert_eq!(event("96 101 102 103", &three), Some((102, 16_000)));
    assert_eq!(event("0 102 103 101", &three), Some((101, 8000)));
    assert_eq!(event("11 103 101", &three), Some((101, 8000)), "none at 44.1 kHz");
    assert_eq!(event("11 101", &["rtpmap:101 telephone-event/44100"]), Some((101, 44_100)));
    assert_eq!(event("0 103", &three), Some((103, 48_000)));
    let listed = |list: &str| {
        event("0 101", &["rtpmap:101 telephone-event/8000", &format!("fmtp:101 {list}")])
    };
    assert_eq!(listed("0-15,66,70"), Some((101, 8000)));
    assert_eq!(listed("32-36, 66"), None);
    assert_eq!(listed("nonsense"), Some((101, 8000)));
    assert_eq!(event("0 96", &["rtpmap:96 telephone-event/90000"]), None);
}

#[test]
fn comfort_noise_is_on_the_sounds_clock_and_sent_only_where_we_are_to() {
    let wide = ["rtpmap:96 L16/16000", "rtpmap:97 CN/16000"];
    let media = |can: &Capabilities, formats: &str| {
        negotiate(audio(formats, &wide).as_bytes(), can).unwrap().media()
    };
    assert_eq!(media(&everything(), "96 13 97").comfort_noise, Some(97));
    assert_eq!(media(&everything(), "0 13 97").comfort_noise, Some(13));
    assert_eq!(media(&everything(), "0 97").comfort_noise, None);
    assert!(!media(&everything(), "0 13").parameters.discontinuous);
    let sparing = Capabilities {
        parameters: EncodingParameters { discontinuous: true, ..Capabilities::PARAMETERS },
        ..everything()
    };
    assert!(media(&sparing, "0 13").parameters.discontinuous);
    assert!(!media(&sparing, "0").parameters.discontinuous, "silence has to be said somehow");
    assert_eq!(media(&Capabilities::default(), "0 13").comfort_noise, None);
}

#[test]
fn levels_follow_the_directions_of_the_extensions() {
    const OWN: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    const MIX: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";
    let levels = |maps: &[String]| {
        let lines: Vec<&str> = maps.iter().map(String::as_str).collect();
        let negotiation = agreed(&audio("0", &lines));
        let media = negotiation.media();
        let answer = negotiation.answer(&local());
        assert_eq!(
            answer.matches("extmap").count(),
            usize::from(media.audio_level.is_some()) + usize::from(media.mixer_levels.is_some())
        );
        (media.audio_level, media.mixer_levels)
    };
    let map = |entry: &str, uri: &str| format!("extmap:{entry} {uri}");
    assert_eq!(levels(&[map("14/sendonly", OWN), map("3/recvonly", MIX)]), (Some(14), Some(3)));
    assert_eq!(levels(&[map("1/recvonly", OWN), map("2/sendonly", MIX)]), (None, None));
    assert_eq!(levels(&[map("1/inactive", OWN), map("2", MIX)]), (None, Some(2)));
    assert_eq!(levels(&[map("15", OWN), map("0", MIX)]), (None, None));
    assert_eq!(levels(&[map("4096", OWN), map("x", MIX)]), (None, None));
    assert_eq!(levels(&[map("7", OWN), map("7", MIX)]), (None, None));
    let off = audio("0", &["extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level vad=off"]);
    assert!(agreed(&off).answer(&local()).contains("ssrc-audio-level vad=off\r\n"));
    let session = BROWSER.replace("t=0 0\r\n", &format!("t=0 0\r\na=extmap:9 {OWN}\r\n"));
    assert_eq!(agreed_media(&session).audio_level, Some(1), "the stream's own comes first");
}

#[test]
fn voip_metrics_are_agreed_on_at_the_stream_or_at_the_session() {
    let asked = audio("0", &["rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss voip-metrics"]);
    let negotiation = agreed(&asked);
    assert!(negotiation.media().voip_metrics);
    assert!(negotiation.answer(&local()).contains("a=rtcp-xr:voip-metrics\r\n"));
    let session = asked.replace("t=0 0", "t=0 0\r\na=rtcp-xr:voip-metrics");
    assert!(agreed_media(&session).voip_metrics);
    assert!(!agreed(&audio("0", &["rtcp-xr:pkt-loss-rle"])).answer(&local()).contains("rtcp-xr"));
    let without = negotiate(asked.as_bytes(), &Capabilities::default()).unwrap();
    assert!(!without.media().voip_metrics);
}

#[test]
fn our_offer_names_everything_by_fixed_numbers() {
    let text = offer(&local(), &everything());
    assert_eq!(
        lines(&text, "m="),
        ["m=audio 16384 RTP/AVP 96 9 0 8 98 3 97 99 100 11 102 13 105 106 104 101 103 107"]
    );
    assert_eq!(
        lines(&text, "a=fmtp"),
        [
            "a=fmtp:96 minptime=10;useinbandfec=1",
            "a=fmtp:97 mode=20",
            "a=fmtp:104 0-15",
            "a=fmtp:101 0-15",
            "a=fmtp:103 0-15",
            "a=fmtp:107 0-15"
        ]
    );
    assert!(text.contains("a=rtcp-xr:voip-metrics\r\n"));
    assert_eq!(lines(&text, "a=extmap").len(), 2);
}

#[test]
fn the_numbers_of_an_answer_may_differ_from_those_of_our_offer() {
    let answer = audio(
        "111 101",
        &[
            "rtpmap:111 opus/48000/2",
            "rtpmap:101 telephone-event/48000",
            "extmap:1/sendonly urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            "extmap:7/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level",
        ],
    );
    let negotiation = accept_answer(answer.as_bytes(), &everything()).unwrap();
    let media = negotiation.media();
    assert_eq!((media.receive_payload_type, media.send_payload_type), (96, 111));
    let event = TelephoneEvent { receive: 104, send: 101, clock_rate: 48_000 };
    assert_eq!(media.telephone_event, Some(event));
    assert_eq!((media.audio_level, media.mixer_levels), (Some(1), None), "7 was not offered");
    let later = negotiation.offer(&local(), &everything());
    assert_eq!(lines(&later, "a=rtpmap:96"), ["a=rtpmap:96 opus/48000/2"], "we receive on 96");
}

#[test]
fn a_later_offer_puts_what_is_agreed_first_and_keeps_every_number() {
    let first = audio(
        "8 111 96 98",
        &["rtpmap:111 opus/48000/2", "rtpmap:96 speex/16000", "rtpmap:98 telephone-event/8000"],
    );
    let negotiation = agreed(&first);
    let later = negotiation.offer(&local(), &everything());
    assert_eq!(
        lines(&later, "m="),
        ["m=audio 16384 RTP/AVP 8 111 9 0 127 3 97 99 100 11 102 13 105 106 98 104 103 107"]
    );
    let only_g711 = negotiation.renegotiate(audio("0", &[]).as_bytes(), &everything()).unwrap();
    assert_eq!(only_g711.media().encoding, Encoding::Pcmu);
    let later = only_g711.offer(&local(), &everything());
    assert_eq!(
        lines(&later, "m="),
        ["m=audio 16384 RTP/AVP 0 111 9 8 127 3 97 99 100 11 102 13 105 106 98 104 103 107"]
    );
    assert!(lines(&later, "a=extmap").is_empty(), "not offered to us");
}

#[test]
fn what_was_refused_or_left_out_before_may_be_offered_again() {
    let both = Capabilities { encodings: vec![Encoding::Opus, Encoding::Pcma], ..everything() };
    let first = negotiate(audio("18 8", &[]).as_bytes(), &both).unwrap();
    let again = audio("18 96 8", &["rtpmap:96 opus/48000/2"]);
    let second = first.renegotiate(again.as_bytes(), &both).unwrap();
    assert_eq!(second.media().encoding, Encoding::Opus);
    let third = second.renegotiate(audio("18 8", &[]).as_bytes(), &both).unwrap();
    assert_eq!(third.media().encoding, Encoding::Pcma);
}
