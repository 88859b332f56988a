//! What the containers' tests have in common.

use std::io::Cursor;

use media_units::RateClass;
use proptest::prelude::*;

use super::{Format, Sound, whole};

/// Narrowband sound.
pub(super) fn sound(channels: u16) -> Sound {
    Sound { rate: RateClass::Narrow, channels }
}

/// Samples that are neither silence nor periodic, and use the whole range.
pub(super) fn wave(samples: usize) -> Vec<i16> {
    let swell = |n: usize| 32_767.0 * (n as f64 / 900.0).sin() * (n as f64 / 7.3).sin();
    (0..samples).map(|n| swell(n) as i16).collect()
}

/// A file that was written in uneven pieces, with a flush now and then, and ended.
pub(super) fn file_of(format: Format, sound: Sound, interleaved: &[i16]) -> Vec<u8> {
    let mut container = format.container(sound).unwrap();
    let mut file = Vec::new();
    container.begin(&mut file);
    let channels = usize::from(sound.channels);
    for (index, piece) in interleaved.chunks(157 * channels).enumerate() {
        container.append(piece, &mut file);
        if index % 7 == 6 {
            container.flush(&mut file);
        }
    }
    container.end(&mut file);
    let mut head = Vec::new();
    container.head(&mut head);
    file[..head.len()].copy_from_slice(&head);
    file
}

/// The file after repair, where there is something to repair. What is repaired is whole.
pub(super) fn repaired(format: Format, file: &[u8]) -> Option<Vec<u8>> {
    let found = whole(format, &mut Cursor::new(file)).ok()?;
    let mut repaired = file[..found.bytes as usize].to_vec();
    repaired.extend(&found.tail);
    repaired[..found.head.len()].copy_from_slice(&found.head);
    let again = whole(format, &mut Cursor::new(&repaired)).unwrap();
    assert_eq!((again.bytes, again.samples), (repaired.len() as u64, found.samples));
    assert!(repaired.starts_with(&again.head) && again.tail.is_empty());
    Some(repaired)
}

#[test]
fn a_container_has_room_for_one_audio_channel_and_for_its_most() {
    for format in [Format::Wav, Format::Opus, Format::Flac] {
        for (channels, fits) in [
            (0, false),
            (1, true),
            (format.channels_max(), true),
            (format.channels_max() + 1, false),
        ] {
            assert_eq!(format.container(sound(channels)).is_ok(), fits, "{format:?} {channels}");
        }
    }
    assert!(Format::Pcapng.container(sound(1)).is_err());
}

#[test]
fn a_name_s_end_tells_the_format() {
    for format in Format::ALL {
        assert_eq!(Format::of_extension(format.extension()), Some(format));
    }
    assert_eq!(Format::of_extension("mp3"), None);
}

proptest! {
    #[test]
    fn no_file_makes_the_repair_panic(
        anything in proptest::collection::vec(any::<u8>(), 0..400), cut in 0_usize..2000
    ) {
        for format in Format::ALL {
            let _ = whole(format, &mut Cursor::new(&anything));
            if format != Format::Pcapng {
                let mut file = file_of(format, sound(1), &wave(2000));
                file.truncate(cut);
                file.extend(&anything);
                let _ = whole(format, &mut Cursor::new(&file));
            }
        }
    }
}
