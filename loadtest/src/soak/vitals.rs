//! What a process holds: memory, descriptors, threads, and what it says that it holds.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::api::Api;
use crate::process::Memory;

/// What is to be as before once no call is left.
const GAUGES: [&str; 9] = [
    "mixminus_calls",
    "mixminus_sip_transactions",
    "mixminus_siprec_sessions",
    "mixminus_sessions",
    "mixminus_rooms",
    "mixminus_recordings",
    "mixminus_recordings_kept",
    "mixminus_recordings_waiting",
    "mixminus_recording_queue_bytes",
];
/// What may not happen where nothing else wants the machine.
const FAILURES: [&str; 3] = [
    "mixminus_events_lost_total",
    "mixminus_sip_requests_timed_out_total",
    "mixminus_rtp_send_failures_total",
];
const ANSWERED: &str = "mixminus_calls_answered_total";
const ENDED: &str = "mixminus_calls_ended_total";

/// The longest that a server without an API remembers a call that is over: RFC 3261's 64*T1, and
/// some more.
const FORGETTING: Duration = Duration::from_secs(35);
/// What is waited for until everything is as before.
const PATIENCE: Duration = Duration::from_secs(90);
/// Threads that the kernel makes for `io_uring` when a disk lets it wait, and keeps as it sees fit.
const OF_THE_KERNEL: &str = "iou-wrk";
/// Descriptors are counted so often: a connection may just be closing.
const COUNTS: usize = 10;

/// One reading.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Reading {
    pub(crate) memory: Memory,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// By name; empty without an API.
    pub(crate) metrics: Vec<(String, f64)>,
}

/// Where readings come from.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    pub(crate) pid: u32,
    pub(crate) api: Option<Api>,
}

impl Vitals {
    /// A reading, without metrics; `None` where the process is gone.
    pub(crate) fn read(&self) -> Option<Reading> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).ok()?.flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        Some(Reading {
            memory: Memory::read(self.pid)?,
            descriptors: fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?.count(),
            threads: names.filter(|name| !name.starts_with(OF_THE_KERNEL)).count(),
            metrics: Vec::new(),
        })
    }

    /// A reading of a server without calls, with metrics; `None` where it is gone.
    pub(crate) fn with_metrics(&self) -> Option<Reading> {
        let metrics = self.api.as_ref().map_or(Some(Vec::new()), Api::metrics)?;
        let mut reading = self.read()?;
        for _ in 0..COUNTS {
            sleep(Duration::from_millis(100));
            reading.descriptors = reading.descriptors.min(self.read()?.descriptors);
        }
        Some(Reading { metrics, ..reading })
    }

    /// The same once all calls are forgotten, by what it says of itself or by the time that has
    /// passed, and `is_rested` says so too, or that is no longer waited for.
    pub(crate) fn at_rest(&self, is_rested: impl Fn(&Reading) -> bool) -> Option<Reading> {
        let begin = Instant::now();
        loop {
            let reading = self.with_metrics()?;
            let waited = begin.elapsed();
            let has_forgotten = self.api.is_some() || waited >= FORGETTING;
            if (has_forgotten && is_rested(&reading)) || waited > PATIENCE {
                return Some(reading);
            }
        }
    }
}

impl Reading {
    /// What it says that it holds beyond what it held before.
    pub(crate) fn remains(&self, before: &Self) -> Vec<String> {
        let mut remains = Vec::new();
        for gauge in GAUGES {
            let (now, then) = (self.metric(gauge), before.metric(gauge));
            if now > then {
                remains.push(format!("{gauge} is {now}, and was {then} before"));
            }
        }
        remains
    }

    /// The same, and what the system says that it holds, memory apart.
    pub(crate) fn leaks(&self, before: &Self) -> Vec<String> {
        let mut leaks = self.remains(before);
        for (now, then, what) in [
            (self.descriptors, before.descriptors, "descriptors"),
            (self.threads, before.threads, "threads"),
        ] {
            if now > then {
                leaks.push(format!("{now} {what}, and {then} before"));
            }
        }
        leaks
    }

    /// Whether calls were answered that never ended.
    pub(crate) fn miscount(&self, before: &Self) -> Option<String> {
        let (answered, ended) = (self.grown(before, ANSWERED), self.grown(before, ENDED));
        (ended < answered).then(|| format!("{answered} calls were answered, and {ended} ended"))
    }

    /// What the counters say that went wrong.
    pub(crate) fn failures(&self, before: &Self) -> Vec<String> {
        let grown = FAILURES.map(|name| (name, self.grown(before, name)));
        let happened = grown.into_iter().filter(|(_, grown)| *grown > 0.0);
        happened.map(|(name, grown)| format!("{name} grew by {grown}")).collect()
    }

    fn grown(&self, before: &Self, name: &str) -> f64 {
        self.metric(name) - before.metric(name)
    }

    fn metric(&self, name: &str) -> f64 {
        self.metrics.iter().find(|(known, _)| known == name).map_or(0.0, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_that_stays_open_is_a_leak() {
        let vitals = Vitals { pid: std::process::id(), api: None };
        let before = vitals.read().unwrap();
        let opened: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let after = vitals.read().unwrap();
        let leaks = after.leaks(&Reading { threads: after.threads, ..before });
        assert!(leaks.len() == 1 && leaks[0].contains("descriptors"), "{leaks:?}");
        drop(opened);
    }

    #[test]
    fn what_the_server_says_that_it_still_holds_is_a_leak_and_lost_facts_are_a_fault() {
        let said = |metrics: &[(&str, f64)]| Reading {
            metrics: metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            ..Reading::default()
        };
        let before = said(&[("mixminus_rooms", 1.0), (ANSWERED, 5.0), (ENDED, 5.0)]);
        let same = said(&[("mixminus_rooms", 1.0), (ANSWERED, 9.0), (ENDED, 9.0)]);
        assert!(same.leaks(&before).is_empty() && same.miscount(&before).is_none());
        let more =
            said(&[("mixminus_rooms", 2.0), (ANSWERED, 9.0), (ENDED, 8.0), (FAILURES[0], 1.0)]);
        assert_eq!(more.leaks(&before), ["mixminus_rooms is 2, and was 1 before"]);
        assert!(more.miscount(&before).is_some());
        assert_eq!(more.failures(&before).len(), 1);
    }

    #[test]
    fn a_process_that_is_gone_cannot_be_read() {
        assert!(Vitals { pid: u32::MAX, api: None }.with_metrics().is_none());
    }
}
