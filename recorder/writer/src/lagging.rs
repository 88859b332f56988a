//! A thread that is behind, in virtual time. Of the collector's: what is asked of it counts from the
//! moment at which it was asked, and not from when it is read. Of one shard of several: it is
//! waited for.

use engine_control::TapId;
use media_units::{Instant, PERIOD};
use recorder::GapCause;
use recorder::account::{Layout, Note, TrackKind};
use recorder::container::Format;

use crate::report::{Event, RecordingId};
use crate::rig::{FLUSH_PERIODS, Rig, Said, gaps_of, metadata_of, said, samples_of};

/// A recording of one tap that has run for a second, and whose collector stands still from now on.
fn held() -> (Rig, RecordingId) {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 50);
    rig.is_held = true;
    (rig, recording)
}

/// The collector goes on, and so does time.
fn release(rig: &mut Rig) {
    rig.is_held = false;
    (0..4 * FLUSH_PERIODS).for_each(|_| rig.pass());
}

#[test]
fn nothing_that_is_said_in_a_pause_is_kept_and_all_that_is_said_before_and_between() {
    let (mut rig, recording) = held();
    rig.speak(&[1], 30);
    for _ in 0..2 {
        rig.tell(recording, Note::Paused);
        rig.speak(&[1], 20);
        rig.tell(recording, Note::Resumed);
        rig.speak(&[1], 10);
    }
    rig.end_tap(1);
    rig.end(recording);
    release(&mut rig);
    let paused = GapCause::Paused;
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), [(80, 20, paused), (110, 20, paused)]);
    let samples = samples_of(&rig.memory, "day/r1.wav").1;
    let silence = vec![0; 20 * 160];
    let kept = [1000..1080, 1100..1110, 1130..1140].map(|periods| said(1, periods));
    let [before, between, after] = kept;
    assert!(samples == [before, silence.clone(), between, silence, after].concat());
}

#[test]
fn a_track_that_begins_in_a_pause_is_paused_and_packets_are_too() {
    let (mut rig, recording) = held();
    rig.tell(recording, Note::Paused);
    rig.track(recording, 2);
    rig.track_of(recording, 3, TrackKind::Packets);
    for _ in 0..20 {
        rig.say(3, &Said::Packet(b"\x80 a secret"));
        rig.speak(&[1, 2], 1);
    }
    rig.tell(recording, Note::Resumed);
    for _ in 0..20 {
        rig.say(3, &Said::Packet(b"\x80 no secret"));
        rig.speak(&[1, 2], 1);
    }
    rig.is_held = false;
    rig.finish(recording, &[1, 2, 3]);
    let own = samples_of(&rig.memory, "day/r1-t2.wav").1;
    assert!(own == [vec![0; 70 * 160], said(2, 1070..1090)].concat());
    let packets = rig.memory.bytes("day/r1.pcapng").unwrap();
    let found = |what: &[u8]| packets.windows(what.len()).filter(|at| *at == what).count();
    assert_eq!([found(b"\x80 a secret"), found(b"\x80 no secret")], [0, 20]);
}

#[test]
fn what_is_said_until_a_recording_is_stopped_is_kept_and_nothing_later() {
    let (mut rig, recording) = held();
    let other = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.speak(&[1], 100);
    rig.track(other, 1);
    rig.end_track(recording, 1);
    rig.end(recording);
    rig.speak(&[1], 30);
    rig.end_tap(1);
    rig.end(other);
    release(&mut rig);
    assert!(samples_of(&rig.memory, "day/r1.wav").1 == said(1, 1000..1150));
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), []);
    let kept = samples_of(&rig.memory, "day/r2.wav").1;
    assert!(kept == said(1, 1150..1180), "the tap was there before: {}", kept.len() / 160);
    assert_eq!(rig.misplaced(), 0);
}

#[test]
fn a_tap_that_gives_nothing_any_more_holds_no_recording_up() {
    let (mut rig, recording) = held();
    rig.is_held = false;
    rig.end_track(recording, 1);
    rig.end(recording);
    (0..50 + 2 * FLUSH_PERIODS).for_each(|_| rig.pass());
    assert!(matches!(rig.events()[..], [Event::Started { .. }, Event::Finished { .. }]));
    assert!(samples_of(&rig.memory, "day/r1.wav").1 == said(1, 1000..1050));
}

