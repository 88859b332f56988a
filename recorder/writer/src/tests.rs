//! The recorder as a whole, in virtual time: what is on the disk in the end.

use std::collections::BTreeSet;

use engine_control::SilenceCause;
use media_units::RateClass;
use proptest::prelude::*;
use recorder::GapCause;
use recorder::account::{Layout, Note, TrackKind};
use recorder::container::Format;
use recorder::metadata::SpanKind;

use crate::report::Event;
use crate::rig::{FLUSH_PERIODS, Rig, Said, gaps_of, metadata_of, restart, said, samples_of};
use crate::testing::Memory;

#[test]
fn what_is_said_to_one_tap_is_in_one_file() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 130);
    rig.finish(recording, &[1]);
    let expected = ["day/r1.json", "day/r1.peaks.dat", "day/r1.wav"];
    assert_eq!(rig.memory.visible(), expected);
    let (spec, samples) = samples_of(&rig.memory, "day/r1.wav");
    assert_eq!((spec.channels, spec.sample_rate), (1, 8000));
    assert_eq!(samples, said(1, 1000..1130));
    let metadata = metadata_of(&rig.memory, "day/r1");
    assert_eq!((metadata.samples, metadata.cut, metadata.clock_rate), (130 * 160, false, 8000));
    assert_eq!(metadata.started, "2025-01-01T00:00:20.000Z");
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), []);
    let crc = crc32fast::hash(&rig.memory.bytes("day/r1.wav").unwrap());
    assert_eq!(metadata.files[0].crc32, format!("{crc:08x}"));
    let events = rig.events();
    let started = Event::Started { recording };
    assert!(matches!(&events[..], [first, Event::Finished { gaps: 0, .. }] if *first == started));
}

#[test]
fn two_taps_are_left_and_right() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Stereo, Format::Wav);
    rig.track(recording, 1);
    rig.track(recording, 2);
    rig.speak(&[1, 2], 60);
    rig.finish(recording, &[1, 2]);
    let (spec, samples) = samples_of(&rig.memory, "day/r1.wav");
    assert_eq!(spec.channels, 2);
    let left: Vec<i16> = samples.iter().copied().step_by(2).collect();
    let right: Vec<i16> = samples.iter().copied().skip(1).step_by(2).collect();
    assert_eq!((left, right), (said(1, 1000..1060), said(2, 1000..1060)));
}

#[test]
fn a_track_for_which_the_shared_file_has_no_channel_has_a_file_of_its_own() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(2), Format::Wav);
    for tap in 1..=3 {
        rig.track(recording, tap);
    }
    rig.speak(&[1, 2, 3], 60);
    rig.finish(recording, &[1, 2, 3]);
    let metadata = metadata_of(&rig.memory, "day/r1");
    let places = metadata.tracks.iter().map(|track| (track.file.as_str(), track.channel));
    let (shared, own) = ("day/r1.wav", "day/r1-t3.wav");
    assert_eq!(places.collect::<Vec<_>>(), [(shared, 0), (shared, 1), (own, 0)]);
    let (spec, samples) = samples_of(&rig.memory, shared);
    let side: Vec<i16> = samples.iter().copied().skip(1).step_by(2).collect();
    assert_eq!((spec.channels, side), (2, said(2, 1000..1060)));
    let (spec, samples) = samples_of(&rig.memory, own);
    assert_eq!((spec.channels, samples), (1, said(3, 1000..1060)));
}

#[test]
fn tracks_begin_at_the_same_sample_and_are_equally_long_whenever_they_join_and_leave() {
    for format in [Format::Wav, Format::Flac, Format::Opus] {
        let mut rig = Rig::new();
        let recording = rig.begin(Layout::PerTrack, format);
        rig.track(recording, 1);
        rig.speak(&[1], 77);
        rig.track(recording, 2);
        rig.speak(&[1, 2], 100);
        rig.end_tap(1);
        rig.speak(&[2], 40);
        rig.finish(recording, &[2]);
        let metadata = metadata_of(&rig.memory, "day/r1");
        assert_eq!(metadata.samples, 217 * 160);
        assert!(metadata.files.iter().all(|file| file.samples == 217 * 160));
        let spans: Vec<_> = metadata
            .tracks
            .iter()
            .map(|track| (track.start_sample / 160, track.end_sample / 160, track.gaps.len()))
            .collect();
        assert_eq!(spans, [(0, 177, 0), (77, 217, 0)]);
        if format == Format::Wav {
            let silence = |periods: usize| vec![0; periods * 160];
            let one = [said(1, 1000..1177), silence(40)].concat();
            let two = [silence(77), said(2, 1077..1217)].concat();
            assert_eq!(samples_of(&rig.memory, "day/r1-t1.wav").1, one);
            assert_eq!(samples_of(&rig.memory, "day/r1-t2.wav").1, two);
        }
    }
}

