//! What is measured, under which name. docs/metrics.md is written from the same declarations.
//!
//! Every number is a snapshot of a counter kept elsewhere: by a shard (asked for at each scrape),
//! the front end, the transport, the recorder or the kernel.

use std::fmt::Display;
#[cfg(test)]
use std::fmt::Write;
use std::time::Duration;

use engine_control::{FULL_PRESSURE, LATENESS_BOUNDS, Lateness, OPINION_BOUNDS, ShardReport};
use media_units::{BAD_SECONDS, DISCARDS};
use signaling::{Dropped, Ending, Reason};

use crate::exposition::{Exposition, Family, Kind};
use crate::system::Usage;

/// All numbers of one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) shards: Vec<ShardReport>,
    pub(crate) calls: usize,
    pub(crate) transactions: usize,
    /// Recording sessions that others make with us.
    pub(crate) recording_sessions: usize,
    pub(crate) draining: bool,
    pub(crate) sip: signaling::Counters,
    pub(crate) transport: signaling_transport::Counters,
    pub(crate) tcp_connections: usize,
    pub(crate) recorder: recorder_writer::Status,
    pub(crate) shelf: recorder_shelf::Status,
    /// Recordings that were asked for and could not begin.
    pub(crate) recordings_refused: u64,
    /// Sessions and rooms that no shard had time for.
    pub(crate) refused_overload: u64,
    /// Sessions that were moved from one shard to another.
    pub(crate) sessions_moved: u64,
    /// How often a flight recorder was to be written.
    pub(crate) flights: u64,
    /// Facts of shards that were dropped because the control plane was too slow.
    pub(crate) events_lost: u64,
    pub(crate) process: Usage,
}