#[test]
fn a_track_of_packets_lasts_until_it_is_stopped_whoever_else_has_its_tap() {
    for is_shared in [false, true] {
        let mut rig = Rig::new();
        let recording = rig.begin(Layout::PerTrack, Format::Wav);
        let other = rig.begin(Layout::PerTrack, Format::Wav);
        for id in [recording, other] {
            rig.track_of(id, 1, TrackKind::Packets);
        }
        for _ in 0..10 {
            rig.say(1, &Said::Packet(b"\x80 a packet"));
            rig.pass();
        }
        (0..150).for_each(|_| rig.pass());
        rig.end_track(recording, 1);
        rig.end(recording);
        if !is_shared {
            rig.end_tap(1);
        }
        (0..4 * FLUSH_PERIODS).for_each(|_| rig.pass());
        let metadata = metadata_of(&rig.memory, "day/r1");
        let periods = |samples: u64| samples * 50 / u64::from(metadata.clock_rate);
        assert_eq!(periods(metadata.samples), 160, "shared: {is_shared}");
        assert_eq!(periods(metadata.tracks[0].end_sample), 160, "shared: {is_shared}");
    }
}

#[test]
fn packets_beside_a_track_of_sound_that_was_refused_are_a_recording() {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track(recording, 1);
    rig.track_of(recording, 2, TrackKind::Packets);
    rig.end_track(recording, 1);
    for _ in 0..200 {
        rig.say(2, &Said::Packet(b"\x80 a packet"));
        rig.pass();
    }
    rig.finish(recording, &[2]);
    let metadata = metadata_of(&rig.memory, "day/r1");
    let periods = |samples: u64| samples * 50 / u64::from(metadata.clock_rate);
    assert_eq!(periods(metadata.samples), 200);
}

/// A room on two shards, of which one is so many periods behind for a while, which is told.
fn spread(behind: u64) -> Rig {
    let mut rig = Rig::new();
    let recording = rig.begin(Layout::PerTrack, Format::Wav);
    rig.track(recording, 2);
    rig.track(recording, 1);
    rig.other.start();
    let mut next = rig.period;
    for period in 1000..1400 {
        let is_behind = (1100..1300).contains(&period);
        while next <= period - if is_behind { behind } else { 0 } {
            rig.say_late(2, next);
            next += 1;
        }
        rig.speak(&[1], 1);
    }
    rig.other.end(TapId(2), rig.period, Instant::START + PERIOD * rig.period as u32);
    rig.finish(recording, &[1]);
    rig
}

#[test]
fn a_shard_that_is_behind_others_loses_nothing() {
    for behind in [1, 10, 40] {
        let rig = spread(behind);
        assert_eq!(gaps_of(&rig.memory, "day/r1", 0), [], "{behind} periods behind");
        for tap in [1, 2] {
            let samples = samples_of(&rig.memory, &format!("day/r1-t{tap}.wav")).1;
            assert!(samples == said(tap, 1000..1400), "tap {tap}, {behind} periods behind");
        }
    }
}

#[test]
fn a_shard_that_is_far_behind_is_not_waited_for_and_its_gap_says_so() {
    let rig = spread(150);
    let gaps = gaps_of(&rig.memory, "day/r1", 0);
    let Some(&(start, periods, GapCause::Late)) = gaps.first() else { panic!("{gaps:?}") };
    assert!(gaps.len() == 1 && (90..=160).contains(&periods), "{gaps:?}");
    let mut expected = said(2, 1000..1400);
    expected[start as usize * 160..(start + periods) as usize * 160].fill(0);
    assert!(samples_of(&rig.memory, "day/r1-t2.wav").1 == expected, "{gaps:?}");
    assert!(samples_of(&rig.memory, "day/r1-t1.wav").1 == said(1, 1000..1400));
}

#[test]
fn what_a_shard_leaves_out_before_a_tap_ends_is_late() {
    let (mut rig, recording) = held();
    rig.is_held = false;
    rig.period += 15;
    rig.finish(recording, &[1]);
    assert_eq!(gaps_of(&rig.memory, "day/r1", 0), [(50, 15, GapCause::Late)]);
}
