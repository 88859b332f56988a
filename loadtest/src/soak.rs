//! `loadtest soak`: a load that is held for hours while callers leave, come back and hold, and while
//! some are muted and rooms recorded by the API. It looks for what a server does not let go of:
//! memory, descriptors, threads, and what it says of itself.
//!
//! A short load goes ahead, so that what is made once and kept does not look like a leak; memory is judged
//! by what each act leaves behind ([`slope`]).

mod api;
mod operator;
mod slope;
mod vitals;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use sim::Seed;

use crate::Failure;
use crate::load::churn::{self, Churned};
use crate::options::Options;
use api::Api;
use operator::{Operator, Orders};
use slope::Slope;
use vitals::{Reading, Vitals};

/// Holds a load while callers come and go, and looks for leaks. --duration is how long, --settle how long the
/// load ahead of it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Soak {
    #[command(flatten)]
    pub(crate) load: Options,
    /// The server's HTTP API, if it is a Mixminus: then participants are muted and rooms recorded,
    /// and its metrics are looked at.
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// How many callers a second leave, come back, hold or resume; and as many orders by the API.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) churn: f64,
    /// How many octets of memory each act of a caller or of the API may leave behind, by the second half of the
    /// time.
    #[arg(long, default_value_t = 200.0, value_name = "OCTETS")]
    pub(crate) leak_max: f64,
    /// Judges what the server keeps, and nothing that a machine busy with others brings about: calls that are not
    /// answered in time, streams that starve. That is told.
    #[arg(long)]
    pub(crate) leaks_only: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SoakReport {
    server: String,
    calls: usize,
    seconds: u64,
    callers: Churned,
    orders: Orders,
    /// Before the load, and after it.
    before: Reading,
    after: Reading,
    /// Growth of memory of the server's own from rest to rest, warm-up included: told, not judged.
    growth_kib: i64,
    /// What an act leaves behind under load: judged.
    slope: Slope,
    /// What was wrong; nothing where all is well.
    missed: Vec<String>,
    /// What went wrong and is not judged (--leaks-only).
    unjudged: Vec<String>,
}

impl Soak {
    /// Refuses what cannot be done.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let wrong = |why: &str| Err(Failure::Options(why.to_owned()));
        self.load.check()?;
        match () {
            () if self.load.no_media || self.load.search => {
                wrong("soak: neither --no-media nor --search goes with it")
            }
            () if self.load.pid.is_none() => wrong("soak: --pid is needed to see leaks"),
            () if !(self.churn > 0.0 && self.churn <= 1000.0) => {
                wrong("--churn must be above 0 and at most 1000")
            }
            () => Ok(()),
        }
    }
}

/// Holds the load.
pub(crate) fn run(soak: &Soak) -> Result<SoakReport, Failure> {
    let vitals =
        Vitals { pid: soak.load.pid.unwrap_or_default(), api: soak.api.as_deref().map(Api::new) };
    let gone = || Failure::Options("soak: no such process, or its API does not answer".to_owned());
    let fresh = vitals.with_metrics().ok_or_else(gone)?;
    eprintln!("a load of {} s ahead, then one of {} s ...", soak.load.settle, soak.load.duration);
    hold(soak, &vitals, soak.load.settle)?;
    let before = vitals.at_rest(|reading| reading.remains(&fresh).is_empty()).ok_or_else(gone)?;
    let (callers, orders) = hold(soak, &vitals, soak.load.duration)?;
    let after = vitals.at_rest(|reading| reading.leaks(&before).is_empty()).ok_or_else(gone)?;
    let mut report = SoakReport {
        server: soak.load.server.clone(),
        calls: soak.load.calls,
        seconds: soak.load.duration,
        growth_kib: after.memory.anonymous_kib as i64 - before.memory.anonymous_kib as i64,
        slope: Slope::of(&orders.samples),
        callers,
        orders,
        before,
        after,
        missed: Vec::new(),
        unjudged: Vec::new(),
    };
    report.judge(&fresh, soak.leak_max, soak.leaks_only);
    Ok(report)
}

/// One load: everybody joins, things happen, everybody leaves.
fn hold(soak: &Soak, vitals: &Vitals, seconds: u64) -> Result<(Churned, Orders), Failure> {
    let (time, seed) = (Duration::from_secs(seconds), Seed::new(soak.load.seed).fork(seconds));
    let acts = Arc::new(AtomicU64::new(0));
    let operator = Operator::start(vitals.clone(), Arc::clone(&acts), soak.churn, time, seed);
    let callers = churn::run(&soak.load, soak.churn, time, &acts);
    let orders = operator.finish();
    Ok((callers?, orders))
}

impl SoakReport {
    /// Whether nothing was wrong.
    pub(crate) fn is_met(&self) -> bool {
        self.missed.is_empty()
    }