#[test]
fn who_joins_after_an_hour_has_an_hour_of_silence_without_an_hour_of_writing() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 1);
    rig.period += 50 * 3600;
    rig.speak(&[1], 1);
    rig.track(recording, 2);
    rig.speak(&[1, 2], 60);
    rig.finish(recording, &[1, 2]);
    let (one, two) =
        (samples_of(&rig.memory, "day/r1-t1.wav").1, samples_of(&rig.memory, "day/r1-t2.wav").1);
    assert_eq!((one.len(), two.len()), (180_062 * 160, 180_062 * 160));
    assert_eq!(one[180_001 * 160..], said(1, 181_001..181_062));
    assert!(two[..180_002 * 160].iter().all(|&sample| sample == 0));
    assert_eq!(two[180_002 * 160..], said(2, 181_002..181_062));
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), [(1, 180_000, GapCause::Late)]);
}

#[test]
fn every_gap_has_its_cause() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 10);
    for (said, periods) in [
        (Said::Silence(SilenceCause::Muted), 3),
        (Said::Silence(SilenceCause::Held), 30),
        (Said::Silence(SilenceCause::Silent), 2),
        (Said::Silence(SilenceCause::Digit), 1),
        (Said::Silence(SilenceCause::NothingReceived), 4),
        (Said::Concealed(&[9; 160]), 2),
    ] {
        for _ in 0..periods {
            rig.say(1, &said);
            rig.pass();
        }
    }
    rig.pass();
    rig.speak(&[1], 1);
    rig.finish(recording, &[1]);
    let expected = [
        (10, 3, GapCause::Muted),
        (13, 30, GapCause::Held),
        (45, 1, GapCause::Digit),
        (46, 4, GapCause::NotReceived),
        (50, 2, GapCause::Concealed),
        (52, 1, GapCause::Late),
    ];
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), expected);
    let samples = samples_of(&rig.memory, "day/r1.wav").1;
    assert_eq!(samples.len(), 54 * 160);
    assert_eq!(samples[50 * 160..52 * 160], [9; 320]);
}

#[test]
fn what_the_ring_lost_and_what_the_shard_left_out_are_told_apart() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    for _ in 0..2 {
        rig.speak(&[1], 10);
        rig.pass();
        rig.pass();
        rig.speak(&[1], 5);
        rig.overrun();
    }
    rig.speak(&[1], 1);
    rig.finish(recording, &[1]);
    let expected = [
        (10, 2, GapCause::Late),
        (17, 1, GapCause::Overrun),
        (28, 2, GapCause::Late),
        (35, 1, GapCause::Overrun),
    ];
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), expected);
}

#[test]
fn nothing_is_kept_while_a_recording_is_paused() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 20);
    rig.tell(recording, Note::Paused);
    rig.speak(&[1], 20);
    rig.tell(recording, Note::Resumed);
    rig.tell(recording, Note::Mark { label: "here".into() });
    rig.speak(&[1], 20);
    rig.finish(recording, &[1]);
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), [(20, 20, GapCause::Paused)]);
    let samples = samples_of(&rig.memory, "day/r1.wav").1;
    assert_eq!(samples[20 * 160..40 * 160], [0; 20 * 160]);
    assert_eq!(samples[40 * 160..], said(1, 1040..1060));
    let metadata = metadata_of(&rig.memory, "day/r1");
    let span = &metadata.spans[0];
    assert_eq!((span.kind, span.start_sample, span.samples), (SpanKind::Paused, 3200, 3200));
    assert_eq!(metadata.events.len(), 3);
}

