//! Disks that refuse, stall, fill up and lose what they promised, in virtual time: nothing waits,
//! what is lost is marked, and recording goes on by itself.

use std::io::ErrorKind;

use proptest::prelude::*;
use recorder::GapCause;
use recorder::account::{Layout, TrackKind};
use recorder::container::Format;
use recorder::whole;

use crate::repair::next_segment;
use crate::report::{Event, RecordingId};
use crate::rig::{FLUSH_PERIODS, Rig, Said, block_of, metadata_of, restart, samples_of};
use crate::testing::Memory;

fn said(periods: std::ops::Range<u64>) -> Vec<i16> {
    crate::rig::said(1, periods)
}

fn lost(memory: &Memory) -> Vec<(u64, u64)> {
    let metadata = metadata_of(memory, "day/r1");
    let gaps = &metadata.tracks[0].gaps;
    assert!(gaps.iter().all(|gap| gap.cause == GapCause::Unwritten), "{gaps:?}");
    gaps.iter().map(|gap| (gap.start_sample / 160, gap.samples / 160)).collect()
}

/// A recording of one tap that has run for a second.
fn running(change: impl FnOnce(&mut crate::WriterConfig)) -> (Rig, RecordingId) {
    let mut rig = Rig::on(Memory::default(), change);
    let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(recording, 1);
    rig.speak(&[1], 50);
    (rig, recording)
}

/// Everything outside of the gaps is what was said, and the gaps are silence.
fn check_sound(rig: &Rig, periods: u64) {
    let samples = samples_of(&rig.memory, "day/r1.wav").1;
    let mut expected = said(1000..1000 + periods);
    for (start, length) in lost(&rig.memory) {
        expected[start as usize * 160..(start + length) as usize * 160].fill(0);
    }
    assert!(samples == expected, "{:?}", lost(&rig.memory));
}

#[test]
fn a_disk_that_stalls_for_five_seconds_costs_nothing_where_the_queue_has_room() {
    let (mut rig, recording) = running(|_| {});
    rig.stalled_until = rig.period + 250;
    rig.speak(&[1], 400);
    rig.finish(recording, &[1]);
    assert_eq!(lost(&rig.memory), []);
    check_sound(&rig, 450);
}

#[test]
fn a_disk_that_stalls_beyond_the_queue_costs_what_came_meanwhile_and_the_gap_says_so() {
    // Room for two flushes of one tap: half a second each.
    let (mut rig, recording) = running(|config| config.queue_bytes_max = 18_000);
    rig.stalled_until = rig.period + 250;
    rig.speak(&[1], 240);
    assert_eq!(
        rig.late(),
        [(recording, ErrorKind::TimedOut)],
        "told while the disk does not answer"
    );
    rig.speak(&[1], 160);
    rig.finish(recording, &[1]);
    assert_eq!(rig.late(), []);
    let resumed = [Event::Started { recording }, Event::Resumed { recording }];
    assert_eq!(rig.events()[..2], resumed);
    assert_eq!(rig.keeper.reporter.status.interruptions, 1);
    let gaps = lost(&rig.memory);
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!((190..=230).contains(&gaps[0].1), "{gaps:?}");
    assert_eq!(rig.unwritten(), gaps[0].1);
    check_sound(&rig, 450);
}

#[test]
fn a_disk_that_refuses_everything_is_asked_again_until_it_takes_it() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotFound] {
        let (mut rig, recording) = running(|config| config.queue_bytes_max = 18_000);
        rig.memory.refuse(Some(kind));
        rig.speak(&[1], 250);
        rig.memory.refuse(None);
        rig.speak(&[1], 150);
        rig.finish(recording, &[1]);
        let events = rig.events();
        let expected = [
            Event::Started { recording },
            Event::Interrupted { recording, kind },
            Event::Resumed { recording },
        ];
        assert_eq!(events[..3], expected);
        assert!(matches!(events[3..], [Event::Finished { gaps: 1, .. }]), "{events:?}");
        assert_eq!(lost(&rig.memory).len(), 1);
        check_sound(&rig, 450);
    }
}

