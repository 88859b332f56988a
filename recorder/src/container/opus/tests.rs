use std::io::Cursor;
use std::sync::LazyLock;

use media_opus::{Decoder, Packet};
use proptest::prelude::*;

use super::*;
use crate::container::Format;
use crate::container::testing::{file_of, repaired, sound};

/// What another's reader and libopus make of a file: the sound of each audio channel at 48 kHz, as long
/// as the granule positions say.
fn read(file: &[u8]) -> Vec<Vec<i16>> {
    let mut packets = ::ogg::PacketReader::new(Cursor::new(file));
    let head = packets.read_packet_expected().unwrap();
    assert!(head.first_in_stream() && head.data.starts_with(b"OpusHead\x01"));
    let channels = usize::from(head.data[9]);
    let pre_skip = usize::from(u16::from_le_bytes([head.data[10], head.data[11]]));
    assert_eq!(packets.read_packet_expected().unwrap().data, TAGS);
    let mut decoders: Vec<_> = (0..channels).map(|_| Decoder::new().unwrap()).collect();
    let mut sound = vec![Vec::new(); channels];
    let mut granule = 0;
    while let Some(packet) = packets.read_packet().unwrap() {
        assert!(packet.absgp_page() >= granule);
        granule = packet.absgp_page();
        let frames = apart(&packet.data, channels);
        for ((frame, decoder), sound) in frames.iter().zip(&mut decoders).zip(&mut sound) {
            let mut block = [0; 960];
            assert_eq!(decoder.decode(&Packet::parse(frame).unwrap(), &mut block), Ok(960));
            sound.extend(block);
        }
        if packet.last_in_stream() {
            assert!(packets.read_packet().unwrap().is_none());
            break;
        }
    }
    for sound in &mut sound {
        assert!(sound.len() < granule as usize + 960, "no packet is superfluous");
        sound.truncate(granule as usize);
        sound.drain(..pre_skip.min(granule as usize));
    }
    sound
}

/// The packets of a multistream packet (RFC 6716 appendix B, packets of one frame).
fn apart(mut packet: &[u8], channels: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for _ in 1..channels {
        assert_eq!(packet[0] & 3, 0);
        let (length, used) = match packet[1] {
            short @ 0..252 => (usize::from(short), 2),
            long => (usize::from(packet[2]) * 4 + usize::from(long), 3),
        };
        frames.push([&packet[..1], &packet[used..used + length]].concat());
        packet = &packet[used + length..];
    }
    frames.push(packet.to_vec());
    frames
}

/// Something like a voice, of its own pitch for each audio channel, at the rate of the class.
fn voices(rate: RateClass, channels: usize, samples: usize) -> Vec<i16> {
    let turn = std::f64::consts::TAU / f64::from(rate.hertz());
    let voice = |n: usize, pitch: f64| {
        let loudness = (n as f64 * turn * 3.0).sin().abs();
        let partial = |k: f64| (n as f64 * turn * pitch * k).sin() / k;
        (6000.0 * loudness * (1..8).map(f64::from).map(partial).sum::<f64>()) as i16
    };
    (0..samples)
        .flat_map(|n| (0..channels).map(move |c| voice(n, 110.0 + 37.0 * c as f64)))
        .collect()
}

/// How much of `sound` is not in `original`, as a share of its energy.
fn difference(original: impl Iterator<Item = i16>, sound: impl Iterator<Item = i16>) -> f64 {
    let (mut noise, mut energy) = (0.0, 0.0);
    for (original, sound) in original.zip(sound) {
        noise += (f64::from(original) - f64::from(sound)).powi(2);
        energy += f64::from(original).powi(2);
    }
    noise / energy
}

#[test]
fn every_audio_channel_comes_back_at_its_place_and_length() {
    for rate in RateClass::ALL {
        for channels in [1, 2, 5] {
            let samples = rate.hertz() as usize * 5 / 2 + 33;
            let original = voices(rate, channels, samples);
            let sound = Sound { rate, channels: channels as u16 };
            let read = read(&file_of(Format::Opus, sound, &original));
            assert_eq!(read.len(), channels);
            let step = (48_000 / rate.hertz()) as usize;
            for (channel, read) in read.iter().enumerate() {
                assert_eq!(read.len(), samples * step, "{rate:?} {channels}");
                let original = original.iter().skip(channel).step_by(channels).copied();
                let share = |late: usize| {
                    difference(original.clone(), read.iter().skip(late).step_by(step).copied())
                };
                assert!(share(0) < 0.05, "{rate:?} {channel}/{channels}: {}", share(0));
                let place = (0..4 * step).min_by(|&a, &b| share(a).total_cmp(&share(b)));
                assert!(place.unwrap() <= step, "{rate:?} {channel}/{channels}: {place:?}");
            }
        }
    }
}