#[test]
fn other_rates_are_brought_to_the_one_chosen() {
    let mut rig = Rig::new();
    let recording = rig.begin_at(Layout::Stereo, Format::Wav, Some(RateClass::Wide));
    rig.track(recording, 1);
    rig.track(recording, 2);
    for _ in 0..50 {
        rig.say(1, &Said::Sound(RateClass::Narrow, &[4000; 160]));
        rig.say(2, &Said::Sound(RateClass::Full, &[-4000; 960]));
        rig.pass();
    }
    rig.finish(recording, &[1, 2]);
    let (spec, samples) = samples_of(&rig.memory, "day/r1.wav");
    assert_eq!((spec.sample_rate, samples.len()), (16_000, 50 * 320 * 2));
    let middle = &samples[20 * 640..21 * 640];
    assert!(
        middle.chunks(2).all(|frame| (frame[0] - 4000).abs() < 8 && (frame[1] + 4000).abs() < 8)
    );
}

#[test]
fn who_is_silent_at_first_has_a_file_of_the_rate_at_which_something_is_said_later() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track(recording, 1);
    for _ in 0..100 {
        rig.say(1, &Said::SilenceOf(RateClass::Wide));
        rig.pass();
    }
    for _ in 0..50 {
        rig.say(1, &Said::Sound(RateClass::Wide, &[4000; 320]));
        rig.pass();
    }
    rig.finish(recording, &[1]);
    let (spec, samples) = samples_of(&rig.memory, "day/r1-t1.wav");
    assert_eq!((spec.sample_rate, samples.len()), (16_000, 150 * 320));
    let (silence, speech) = samples.split_at(100 * 320);
    assert!(
        silence.iter().all(|&sample| sample == 0) && speech.iter().all(|&sample| sample == 4000)
    );
}

#[test]
fn a_file_has_the_rate_of_its_track_unless_one_is_chosen() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track(recording, 1);
    rig.track(recording, 2);
    for _ in 0..30 {
        rig.say(1, &Said::Sound(RateClass::Narrow, &[1; 160]));
        rig.say(2, &Said::Sound(RateClass::Full, &[2; 960]));
        rig.pass();
    }
    rig.finish(recording, &[1, 2]);
    let metadata = metadata_of(&rig.memory, "day/r1");
    let files: Vec<_> =
        metadata.files.iter().map(|file| (file.sample_rate, file.samples)).collect();
    assert_eq!(files, [(8000, 4800), (48_000, 28_800)]);
    assert_eq!((metadata.clock_rate, metadata.samples), (48_000, 28_800));
}

#[test]
fn packets_are_kept_as_they_came() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track_of(recording, 1, TrackKind::Packets);
    rig.track(recording, 2);
    for _ in 0..30 {
        rig.say(1, &Said::Packet(b"\x80 a packet"));
        rig.say(2, &Said::Sound(RateClass::Narrow, &[1; 160]));
        rig.pass();
    }
    rig.finish(recording, &[1, 2]);
    let bytes = rig.memory.bytes("day/r1.pcapng").unwrap();
    let found = recorder::whole(Format::Pcapng, &mut std::io::Cursor::new(&bytes)).unwrap();
    assert_eq!((found.samples, found.bytes), (30, bytes.len() as u64));
    let metadata = metadata_of(&rig.memory, "day/r1");
    assert_eq!(metadata.tracks[0].file, "day/r1.pcapng");
    assert_eq!(metadata.files.len(), 2);
}

#[test]
fn a_track_of_packets_lasts_from_its_first_to_its_end_beside_sound_and_alone() {
    for has_sound in [true, false] {
        let mut rig = Rig::new();
        let recording = rig.begin(Layout::PerTrack, Format::Wav);
        rig.track_of(recording, 1, TrackKind::Packets);
        if has_sound {
            rig.track(recording, 2);
            rig.speak(&[2], 5);
        }
        for _ in 0..10 {
            rig.say(1, &Said::Packet(b"\x80 a packet"));
            rig.say(1, &Said::Packet(b"\x80 another"));
            rig.speak(if has_sound { &[2] } else { &[] }, 3);
        }
        rig.end_tap(1);
        rig.speak(if has_sound { &[2] } else { &[] }, 5);
        rig.finish(recording, if has_sound { &[2] } else { &[] });
        let metadata = metadata_of(&rig.memory, "day/r1");
        let packets = &metadata.tracks[0];
        let periods = |samples: u64| samples * 50 / u64::from(metadata.clock_rate);
        let place = (periods(packets.start_sample), periods(packets.end_sample));
        let expected = if has_sound { ((5, 35), 40) } else { ((0, 30), 30) };
        assert_eq!((place, periods(metadata.samples)), expected);
        assert!(packets.gaps.is_empty());
    }
}

