//! The mix against its definition, one listener at a time.

use media::resample::History;
use media_units::RoomSound;
use proptest::prelude::*;

use super::*;
use crate::Classes;

const UNLIMITED: RoomSound = RoomSound { limiter: false, ..RoomSound::DEFAULT };

/// One member's sound in one period.
pub(super) type Said = Option<(RateClass, Vec<i16>)>;

#[allow(clippy::unnecessary_wraps)] // it is one of what members may say
fn narrow(sample: impl Fn(i16) -> i16) -> Said {
    Some((RateClass::Narrow, (0..160).map(sample).collect()))
}

fn ramp(step: i16) -> Said {
    narrow(|at| step.wrapping_mul(at + 1))
}

/// A room with all that belongs to it.
pub(super) struct Room {
    pub(super) mix: Mix,
    pub(super) setting: Setting,
    pub(super) state: RoomState,
    pub(super) sources: Vec<Source>,
}

impl Room {
    pub(super) fn new(
        kernels: Kernels,
        members: usize,
        sound: RoomSound,
        classes: Classes,
    ) -> Self {
        Self {
            mix: Mix::new(kernels, members as u32),
            setting: Setting { sound, classes, has_gains: false, period: 1000 },
            state: RoomState::default(),
            sources: vec![Source::new(); members + 1],
        }
    }

    fn plain(members: usize) -> Self {
        Self::new(Kernels::SCALAR, members, RoomSound::DEFAULT, Classes::NARROW)
    }

    /// Mixes a period.
    pub(super) fn run(&mut self, said: &[Said]) {
        self.mix.start(&self.setting, self.state);
        for (position, said) in said.iter().enumerate() {
            // Somebody muted: it was played, and is not offered.
            self.mix.next_block(RateClass::Narrow).fill(77);
            if let Some((class, block)) = said {
                self.mix.next_block(*class).copy_from_slice(block);
                let energy = Kernels::SCALAR.energy(block);
                self.mix.offer(position as u32, *class, energy, true);
            }
        }
        self.mix.settle(&mut self.sources[..]);
    }

    pub(super) fn end(&mut self) {
        self.state = self.mix.finish();
        self.setting.period += 1;
    }

    pub(super) fn heard_by(&mut self, position: usize, class: RateClass) -> Vec<i16> {
        self.mix.heard_by(position as u32, class, &mut self.sources[position]).block.to_vec()
    }

    pub(super) fn frame_for(&mut self, position: usize, law: Law) -> Frame {
        *self.mix.frame_for(position as u32, law, &mut self.sources[position])
    }
}

