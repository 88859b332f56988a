//! What a run found: for people as a table, for programs as JSON, and against the bar.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::histogram::Quantiles;
use crate::process::{CpuUse, Memory};

/// Share of the packets that must arrive.
const DELIVERED_PERCENT_MIN: f64 = 99.99;
/// The longest gap between two packets of a stream.
pub(crate) const GAP_MS_MAX: u64 = 60;

/// Everything about one run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) server: String,
    pub(crate) calls: usize,
    pub(crate) rooms: usize,
    pub(crate) talkers_per_room: usize,
    pub(crate) seconds: f64,
    pub(crate) signalling: Signalling,
    pub(crate) media: Option<MediaReport>,
    pub(crate) server_process: Option<ServerProcess>,
    pub(crate) generator: Generator,
    /// What missed the bar; nothing where it was met.
    pub(crate) missed: Vec<String>,
}

/// How the calls went.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Signalling {
    pub(crate) answered: usize,
    /// Refused calls by status.
    pub(crate) refused: BTreeMap<u16, usize>,
    pub(crate) timed_out: usize,
    /// Ended by the server although nobody asked.
    pub(crate) hung_up: usize,
    /// Re-INVITEs that were refused.
    pub(crate) not_renegotiated: usize,
    /// From INVITE to 200.
    pub(crate) set_up: Quantiles,
    /// From INVITE to the status that refuses it.
    pub(crate) refusal: Quantiles,
    /// From BYE to 200.
    pub(crate) tear_down: Quantiles,
    pub(crate) set_ups_per_second: f64,
}

/// What the callers got to hear.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct MediaReport {
    pub(crate) streams: usize,
    pub(crate) packets_sent: u64,
    pub(crate) packets_expected: u64,
    pub(crate) packets_received: u64,
    pub(crate) packets_lost: u64,
    pub(crate) delivered_percent: f64,
    pub(crate) duplicates: u64,
    pub(crate) reordered: u64,
    /// Breaches of the RTP law: timestamps, SSRC, payload type, not RTP at all.
    pub(crate) unlawful: u64,
    /// Datagrams from an address of no call.
    pub(crate) strays: u64,
    pub(crate) gaps: Quantiles,
    pub(crate) gaps_too_long: u64,
    pub(crate) mouth_to_ear: Quantiles,
    /// `None` where a file was played.
    pub(crate) hearing: Option<HearingReport>,
}

/// Who hears whom.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct HearingReport {
    pub(crate) pairs: usize,
    pub(crate) unheard: usize,
    pub(crate) echoes: usize,
    pub(crate) crosstalk: usize,
    pub(crate) unjudged: usize,
}

/// What the server used while it was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ServerProcess {
    pub(crate) pid: u32,
    pub(crate) cpu: CpuUse,
    pub(crate) memory_before: Memory,
    pub(crate) memory_during: Memory,
    /// Growth of the proportional set per call, in KiB.
    pub(crate) memory_kib_per_call: f64,
}

/// How the load generator itself fared: whether the measurement can be trusted.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Generator {
    pub(crate) cpu_percent: f64,
    /// How late its slots of 0.5 ms began.
    pub(crate) lateness: Quantiles,
    /// Packets that the kernel did not take from us.
    pub(crate) send_refused: u64,
    /// Datagrams that the kernel dropped on this machine because a receive buffer was full.
    pub(crate) receive_buffer_errors: u64,
}

impl Report {
    /// Whether the bar was met.
    pub(crate) fn is_met(&self) -> bool {
        self.missed.is_empty()
    }

    /// Judges what was found.
    pub(crate) fn judge(&mut self) {
        let mut missed = Vec::new();
        let signalling = &self.signalling;
        let standing = signalling.answered.saturating_sub(signalling.hung_up);
        if standing < self.calls {
            missed.push(format!("{standing} of {} calls stood", self.calls));
        }
        if let Some(media) = &self.media {
            media.judge(&mut missed);
        }
        self.missed = missed;
    }
}

