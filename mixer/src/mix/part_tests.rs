//! Parts of a room against the whole of it: the same samples, however it is divided.

use media_units::{Gain, RoomSound, Selection};
use proptest::prelude::*;

use super::tests::{Room, Said};
use super::*;
use crate::Classes;

/// What a member says in one period: nothing, or noise of this peak.
#[derive(Debug, Clone)]
struct Member {
    class: RateClass,
    part: usize,
    hears: bool,
    gain: Option<(i16, i16)>,
    peaks: Vec<Option<i16>>,
}

const PERIODS: usize = 12;

fn member(parts: usize) -> impl Strategy<Value = Member> {
    let peak = prop_oneof![
        2 => Just(None),
        1 => Just(Some(0)),
        3 => (1_i16..3000).prop_map(Some),
        3 => (20_000_i16..32_000).prop_map(Some),
    ];
    let gain = prop_oneof![6 => Just(None), 1 => (-100_i16..100, -100_i16..100).prop_map(Some)];
    let class = prop_oneof![
        4 => Just(RateClass::Narrow),
        1 => Just(RateClass::Wide),
        1 => Just(RateClass::Full)
    ];
    let peaks = proptest::collection::vec(peak, PERIODS);
    (class, 0..parts, any::<bool>(), gain, peaks)
        .prop_map(|(class, part, hears, gain, peaks)| Member { class, part, hears, gain, peaks })
}

fn sound() -> impl Strategy<Value = RoomSound> {
    let selection = prop_oneof![
        2 => Just(Selection::Everyone),
        2 => (1_u8..4).prop_map(Selection::Loudest)
    ];
    (selection, any::<[bool; 4]>()).prop_map(|(selection, [gate, gain, limiter, noise])| {
        RoomSound {
            selection,
            noise_gate_dbov: gate.then_some(40),
            automatic_gain_dbov: gain.then_some(20),
            limiter,
            comfort_noise: noise,
            ..RoomSound::DEFAULT
        }
    })
}

fn block(member: &Member, number: usize, period: usize) -> Said {
    let peak = i32::from(member.peaks[period]?);
    let mut seed = (number * 1000 + period) as u32 | 1;
    let sample = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (((seed >> 16) as i32 - 32_768) * peak / 32_768) as i16
    };
    Some((member.class, (0..member.class.block_samples()).map(sample).collect()))
}

/// What everyone hears in a period who hears at all.
type Heard = Vec<Option<Vec<i16>>>;

fn sources(room: &mut Room, members: &[Member]) {
    for (number, (source, member)) in room.sources.iter_mut().zip(members).enumerate() {
        *source = Source::named(7 * number as u32 % 11);
        if let Some((says, hears)) = member.gain {
            source.gain = Gain { tenths_db: says };
            source.listening_gain = Gain { tenths_db: hears };
        }
    }
}

fn whole_room(members: &[Member], sound: RoomSound, classes: Classes) -> Vec<Heard> {
    let mut room = Room::new(Kernels::SCALAR, members.len(), sound, classes);
    room.setting.has_gains = members.iter().any(|member| member.gain.is_some());
    sources(&mut room, members);
    let period = |period| {
        let said: Vec<Said> =
            members.iter().enumerate().map(|(at, one)| block(one, at, period)).collect();
        room.run(&said);
        let listen = |(at, one): (usize, &Member)| one.hears.then(|| room.heard_by(at, one.class));
        let heard = members.iter().enumerate().map(listen).collect();
        room.end();
        heard
    };
    (0..PERIODS).map(period).collect()
}

/// The same room in parts, with all that they tell each other.
struct Parts<'a> {
    members: &'a [Member],
    rooms: Vec<Room>,
}

impl Parts<'_> {
    fn of(&self, part: usize) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().filter(move |(_, one)| one.part == part)
    }

    fn listen(&mut self, period: usize) -> Vec<Vec<u64>> {
        let mut claims = Vec::new();
        for part in 0..self.rooms.len() {
            let own: Vec<_> = self.of(part).map(|(at, one)| (at, block(one, at, period))).collect();
            let Room { mix, setting, sources, .. } = &mut self.rooms[part];
            mix.start_part(setting.sound, setting.period);
            for (at, said) in own {
                let Some((class, block)) = said else { continue };
                mix.next_block(class).copy_from_slice(&block);
                mix.offer(at as u32, class, Kernels::SCALAR.energy(&block), true);
            }
            claims.push(mix.claims(&mut sources[..]).collect());
        }
        claims
    }

    fn period(&mut self, period: usize, classes: Classes) -> Heard {
        let claims = self.listen(period);
        let has_gains = self.members.iter().any(|member| member.gain.is_some());
        let states: Vec<RoomState> = self.rooms.iter().map(|room| room.state).collect();
        let state = states.iter().fold(states[0], |all, one| all.with_listeners_of(*one));
        for (part, room) in self.rooms.iter_mut().enumerate() {
            let others = claims.iter().enumerate().filter(|(other, _)| *other != part);
            let others = others.flat_map(|(_, claims)| claims.iter().copied());
            room.mix.join_parts((classes, has_gains), state, others, &mut room.sources[..]);
            room.mix.settle(&mut room.sources[..]);
        }
        let hear_all = |(at, one): (usize, &Member)| {
            let is_heard = self.rooms[one.part].mix.is_heard(at as u32);
            (one.hears && !is_heard).then_some(one.class)
        };
        let whole: Classes = self.members.iter().enumerate().filter_map(hear_all).collect();
        let partials: Vec<Vec<(RateClass, Vec<i32>)>> = self
            .rooms
            .iter()
            .map(|room| room.mix.partials().map(|(class, sums)| (class, sums.to_vec())).collect())
            .collect();
        let audible: Vec<usize> =
            self.rooms.iter().map(|room| room.mix.audible().count()).collect();
        for (part, room) in self.rooms.iter_mut().enumerate() {
            for other in (0..partials.len()).filter(|&other| other != part) {
                room.mix.add_part(audible[other]);
                for (class, sums) in &partials[other] {
                    room.mix.add_partial(*class, sums.iter().copied());
                }
            }
            for class in whole.iter() {
                room.mix.whole(class);
            }
        }
        let listeners = self.members.iter().enumerate();
        let heard = listeners
            .map(|(at, one)| one.hears.then(|| self.rooms[one.part].heard_by(at, one.class)))
            .collect();
        self.rooms.iter_mut().for_each(Room::end);
        heard
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn however_a_room_is_divided_everyone_hears_the_same_samples(
        members in (1_usize..5).prop_flat_map(|parts| {
            proptest::collection::vec(member(parts), 1..7)
        }),
        sound in sound(),
    ) {
        let listeners = members.iter().filter(|member| member.hears);
        let classes: Classes = listeners.map(|member| member.class).collect();
        let expected = whole_room(&members, sound, classes);
        let room = || {
            let mut room = Room::new(Kernels::SCALAR, members.len(), sound, classes);
            sources(&mut room, &members);
            room
        };
        let mut parts = Parts { members: &members, rooms: (0..4).map(|_| room()).collect() };
        for (period, expected) in expected.iter().enumerate() {
            let heard = parts.period(period, classes);
            prop_assert!(&heard == expected, "period {}", period);
        }
    }
}
