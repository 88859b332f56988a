//! Whatever the network sends: a value or a refusal, and what we write is always readable.

use engine_control::MediaAddress;
use media_units::Direction;
use proptest::prelude::*;
use signaling_sdp::{Capabilities, Local, accept_answer, negotiate};

fn local() -> Local {
    Local {
        address: MediaAddress { address: "203.0.113.1".parse().unwrap(), rtp_port: 16384 },
        session_id: 1,
        version: 1,
        direction: Direction::SendReceive,
    }
}

/// Reads `body` both ways; what was understood must be answerable, in an answer that reads back
/// as what was agreed on.
fn survives(body: &[u8]) {
    let capabilities = Capabilities::default();
    let _ = accept_answer(body, &capabilities);
    match negotiate(body, &capabilities) {
        Ok(negotiation) => {
            let answer = negotiation.answer(&local());
            let back = negotiate(answer.as_bytes(), &capabilities).unwrap().media();
            let media = negotiation.media();
            assert_eq!(back.encoding, media.encoding);
            assert_eq!(back.receive_payload_type, media.receive_payload_type);
            assert_eq!(back.direction, media.direction.reversed());
        }
        Err(refusal) => {
            let text = refusal.warning_text();
            assert!(text.len() < 400 && !text.contains(['"', '\\', '\r', '\n']), "{text}");
            assert!((400..500).contains(&refusal.status()));
        }
    }
}

/// Lines that an offer may be made of, well formed or nearly.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("c=IN IP4 192.0.2.9".to_owned()),
        Just("c=IN IP4 0.0.0.0".to_owned()),
        Just("c=IN IP6 ::1".to_owned()),
        "c=(IN|XX) (IP4|IP6) [a-z0-9./:]{1,12}",
        "m=(audio|video|Audio) [0-9]{1,5} (RTP/AVP|RTP/AVPF|udp) ([0-9]{1,3} ){1,6}8",
        "a=rtpmap:[0-9]{1,3} (PCMU|PCMA|telephone-event|G722)/(8000|16000)(/[12])?",
        "a=(sendrecv|sendonly|recvonly|inactive|rtcp-mux)",
        "a=(ptime|maxptime|rtcp):[0-9]{1,6}",
        "[a-z]=[ -~]{0,24}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        survives(&body);
    }

    #[test]
    fn any_lines_are_read_without_a_panic(lines in proptest::collection::vec(line(), 0..24)) {
        let body = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{}\r\n", lines.join("\r\n"));
        survives(body.as_bytes());
    }
}
