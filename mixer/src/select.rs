//! Who is heard where only the loudest are.

/// How one source stands in the selection. Zero at birth: silent and not admitted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// Loudness above silence in 16ths of a decibel, smoothed.
    loudness: u16,
    is_talking: bool,
    pub(crate) is_admitted: bool,
    /// Periods since it was admitted, up to `STAY_PERIODS`.
    periods: u8,
}

/// Who was admitted and speaks stays for at least so long: 1 s.
const STAY_PERIODS: u8 = 50;

/// By so much somebody else must be louder to take a place, in 16ths of a decibel: 3 dB.
const MARGIN: u16 = 3 * 16;

/// The level of silence (RFC 6464).
const SILENT_DBOV: u8 = 127;

impl Standing {
    /// Takes the level of a period, in dB below full scale. It rises at once to half way, and
    /// falls with a time constant of 320 ms.
    pub(crate) fn hear(&mut self, level_dbov: u8, is_talking: bool) {
        let loudness = u16::from(SILENT_DBOV.saturating_sub(level_dbov)) * 16;
        self.loudness = if loudness > self.loudness {
            loudness - (loudness - self.loudness) / 2
        } else {
            self.loudness - (self.loudness - loudness).div_ceil(16)
        };
        self.is_talking = is_talking;
    }

    /// Whoever has more of it is admitted first; nobody is who has none. Those who speak and came
    /// in lately cannot be displaced, and those who do not speak always can by those who do. Of two
    /// who have the same that one is first whose identity is less: it is so wherever they are.
    pub(crate) fn claim(self, identity: u32) -> u64 {
        if self.loudness == 0 {
            return 0;
        }
        let stays = self.is_admitted && self.is_talking && self.periods < STAY_PERIODS;
        let margin = if self.is_admitted { MARGIN } else { 0 };
        let claim = u32::from(stays) << 31
            | u32::from(self.is_talking) << 30
            | u32::from(self.loudness + margin);
        u64::from(claim) << 32 | u64::from(!identity)
    }

    /// Is told whether it is among the loudest.
    pub(crate) fn admit(&mut self, is_admitted: bool) {
        self.periods = match (self.is_admitted, is_admitted) {
            (true, true) => (self.periods + 1).min(STAY_PERIODS),
            _ => 0,
        };
        self.is_admitted = is_admitted;
    }
}

/// Finds the greatest claims.
#[derive(Debug)]
pub(crate) struct Ranking {
    /// Claims and whose they are, greatest first.
    best: Vec<(u64, u32)>,
    places: usize,
}

impl Ranking {
    pub(crate) fn new() -> Self {
        Self { best: Vec::with_capacity(usize::from(u8::MAX) + 1), places: 0 }
    }

    /// What [`Ranking::new`] reserves.
    pub(crate) const MEMORY_BYTES: usize = (u8::MAX as usize + 1) * size_of::<(u64, u32)>();

    /// Begins anew, with so many places.
    pub(crate) fn start(&mut self, places: u8) {
        self.best.clear();
        self.places = usize::from(places);
    }

    /// Lets a source take part. Of two with the same claim the earlier one is first.
    pub(crate) fn enter(&mut self, who: u32, claim: u64) {
        let is_full = self.best.len() == self.places;
        if claim == 0 || is_full && self.best.last().is_none_or(|&(last, _)| claim <= last) {
            return;
        }
        let place = self.best.partition_point(|&(other, _)| other >= claim);
        self.best.truncate(self.places - 1);
        self.best.insert(place, (claim, who));
    }

    /// Whoever was entered under this number is gone, and those behind it moved up.
    pub(crate) fn forget(&mut self, who: u32) {
        self.best.retain(|&(_, other)| other != who);
        for (_, other) in &mut self.best {
            *other -= u32::from(*other > who);
        }
    }

    /// The claims that have a place, greatest first.
    pub(crate) fn claims(&self) -> impl Iterator<Item = u64> {
        self.best.iter().map(|&(claim, _)| claim)
    }

