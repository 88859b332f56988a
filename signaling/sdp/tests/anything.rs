//! Whatever the network sends: a value or a refusal, and what we write is always readable.

mod described;
mod survives;

use described::{everything, local};
use media_units::{Encoding, EncodingParameters};
use proptest::prelude::*;
use signaling_sdp::{Capabilities, CodecChoice, Families, accept_answer, negotiate, offer};
use survives::survives;

/// Lines that an offer may be made of, well formed or nearly.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("c=IN IP4 192.0.2.9".to_owned()),
        Just("c=IN IP4 0.0.0.0".to_owned()),
        Just("c=IN IP6 ::1".to_owned()),
        "c=(IN|XX) (IP4|IP6) [a-z0-9./:]{1,12}",
        "b=(AS|TIAS|CT):[0-9]{1,21}",
        "m=(audio|video|Audio) [0-9]{1,5} (RTP/AVP|RTP/AVPF|udp) ([0-9]{1,3} ){1,6}8",
        "m=audio 4000 RTP/AVP (0|3|8|9|11|13|18|96|97|98|99|101)( (0|13|96|97|98|99)){1,4}",
        "a=rtpmap:(9[6-9]|[0-9]{1,3}) (PCMU|telephone-event|G722|opus|iLBC|L16|CN|G726-32)/(8000|16000|48000)(/[12])?",
        "a=fmtp:9[6-9] (mode|minptime|maxplaybackrate|maxaveragebitrate|stereo|usedtx|cbr|annexb)=[0-9]{1,12}",
        "a=fmtp:9[6-9] [0-9,;=-]{0,20}",
        "a=extmap:[0-9]{1,4}(/(sendonly|recvonly|x))? urn:ietf:params:rtp-hdrext:(ssrc|csrc)-audio-level( vad=off)?",
        "a=rtcp-xr:(voip-metrics)?[ a-z]{0,9}",
        "a=(sendrecv|sendonly|recvonly|inactive|rtcp-mux)",
        "a=(ptime|maxptime|rtcp):[0-9]{1,6}",
        "[a-z]=[ -~]{0,24}",
    ]
}

/// Whoever may be at either end.
fn capabilities() -> impl Strategy<Value = Capabilities> {
    let encodings = proptest::sample::subsequence(Encoding::ALL.to_vec(), 1..=Encoding::ALL.len())
        .prop_shuffle();
    let flags = any::<[bool; 8]>();
    let numbers = (prop_oneof![Just(10u8), Just(20), Just(30), Just(40), Just(60)], any::<bool>());
    (encodings, flags, numbers).prop_map(|(encodings, on, (packet_time_ms, is_short))| {
        Capabilities {
            families: Families::Both,
            encodings,
            choice: if on[0] { CodecChoice::Ours } else { CodecChoice::Offerer },
            telephone_event: on[1],
            comfort_noise: on[2],
            audio_levels: on[3],
            mixer_levels: on[3],
            voip_metrics: on[4],
            parameters: EncodingParameters {
                packet_time_ms,
                in_band_fec: on[5],
                discontinuous: on[6],
                stereo: on[7],
                ilbc_mode_ms: if is_short { 20 } else { 30 },
                ..EncodingParameters::DEFAULT
            },
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        survives(&body, &everything(), &local());
    }

    #[test]
    fn any_lines_are_read_without_a_panic(
        lines in proptest::collection::vec(line(), 0..24),
        capabilities in capabilities(),
    ) {
        let body = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{}\r\n", lines.join("\r\n"));
        survives(body.as_bytes(), &capabilities, &local());
    }

    /// Two servers of ours, each configured at will: after offer and answer each sends what the
    /// other expects.
    #[test]
    fn offerer_and_answerer_agree(ours in capabilities(), theirs in capabilities()) {
        let text = offer(&local(), &ours);
        let Ok(answerer) = negotiate(text.as_bytes(), &theirs) else {
            let is_common = |encoding| theirs.encodings.contains(encoding);
            prop_assert!(!ours.encodings.iter().any(is_common));
            return Ok(());
        };
        let answer = answerer.answer(&local());
        let offerer = accept_answer(answer.as_bytes(), &ours).unwrap();
        let (here, there) = (offerer.media(), answerer.media());
        prop_assert_eq!(here.encoding, there.encoding);
        prop_assert_eq!(here.send_payload_type, there.receive_payload_type);
        prop_assert_eq!(here.receive_payload_type, there.send_payload_type);
        prop_assert_eq!(here.telephone_event, there.telephone_event);
        prop_assert_eq!(here.comfort_noise, there.comfort_noise);
        prop_assert_eq!(here.voip_metrics, there.voip_metrics);
        prop_assert_eq!(here.parameters.ilbc_mode_ms, there.parameters.ilbc_mode_ms);
        // Levels flow one way: what one of us would be told the other would only tell.
        prop_assert_eq!((here.audio_level, here.mixer_levels), (None, None));
        let again = offerer.offer(&local(), &ours);
        let again = answerer.renegotiate(again.as_bytes(), &theirs).unwrap();
        if theirs.choice == CodecChoice::Offerer {
            prop_assert_eq!(again.media().encoding, there.encoding, "a refresh changes nothing");
        }
        prop_assert_eq!(again.media().send_payload_type == there.send_payload_type, again.media().encoding == there.encoding);
    }
}