impl MediaReport {
    fn judge(&self, missed: &mut Vec<String>) {
        if self.delivered_percent < DELIVERED_PERCENT_MIN {
            missed.push(format!("{:.4} % of the packets arrived", self.delivered_percent));
        }
        if self.gaps_too_long > 0 {
            missed.push(format!("{} gaps over {GAP_MS_MAX} ms", self.gaps_too_long));
        }
        if self.unlawful > 0 {
            missed.push(format!("{} packets against the law of RTP", self.unlawful));
        }
        let Some(hearing) = self.hearing else { return };
        for (count, what) in [
            (hearing.unheard, "pairs in which the talker is not heard"),
            (hearing.echoes, "talkers that hear themselves"),
            (hearing.crosstalk, "listeners that hear another room"),
            (hearing.unjudged, "listeners that heard nothing that can be judged"),
        ] {
            if count > 0 {
                missed.push(format!("{count} {what}"));
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} calls, {} rooms, {} talking in each, measured for {:.1} s",
            self.server, self.calls, self.rooms, self.talkers_per_room, self.seconds
        )?;
        self.signalling.fmt(f)?;
        if let Some(media) = &self.media {
            media.fmt(f)?;
        }
        if let Some(process) = &self.server_process {
            process.fmt(f)?;
        }
        self.generator.fmt(f)?;
        if self.is_met() {
            return writeln!(f, "  bar                met");
        }
        writeln!(f, "  bar                MISSED: {}", self.missed.join("; "))
    }
}

impl fmt::Display for Signalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  calls              {} answered", self.answered)?;
        for (status, count) in &self.refused {
            write!(f, ", {count} refused with {status}")?;
        }
        if self.timed_out > 0 {
            write!(f, ", {} never answered", self.timed_out)?;
        }
        if self.hung_up > 0 {
            write!(f, ", {} hung up by the server", self.hung_up)?;
        }
        writeln!(f, ", {:.0} set-ups/s", self.set_ups_per_second)?;
        row(f, "set-up", &self.set_up)?;
        row(f, "refusal", &self.refusal)?;
        row(f, "tear-down", &self.tear_down)
    }
}

impl fmt::Display for MediaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  packets            {} of {} arrived ({:.4} %), {} lost, {} twice, {} out of order",
            self.packets_received,
            self.packets_expected,
            self.delivered_percent,
            self.packets_lost,
            self.duplicates,
            self.reordered
        )?;
        writeln!(
            f,
            "  law                {} breaches, {} strays; {} packets sent",
            self.unlawful, self.strays, self.packets_sent
        )?;
        row(f, "gaps", &self.gaps)?;
        if let Some(hearing) = &self.hearing {
            row(f, "mouth to ear", &self.mouth_to_ear)?;
            writeln!(
                f,
                "  who hears whom     {} pairs, {} unheard, {} echoes, {} crosstalk, {} unjudged",
                hearing.pairs, hearing.unheard, hearing.echoes, hearing.crosstalk, hearing.unjudged
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for ServerProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  server CPU         {:.1} % of a core", self.cpu.percent)?;
        if let Some(us) = self.cpu.us_per_stream_second {
            write!(f, ", {us:.1} us per stream and second")?;
        }
        if let Some(us) = self.cpu.us_per_call {
            write!(f, ", {us:.1} us per call")?;
        }
        writeln!(f)?;
        for thread in &self.cpu.threads {
            writeln!(
                f,
                "    thread           {:6.1} %  {} ({})",
                thread.percent, thread.name, thread.thread
            )?;
        }
        writeln!(
            f,
            "  server memory      RSS {} KiB, PSS {} KiB ({:+.1} KiB per call)",
            self.memory_during.rss_kib, self.memory_during.pss_kib, self.memory_kib_per_call
        )
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  load generator     {:.1} % of a core, {} sends refused, {} receive buffers full",
            self.cpu_percent, self.send_refused, self.receive_buffer_errors
        )?;
        row(f, "its lateness", &self.lateness)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, quantiles: &Quantiles) -> fmt::Result {
    if quantiles.count == 0 {
        return Ok(());
    }
    writeln!(
        f,
        "  {name:<18} p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, max {:.1} ms",
        quantiles.p50_ms, quantiles.p99_ms, quantiles.p999_ms, quantiles.max_ms
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let signalling = Signalling { answered: 10, ..Signalling::default() };
        let media = MediaReport { delivered_percent: 99.995, ..MediaReport::default() };
        Report { calls: 10, signalling, media: Some(media), ..Report::default() }
    }

    #[test]
    fn the_bar_is_met_or_the_report_says_why_not() {
        let mut report = good();
        report.judge();
        assert!(report.is_met() && report.to_string().contains("met"));

        report.signalling.hung_up = 1;
        let media = report.media.as_mut().unwrap();
        media.delivered_percent = 99.98;
        media.gaps_too_long = 1;
        media.unlawful = 1;
        media.hearing = Some(HearingReport { unheard: 2, echoes: 1, ..Default::default() });
        report.judge();
        assert_eq!(report.missed.len(), 6);
        assert!(report.to_string().contains("2 pairs in which the talker is not heard"));
    }
}
