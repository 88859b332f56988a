//! What a room does to levels: nothing. Every payload format to every other one, all in one room.

mod rig;

use std::f64::consts::TAU;

use engine::Port;
use engine_control::{Command, Limits, RemoteMedia, RoomKey, Route, SessionKey, SessionOpen};
use media::codec::{Decoder, Encoder, FRAME_BYTES_MAX, PACKET_SAMPLES_MAX};
use media::resample::{History, Resampler};
use media::rtp::{HEADER_BYTES, RtpHeader};
use media_kernels::Kernels;
use media_units::{
    Encoding, EncodingParameters, Gain, RoomSound, RtpTimestamp, SequenceNumber, Ssrc,
};

use rig::{Rig, SETTLED};

/// Not a divisor of any sample rate, so that a tone meets every step of a quantizer; a whole
/// number of waves in a second.
const PITCH: f64 = 997.0;
const OTHER_PITCH: f64 = 613.0;

/// A second, in periods: what is measured.
const MEASURED: usize = 50;

/// Formats in which samples are numbers: what comes out is what went in, but for rounding.
const LINEAR: [Encoding; 6] = [
    Encoding::Pcmu,
    Encoding::Pcma,
    Encoding::L16At8000,
    Encoding::L16At16000,
    Encoding::L16At44100,
    Encoding::L16At48000,
];

/// Packets of 20 ms in every format.
const PARAMETERS: EncodingParameters =
    EncodingParameters { ilbc_mode_ms: 20, ..EncodingParameters::DEFAULT };

/// An endpoint that says a tone.
struct Voice {
    slot: u32,
    encoding: Encoding,
    encoder: Encoder,
    pitch: f64,
    /// Of the tone, in samples.
    amplitude: f64,
    said: usize,
    packets: u16,
}

impl Voice {
    fn new(slot: u32, encoding: Encoding, pitch: f64, level_db: f64) -> Self {
        let encoder = Encoder::new(encoding, &PARAMETERS);
        let amplitude = 32_767.0 * 10_f64.powf(level_db / 20.0);
        Self { slot, encoding, encoder, pitch, amplitude, said: 0, packets: 0 }
    }

    fn packet(&mut self) -> Vec<u8> {
        let rate = self.encoding.sample_rate();
        let sample = |n: usize| {
            let time = (self.said + n) as f64 / f64::from(rate);
            (self.amplitude * (TAU * self.pitch * time).sin()).round() as i16
        };
        let samples: Vec<i16> = (0..rate as usize / 50).map(sample).collect();
        self.said += samples.len();
        let header = RtpHeader {
            payload_type: payload_type(self.encoding),
            marker: self.packets == 0,
            sequence: SequenceNumber(self.packets),
            timestamp: RtpTimestamp(u32::from(self.packets) * self.encoding.clock_rate() / 50),
            ssrc: Ssrc(0x1000 + self.slot),
        };
        self.packets += 1;
        let mut frame = [0; FRAME_BYTES_MAX];
        let octets = self.encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
        [&header.write()[..], &frame[..octets]].concat()
    }
}

fn payload_type(encoding: Encoding) -> u8 {
    encoding.static_payload_type().unwrap_or(96)
}

/// A room in which session n speaks the n-th of these formats.
fn room_of(formats: &[Encoding], sound: RoomSound) -> Rig {
    let limits =
        Limits { sessions_max: 128, rooms_max: 1, room_members_max: 128, ..Limits::default() };
    let mut rig = Rig::with(&limits, Kernels::SCALAR);
    let room = RoomKey::new(0, 0, 1);
    rig.command(Command::OpenRoom { room, sound });
    for (slot, &encoding) in formats.iter().enumerate() {
        let slot = slot as u32;
        let media = RemoteMedia {
            encoding,
            receive_payload_type: payload_type(encoding),
            send_payload_type: payload_type(encoding),
            parameters: PARAMETERS,
            ..rig::media(slot, media_units::Law::Mu)
        };
        let open = Box::new(SessionOpen {
            ssrc: Ssrc(0xabc0 + slot),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(0),
            media,
            route: Route::Room(room),
        });
        let session = SessionKey::new(0, slot, 1);
        rig.command(Command::OpenSession { session, open });
    }
    rig
}