impl Snapshot {
    /// The snapshot in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        self.exposition().finish()
    }

    fn exposition(&self) -> Exposition {
        let mut to = Exposition::default();
        let version = env!("CARGO_PKG_VERSION");
        to.family("mixminus_build_info", Kind::Gauge, &["version"], "Always 1.")
            .sample(&[&version], 1);
        self.server(&mut to);
        self.shards(&mut to);
        self.media(&mut to);
        self.quality(&mut to);
        self.signaling(&mut to);
        self.transport(&mut to);
        self.recorder(&mut to);
        self.shelf(&mut to);
        self.process(&mut to);
        to
    }

    fn server(&self, to: &mut Exposition) {
        gauge(to, "mixminus_calls", "Calls at present.", self.calls);
        let help = "SIP transactions at present.";
        gauge(to, "mixminus_sip_transactions", help, self.transactions);
        let help = "Recording sessions (SIPREC) that others make with us at present.";
        gauge(to, "mixminus_siprec_sessions", help, self.recording_sessions);
        let draining = usize::from(self.draining);
        gauge(
            to,
            "mixminus_draining",
            "1 while the server ends its calls in order to stop.",
            draining,
        );
    }

    fn shards(&self, to: &mut Exposition) {
        let each = |mut family: Family<'_>, value: &dyn Fn(&ShardReport) -> f64| {
            for report in &self.shards {
                family.sample(&[&report.shard], value(report));
            }
        };
        let shard: &[&str] = &["shard"];
        let gauge = Kind::Gauge;
        each(to.family("mixminus_sessions", gauge, shard, "RTP sessions open."), &|r| {
            f64::from(r.sessions)
        });
        each(to.family("mixminus_rooms", gauge, shard, "Rooms open."), &|r| f64::from(r.rooms));
        let help = "Time spent working (receive, mix, send), not waiting.";
        let family = to.family("mixminus_shard_busy_seconds_total", Kind::Counter, shard, help);
        each(family, &|r| r.busy.as_secs_f64());
        let help =
            "How much of each tick (5 ms) a shard needs, smoothed; at 1 there is no time left.";
        each(to.family("mixminus_shard_pressure_ratio", gauge, shard, help), &|r| {
            f64::from(r.load.pressure) / f64::from(FULL_PRESSURE)
        });
        let help = "What a shard gives up for want of time: 0 nothing, 1 new calls, 2 complexity of Opus as well, 3 recordings as well.";
        each(to.family("mixminus_shard_shedding", gauge, shard, help), &|r| {
            f64::from(r.load.shedding as u8)
        });
        let help = "The latest tick since the start.";
        let family = to.family("mixminus_tick_lateness_max_seconds", gauge, shard, help);
        each(family, &|r| r.lateness.max_us as f64 / 1e6);
        let help = "Periods of 20 ms left out because they were more than 60 ms late.";
        let family = to.family("mixminus_periods_left_out_total", Kind::Counter, shard, help);
        each(family, &|r| r.periods_left_out as f64);
        let help =
            "Blocks of 20 ms and packets that recordings lost because the recorder was too slow.";
        let family = to.family("mixminus_tap_overruns_total", Kind::Counter, shard, help);
        each(family, &|r| r.tap_overruns as f64);
        let help = "Parts of rooms on several shards that another shard had not told in time: silent for 20 ms each.";
        let family = to.family("mixminus_room_parts_late_total", Kind::Counter, shard, help);
        each(family, &|r| r.parts_late as f64);
        let help = "How late ticks (one each 5 ms) began.";
        self.lateness(to, "mixminus_tick_lateness_seconds", help, |report| &report.lateness);
        let help = "How late ticks would have begun had the shard always had its core: what is later than that is because something else had it.";
        let name = "mixminus_tick_lateness_alone_seconds";
        self.lateness(to, name, help, |report| &report.lateness_alone);
    }

    fn lateness(
        &self,
        to: &mut Exposition,
        name: &'static str,
        help: &'static str,
        of: impl Fn(&ShardReport) -> &Lateness,
    ) {
        let bounds: Vec<f64> = LATENESS_BOUNDS.iter().map(|us| f64::from(*us) / 1e6).collect();
        let mut family = to.family(name, Kind::Histogram, &["shard"], help);
        for report in &self.shards {
            let lateness = of(report);
            let sum = lateness.sum_us as f64 / 1e6;
            family.histogram(&[&report.shard], &bounds, &lateness.buckets, sum);
        }
    }

    fn media(&self, to: &mut Exposition) {
        let mut each = |name, help, value: &dyn Fn(&ShardReport) -> u64| {
            let mut family = to.family(name, Kind::Counter, &["shard"], help);
            for report in &self.shards {
                family.sample(&[&report.shard], value(report));
            }
        };
        each("mixminus_rtp_packets_received_total", "RTP packets received.", &|r| r.rtp_received);
        let help = "RTP packets given to the kernel; what it refused of them is in \
                    mixminus_rtp_send_failures_total.";
        each("mixminus_rtp_packets_sent_total", help, &|r| r.rtp_sent);
        each("mixminus_rtcp_packets_received_total", "RTCP packets received.", &|r| {
            r.rtcp_received
        });
        each("mixminus_rtcp_packets_sent_total", "RTCP packets sent.", &|r| r.rtcp_sent);
        let help = "Datagrams of media, RTP and RTCP, that the kernel refused to send.";
        each("mixminus_rtp_send_failures_total", help, &|r| r.send_failures);
        let help = "Blocks of 20 ms played from received sound.";
        each("mixminus_blocks_played_total", help, &|r| r.blocks_played);
        let help = "Blocks of 20 ms invented because sound was missing.";
        each("mixminus_blocks_concealed_total", help, &|r| r.blocks_concealed);
        let help = "Blocks of 20 ms received and not decoded: their level (RFC 6464) said that \
                    nobody would hear them, or their period was left out.";
        each("mixminus_blocks_skipped_total", help, &|r| r.blocks_skipped);
        let help = "Frames encoded for listeners that are not sent plain G.711, each for all who \
                    share it.";
        each("mixminus_frames_encoded_total", help, &|r| r.frames_encoded);
        let help = "Datagrams of media not used, by reason.";
        let labels = &["shard", "reason"];
        let mut family = to.family("mixminus_discards_total", Kind::Counter, labels, help);
        for report in &self.shards {
            for (discard, count) in DISCARDS.iter().zip(report.discards) {
                family.sample(&[&report.shard, &discard.name()], count);
            }
        }
        let help = "Playout delay of all blocks played: sum and count, for the mean.";
        let name = "mixminus_playout_delay_seconds";
        let mut family = to.family(name, Kind::Summary, &["shard"], help);
        for report in &self.shards {
            let sum = report.playout_delay_sum.as_secs_f64();
            family.summary(&[&report.shard], sum, report.blocks_played);
        }
    }

    fn quality(&self, to: &mut Exposition) {
        let shard = &["shard"];
        let mut each = |name, help, value: &dyn Fn(&ShardReport) -> u64| {
            let mut family = to.family(name, Kind::Counter, shard, help);
            for report in &self.shards {
                family.sample(&[&report.shard], value(report));
            }
        };
        let help = "VoIP metrics (RFC 3611) that endpoints sent about us.";
        each("mixminus_voip_metrics_received_total", help, &|r| r.metrics_received);
        let help = "VoIP metrics (RFC 3611) that we sent to endpoints.";
        each("mixminus_voip_metrics_sent_total", help, &|r| r.metrics_sent);
        each("mixminus_call_seconds_total", "Seconds of calls.", &|r| r.seconds.all);
        let help = "Seconds of calls in which sound was missing or a tick was late.";
        each("mixminus_bad_seconds_total", help, &|r| r.seconds.bad);
        let labels = &["shard", "reason"];
        let help = "Bad seconds of calls by reason; one second may have several.";
        let name = "mixminus_bad_seconds_by_reason_total";
        let mut family = to.family(name, Kind::Counter, labels, help);
        for report in &self.shards {
            for (reason, count) in BAD_SECONDS.iter().zip(report.seconds.by_reason) {
                family.sample(&[&report.shard, &reason.name()], count);
            }
        }
        let help = "Mean opinion (MOS-CQ by the E-model, 1 to 4.5) of what we heard of each call and of what it heard, at its end.";
        let labels = &["shard", "direction"];
        let mut family = to.family("mixminus_call_mos", Kind::Histogram, labels, help);
        let bounds = OPINION_BOUNDS.map(|hundredths| f64::from(hundredths) / 100.0);
        for report in &self.shards {
            let directions = [("receive", report.receive_opinions), ("send", report.send_opinions)];
            for (direction, opinions) in directions {
                let sum = opinions.sum_hundredths as f64 / 100.0;
                family.histogram(&[&report.shard, &direction], &bounds, &opinions.buckets, sum);
            }
        }
    }

    fn signaling(&self, to: &mut Exposition) {
        let sip = &self.sip;
        by(
            to,
            "mixminus_sip_requests_total",
            &["method"],
            "SIP requests received.",
            sip.requests(),
        );
        let name = "mixminus_sip_responses_sent_total";
        // The transport itself answers what the front end can never see.
        let wire = &self.transport;
        let sent = sip.responses_sent().map(|(class, count)| match class {
            "4xx" => (class, count + wire.tcp_refused_malformed),
            "5xx" => (class, count + wire.tcp_refused_too_large),
            _ => (class, count),
        });
        by(to, name, &["class"], "SIP responses sent.", sent);
        let name = "mixminus_sip_responses_received_total";
        by(to, name, &["class"], "SIP responses received.", sip.responses_received());
        let refused = Reason::ALL.iter().map(|reason| match reason {
            Reason::Malformed => (reason.name(), sip.refused(*reason) + wire.tcp_refused_malformed),
            Reason::TooLarge => (reason.name(), sip.refused(*reason) + wire.tcp_refused_too_large),
            _ => (reason.name(), sip.refused(*reason)),
        });
        let help = "SIP requests refused, by reason.";
        by(to, "mixminus_sip_refusals_total", &["reason"], help, refused);
        let dropped = Dropped::ALL.iter().map(|reason| (reason.name(), sip.dropped(*reason)));
        let help = "SIP messages dropped without an answer, by reason.";
        by(to, "mixminus_sip_dropped_total", &["reason"], help, dropped);
        let ended = Ending::ALL.iter().map(|ending| (ending.name(), sip.ended(*ending)));
        by(to, "mixminus_calls_ended_total", &["cause"], "Calls that ended, by cause.", ended);
        let help = "Calls answered with 200.";
        counter(to, "mixminus_calls_answered_total", help, sip.calls_answered);
        let help =
            "Digits received, by the way they came; a press told in two ways is the first's.";
        by(to, "mixminus_digits_total", &["source"], help, sip.digits());
        let help = "Digits told a second time, in another way, and not counted again.";
        counter(to, "mixminus_digits_repeated_total", help, sip.digits_repeated);
        let help = "Orders of digits to be sent that did not fit behind those that waited.";
        counter(to, "mixminus_digits_refused_total", help, sip.digits_refused);
        let help = "Rooms that were to be sent by SIPREC, and no recorder took them any more.";
        counter(to, "mixminus_siprec_recorders_gone_total", help, sip.recorders_gone);
        let help = "Requests that repeat an earlier one.";
        let name = "mixminus_sip_retransmissions_received_total";
        counter(to, name, help, sip.retransmissions_received);
        let help = "Messages sent again for want of an answer.";
        counter(to, "mixminus_sip_retransmissions_sent_total", help, sip.retransmissions_sent);
        let help = "Requests of ours that nobody answered.";
        counter(to, "mixminus_sip_requests_timed_out_total", help, sip.requests_timed_out);
        let help = "Sessions and rooms refused because no shard had time for them.";
        counter(to, "mixminus_overload_refusals_total", help, self.refused_overload);
        let help = "Sessions moved from one shard to another.";
        counter(to, "mixminus_sessions_moved_total", help, self.sessions_moved);
        let help = "How often a flight recorder was to be written to a file.";
        counter(to, "mixminus_flights_total", help, self.flights);
        let help = "Facts of shards (digits, talking, latches) dropped because the control plane was too slow.";
        counter(to, "mixminus_events_lost_total", help, self.events_lost);
    }

    fn transport(&self, to: &mut Exposition) {
        let wire = &self.transport;
        let received = [("udp", wire.udp_received), ("tcp", wire.tcp_received)];
        let name = "mixminus_sip_messages_received_total";
        by(to, name, &["transport"], "SIP messages received.", received);
        let sent = [("udp", wire.udp_sent), ("tcp", wire.tcp_sent)];
        by(to, "mixminus_sip_messages_sent_total", &["transport"], "SIP messages sent.", sent);
        let failed = [("udp", wire.udp_send_failed), ("tcp", wire.tcp_send_gone)];
        let help = "SIP messages that could not be sent.";
        by(to, "mixminus_sip_send_failures_total", &["transport"], help, failed);
        counter(
            to,
            "mixminus_sip_udp_keepalives_total",
            "Keep-alives received.",
            wire.udp_keepalives,
        );
        let opened = [("accepted", wire.tcp_accepted), ("dialled", wire.tcp_dialled)];
        by(to, "mixminus_sip_tcp_opened_total", &["by"], "TCP connections opened.", opened);
        let failures = [
            ("full", wire.tcp_full),
            ("accept_failed", wire.tcp_accept_failed),
            ("dial_failed", wire.tcp_dial_failed),
        ];
        let help = "TCP connections not opened, by cause.";
        by(to, "mixminus_sip_tcp_not_opened_total", &["cause"], help, failures);
        let closed = [
            ("never_spoke", wire.tcp_never_spoke),
            ("too_slow", wire.tcp_too_slow),
            ("idle", wire.tcp_idle),
            ("too_long", wire.tcp_too_long),
            ("unframed", wire.tcp_unframed),
            ("write_queue_full", wire.tcp_write_queue_full),
        ];
        let help = "TCP connections that the server closed, by cause.";
        by(to, "mixminus_sip_tcp_closed_total", &["cause"], help, closed);
        let help = "TCP connections at present.";
        gauge(to, "mixminus_sip_tcp_connections", help, self.tcp_connections);
    }

    fn recorder(&self, to: &mut Exposition) {
        let status = &self.recorder;
        gauge(to, "mixminus_recordings", "Recordings going on.", status.active);
        let ended = [("finished", status.finished), ("failed", status.failed)];
        let help = "Recordings that ended, by whether their file is complete.";
        by(to, "mixminus_recordings_ended_total", &["outcome"], help, ended);
        let help = "Recordings that could not begin.";
        counter(to, "mixminus_recordings_refused_total", help, self.recordings_refused);
        let help = "How often the disk began to refuse.";
        counter(to, "mixminus_recording_interruptions_total", help, status.interruptions);
        counter(to, "mixminus_recording_bytes_total", "Octets of sound written.", status.bytes);
        let help = "Periods of 20 ms of silence in recordings, whatever the cause.";
        counter(to, "mixminus_recording_gap_periods_total", help, status.gap_periods);
        let help = "Periods of 20 ms and packets that were lost because the disk was too slow.";
        counter(to, "mixminus_recording_unwritten_total", help, status.unwritten_periods);
        let help = "Recordings cut by a crash that were made whole at start.";
        counter(to, "mixminus_recordings_repaired_total", help, status.repaired);
        let help = "Commits written into the recordings' journal.";
        counter(to, "mixminus_recording_commits_total", help, status.commits);
        let help = "How often the disk was asked to hold recordings.";
        counter(to, "mixminus_recording_syncs_total", help, status.syncs);
        let help = "Octets of recordings that wait for the disk.";
        gauge(to, "mixminus_recording_queue_bytes", help, status.queue_bytes);
        let help = "Octets of the recordings' journal on the disk.";
        gauge(to, "mixminus_recording_journal_bytes", help, status.journal_bytes);
    }

    fn shelf(&self, to: &mut Exposition) {
        let status = &self.shelf;
        gauge(
            to,
            "mixminus_recordings_kept",
            "Finished recordings that are here.",
            status.recordings,
        );
        gauge(to, "mixminus_recordings_kept_bytes", "Octets that they take.", status.bytes);
        let help = "Of them, those that are still to be encrypted or uploaded.";
        gauge(to, "mixminus_recordings_waiting", help, status.waiting);
        let done = [
            ("encrypted", status.encrypted),
            ("uploaded", status.uploaded),
            ("expired", status.expired),
            ("deleted", status.deleted),
        ];
        let help = "What was done to finished recordings.";
        by(to, "mixminus_recordings_kept_total", &["what"], help, done);
        let help = "Attempts to encrypt or upload a recording that failed, and are made again.";
        counter(to, "mixminus_recordings_kept_failures_total", help, status.failures);
        let taken = [("taken", status.announced), ("given_up", status.unannounced)];
        let help = "Messages to webhooks, by whether they were taken.";
        by(to, "mixminus_webhook_messages_total", &["outcome"], help, taken);
    }

    fn process(&self, to: &mut Exposition) {
        let process = &self.process;
        let help = "UDP datagrams for which no socket was open, of the whole machine: also those of strangers that a connected media socket keeps out.";
        counter(to, "mixminus_kernel_udp_no_ports_total", help, process.udp_no_ports);
        let help =
            "UDP datagrams dropped because a socket's buffer was full, of the whole machine.";
        counter(to, "mixminus_kernel_udp_buffer_errors_total", help, process.udp_buffer_errors);
        let help = "CPU time of the server, user and system.";
        to.family("process_cpu_seconds_total", Kind::Counter, &[], help)
            .sample(&[], seconds(process.cpu));
        let help = "Memory of the server that is in RAM.";
        gauge(to, "process_resident_memory_bytes", help, process.resident_bytes);
        let help = "When the server started, in seconds since 1970.";
        gauge(to, "process_start_time_seconds", help, seconds(process.started));
    }
}

