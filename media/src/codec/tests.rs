//! What holds for every format.

use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters};
use proptest::prelude::*;

use super::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};

const KERNELS: Kernels = Kernels::SCALAR;

fn encoder(encoding: Encoding) -> Encoder {
    Encoder::new(encoding, &EncodingParameters::DEFAULT)
}

#[test]
fn a_decoder_and_an_encoder_are_small() {
    assert!(size_of::<Decoder>() <= 16 && size_of::<Encoder>() <= 16);
}

#[test]
fn a_frame_decodes_to_as_many_samples_as_it_was_made_of() {
    for encoding in Encoding::ALL {
        let mut encoder = encoder(encoding);
        let mut decoder = Decoder::new(encoding);
        let length = encoding.sample_rate() as usize / 50;
        let (mut frame, mut samples) = ([0; FRAME_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
        let octets = encoder.encode(&KERNELS, &vec![0; length], &mut frame);
        assert_eq!(decoder.samples(&frame[..octets]), Ok(length), "{encoding}");
        assert_eq!(decoder.decode(&KERNELS, &frame[..octets], &mut samples), length, "{encoding}");
    }
}

proptest! {
    #[test]
    fn any_payload_is_refused_or_decodes_to_what_was_told(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8),
    ) {
        for encoding in Encoding::ALL {
            let mut decoder = Decoder::new(encoding);
            for payload in &payloads {
                let mut samples = [0; PACKET_SAMPLES_MAX];
                if let Ok(told) = decoder.samples(payload) {
                    prop_assert!((1..=PACKET_SAMPLES_MAX).contains(&told));
                    prop_assert_eq!(decoder.decode(&KERNELS, payload, &mut samples), told);
                } else {
                    decoder.after_loss();
                }
            }
        }
    }
}