/// What a listener hears, by the definition: `blocks` are what everyone says in one class.
fn others(blocks: &[Option<Vec<i16>>], without: usize, samples: usize) -> Vec<i16> {
    let mut heard = vec![0; samples];
    for (at, sample) in heard.iter_mut().enumerate() {
        let others = blocks.iter().enumerate().filter(|(member, _)| *member != without);
        let sum: i32 = others.filter_map(|(_, b)| b.as_ref()).map(|b| i32::from(b[at])).sum();
        *sample = sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
    heard
}

fn frame_of(block: &[i16], law: Law) -> Frame {
    let mut frame = [0; BLOCK_SAMPLES];
    encode(Kernels::SCALAR, law, block, &mut frame);
    frame
}

fn blocks(said: &[Said]) -> Vec<Option<Vec<i16>>> {
    said.iter().map(|said| said.as_ref().map(|(_, block)| block.clone())).collect()
}

#[test]
fn a_lone_speaker_is_heard_by_all_but_itself() {
    let mut room = Room::plain(3);
    let said = [None, ramp(50), None];
    room.run(&said);
    assert_eq!(room.mix.whole(RateClass::Narrow), said[1].as_ref().unwrap().1);
    assert_eq!(room.frame_for(1, Law::A), *silence(Law::A));
    for listener in [0, 2] {
        let frame = frame_of(&others(&blocks(&said), listener, 160), Law::Mu);
        assert_eq!(room.frame_for(listener, Law::Mu), frame);
    }
}

#[test]
fn nothing_of_the_period_before_is_left() {
    let mut room = Room::plain(2);
    room.run(&[ramp(100), ramp(3)]);
    room.frame_for(2, Law::Mu);
    room.end();
    room.run(&[None, None]);
    assert_eq!(room.mix.whole(RateClass::Narrow), [0; 160]);
    assert_eq!(room.frame_for(0, Law::Mu), *silence(Law::Mu));
    assert_eq!(room.frame_for(2, Law::Mu), *silence(Law::Mu));
}

#[test]
fn a_sum_beyond_16_bits_comes_back_exact_when_the_own_block_is_subtracted() {
    let mut room = Room::plain(2);
    let loud = || narrow(|at| if at % 2 == 0 { 30_000 } else { -30_000 });
    room.run(&[loud(), loud()]);
    assert_eq!(room.heard_by(0, RateClass::Narrow), loud().unwrap().1);
    assert!(room.mix.whole(RateClass::Narrow)[80] >= 32_700, "turned down, not halved");
}

#[test]
fn who_is_heard_hears_its_own_mix_and_all_others_share_one() {
    let mut room = Room::plain(4);
    room.run(&[ramp(1), ramp(2), None, None]);
    let mut is_shared = |position: u32| {
        let source = &mut room.sources[position as usize];
        room.mix.heard_by(position, RateClass::Narrow, source).is_shared
    };
    assert_eq!([0, 1, 2, 3].map(&mut is_shared), [false, false, true, true]);
}

#[test]
fn who_speaks_at_a_rate_that_nobody_hears_changes_nobodys_own_mix() {
    let mut room = Room::plain(6);
    let wide = Some((RateClass::Wide, (0..320).map(|at| at * 3).collect()));
    let said = [wide, ramp(1), ramp(2), ramp(3), ramp(4), ramp(5)];
    room.run(&said);
    let all = room.heard_by(6, RateClass::Narrow);
    for (position, own) in blocks(&said).iter().enumerate().skip(1) {
        let heard = room.heard_by(position, RateClass::Narrow);
        let with_own: Vec<i16> =
            heard.iter().zip(own.as_ref().unwrap()).map(|(heard, own)| heard + own).collect();
        assert_eq!(with_own, all, "{position}");
    }
}

#[test]
fn a_hundred_at_full_scale_do_not_wrap() {
    for classes in [Classes::NARROW, RateClass::ALL.into_iter().collect()] {
        let mut room = Room::new(Kernels::detect(), 100, RoomSound::DEFAULT, classes);
        let said: Vec<Said> = (0..100).map(|_| narrow(|_| i16::MIN)).collect();
        for period in 0..5 {
            room.run(&said);
            for class in classes.iter() {
                let heard = room.heard_by(7, class);
                let whole = room.mix.whole(class);
                // A filter overshoots where the sound begins.
                let settled = if period == 0 { class.block_samples() / 5 } else { 0 };
                let mut samples = whole[settled..].iter().chain(&heard[settled..]);
                assert!(samples.all(|&sample| sample < -32_000), "{class:?}");
            }
            room.end();
        }
    }
}

#[test]
fn silence_at_another_rate_first_lets_the_rest_of_the_sound_out() {
    let classes = Classes::NARROW.and(RateClass::Wide);
    let mut room = Room::new(Kernels::SCALAR, 2, RoomSound::DEFAULT, classes);
    room.run(&[narrow(|_| 9000), None]);
    assert!(room.heard_by(1, RateClass::Wide)[319] > 8000);
    room.end();
    room.run(&[narrow(|_| 0), None]);
    assert_eq!(room.heard_by(1, RateClass::Narrow), [0; 160]);
    let rest = room.heard_by(1, RateClass::Wide);
    assert!(rest[0] > 8000 && rest[319] == 0, "no click");
    room.end();
    room.run(&[narrow(|_| 0), None]);
    room.end();
    room.run(&[narrow(|_| 0), None]);
    assert!(room.mix.audible.is_empty());
}

#[test]
fn who_needs_a_filter_does_not_confuse_who_is_who() {
    let mut room = Room::new(Kernels::SCALAR, 3, UNLIMITED, Classes::NARROW);
    room.run(&[Some((RateClass::Wide, vec![500; 320])), ramp(7), ramp(3)]);
    assert!((0..3).all(|position| room.mix.is_heard(position)));
    assert_ne!(room.heard_by(1, RateClass::Narrow), room.mix.whole(RateClass::Narrow));
}

#[test]
fn after_a_gap_nothing_of_the_past_is_heard() {
    let classes = Classes::NARROW.and(RateClass::Full);
    let mut room = Room::new(Kernels::SCALAR, 1, RoomSound::DEFAULT, classes);
    room.run(&[narrow(|_| 9000)]);
    room.end();
    room.setting.period += 1;
    room.run(&[narrow(|at| i16::from(at == 159) * 9000)]);
    let heard = room.heard_by(1, RateClass::Full);
    assert!(heard[..900].iter().all(|&sample| sample == 0));
}

#[test]
fn levels_are_kept_through_every_pair_of_rates() {
    for from in RateClass::ALL {
        let classes: Classes = RateClass::ALL.into_iter().collect();
        let mut room = Room::new(Kernels::detect(), 3, RoomSound::DEFAULT, classes);
        let samples = from.block_samples();
        let mut energies = [0.0; RateClass::ALL.len()];
        for period in 0..10 {
            let sine = |frequency: f64, amplitude: f64| {
                let block = (0..samples).map(|at| {
                    let turns =
                        frequency * (period * samples + at) as f64 / f64::from(from.hertz());
                    (amplitude * (turns * std::f64::consts::TAU).sin()).round() as i16
                });
                Some((from, block.collect()))
            };
            room.run(&[sine(1000.0, 8000.0), sine(650.0, 20_000.0), None]);
            for class in RateClass::ALL {
                let heard = room.heard_by(1, class);
                if period >= 2 {
                    energies[class as usize] += Kernels::SCALAR.energy(&heard) as f64;
                }
            }
            room.end();
        }
        for class in RateClass::ALL {
            let power = energies[class as usize] / (8 * class.block_samples()) as f64;
            let change_db = 10.0 * (power / (8000.0 * 8000.0 / 2.0)).log10();
            assert!(change_db.abs() < 0.1, "{from:?} to {class:?}: {change_db} dB");
        }
    }
}

#[test]
fn the_limiter_follows_a_listener_who_begins_to_speak_without_a_step() {
    let mut room = Room::plain(4);
    let tone = |period: usize, amplitude: f64| {
        narrow(move |at| {
            let turns = (period * 160 + at as usize) as f64 / 40.0;
            (amplitude * (turns * std::f64::consts::TAU).sin()) as i16
        })
    };
    let mut heard = Vec::new();
    for period in 0..40 {
        let own = (20..25).contains(&period).then(|| tone(period, 100.0)).flatten();
        room.run(&[tone(period, 25_000.0), tone(period, 25_000.0), own, None]);
        heard.extend(room.heard_by(2, RateClass::Narrow));
        room.heard_by(3, RateClass::Narrow);
        room.end();
    }
    // A sine of 200 Hz at full scale moves by at most 5147 from sample to sample.
    let steps = heard[160..].windows(2).map(|pair| i32::from(pair[0]).abs_diff(i32::from(pair[1])));
    assert!(steps.max().unwrap() < 5400);
    assert!(heard[160..].iter().max() > Some(&32_600));
}

proptest! {
    #[test]
    fn everyone_hears_exactly_the_others_at_every_level(
        seeds in prop::collection::vec(prop::option::of(any::<[i16; 8]>()), 1..24),
    ) {
        let said: Vec<Said> =
            seeds.iter().map(|seed| seed.and_then(|s| narrow(|at| s[at as usize % 8]))).collect();
        for level in Kernels::levels_available() {
            let kernels = Kernels::at(level).unwrap();
            let mut room = Room::new(kernels, said.len(), UNLIMITED, Classes::NARROW);
            room.run(&said);
            for listener in 0..=said.len() {
                let expected = others(&blocks(&said), listener, 160);
                prop_assert_eq!(&room.heard_by(listener, RateClass::Narrow), &expected);
                for law in Law::ALL {
                    prop_assert_eq!(room.frame_for(listener, law), frame_of(&expected, law));
                }
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn with_mixed_rates_everyone_hears_exactly_the_others_as_brought_to_its_rate(
        seeds in prop::collection::vec((0..3_usize, any::<[i16; 8]>()), 1..6),
    ) {
        let classes: Classes = RateClass::ALL.into_iter().collect();
        for kernels in Kernels::levels_available().filter_map(Kernels::at) {
            let mut resampler = Resampler::new(kernels);
            let mut room = Room::new(kernels, seeds.len(), UNLIMITED, classes);
            let mut histories = vec![History::SILENT; seeds.len()];
            for period in 1..3 {
                let said: Vec<Said> = seeds.iter().map(|(class, seed)| {
                    let class = RateClass::ALL[*class];
                    let sample = |at: usize| seed[at * period % 8];
                    Some((class, (0..class.block_samples()).map(sample).collect()))
                }).collect();
                room.run(&said);
                for class in RateClass::ALL {
                    let brought: Vec<Option<Vec<i16>>> = said.iter().zip(&histories).map(|(said, history)| {
                        let (own, block) = said.as_ref()?;
                        let mut out = vec![0; class.block_samples()];
                        resampler.resample(history, own.hertz(), block, class.hertz(), &mut out);
                        Some(out)
                    }).collect();
                    for listener in 0..=said.len() {
                        let expected = others(&brought, listener, class.block_samples());
                        prop_assert_eq!(room.heard_by(listener, class), expected);
                    }
                }
                for (history, said) in histories.iter_mut().zip(&said) {
                    history.keep(&said.as_ref().unwrap().1);
                }
                room.end();
            }
        }
    }
}