#[test]
fn labels_that_are_alike_as_names_of_files_have_files_of_their_own() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    let taps = [1, 2, 3, 4, 5];
    for (tap, label) in taps.into_iter().zip(["a_b", "a_b-3", "a.b", "a.b", "a.b-4"]) {
        rig.track_as(recording, tap, TrackKind::Received, label);
    }
    rig.speak(&taps, 30);
    rig.finish(recording, &taps);
    let metadata = metadata_of(&rig.memory, "day/r1");
    let distinct = |names: Vec<&String>| names.into_iter().collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(metadata.tracks.iter().map(|track| &track.label).collect()), 5);
    assert_eq!(distinct(metadata.tracks.iter().map(|track| &track.file).collect()), 5);
    for (tap, track) in taps.into_iter().zip(&metadata.tracks) {
        assert!(samples_of(&rig.memory, &track.file).1.starts_with(&said(tap, 1000..1030)));
    }
}

#[test]
fn one_tap_can_be_in_two_recordings() {
    let mut rig = Rig::new();
    let one = rig.begin(Layout::Multichannel(1), Format::Wav);
    let two = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(one, 1);
    rig.track(two, 1);
    rig.speak(&[1], 30);
    rig.finish(one, &[]);
    rig.speak(&[1], 30);
    rig.finish(two, &[1]);
    assert!(samples_of(&rig.memory, "day/r1.wav").1.starts_with(&said(1, 1000..1030)));
    let second = samples_of(&rig.memory, "day/r2.wav").1;
    assert_eq!(second[..30 * 160], said(1, 1000..1030));
    assert_eq!(rig.misplaced(), 0);
}

#[test]
fn a_recording_without_a_tap_ends_with_its_metadata_only() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Stereo, Format::Wav);
    rig.finish(recording, &[]);
    assert_eq!(rig.memory.visible(), ["day/r1.json"]);
    assert_eq!(metadata_of(&rig.memory, "day/r1").samples, 0);
}

#[test]
fn a_name_that_is_taken_is_refused_and_its_recording_is_left_alone() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 30);
    rig.finish(recording, &[1]);
    let before = rig.memory.bytes("day/r1.wav");
    let mut again = Rig::on(rig.memory.clone(), |_| {});
    let second = again.begin(Layout::Multichannel(1), Format::Wav);
    again.track(second, 1);
    again.speak(&[1], 60);
    again.finish(second, &[1]);
    let kind = std::io::ErrorKind::AlreadyExists;
    assert_eq!(again.events(), [Event::Failed { recording: second, kind }]);
    assert_eq!(rig.memory.bytes("day/r1.wav"), before);
}

/// A full room, cut in the middle: two tracks since the start, one that joined.
fn cut(format: Format, layout: Layout, periods: u64) -> Rig {
    let mut rig = Rig::new();
    let recording = rig.begin(layout, format);
    rig.track(recording, 1);
    rig.track(recording, 2);
    rig.speak(&[1, 2], periods / 2);
    if layout == Layout::PerTrack {
        rig.track(recording, 3);
        rig.tell(recording, Note::Mark { label: "three is here".into() });
        rig.speak(&[1, 2, 3], periods - periods / 2);
    } else {
        rig.speak(&[1, 2], periods - periods / 2);
    }
    rig
}

