//! The largest number of calls that still meets the bar.

use crate::options::Options;
use crate::report::Report;
use crate::{Failure, load};

/// The search ends when the bounds are this close, as a share of the lower one.
const PRECISION: f64 = 0.05;
/// Each step up while the bar is met.
const GROWTH: f64 = 1.5;
/// Who cannot carry so many carries nobody.
const SMALLEST: usize = 10;

/// Tries sizes: larger ones while the bar is met, smaller ones while it never was, and then between the bounds.
/// Returns the best run, or the smallest where even that missed the bar. Each run is shown as it ends. Rooms are
/// always full, also those within the limit: one that waits for its second member may be no room yet.
pub(crate) fn run(options: &Options, show: impl Fn(&Report)) -> Result<Report, Failure> {
    let room = if options.rooms.is_some() { 1 } else { options.room_size };
    search(options.calls, options.calls_max, room, |calls| {
        let report = load::run(options, calls)?;
        show(&report);
        Ok(report)
    })
}

fn search<E>(
    first: usize,
    calls_max: usize,
    room: usize,
    mut attempt: impl FnMut(usize) -> Result<Report, E>,
) -> Result<Report, E> {
    let most = (calls_max / room).max(1) * room;
    let full = |calls: usize| (calls.div_ceil(room) * room).min(most);
    let mut best = attempt(full(first))?;
    let mut missed_at = None;
    while !best.is_met() {
        if best.calls <= SMALLEST.max(room) {
            return Ok(best);
        }
        missed_at = Some(best.calls);
        best = attempt(full(best.calls.div_ceil(2)))?;
    }
    loop {
        let next = match missed_at {
            None if best.calls >= most => return Ok(best),
            None => full((best.calls as f64 * GROWTH).ceil() as usize),
            Some(above) => full(usize::midpoint(best.calls, above)).min(above - room),
        };
        let precise = full((best.calls as f64 * PRECISION).ceil() as usize);
        if missed_at.is_some_and(|above| above - best.calls <= precise) {
            return Ok(best);
        }
        let report = attempt(next)?;
        if report.is_met() {
            best = report;
        } else {
            missed_at = Some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 2;

    /// A server that can carry so many.
    fn found(first: usize, calls_max: usize, capacity: usize) -> (usize, bool, usize) {
        let mut attempts = 0;
        let report = search::<()>(first, calls_max, ROOM, |calls| {
            assert_eq!(calls % ROOM, 0, "rooms are full");
            attempts += 1;
            let missed = if calls > capacity { vec!["too many".into()] } else { vec![] };
            Ok(Report { calls, missed, ..Report::default() })
        });
        let report = report.unwrap();
        (report.calls, report.is_met(), attempts)
    }

    #[test]
    fn the_search_comes_within_five_percent() {
        for capacity in [100, 777, 5000, 12_345] {
            let (calls, met, attempts) = found(100, 20_000, capacity);
            assert!(met && calls <= capacity && calls as f64 >= capacity as f64 * 0.94);
            assert!(attempts < 20);
        }
    }

    #[test]
    fn the_search_ends_at_its_limit_and_where_nobody_can_be_carried() {
        assert_eq!(found(100, 500, 1_000_000), (500, true, 5));
        assert_eq!(found(100, 501, 1_000_000), (500, true, 5), "no room that is not full");
        assert_eq!(found(100, 4, 1_000_000), (4, true, 1), "nor more to begin with");
        assert_eq!(found(100, 500, 2), (8, false, 5));
    }

    #[test]
    fn a_first_size_that_is_too_large_is_halved() {
        for capacity in [20, 63, 99, 480] {
            let (calls, met, attempts) = found(500, 1000, capacity);
            assert!(met && calls <= capacity && calls as f64 >= capacity as f64 * 0.9, "{calls}");
            assert!(attempts < 15);
        }
    }
}