    fn judge(&mut self, fresh: &Reading, leak_max: f64, leaks_only: bool) {
        self.missed = self.leaks(fresh, leak_max);
        let troubles = self.troubles();
        if leaks_only {
            self.unjudged = troubles;
        } else {
            self.missed.extend(troubles);
        }
    }

    /// What the server did not let go of, or lost count of.
    fn leaks(&self, fresh: &Reading, leak_max: f64) -> Vec<String> {
        let mut leaks = self.after.leaks(&self.before);
        leaks.extend(self.after.remains(fresh));
        leaks.extend(self.after.miscount(&self.before));
        if self.slope.is_leak(leak_max) {
            let Slope { acts, at_least, .. } = self.slope;
            leaks.push(format!("{acts} acts left {at_least:.0} octets of memory each, at least"));
        }
        leaks.dedup();
        leaks
    }

    /// What else was not as it should be.
    fn troubles(&self) -> Vec<String> {
        let callers = &self.callers;
        let signalling = &callers.signalling;
        let mut troubles = self.after.failures(&self.before);
        for (count, what) in [
            (signalling.refused.values().sum(), "calls refused"),
            (signalling.timed_out, "calls not answered"),
            (signalling.hung_up, "calls hung up by the server"),
            (signalling.not_renegotiated, "holds or resumes refused"),
            (callers.starved, "streams of which less than half came"),
            (callers.unlawful as usize, "packets against the law of RTP"),
        ] {
            if count > 0 {
                troubles.push(format!("{count} {what}"));
            }
        }
        troubles
            .extend(self.orders.refused.iter().map(|(what, count)| format!("{what} ({count})")));
        troubles
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callers, orders, before, after, .. } = self;
        writeln!(f, "{}: {} calls for {} s", self.server, self.calls, self.seconds)?;
        writeln!(
            f,
            "  callers            {} left, {} came back, {} held, {} resumed; {} answers in all",
            callers.left,
            callers.came_back,
            callers.held,
            callers.resumed,
            callers.signalling.answered
        )?;
        writeln!(
            f,
            "  by the API         {} muted, {} unmuted, {} recordings begun, {} deleted",
            orders.muted, orders.unmuted, orders.recordings, orders.recordings_deleted
        )?;
        writeln!(f, "  streams            {} looks, {} starved", callers.looks, callers.starved)?;
        for (name, then, now) in [
            ("own memory, KiB", before.memory.anonymous_kib, after.memory.anonymous_kib),
            ("descriptors", before.descriptors as u64, after.descriptors as u64),
            ("threads", before.threads as u64, after.threads as u64),
        ] {
            writeln!(f, "  {name:<18} {then} before, {now} after")?;
        }
        let Slope { acts, octets_per_act, at_least } = self.slope;
        writeln!(
            f,
            "  memory under load  {octets_per_act:+.0} octets an act in the last {acts}, {at_least:.0} at least"
        )?;
        if !self.unjudged.is_empty() {
            writeln!(f, "  not judged         {}", self.unjudged.join("; "))?;
        }
        if self.is_met() {
            return writeln!(f, "  leaks              none");
        }
        writeln!(f, "  MISSED             {}", self.missed.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::operator::Sample;
    use super::*;

    fn report(samples: Vec<Sample>) -> SoakReport {
        SoakReport {
            server: "here".to_owned(),
            calls: 1,
            seconds: 1,
            callers: Churned::default(),
            growth_kib: 0,
            slope: Slope::of(&samples),
            orders: Orders { samples, ..Orders::default() },
            before: Reading::default(),
            after: Reading::default(),
            missed: Vec::new(),
            unjudged: Vec::new(),
        }
    }

    #[test]
    fn memory_that_grows_with_what_is_done_is_named_as_a_leak() {
        let samples =
            |leak: u64| (0..240).map(|n| Sample::of(n, n * 50, 1000 + n * leak)).collect();
        let mut even = report(samples(0));
        even.judge(&Reading::default(), 200.0, false);
        assert!(even.is_met() && even.to_string().contains("none"), "{even}");
        let mut grows = report(samples(20));
        grows.judge(&Reading::default(), 200.0, false);
        assert_eq!(grows.missed, ["5950 acts left 410 octets of memory each, at least"]);
    }

    #[test]
    fn everything_that_goes_wrong_is_named() {
        let mut wrong = report(Vec::new());
        wrong.callers.starved = 1;
        wrong.callers.signalling.not_renegotiated = 1;
        wrong.callers.signalling.refused.insert(503, 2);
        wrong.orders.refused.insert("mute: 500".to_owned(), 1);
        wrong.after.descriptors = 1;
        wrong.judge(&Reading::default(), 200.0, false);
        assert_eq!(wrong.missed.len(), 5, "{wrong}");
        wrong.judge(&Reading::default(), 200.0, true);
        assert_eq!((wrong.missed.len(), wrong.unjudged.len()), (1, 4), "{wrong}");
        assert!(wrong.missed[0].contains("descriptors") && !wrong.is_met());
    }
}