/// To the millisecond, so that no digits are invented.
fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}

fn counter(to: &mut Exposition, name: &'static str, help: &'static str, value: u64) {
    to.family(name, Kind::Counter, &[], help).sample(&[], value);
}

fn gauge(to: &mut Exposition, name: &'static str, help: &'static str, value: impl Display) {
    to.family(name, Kind::Gauge, &[], help).sample(&[], value);
}

/// One counter for each value of one label.
fn by<L: Display>(
    to: &mut Exposition,
    name: &'static str,
    label: &'static [&'static str],
    help: &'static str,
    values: impl IntoIterator<Item = (L, u64)>,
) {
    let mut family = to.family(name, Kind::Counter, label, help);
    for (value, count) in values {
        family.sample(&[&value], count);
    }
}

/// docs/metrics.md.
#[cfg(test)]
fn markdown() -> String {
    let mut page = "\
# Metrics

`GET /metrics` answers in Prometheus' text format. Counters count from the start of the server. This page is written from
the declarations in `server/src/metrics.rs` and compared with them by a test.

| name | kind | labels | meaning |
|---|---|---|---|
"
    .to_owned();
    for family in Snapshot::default().exposition().families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind, family.help);
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    let reasons: Vec<String> = DISCARDS.iter().map(|one| format!("`{}`", one.name())).collect();
    let _ = writeln!(page, "\nReasons of `mixminus_discards_total`: {}.", reasons.join(", "));
    let reasons: Vec<String> = BAD_SECONDS.iter().map(|one| format!("`{}`", one.name())).collect();
    let reasons = reasons.join(", ");
    let _ = writeln!(
        page,
        "\nReasons of `mixminus_bad_seconds_by_reason_total`: {reasons}. What they and the opinions mean is in\n\
         [call-quality.md](call-quality.md)."
    );
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn busy() -> Snapshot {
        let mut report = ShardReport { shard: 1, rtp_received: 7, ..ShardReport::default() };
        report.lateness.record(Duration::from_micros(60));
        report.lateness.record(Duration::from_secs(1));
        report.discards[3] = 5;
        report.playout_delay_sum = Duration::from_millis(1500);
        report.blocks_played = 50;
        report.seconds.by_reason[1] = 4;
        report.send_opinions.record(4.2);
        Snapshot { shards: vec![ShardReport::default(), report], calls: 2, ..Snapshot::default() }
    }

    #[test]
    fn the_documentation_names_every_metric() {
        crate::documented("metrics.md", &markdown());
    }

    #[test]
    fn what_the_transport_refuses_itself_counts_with_the_rest() {
        let transport = signaling_transport::Counters {
            tcp_refused_malformed: 3,
            tcp_refused_too_large: 2,
            ..Default::default()
        };
        let text = Snapshot { transport, ..Snapshot::default() }.text();
        for sample in [
            "mixminus_sip_responses_sent_total{class=\"4xx\"} 3\n",
            "mixminus_sip_responses_sent_total{class=\"5xx\"} 2\n",
            "mixminus_sip_refusals_total{reason=\"malformed\"} 3\n",
            "mixminus_sip_refusals_total{reason=\"too_large\"} 2\n",
        ] {
            assert!(text.contains(sample), "{sample}");
        }
    }

    #[test]
    fn every_line_is_a_sample_of_the_family_announced_before_it() {
        let text = busy().text();
        let mut family = "";
        let mut seen = BTreeSet::new();
        let mut series = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family = rest.split(' ').next().unwrap();
                assert!(seen.insert(family), "{family} twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest.split(' ').next(), Some(family));
                let is_counter = rest.ends_with(" counter");
                assert_eq!(is_counter, family.ends_with("_total"), "{family}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with(family), "{line} under {family}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(series.insert(name), "{name} twice");
            }
        }
    }

    #[test]
    fn a_shards_numbers_bear_its_label() {
        let text = busy().text();
        for line in [
            "mixminus_calls 2",
            "mixminus_rtp_packets_received_total{shard=\"1\"} 7",
            "mixminus_discards_total{shard=\"1\",reason=\"stranger\"} 5",
            "mixminus_tick_lateness_seconds_bucket{shard=\"1\",le=\"0.0001\"} 1",
            "mixminus_tick_lateness_seconds_bucket{shard=\"1\",le=\"+Inf\"} 2",
            "mixminus_tick_lateness_seconds_sum{shard=\"1\"} 1.00006",
            "mixminus_playout_delay_seconds_sum{shard=\"1\"} 1.5",
            "mixminus_playout_delay_seconds_count{shard=\"1\"} 50",
            "mixminus_bad_seconds_by_reason_total{shard=\"1\",reason=\"late\"} 4",
            "mixminus_call_mos_bucket{shard=\"1\",direction=\"send\",le=\"4.03\"} 0",
            "mixminus_call_mos_bucket{shard=\"1\",direction=\"send\",le=\"4.34\"} 1",
            "mixminus_call_mos_sum{shard=\"1\",direction=\"send\"} 4.2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
