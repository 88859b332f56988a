//! What must be true of any session description. The fuzz target `sdp` has this file, too.

use signaling_sdp::{Capabilities, Local, Negotiation, accept_answer, negotiate};

/// Reads `body` as an offer and as an answer: a value or a refusal, what we write reads back as what was
/// agreed on, and a refusal can be said in a header.
pub(crate) fn survives(body: &[u8], capabilities: &Capabilities, local: &Local) {
    let _ = accept_answer(body, capabilities);
    match negotiate(body, capabilities) {
        Ok(negotiation) => reads_back(&negotiation, body, capabilities, local),
        Err(refusal) => {
            let text = refusal.warning_text();
            assert!(text.is_ascii() && text.len() < 600, "{text}");
            assert!(!text.contains(['"', '\\', '\r', '\n']), "{text}");
            assert!((400..500).contains(&refusal.status()));
        }
    }
}

fn reads_back(negotiation: &Negotiation, body: &[u8], capabilities: &Capabilities, local: &Local) {
    let media = negotiation.media();
    let _ = negotiation.accept_answer(body, capabilities);
    assert!(negotiation.renegotiate(body, capabilities).is_ok(), "the same again");
    let [answered, _offered] = [negotiation.answer(local), negotiation.offer(local, capabilities)]
        .map(|text| {
            let back = negotiate(text.as_bytes(), capabilities).expect("our own words").media();
            assert_eq!(back.rtp, local.address.rtp());
            back
        });
    assert_eq!(answered.encoding, media.encoding);
    assert_eq!(answered.receive_payload_type, media.receive_payload_type);
    assert_eq!(answered.telephone_event, media.telephone_event);
    assert_eq!(answered.comfort_noise, media.comfort_noise);
    assert_eq!(answered.voip_metrics, media.voip_metrics);
    assert_eq!(answered.direction, media.direction.reversed());
}
