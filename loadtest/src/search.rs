//! The largest number of calls that still meets the bar.

use crate::options::Options;
use crate::report::Report;
use crate::{Failure, load};

/// The search ends when the bounds are this close, as a share of the lower one.
const PRECISION: f64 = 0.05;
/// Each step up while the bar is met.
const GROWTH: f64 = 1.5;

/// Tries sizes, larger ones while the bar is met and then between the bounds. Returns the best
/// run, or the first where even that missed the bar. Each run is shown as it ends.
pub(crate) fn run(options: &Options, show: impl Fn(&Report)) -> Result<Report, Failure> {
    search(options.calls, options.calls_max, |calls| {
        let report = load::run(options, calls)?;
        show(&report);
        Ok(report)
    })
}

fn search<E>(
    first: usize,
    calls_max: usize,
    mut attempt: impl FnMut(usize) -> Result<Report, E>,
) -> Result<Report, E> {
    let mut best = attempt(first)?;
    if !best.is_met() {
        return Ok(best);
    }
    let mut missed_at = None;
    loop {
        let next = match missed_at {
            None if best.calls >= calls_max => return Ok(best),
            None => ((best.calls as f64 * GROWTH).ceil() as usize).min(calls_max),
            Some(above) => usize::midpoint(best.calls, above),
        };
        let precise = (best.calls as f64 * PRECISION).ceil() as usize;
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

    /// A server that can carry so many.
    fn found(first: usize, calls_max: usize, capacity: usize) -> (usize, bool, usize) {
        let mut attempts = 0;
        let report = search::<()>(first, calls_max, |calls| {
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
    fn the_search_ends_at_its_limit_and_at_a_failure_of_the_first() {
        assert_eq!(found(100, 500, 1_000_000), (500, true, 5));
        assert_eq!(found(100, 500, 50), (100, false, 1));
    }
}