#[test]
fn a_recording_that_begins_while_the_disk_refuses_is_interrupted_at_once_and_goes_on_with_it() {
    let (mut rig, first) = running(|_| {});
    let kind = ErrorKind::StorageFull;
    rig.memory.refuse(Some(kind));
    rig.speak(&[1], 100);
    let started = Event::Started { recording: first };
    assert_eq!(rig.events(), [started, Event::Interrupted { recording: first, kind }]);
    let second = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(second, 2);
    rig.speak(&[1, 2], 100);
    assert_eq!(rig.late(), [(second, kind)], "told once, and only of the new one");
    rig.memory.refuse(None);
    rig.speak(&[1, 2], 100);
    let mut events = rig.events();
    events
        .sort_by_key(|event| !matches!(event, Event::Resumed { recording } if *recording == first));
    let second_goes_on =
        [Event::Started { recording: second }, Event::Resumed { recording: second }];
    assert_eq!(events[0], Event::Resumed { recording: first });
    assert_eq!(events[1..], second_goes_on);
    rig.finish(second, &[2]);
    assert_eq!(metadata_of(&rig.memory, "day/r2").tracks[0].gaps, []);
}

#[test]
fn a_recording_whose_first_sound_already_waits_when_the_disk_begins_to_refuse_is_interrupted_too() {
    let (mut rig, first) = running(|_| {});
    let kind = ErrorKind::StorageFull;
    rig.held_back = 1;
    rig.speak(&[1], 25);
    let second = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(second, 2);
    rig.memory.refuse(Some(kind));
    rig.speak(&[1, 2], 25);
    let started = Event::Started { recording: first };
    assert_eq!(rig.events(), [started, Event::Interrupted { recording: first, kind }]);
    rig.speak(&[1, 2], 50);
    assert_eq!(
        rig.late(),
        [(second, kind)],
        "told once, and only of the one that nobody else told"
    );
    rig.held_back = 0;
    rig.memory.refuse(None);
    rig.speak(&[1, 2], 25);
    let events = rig.events();
    assert!(events.contains(&Event::Resumed { recording: second }), "{events:?}");
    rig.finish(second, &[2]);
    assert_eq!(metadata_of(&rig.memory, "day/r2").tracks[0].gaps, []);
}

#[test]
fn while_sound_waits_the_journal_is_told_and_files_follow_by_groups() {
    let mut rig = Rig::new();
    let taps: Vec<u32> = (0..20).collect();
    for &tap in &taps {
        let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
        rig.track(recording, tap);
    }
    rig.speak(&taps, 50);
    let lengths = |rig: &Rig| -> Vec<usize> {
        let part = |number| rig.memory.bytes(&format!("day/r{number}.wav.part")).unwrap().len();
        (1..=20).map(part).collect()
    };
    rig.is_keeper_late = true;
    rig.speak(&taps, 100);
    let late = lengths(&rig);
    assert!(late.iter().min() < late.iter().max(), "{late:?}");
    let memory = rig.memory.after_kill();
    assert_eq!(restart(&memory).len(), 20);
    for (number, &tap) in (1..=20).zip(&taps) {
        let samples = samples_of(&memory, &format!("day/r{number}.wav")).1;
        let said: Vec<i16> = (1000..1149).flat_map(|period| block_of(tap, period)).collect();
        assert!(samples == said, "day/r{number}: {} samples", samples.len());
    }
    rig.is_keeper_late = false;
    rig.speak(&taps, 25);
    let same = lengths(&rig);
    assert_eq!(same.iter().min(), same.iter().max());
}

#[test]
fn a_full_disk_takes_sound_again_when_there_is_room() {
    let (mut rig, recording) = running(|config| config.queue_bytes_max = 18_000);
    rig.memory.limit(Some(rig.memory.used() + 100_000));
    rig.speak(&[1], 1000);
    let kind = ErrorKind::StorageFull;
    assert!(rig.events().contains(&Event::Interrupted { recording, kind }));
    rig.memory.limit(None);
    rig.speak(&[1], 200);
    rig.finish(recording, &[1]);
    assert!(!lost(&rig.memory).is_empty());
    check_sound(&rig, 1250);
    assert!(rig.events().contains(&Event::Resumed { recording }));
}

