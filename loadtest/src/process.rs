//! CPU time and memory of the server's process, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::Serialize;

/// The CPU time that a process and each of its threads used so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuTimes {
    total: Duration,
    threads: BTreeMap<u32, (String, Duration)>,
}

/// CPU use between two readings.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct CpuUse {
    /// Of one core, user and system.
    pub(crate) percent: f64,
    /// User and system time per stream and second, where there were streams.
    pub(crate) us_per_stream_second: Option<f64>,
    /// User and system time per call, where calls only came and went.
    pub(crate) us_per_call: Option<f64>,
    /// Threads that used more than 0.1 % of a core.
    pub(crate) threads: Vec<ThreadUse>,
}

/// One thread's part.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ThreadUse {
    pub(crate) thread: u32,
    pub(crate) name: String,
    pub(crate) percent: f64,
}

/// Memory of a process, in KiB.
#[expect(clippy::struct_field_names, reason = "the report's JSON names its units")]
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Memory {
    /// Resident set.
    pub(crate) rss_kib: u64,
    /// Resident set, shared pages divided among their users.
    pub(crate) pss_kib: u64,
    /// Of it, what no file is behind: the process' own.
    pub(crate) anonymous_kib: u64,
}

impl CpuTimes {
    /// `None` where the process is gone.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let (_, total) = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let thread = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let stat = fs::read_to_string(entry.path().join("stat")).ok();
            if let (Some(thread), Some(stat)) = (thread, stat.as_deref().and_then(parse_stat)) {
                threads.insert(thread, stat);
            }
        }
        Some(Self { total, threads })
    }

    /// What was used since `earlier`, which was so long ago.
    pub(crate) fn since(&self, earlier: &Self, passed: Duration) -> CpuUse {
        let percent = |used: Duration| 100.0 * used.as_secs_f64() / passed.as_secs_f64();
        let used = self.total.saturating_sub(earlier.total);
        let threads = self.threads.iter().map(|(thread, (name, time))| {
            let before = earlier.threads.get(thread).map_or(Duration::ZERO, |(_, time)| *time);
            let percent = percent(time.saturating_sub(before));
            ThreadUse { thread: *thread, name: name.clone(), percent }
        });
        CpuUse {
            percent: percent(used),
            us_per_stream_second: None,
            us_per_call: None,
            threads: threads.filter(|thread| thread.percent > 0.1).collect(),
        }
    }
}

impl Memory {
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse().ok()
        };
        Some(Self {
            rss_kib: line("Rss:")?,
            pss_kib: line("Pss:")?,
            anonymous_kib: line("Anonymous:")?,
        })
    }
}

/// Datagrams that the kernel dropped since it started because a socket's buffer was full.
pub(crate) fn receive_buffer_errors() -> u64 {
    let Ok(table) = fs::read_to_string("/proc/self/net/snmp") else { return 0 };
    let mut rows = table.lines().filter(|line| line.starts_with("Udp:"));
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else { return 0 };
    let mut cells = names.split(' ').zip(values.split(' '));
    let cell = cells.find(|(name, _)| *name == "RcvbufErrors");
    cell.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// Name and CPU time from a `stat` file. The kernel counts in 1/100 s for user space.
fn parse_stat(stat: &str) -> Option<(String, Duration)> {
    // The name is in parentheses and may contain anything, even parentheses.
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some((name.to_owned(), Duration::from_millis(ticks * 10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_hold_parentheses() {
        let stat = "12 (a (b) c) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 5 5 5";
        let (name, time) = parse_stat(stat).unwrap();
        assert_eq!((name.as_str(), time), ("a (b) c", Duration::from_secs(3)));
    }

    #[test]
    fn our_own_process_can_be_read() {
        let pid = std::process::id();
        let times = CpuTimes::read(pid).unwrap();
        let used = times.since(&CpuTimes::default(), Duration::from_secs(3600));
        assert!(used.percent < 100.0 && times.threads.contains_key(&pid));
        let memory = Memory::read(pid).unwrap();
        assert!(memory.rss_kib >= memory.pss_kib && memory.pss_kib > 0);
        assert!(CpuTimes::read(u32::MAX).is_none());
    }
}
