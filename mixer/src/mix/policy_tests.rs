//! What a room's policies do to what is heard.

use media_units::{Gain, RoomSound, Selection};

use super::tests::{Room, Said};
use super::*;
use crate::Classes;

const AMPLITUDE: f64 = 8000.0;

#[allow(clippy::unnecessary_wraps)] // it is one of what members may say
fn tone(period: u64, class: RateClass, amplitude: f64) -> Said {
    let samples = class.block_samples();
    let sine = |at: usize| {
        let turns = 400.0 * (period as usize * samples + at) as f64 / f64::from(class.hertz());
        (amplitude * (turns * std::f64::consts::TAU).sin()).round() as i16
    };
    Some((class, (0..samples).map(sine).collect()))
}

fn room(members: usize, sound: RoomSound, classes: Classes) -> Room {
    Room::new(Kernels::detect(), members, sound, classes)
}

fn peak(block: &[i16]) -> u16 {
    Kernels::SCALAR.peak(block)
}

/// The greatest change of the slope from sample to sample: what makes a click.
fn roughness(heard: &[i16]) -> i32 {
    let bends = heard.windows(3).map(|w| {
        let [a, b, c] = [w[0], w[1], w[2]].map(i32::from);
        (a - 2 * b + c).abs()
    });
    bends.max().unwrap_or(0)
}

/// The roughness of a tone that is not touched.
fn smooth(class: RateClass, amplitude: f64) -> i32 {
    let (_, block) = tone(0, class, amplitude).unwrap();
    roughness(&block) + 2
}

#[test]
fn the_loudest_are_heard_and_changes_are_not_clicks() {
    let sound = RoomSound { selection: Selection::Loudest(1), ..RoomSound::DEFAULT };
    for class in [RateClass::Narrow, RateClass::Full] {
        let mut room = room(3, sound, Classes::NARROW.and(class));
        let mut heard = Vec::new();
        for period in 0..300 {
            let first = if period < 100 { AMPLITUDE } else { 200.0 };
            room.run(&[tone(period, class, first), tone(period, class, 2000.0), None]);
            heard.extend(room.heard_by(2, class));
            room.end();
        }
        let at = |period: usize| &heard[period * class.block_samples()..][..class.block_samples()];
        assert_eq!(peak(at(50)), AMPLITUDE as u16, "alone, as it is");
        assert_eq!(peak(at(290)), 2000, "the other one, once it is louder");
        let settled = &heard[class.block_samples()..];
        // The one who falls silent does so with a bend; that is its own, not ours.
        let bend = (AMPLITUDE - 200.0) * std::f64::consts::TAU * 400.0 / f64::from(class.hertz());
        assert!(roughness(settled) <= smooth(class, 2000.0) + bend as i32);
    }
}

#[test]
fn who_is_ranked_by_its_level_alone_is_only_wanted_where_it_is_heard() {
    let sound = RoomSound { selection: Selection::Loudest(2), ..RoomSound::DEFAULT };
    let mut room = room(6, sound, Classes::NARROW);
    for period in 0..10 {
        room.mix.start(&room.setting, room.state);
        for (position, level) in [30, 60, 25, 127, 40].into_iter().enumerate() {
            room.mix.rank(position as u32, level, level < 50);
        }
        room.mix.select(&mut room.sources[..]);
        let mut wanted = Vec::new();
        while let Some(position) = room.mix.next_wanted() {
            wanted.push(position);
            let (class, block) = tone(period, RateClass::Narrow, 1000.0).unwrap();
            room.mix.next_block(class).copy_from_slice(&block);
            room.mix.offer(position, class, Kernels::SCALAR.energy(&block), true);
        }
        assert_eq!(wanted, [0, 2]);
        room.mix.settle(&mut room.sources[..]);
        assert_eq!(peak(&room.heard_by(5, RateClass::Narrow)) / 10, 200);
        assert_eq!(peak(&room.heard_by(2, RateClass::Narrow)) / 10, 100, "not itself");
        assert_eq!(peak(&room.heard_by(1, RateClass::Narrow)) / 10, 200, "not admitted: hears all");
        room.end();
    }
}

#[test]
fn who_is_no_longer_admitted_is_wanted_once_more_to_fade_out() {
    let sound = RoomSound { selection: Selection::Loudest(1), ..RoomSound::DEFAULT };
    let mut room = room(2, sound, Classes::NARROW);
    let mut run = |levels: [u8; 2]| {
        room.mix.start(&room.setting, room.state);
        for (position, level) in levels.into_iter().enumerate() {
            room.mix.rank(position as u32, level, level < 50);
        }
        room.mix.select(&mut room.sources[..]);
        let mut wanted = Vec::new();
        while let Some(position) = room.mix.next_wanted() {
            wanted.push(position);
            let (class, block) = tone(0, RateClass::Narrow, 1000.0).unwrap();
            room.mix.next_block(class).copy_from_slice(&block);
            room.mix.offer(position, class, 1000, true);
        }
        room.mix.settle(&mut room.sources[..]);
        room.end();
        wanted
    };
    assert_eq!(run([30, 90]), [0]);
    let changes: Vec<Vec<u32>> = (0..200).map(|_| run([60, 30])).collect();
    let change = changes.iter().position(|wanted| wanted.len() == 2).unwrap();
    assert!(changes[..change].iter().all(|wanted| wanted == &[0]));
    assert!(changes[change + 1..].iter().all(|wanted| wanted == &[1]));
}