/// After a crash at `period`: repaired, cut at most a second before, all tracks equally long.
fn check_repaired(memory: &Memory, period: u64, format: Format) -> u64 {
    let events = restart(memory);
    let repaired = Event::Repaired { metadata: "day/r1.json".into() };
    assert_eq!(events, [repaired]);
    let metadata = metadata_of(memory, "day/r1");
    assert!(metadata.cut);
    let periods = metadata.samples / 160;
    assert!(periods + 50 >= period - 1000, "{periods} of {}", period - 1000);
    for file in &metadata.files {
        assert_eq!(file.samples, metadata.samples, "{}", file.name);
        let bytes = memory.bytes(&file.name).unwrap();
        assert_eq!(format!("{:08x}", crc32fast::hash(&bytes)), file.crc32);
        let found = recorder::whole(format, &mut std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!((found.bytes, found.samples), (bytes.len() as u64, metadata.samples));
        assert!(found.tail.is_empty());
    }
    let left: Vec<_> = memory.visible().into_iter().filter(|name| name.contains(".part")).collect();
    assert_eq!(left, [] as [&str; 0]);
    periods
}

#[test]
fn after_a_kill_everything_up_to_the_last_flush_is_there() {
    for format in [Format::Wav, Format::Flac, Format::Opus] {
        for periods in [30, 49, 50, 51, 130, 1700] {
            let rig = cut(format, Layout::PerTrack, periods);
            let memory = rig.memory.after_kill();
            let kept = check_repaired(&memory, rig.period, format);
            if format == Format::Wav {
                let expected = said(1, 1000..1000 + kept);
                assert_eq!(samples_of(&memory, "day/r1-t1.wav").1, expected);
            }
            assert_eq!(restart(&memory), [], "the second start finds nothing to do");
        }
    }
}

#[test]
fn what_was_not_flushed_once_leaves_nothing() {
    let rig = cut(Format::Wav, Layout::Stereo, FLUSH_PERIODS - 5);
    let memory = rig.memory.after_kill();
    assert_eq!(restart(&memory), []);
    assert_eq!(memory.visible(), [] as [&str; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn after_a_loss_of_power_everything_up_to_the_last_flush_is_there(
        periods in 26_u64..2000, seed in any::<u64>(), wav in any::<bool>()
    ) {
        let (format, layout) =
            if wav { (Format::Wav, Layout::PerTrack) } else { (Format::Flac, Layout::Stereo) };
        let rig = cut(format, layout, periods);
        let mut random = seed | 1;
        let memory = rig.memory.after_power_loss(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 63 == 1
        });
        let kept = check_repaired(&memory, rig.period, format);
        if wav {
            prop_assert_eq!(samples_of(&memory, "day/r1-t2.wav").1, said(2, 1000..1000 + kept));
        }
        prop_assert_eq!(restart(&memory), []);
    }

    #[test]
    fn a_finished_recording_survives_a_loss_of_power_whole(
        periods in 26_u64..200, after in 0_u64..1700, seed in any::<u64>()
    ) {
        let mut rig = Rig::new();
        let recording = rig.begin(Layout::Stereo, Format::Wav);
        rig.track(recording, 1);
        rig.track(recording, 2);
        rig.speak(&[1, 2], periods);
        rig.finish(recording, &[1, 2]);
        (0..after).for_each(|_| rig.pass());
        let before = rig.memory.bytes("day/r1.wav").unwrap();
        let mut random = seed | 1;
        let memory = rig.memory.after_power_loss(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 63 == 1
        });
        restart(&memory);
        prop_assert_eq!(memory.bytes("day/r1.wav"), Some(before));
        prop_assert!(!metadata_of(&memory, "day/r1").cut);
        prop_assert_eq!(memory.visible().len(), 3);
    }

    #[test]
    fn a_damaged_journal_never_panics_and_never_leaves_the_folder(
        periods in 26_u64..200, at in any::<prop::sample::Index>(), value in any::<u8>(), cuts in any::<bool>()
    ) {
        let rig = cut(Format::Wav, Layout::PerTrack, periods);
        let memory = rig.memory.after_kill();
        let segment = "/0000000000000001.mmj";
        memory.rot(&format!(".journal{segment}"), |bytes| {
            let at = at.index(bytes.len());
            if cuts { bytes.truncate(at) } else { bytes[at] ^= value }
        });
        restart(&memory);
        prop_assert!(memory.visible().iter().all(|name| name.starts_with("day/r1")));
    }
}

#[test]
fn after_a_loss_of_power_during_repair_the_next_repair_goes_on() {
    let rig = cut(Format::Flac, Layout::PerTrack, 300);
    let memory = rig.memory.after_kill();
    memory.refuse(None);
    restart(&memory);
    let metadata = metadata_of(&memory, "day/r1");
    // The account is still there, and so is part of what the first repair did.
    let second = rig.memory.after_kill();
    for name in ["day/r1-t1.flac", "day/r1-t1.flac.part"] {
        if second.bytes(name).is_some() {
            second.rot(name, |bytes| *bytes = memory.bytes("day/r1-t1.flac").unwrap());
        }
    }
    restart(&second);
    assert_eq!(metadata_of(&second, "day/r1"), metadata);
}