/// Lets the voices speak until everything flows and a second more.
fn listen(rig: &mut Rig, voices: &mut [Voice]) {
    for _ in 0..SETTLED + MEASURED {
        for _ in 0..media_units::PHASES {
            let due = rig.shard.due().to_vec();
            for voice in voices.iter_mut().filter(|voice| due.contains(&voice.slot)) {
                let source = rig::media(voice.slot, media_units::Law::Mu).rtp;
                let bytes = voice.packet();
                rig.deliver(voice.slot, Port::Rtp, source, &bytes);
            }
            rig.tick();
        }
    }
}

/// What a session heard in that second. Decoders have to hear all that was before it.
fn heard(rig: &Rig, slot: u32, encoding: Encoding) -> Vec<i16> {
    let mut all = all_heard(rig, slot, encoding);
    all.split_off(all.len() - encoding.sample_rate() as usize)
}

fn all_heard(rig: &Rig, slot: u32, encoding: Encoding) -> Vec<i16> {
    let mut decoder = Decoder::new(encoding);
    let mut all = Vec::new();
    for sent in rig.taken.rtp(slot) {
        let mut samples = [0; PACKET_SAMPLES_MAX];
        let length = decoder.decode(&Kernels::SCALAR, sent.view().payload(), &mut samples);
        all.extend_from_slice(&samples[..length]);
    }
    all
}

/// The amplitude of the tone of this pitch in a second of sound.
fn amplitude(samples: &[i16], pitch: f64) -> f64 {
    let (mut cosine, mut sine) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let angle = TAU * pitch * n as f64 / samples.len() as f64;
        cosine += f64::from(sample) * angle.cos();
        sine += f64::from(sample) * angle.sin();
    }
    2.0 * cosine.hypot(sine) / samples.len() as f64
}

fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-9).log10()
}

/// What a format itself may do to a tone's level beside another tone, in dB: those that model a voice do
/// not keep it, GSM takes a decibel from a soft one, and Opus spends its bits on what is heard.
fn tolerance_db(encoding: Encoding) -> f64 {
    match encoding {
        Encoding::Gsm | Encoding::Ilbc => 1.5,
        Encoding::Opus => 0.5,
        // What GSM takes comes on top of it.
        encoding if encoding.is_g729() => 2.5,
        _ => 0.1,
    }
}

/// What somebody hears of these voices without any room: their packets are decoded, brought to the
/// listener's rate, added, encoded and decoded again. The last second of it.
fn tandem(voices: &mut [Voice], listener: Encoding) -> Vec<i16> {
    let mut resampler = Resampler::new(Kernels::SCALAR);
    let mut talkers: Vec<_> =
        voices.iter().map(|voice| (Decoder::new(voice.encoding), Default::default())).collect();
    let (class, rate) = (listener.class().hertz(), listener.sample_rate());
    let mut mixed = [History::SILENT];
    let (mut encoder, mut far) = (Encoder::new(listener, &PARAMETERS), Decoder::new(listener));
    let mut all = Vec::new();
    for _ in 0..SETTLED + MEASURED {
        let mut sum = vec![0; class as usize / 50];
        for (voice, (decoder, histories)) in voices.iter_mut().zip(&mut talkers) {
            let talker = voice.encoding;
            let mut samples = vec![0; talker.sample_rate() as usize / 50];
            let packet = voice.packet();
            decoder.decode(&Kernels::SCALAR, &packet[HEADER_BYTES..], &mut samples);
            let rates = [talker.sample_rate(), talker.class().hertz(), class];
            let histories: &mut [History; 2] = histories;
            let samples = bring(&mut resampler, histories, &rates, samples);
            sum.iter_mut().zip(samples).for_each(|(sum, sample)| *sum += sample);
        }
        let mut samples = bring(&mut resampler, &mut mixed, &[class, rate], sum);
        let mut frame = [0; FRAME_BYTES_MAX];
        let octets = encoder.encode(&Kernels::SCALAR, &samples, &mut frame);
        far.decode(&Kernels::SCALAR, &frame[..octets], &mut samples);
        all.extend(samples);
    }
    all.split_off(all.len() - rate as usize)
}