#[test]
fn packets_that_wait_in_vain_for_their_file_are_counted_and_marked() {
    // The journal has its room, and the files none.
    let (mut rig, recording) = running(|config| config.segment_bytes = 8 << 20);
    rig.track_of(recording, 2, TrackKind::Packets);
    let speak = |rig: &mut Rig, periods: u64| {
        for _ in 0..periods {
            (0..20).for_each(|_| rig.say(2, &Said::Packet(&[0x80; 1400])));
            rig.speak(&[1], 1);
        }
    };
    speak(&mut rig, 25);
    rig.memory.limit(Some(rig.memory.used()));
    speak(&mut rig, 100);
    rig.memory.limit(None);
    speak(&mut rig, 25);
    rig.finish(recording, &[1, 2]);
    let bytes = rig.memory.bytes("day/r1.pcapng").unwrap();
    let kept = whole(Format::Pcapng, &mut std::io::Cursor::new(&bytes)).unwrap().samples;
    let sound: u64 = lost(&rig.memory).iter().map(|(_, periods)| periods).sum();
    assert!(kept < 150 * 20);
    assert_eq!(kept + rig.keeper.unwritten, 150 * 20 + sound);
    let metadata = metadata_of(&rig.memory, "day/r1");
    let packets = metadata.tracks.iter().find(|track| track.kind == TrackKind::Packets).unwrap();
    assert!(packets.gaps.iter().all(|gap| gap.cause == GapCause::Unwritten));
    assert!(!packets.gaps.is_empty());
}

#[test]
fn a_recording_whose_last_bytes_are_refused_for_long_fails_and_is_repaired_at_the_next_start() {
    let (mut rig, recording) = running(|_| {});
    rig.memory.refuse(Some(ErrorKind::StorageFull));
    rig.finish(recording, &[1]);
    (0..61 * 50).for_each(|_| rig.pass());
    let failed = Event::Failed { recording, kind: ErrorKind::StorageFull };
    assert_eq!(rig.events().last(), Some(&failed));
    rig.memory.refuse(None);
    let memory = rig.memory.after_kill();
    assert_eq!(restart(&memory), [Event::Repaired { metadata: "day/r1.json".into() }]);
    assert!(metadata_of(&memory, "day/r1").cut);
    assert!(samples_of(&memory, "day/r1.wav").1.len() >= 25 * 160);
}

#[test]
fn a_disk_that_does_not_say_what_a_crash_has_left_settles_nothing_and_loses_nothing() {
    let (mut rig, first) = running(|_| {});
    rig.finish(first, &[1]);
    let kind = ErrorKind::PermissionDenied;
    let memory = rig.memory.after_kill();
    memory.hide(Some(kind));
    let told = next_segment(&memory).map_err(|error| error.kind());
    assert_eq!(told, Err(kind), "no writer starts there");
    // It was told when the writer started, and is not when it repairs.
    let mut rig = Rig::on(memory.clone(), |_| {});
    let unrepaired = Event::Unrepaired { account: ".journal".into(), kind };
    assert_eq!(rig.events(), [unrepaired]);
    assert!(!rig.keeper.reporter.status.settled, "what is deleted now would come back");
    rig.day = "later";
    let second = rig.begin(Layout::Multichannel(1), Format::Wav);
    rig.track(second, 1);
    rig.speak(&[1], 50);
    memory.hide(None);
    assert_eq!(restart(&memory.after_kill()).len(), 1, "it goes into a segment of its own");
    rig.finish(second, &[1]);
    assert_eq!(samples_of(&memory, "later/r1.wav").1, said(1000..1050));
}

#[test]
fn what_a_disk_forgets_although_it_was_asked_to_hold_it_comes_from_the_journal() {
    let (mut rig, recording) = running(|_| {});
    rig.memory.lose_next_sync();
    // The checkpoint comes after 30 s.
    rig.speak(&[1], 2000);
    rig.finish(recording, &[1]);
    check_sound(&rig, 2050);
    assert_eq!(lost(&rig.memory), []);
    assert_eq!(rig.keeper.reporter.status.interruptions, 1);
}

#[test]
fn the_journal_stays_short_and_a_finished_recording_becomes_durable() {
    let (mut rig, recording) = running(|_| {});
    rig.speak(&[1], 9000);
    assert!(rig.keeper.reporter.status.journal_bytes < 1_200_000, "30 s of 16 kB and pages");
    rig.finish(recording, &[1]);
    (0..2000).for_each(|_| rig.pass());
    assert_eq!(rig.events().last(), Some(&Event::Durable { recording }));
    // Whoever removes it now has it removed for good.
    let mut memory = rig.memory.clone();
    for name in rig.memory.visible() {
        crate::storage::Storage::remove(&mut memory, &name).unwrap();
    }
    let after = rig.memory.after_power_loss(|| true);
    assert_eq!(restart(&after), []);
    assert_eq!(after.visible(), [] as [&str; 0]);
}

