//! Any session description, as an offer and as an answer: a value or a refusal, what we answer
//! reads back as what was agreed on, and a refusal can be said in a header.

use engine_control::MediaAddress;
use media_units::{Direction, Encoding};
use signaling_sdp::{Capabilities, Local, accept_answer, negotiate};

/// Runs one input.
pub fn run(body: &[u8]) {
    let capabilities = Capabilities {
        encodings: Encoding::ALL.to_vec(),
        comfort_noise: true,
        audio_levels: true,
        mixer_levels: true,
        voip_metrics: true,
        ..Capabilities::default()
    };
    let local = Local {
        address: MediaAddress { address: [203, 0, 113, 1].into(), rtp_port: 16384 },
        session_id: 1,
        version: 1,
        direction: Direction::SendReceive,
    };
    let _ = accept_answer(body, &capabilities);
    match negotiate(body, &capabilities) {
        Ok(negotiation) => {
            let media = negotiation.media();
            let _ = negotiation.accept_answer(body, &capabilities);
            let _ = negotiation.renegotiate(body, &capabilities).expect("the same again");
            for text in [negotiation.answer(&local), negotiation.offer(&local, &capabilities)] {
                let back =
                    negotiate(text.as_bytes(), &capabilities).expect("our own words").media();
                assert_eq!(back.rtp, local.address.rtp());
            }
            let back = negotiate(negotiation.answer(&local).as_bytes(), &capabilities);
            let back = back.expect("our own words").media();
            assert_eq!(back.comfort_noise, media.comfort_noise);
            assert_eq!(back.encoding, media.encoding);
            assert_eq!(back.receive_payload_type, media.receive_payload_type);
            assert_eq!(back.telephone_event, media.telephone_event);
            assert_eq!(back.direction, media.direction.reversed());
        }
        Err(refusal) => {
            let text = refusal.warning_text();
            assert!(text.is_ascii() && !text.contains(['"', '\\', '\r', '\n']));
            assert!((400..500).contains(&refusal.status()));
        }
    }
}