/// Brings a period's sound from the first of these rates to the next, and so on.
fn bring(
    resampler: &mut Resampler,
    histories: &mut [History],
    rates: &[u32],
    mut samples: Vec<i16>,
) -> Vec<i16> {
    for (history, pair) in histories.iter_mut().zip(rates.windows(2)) {
        if pair[0] != pair[1] {
            let mut brought = vec![0; pair[1] as usize / 50];
            resampler.resample(history, pair[0], &samples, pair[1], &mut brought);
            history.keep(&samples);
            samples = brought;
        }
    }
    samples
}

/// A voice in each format in turn and another in G.711, to listeners of all formats, and to each
/// other by mix-minus.
#[test]
fn a_tone_keeps_its_level_from_every_format_to_every_other() {
    let formats: Vec<_> = Encoding::ALL.into_iter().chain([Encoding::Pcmu]).collect();
    let other = formats.len() as u32 - 1;
    for (own, &talker) in formats[..formats.len() - 1].iter().enumerate() {
        for level_db in [-10.0, -30.0] {
            let voice = || Voice::new(own as u32, talker, PITCH, level_db);
            let second = || Voice::new(other, Encoding::Pcmu, OTHER_PITCH, -45.0);
            let mut rig = room_of(&formats, RoomSound::DEFAULT);
            listen(&mut rig, &mut [voice(), second()]);
            for (slot, &format) in formats.iter().enumerate().filter(|&(slot, _)| slot != own) {
                let found = amplitude(&heard(&rig, slot as u32, format), PITCH);
                let mut alone = [voice(), second()];
                let count = if slot == other as usize { 1 } else { 2 };
                let gain = db(found / alone[0].amplitude);
                let room = db(found / amplitude(&tandem(&mut alone[..count], format), PITCH));
                let what = format!("{talker} to {format} at {level_db}: {gain:+.3} {room:+.4} dB");
                assert!(gain.abs() <= tolerance_db(talker).max(tolerance_db(format)), "{what}");
                assert!(room.abs() < 0.001, "of this the room's: {what}");
            }
        }
    }
}

#[test]
fn nobody_hears_itself() {
    for format in LINEAR {
        // Someone else speaks as well: the own share must go out of a sum, not out of silence.
        let formats = [format, Encoding::Pcmu, Encoding::L16At48000, Encoding::G722];
        let mut rig = room_of(&formats, RoomSound::DEFAULT);
        let own = Voice::new(0, format, PITCH, -10.0);
        let other = Voice::new(1, Encoding::Pcmu, OTHER_PITCH, -10.0);
        let (said, others) = (own.amplitude, other.amplitude);
        listen(&mut rig, &mut [own, other]);
        let samples = heard(&rig, 0, format);
        let own_db = db(amplitude(&samples, PITCH) / said);
        assert!(own_db <= -60.0, "{format}: {own_db:.1} dB");
        let other_db = db(amplitude(&samples, OTHER_PITCH) / others);
        assert!(other_db.abs() < 0.1, "{format}: {other_db:.2} dB");
    }
}

#[test]
fn gains_change_levels_by_what_they_say_and_without_clicks() {
    const LOW_PITCH: f64 = 200.0;
    let formats = [Encoding::L16At8000, Encoding::L16At8000, Encoding::L16At48000, Encoding::Pcma];
    let mut rig = room_of(&formats, RoomSound::DEFAULT);
    let mut voices = [Voice::new(0, formats[0], LOW_PITCH, -20.0)];
    let amplitude_said = voices[0].amplitude;
    let mut expect = |rig: &mut Rig, gains: [(i16, i16); 4]| {
        for (slot, (says, hears)) in gains.into_iter().enumerate() {
            let session = SessionKey::new(0, slot as u32, 1);
            let [says, hears] = [says, hears].map(|db| Gain { tenths_db: 10 * db });
            rig.command(Command::SetGain { session, says, hears });
        }
        listen(rig, &mut voices);
        for slot in 1..4 {
            let samples = heard(rig, slot as u32, formats[slot]);
            let found = db(amplitude(&samples, LOW_PITCH) / amplitude_said);
            let wanted = f64::from(gains[0].0 + gains[slot].1);
            assert!((found - wanted).abs() < 0.1, "{slot} with {gains:?}: {found:+.3} dB");
        }
    };
    expect(&mut rig, [(0, 0); 4]);
    expect(&mut rig, [(6, 0), (0, -10), (0, 0), (0, 12)]);
    expect(&mut rig, [(-20, 0), (0, 6), (0, -6), (0, 0)]);
    expect(&mut rig, [(0, 0); 4]);
    // A step in the level of the loudest tone here would bend the wave by up to half its height.
    let loudest = amplitude_said * 2.0;
    for slot in [1, 2] {
        let samples = all_heard(&rig, slot, formats[slot as usize]);
        let begun = samples.iter().position(|&sample| sample != 0).unwrap() + 1000;
        let bend = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
        let most = samples[begun..].windows(3).map(bend).max().unwrap();
        assert!(f64::from(most) < loudest / 15.0, "{slot}: {most}");
    }
}

