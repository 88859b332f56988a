//! Reports, filled into memory that was donated for them.

use std::time::Duration;

use crate::session::Session;
use crate::shard::Shard;
use engine_control::{SessionReport, ShardReport};

impl Shard {
    /// Fills in the report of every session that is still there and removes the others.
    pub(crate) fn fill_sessions(&self, reports: &mut Vec<SessionReport>) {
        reports.retain_mut(|report| {
            let key = report.session;
            let session = self.sessions.get(key.slot() as usize);
            let session = session.filter(|session| session.is_open && session.key == key);
            session.inspect(|session| session.fill(report)).is_some()
        });
    }

    /// Fills in the shard's report.
    pub(crate) fn fill_shard(&self, report: &mut ShardReport) {
        *report = self.totals;
        report.load = self.load();
        report.tap_overruns = self.taps.lost();
    }
}

impl Session {
    fn fill(&self, report: &mut SessionReport) {
        let playout = self.playout_since_open();
        let rate = u64::from(self.media.encoding.sample_rate());
        let sound = |samples: u64| Duration::from_millis(samples * 1000 / rate);
        *report = SessionReport {
            session: self.key,
            route: self.route,
            encoding: self.media.encoding,
            remote: self.latch.source(),
            remote_ssrc: self.reception.ssrc(),
            muted: self.muted,
            talking: self.talk.is_talking(),
            level_dbov: self.talk.level_dbov(),
            packets_received: self.reception.packets(),
            octets_received: self.reception.octets(),
            packets_lost: self.reception.lost(),
            jitter: self.reception.jitter(),
            playout_delay: playout.delay,
            playout_target: playout.delay_target,
            drift_ppm: playout.drift_ppm,
            packets_recovered: playout.packets_recovered,
            concealed: sound(playout.samples_concealed),
            expanded: sound(playout.samples_expanded),
            accelerated: sound(playout.samples_accelerated),
            blocks_played: self.blocks_played,
            blocks_concealed: self.blocks_concealed,
            packets_sent: self.send.packets(),
            octets_sent: self.send.octets(),
            remote_fraction_lost: self.record.remote_fraction_lost,
            round_trip: self.record.round_trip,
            receive_quality: self.receive_quality(),
            send_quality: self.send_quality(),
            far_end: self.record.quality.far_end(),
            seconds: self.record.quality.seconds(),
            discards: self.record.discards,
        };
    }
}
