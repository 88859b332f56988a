//! Sound is coded without the allocator: a shard never waits for it.

use media::codec::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};
use media::comfort_noise::{DiscontinuousSender, NoiseGenerator, Sending};
use media_kernels::Kernels;
use media_units::{Encoding, EncodingParameters};

#[test]
fn coding_neither_allocates_nor_frees() {
    let kernels = Kernels::detect();
    let parameters = EncodingParameters { discontinuous: true, ..EncodingParameters::DEFAULT };
    let sound: Vec<i16> = (0..PACKET_SAMPLES_MAX).map(|n| (n * n % 9001) as i16 - 4500).collect();
    for encoding in Encoding::ALL {
        let (mut decoder, mut encoder) =
            (Decoder::new(encoding), Encoder::new(encoding, &parameters));
        let other = Encoder::new(encoding, &parameters);
        let (mut frame, mut samples) = ([0; FRAME_BYTES_MAX], [0; PACKET_SAMPLES_MAX]);
        let usage = allocation_counter::measure(|| {
            for packet in sound.chunks_exact(encoding.sample_rate() as usize / 50).take(6) {
                let octets = encoder.encode(&kernels, packet, &mut frame);
                if decoder.samples(&frame[..octets]).is_ok() {
                    decoder.decode(&kernels, &frame[..octets], &mut samples);
                }
                decoder.recover(&frame[..octets], &mut samples[..packet.len()]);
                decoder.conceal(&mut samples[..packet.len()]);
                decoder.after_loss();
                encoder.far_end_lost(30);
            }
            encoder.continue_from(&other);
            decoder.reset();
        });
        assert_eq!((usage.count_total, usage.count_current), (0, 0), "{encoding}: {usage:?}");
    }
}

#[test]
fn comfort_noise_neither_allocates_nor_frees() {
    let (mut sender, mut generator) =
        (DiscontinuousSender::new(8000), NoiseGenerator::new(8000, 1));
    let (mut samples, mut described) = ([20; 160], 0);
    let usage = allocation_counter::measure(|| {
        for _ in 0..100 {
            if let Sending::Noise(noise) = sender.packet(&samples) {
                generator.describe(&noise);
                described += 1;
            }
            generator.fill(&mut samples);
        }
    });
    assert!(described > 0);
    assert_eq!((usage.count_total, usage.count_current), (0, 0), "{usage:?}");
}