#[test]
fn automatic_gain_brings_all_to_one_level_and_silence_stays_silent() {
    let sound = RoomSound { automatic_gain_dbov: Some(20), ..RoomSound::DEFAULT };
    for amplitude in [1200.0, 4634.0, 16_000.0] {
        let mut room = room(2, sound, Classes::NARROW);
        let mut heard = Vec::new();
        for period in 0..500 {
            room.run(&[tone(period, RateClass::Narrow, amplitude), None]);
            heard.extend(room.heard_by(1, RateClass::Narrow));
            room.end();
        }
        let level = level_dbov(Kernels::SCALAR.energy(&heard[heard.len() - 160..]));
        assert!((19..=21).contains(&level), "{amplitude}: {level}");
        assert!(
            roughness(&heard[160..]) <= smooth(RateClass::Narrow, 4700.0_f64.max(amplitude)) + 60
        );
    }
}

#[test]
fn a_loud_word_after_much_gain_is_not_clipped() {
    let sound = RoomSound { automatic_gain_dbov: Some(15), ..RoomSound::DEFAULT };
    let mut room = room(2, sound, Classes::NARROW);
    for period in 0..700 {
        let amplitude = if period < 600 { 800.0 } else { 30_000.0 };
        room.run(&[tone(period, RateClass::Narrow, amplitude), None]);
        let heard = room.heard_by(1, RateClass::Narrow);
        // But for the 2.5 ms in which the gain falls. A tone of 400 Hz has 16 crests of one sample.
        let crests = heard[25..].iter().filter(|sample| sample.unsigned_abs() > 32_600).count();
        assert!(crests <= 16, "{period}: {crests}");
        room.end();
    }
}

#[test]
fn the_gate_keeps_noise_out_and_lets_words_in() {
    let sound = RoomSound { noise_gate_dbov: Some(45), ..RoomSound::DEFAULT };
    let mut room = room(2, sound, Classes::NARROW);
    let mut heard = Vec::new();
    for period in 0..200 {
        let amplitude = if (100..120).contains(&period) { AMPLITUDE } else { 100.0 };
        room.run(&[tone(period, RateClass::Narrow, amplitude), None]);
        heard.push(peak(&room.heard_by(1, RateClass::Narrow)));
        room.end();
    }
    assert!(heard[..100].iter().all(|&peak| peak == 0));
    assert!(heard[101..120].iter().all(|&peak| peak == AMPLITUDE as u16));
    assert!(heard[120..134].iter().all(|&peak| peak == 100), "held for 300 ms");
    assert!(heard[137..].iter().all(|&peak| peak == 0));
}

#[test]
fn a_source_and_a_listener_have_their_gains() {
    let mut room = room(4, RoomSound::DEFAULT, Classes::NARROW);
    room.setting.has_gains = true;
    room.sources[0].gain = Gain { tenths_db: -60 };
    room.sources[2].listening_gain = Gain { tenths_db: 60 };
    for period in 0..20 {
        room.run(&[tone(period, RateClass::Narrow, AMPLITUDE), None, None, None]);
        let plain = peak(&room.heard_by(1, RateClass::Narrow));
        let louder = peak(&room.heard_by(2, RateClass::Narrow));
        let frame = room.frame_for(2, Law::A);
        assert_ne!(frame, room.frame_for(3, Law::A));
        if period > 0 {
            assert!((plain.abs_diff(4010)) <= 5, "{plain}");
            assert!((louder.abs_diff(8000)) <= 20, "{louder}");
        }
        room.end();
    }
}

#[test]
fn a_room_in_which_nobody_speaks_has_the_same_soft_noise_for_all() {
    let sound = RoomSound { comfort_noise: true, ..RoomSound::DEFAULT };
    let mut room = room(3, sound, RateClass::ALL.into_iter().collect());
    for period in 0..100 {
        room.run(&[None, None, None]);
        for class in RateClass::ALL {
            let heard = room.heard_by(0, class);
            assert_eq!(heard, room.heard_by(2, class));
            assert!(peak(&heard) <= 28 && (period < 5 || peak(&heard) > 0));
        }
        room.end();
    }
    room.run(&[tone(0, RateClass::Narrow, AMPLITUDE), None, None]);
    assert_eq!(
        Some((RateClass::Narrow, room.heard_by(1, RateClass::Narrow))),
        tone(0, RateClass::Narrow, AMPLITUDE)
    );
}

#[test]
fn policies_that_are_on_and_find_nothing_to_do_change_no_sample() {
    let sound = RoomSound {
        selection: Selection::Loudest(8),
        noise_gate_dbov: Some(60),
        ..RoomSound::DEFAULT
    };
    let mut conditioned = room(3, sound, Classes::NARROW);
    let mut plain = room(3, RoomSound::DEFAULT, Classes::NARROW);
    for period in 0..20 {
        let said = [0, 1, 2].map(|member| tone(period + member, RateClass::Narrow, 3000.0));
        conditioned.run(&said);
        plain.run(&said);
        for listener in 0..=3 {
            let (one, other) =
                (conditioned.frame_for(listener, Law::Mu), plain.frame_for(listener, Law::Mu));
            assert!(one == other || period == 0, "it fades in");
        }
        conditioned.end();
        plain.end();
    }
}