#[test]
fn two_of_whom_one_has_a_gain_are_no_relay() {
    let formats = [Encoding::Pcmu; 2];
    for (gains, wanted) in [([0, -70], -7.0), ([70, 0], 7.0)] {
        let mut rig = room_of(&formats, RoomSound::DEFAULT);
        let session = |slot| SessionKey::new(0, slot, 1);
        let [says, hears] = gains.map(|tenths_db| Gain { tenths_db });
        rig.command(Command::SetGain { session: session(0), says, hears: Gain::UNITY });
        rig.command(Command::SetGain { session: session(1), says: Gain::UNITY, hears });
        let mut voices = [Voice::new(0, formats[0], PITCH, -20.0)];
        listen(&mut rig, &mut voices);
        let found = db(amplitude(&heard(&rig, 1, formats[1]), PITCH) / voices[0].amplitude);
        assert!((found - wanted).abs() < 0.1, "{gains:?}: {found:+.3} dB");
    }
}

#[test]
fn who_comes_to_a_place_has_no_gain_of_the_one_before() {
    let formats = [Encoding::L16At8000; 3];
    let mut rig = room_of(&formats, RoomSound::DEFAULT);
    let session = SessionKey::new(0, 0, 1);
    let gain = Gain { tenths_db: -200 };
    rig.command(Command::SetGain { session, says: gain, hears: gain });
    rig.command(Command::CloseSession { session });
    let route = Route::Room(RoomKey::new(0, 0, 1));
    let media = RemoteMedia {
        encoding: formats[0],
        receive_payload_type: payload_type(formats[0]),
        send_payload_type: payload_type(formats[0]),
        ..rig::media(0, media_units::Law::Mu)
    };
    let (ssrc, sequence, timestamp) = (Ssrc(1), SequenceNumber(0), RtpTimestamp(0));
    let open = Box::new(SessionOpen { ssrc, sequence, timestamp, media, route });
    rig.command(Command::OpenSession { session: SessionKey::new(0, 0, 2), open });
    let mut voices = [Voice::new(0, formats[0], PITCH, -20.0)];
    listen(&mut rig, &mut voices);
    let found = db(amplitude(&heard(&rig, 1, formats[1]), PITCH) / voices[0].amplitude);
    assert!(found.abs() < 0.1, "{found:+.3} dB");
}

#[test]
fn a_hundred_talkers_at_full_scale_never_wrap() {
    for limiter in [true, false] {
        let formats = [Encoding::Pcma; 101];
        let mut rig = room_of(&formats, RoomSound { limiter, ..RoomSound::DEFAULT });
        let voice = |slot| Voice::new(slot, Encoding::Pcma, 200.0, 0.0);
        listen(&mut rig, &mut (0..100).map(voice).collect::<Vec<_>>());
        for slot in [0, 50, 100] {
            let samples = heard(&rig, slot, Encoding::Pcma);
            // Sums that wrap are noise; those that are turned down or clipped stay the tone.
            let tone = amplitude(&samples, 200.0).powi(2) / 2.0;
            let all = samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
            let share = tone / (all / samples.len() as f64);
            assert!(share > 0.75, "limiter {limiter}: {share}");
            assert!(amplitude(&samples, 200.0) > 16_000.0, "limiter {limiter}");
        }
    }
}