#[test]
fn a_page_has_a_second_at_most_and_a_flush_closes_it() {
    let mut opus = Opus::new(sound(1)).unwrap();
    let mut file = Vec::new();
    opus.begin(&mut file);
    let begun = file.len();
    opus.append(&[0; 7840], &mut file);
    assert_eq!(file.len(), begun);
    opus.append(&[0; 160], &mut file);
    let page = file.len();
    assert!(page > begun);
    opus.append(&[0; 170], &mut file);
    assert_eq!(file.len(), page);
    opus.flush(&mut file);
    let flushed = file.len();
    opus.flush(&mut file);
    assert!(flushed > page && file.len() == flushed, "nothing new, nothing written");
    assert_eq!(whole(&mut Cursor::new(&file)).unwrap().samples, (51 * 960 - 312) / 6);
}

#[test]
fn every_length_is_exact_to_the_sample() {
    for samples in (0..330).chain(7_900..8_050) {
        let read = read(&file_of(Format::Opus, sound(1), &vec![0; samples]));
        assert_eq!(read[0].len(), samples * 6);
    }
}

#[test]
fn long_silence_is_silent_and_speech_after_it_sounds_as_ever() {
    let rate = RateClass::Wide;
    let speech = voices(rate, 1, 16_000);
    let mut original = speech.clone();
    original.resize(176_000, 0);
    original.extend(&speech);
    let file = file_of(Format::Opus, Sound { rate, channels: 1 }, &original);
    let read = &read(&file)[0];
    let silence = &read[16_000 * 3 + 9600..176_000 * 3];
    let loudest = silence.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest < Some(33), "{loudest:?}");
    let after = read[176_000 * 3..].iter().step_by(3).copied();
    let first = read[..48_000].iter().step_by(3).copied();
    let (after, first) =
        (difference(speech.iter().copied(), after), difference(speech.iter().copied(), first));
    assert!(after < 2.0 * first, "{after} {first}");
}

#[test]
fn who_wrote_a_file_is_told_and_nothing_of_the_machine() {
    let file = file_of(Format::Opus, sound(1), &[0; 160]);
    let tags = file.windows(8).position(|bytes| bytes == b"OpusTags").unwrap();
    assert_eq!(&file[tags..tags + TAGS.len()], TAGS);
}

#[test]
fn a_file_cut_at_any_byte_keeps_every_whole_page() {
    for channels in [1, 3] {
        let original = voices(RateClass::Narrow, channels, 6000);
        let file = file_of(Format::Opus, sound(channels as u16), &original);
        let all = read(&file);
        let headers = file.windows(4).enumerate().filter(|(_, bytes)| *bytes == b"OggS").nth(2);
        let headers = headers.unwrap().0;
        let mut kept = 0;
        for cut in 0..=file.len() {
            let Some(repaired) = repaired(Format::Opus, &file[..cut]) else {
                assert!(cut < headers, "{cut}");
                continue;
            };
            if cut % 7 == 0 || cut > file.len() - 20 {
                let read = read(&repaired);
                assert!(read[0] == all[0][..read[0].len()]);
                assert!(read[0].len() >= kept, "more bytes, no less sound");
                kept = read[0].len();
            }
        }
        assert_eq!(kept, all[0].len());
    }
}

static TALK: LazyLock<Vec<u8>> =
    LazyLock::new(|| file_of(Format::Opus, sound(1), &voices(RateClass::Narrow, 1, 9000)));

proptest! {
    #[test]
    fn what_follows_a_cut_is_not_sound(
        cut in 80_usize..2000, garbage in proptest::collection::vec(any::<u8>(), 0..300)
    ) {
        let mut file = TALK.clone();
        file.truncate(cut);
        let clean = repaired(Format::Opus, &file);
        file.extend(&garbage);
        prop_assert_eq!(clean, repaired(Format::Opus, &file));
    }
}