    /// Those who have a place, and no less of a claim than this.
    pub(crate) fn admitted(&self, least: u64) -> impl Iterator<Item = u32> {
        self.best.iter().take_while(move |&&(claim, _)| claim >= least).map(|&(_, who)| who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs periods in which everyone has its level; returns who was admitted in each.
    fn run(
        standings: &mut [Standing],
        levels: &[(u8, bool)],
        places: u8,
        periods: usize,
    ) -> Vec<Vec<u32>> {
        let mut ranking = Ranking::new();
        let period = |_| {
            ranking.start(places);
            for (who, (standing, &(level, talks))) in standings.iter_mut().zip(levels).enumerate() {
                standing.hear(level, talks);
                ranking.enter(who as u32, standing.claim(0));
            }
            let mut admitted: Vec<u32> = ranking.admitted(0).collect();
            admitted.sort_unstable();
            for (who, standing) in standings.iter_mut().enumerate() {
                standing.admit(admitted.contains(&(who as u32)));
            }
            admitted
        };
        (0..periods).map(period).collect()
    }

    #[test]
    fn the_loudest_are_admitted_and_the_silent_never() {
        let mut standings = [Standing::default(); 5];
        let levels = [(30, true), (127, false), (20, true), (25, true), (127, true)];
        assert_eq!(run(&mut standings, &levels, 2, 10).last().unwrap(), &[2, 3]);
        assert_eq!(run(&mut standings, &levels, 5, 100).last().unwrap(), &[0, 2, 3]);
        assert_eq!(run(&mut standings, &levels, 0, 10).last().unwrap(), &[0; 0]);
    }

    #[test]
    fn who_is_a_little_louder_takes_no_place_and_who_is_clearly_louder_does_after_a_second() {
        let mut standings = [Standing::default(); 2];
        run(&mut standings, &[(30, true), (127, false)], 1, 10);
        let slightly = run(&mut standings, &[(30, true), (28, true)], 1, 500);
        assert!(slightly.iter().all(|admitted| admitted == &[0]), "no flapping");
        let mut standings = [Standing::default(); 2];
        run(&mut standings, &[(30, true), (127, false)], 1, 10);
        let clearly = run(&mut standings, &[(30, true), (20, true)], 1, 100);
        let change = clearly.iter().position(|admitted| admitted == &[1]);
        assert!((38..=42).contains(&change.unwrap()), "{change:?}");
    }

    #[test]
    fn who_speaks_at_once_displaces_noise() {
        let mut standings = [Standing::default(); 2];
        run(&mut standings, &[(40, false), (127, false)], 1, 5);
        let admitted = run(&mut standings, &[(40, false), (45, true)], 1, 3);
        assert_eq!(admitted[0], [1]);
    }

    #[test]
    fn of_two_who_are_as_loud_the_lesser_identity_is_first() {
        let mut standing = Standing::default();
        standing.hear(30, true);
        let mut ranking = Ranking::new();
        ranking.start(2);
        for (who, identity) in [(0, 9), (1, 3), (2, 5)] {
            ranking.enter(who, standing.claim(identity));
        }
        assert!(ranking.admitted(0).eq([1, 2]));
        assert!(ranking.admitted(standing.claim(3)).eq([1]));
    }

    #[test]
    fn the_number_of_places_is_never_exceeded_in_any_order() {
        let levels: Vec<(u8, bool)> =
            (0..200_u8).map(|at| (at.wrapping_mul(77) % 100, at % 3 > 0)).collect();
        let mut standings = vec![Standing::default(); 200];
        for admitted in run(&mut standings, &levels, 7, 60) {
            assert_eq!(admitted.len(), 7);
        }
        let mut loudest =
            levels.iter().enumerate().filter(|(_, (_, talks))| *talks).collect::<Vec<_>>();
        loudest.sort_by_key(|(_, (level, _))| *level);
        assert!(standings[loudest[0].0].is_admitted);
    }
}