#[test]
fn a_recording_that_is_forgotten_is_not_brought_back() {
    let (mut rig, recording) = running(|_| {});
    rig.finish(recording, &[1]);
    assert_eq!(rig.memory.visible().len(), 3);
    rig.forget(recording);
    (0..60).for_each(|_| rig.pass());
    assert_eq!(rig.memory.visible(), [] as [&str; 0]);
    let after = rig.memory.after_kill();
    assert_eq!(restart(&after), []);
    assert_eq!(after.visible(), [] as [&str; 0]);
}

#[test]
fn what_is_written_is_few_large_writes() {
    let mut rig = Rig::new();
    for number in 0..40 {
        let recording = rig.begin(Layout::Multichannel(1), Format::Wav);
        rig.track(recording, number);
    }
    let taps: Vec<u32> = (0..40).collect();
    rig.speak(&taps, 500);
    let status = rig.keeper.reporter.status;
    assert!(rig.memory.writes() <= 20 * 42 + 40, "{} writes", rig.memory.writes());
    assert!(status.syncs <= 60, "{} syncs", status.syncs);
}

/// Recordings of which each flush has more than one commit holds: the sound of the first goes into
/// their files before the journal has the last.
const MANY: u32 = 70;

fn sides(number: u32) -> [u32; 2] {
    [2 * number + 1, 2 * number + 2]
}

/// All of them in the third flush, of which the disk takes so many writes.
fn many(writes: u64) -> (Rig, Vec<RecordingId>, Vec<u32>) {
    let mut rig = Rig::on(Memory::default(), |config| config.segment_bytes = 4 << 20);
    let mut begin = |number| {
        let recording = rig.begin(Layout::Stereo, Format::Wav);
        for tap in sides(number) {
            rig.track(recording, tap);
        }
        recording
    };
    let recordings = (0..MANY).map(&mut begin).collect();
    let taps: Vec<u32> = (0..MANY).flat_map(sides).collect();
    rig.speak(&taps, 2 * FLUSH_PERIODS);
    rig.memory.refuse_after(Some(writes));
    rig.speak(&taps, FLUSH_PERIODS);
    (rig, recordings, taps)
}

/// Each file has what was said in so many periods at least, and nothing else.
fn check_many(memory: &Memory, periods: u64) {
    for number in 0..MANY {
        let found = samples_of(memory, &format!("day/r{}.wav", number + 1)).1;
        let kept = found.len() as u64 / 320;
        assert!(kept >= periods, "{kept} of {periods} in file {number}");
        let said = |period| {
            let [left, right] = sides(number).map(|tap| block_of(tap, period));
            left.into_iter().zip(right).flat_map(|(left, right)| [left, right])
        };
        assert!(found.into_iter().eq((1000..1000 + kept).flat_map(said)), "file {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn power_lost_in_the_middle_of_a_flush_costs_that_flush_at_most(
        writes in 0_u64..80, seed in any::<u64>()
    ) {
        let (rig, ..) = many(writes);
        let mut random = seed | 1;
        let memory = rig.memory.after_power_loss(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 63 == 1
        });
        prop_assert_eq!(restart(&memory).len(), MANY as usize);
        check_many(&memory, 2 * FLUSH_PERIODS - 1);
    }

    #[test]
    fn a_journal_that_fails_after_sound_is_in_its_files_is_told_it_again(writes in 0_u64..80) {
        let (mut rig, recordings, taps) = many(writes);
        rig.memory.refuse_after(None);
        rig.speak(&taps, 2 * FLUSH_PERIODS);
        let killed = rig.memory.after_kill();
        prop_assert_eq!(restart(&killed).len(), MANY as usize);
        // The ring is read every second period.
        check_many(&killed, 5 * FLUSH_PERIODS - 2);
        for (number, recording) in recordings.into_iter().enumerate() {
            for tap in sides(number as u32) {
                rig.end_tap(tap);
            }
            rig.end(recording);
        }
        (0..3 * FLUSH_PERIODS).for_each(|_| rig.pass());
        check_many(&rig.memory, 5 * FLUSH_PERIODS);
        prop_assert_eq!(rig.memory.visible().len(), 3 * MANY as usize);
    }
}
