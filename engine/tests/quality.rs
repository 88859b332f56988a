//! How good a call is, both ways, and what is said about it by RTCP.

mod rig;

use std::time::Duration;

use engine::Port;
use engine_control::{Command, Event, Route, SessionKey, SessionReport, ShardReport};
use media::rtcp::{COMPOUND_BYTES_MAX, Compound, Extended, Fact, Report, ReportBlock};
use media_units::{BadSecond, BurstGap, Direction, NtpTime, Ssrc, VoipMetrics};
use rig::Rig;

/// Periods in which a report is sure to be sent: the longest interval, and more.
const REPORTED: usize = 400;

fn report(rig: &mut Rig, session: SessionKey) -> SessionReport {
    rig.command(Command::ReportSessions { reports: Box::new(vec![SessionReport::of(session)]) });
    let Some(Event::SessionsReported { reports }) = rig.taken.events.pop() else { panic!() };
    reports[0]
}

fn shard_report(rig: &mut Rig) -> ShardReport {
    rig.command(Command::ReportShard { report: Box::default() });
    let Some(Event::ShardReported { report }) = rig.taken.events.pop() else { panic!() };
    *report
}

/// The phone's next packets are lost: time passes, numbers are used up, nothing arrives.
fn lose(rig: &mut Rig, slot: u32, packets: u16) {
    let code = rig.phone(slot).code.take();
    rig.run(packets.into());
    let phone = rig.phone(slot);
    phone.sequence = phone.sequence.plus(packets);
    phone.code = code;
}

fn facts_sent(rig: &Rig, slot: u32) -> Vec<Fact> {
    let compounds = rig.taken.rtcp(slot);
    compounds.iter().flat_map(|sent| Compound::parse(&sent.bytes).unwrap().facts()).collect()
}

fn metrics_sent(rig: &Rig, slot: u32) -> Option<(Ssrc, VoipMetrics)> {
    facts_sent(rig, slot).into_iter().rev().find_map(|fact| match fact {
        Fact::Metrics { source, metrics, .. } => Some((source, metrics)),
        _ => None,
    })
}

/// The phone sends RTCP.
fn deliver(rig: &mut Rig, slot: u32, block: Option<ReportBlock>, extended: Extended) {
    let (ssrc, source) = (rig.phone(slot).ssrc, rig.phone(slot).source);
    let mut buffer = [0; COMPOUND_BYTES_MAX];
    let report = Report { ssrc, sender: None, block, cname: b"phone", extended, bye: false };
    let length = report.write(&mut buffer);
    rig.deliver(slot, Port::Rtp, source, &buffer[..length]);
}

#[test]
fn a_clean_call_is_rated_as_well_as_its_codec_allows() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(REPORTED);
    let report = report(&mut rig, session);
    let quality = report.receive_quality.unwrap();
    assert!(quality.lost.abs() < 1e-6 && quality.discarded.unwrap().abs() < 1e-6);
    assert!(quality.rating.mos_listening > 4.4 && quality.rating.r_factor > 90.0, "{quality:?}");
    assert_eq!((report.seconds.all, report.seconds.bad), (REPORTED as u32 / 50, 0));
    assert_eq!((report.send_quality, report.far_end), (None, None), "the phone says nothing");
}

#[test]
fn metrics_are_sent_to_who_takes_them_and_to_nobody_else() {
    let mut rig = Rig::new();
    rig.dial_with(0, Route::Echo, Some(0x90), |media| media.voip_metrics = true);
    rig.dial(1, Route::Echo, Some(0x90));
    rig.run(100);
    lose(&mut rig, 0, 5);
    rig.run(REPORTED);
    assert_eq!(metrics_sent(&rig, 1), None);
    let (source, metrics) = metrics_sent(&rig, 0).unwrap();
    assert_eq!(source, rig.phone(0).ssrc);
    assert!(metrics.loss_rate > 0 && metrics.discard_rate == 0, "{metrics:?}");
    let expected = BurstGap { burst_density: 255, burst_duration_ms: 100, ..metrics.spread };
    assert_eq!(metrics.spread, expected);
    assert_eq!(metrics.gap_minimum, 16);
    assert!((60..93).contains(&metrics.r_factor.unwrap()), "{metrics:?}");
    assert!((25..45).contains(&metrics.mos_conversational_tenths.unwrap()));
    assert!(metrics.end_system_delay_ms > 20 && metrics.playout_limit_ms > 0);
    let shard = shard_report(&mut rig);
    assert!(shard.metrics_sent > 0 && shard.metrics_sent < shard.rtcp_sent);
}

#[test]
fn a_second_with_loss_is_bad_by_loss_and_the_call_is_rated_lower() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(220);
    lose(&mut rig, 0, 4);
    rig.run(200);
    let report = report(&mut rig, session);
    assert_eq!(report.seconds.bad, 1);
    assert_eq!(report.seconds.by_reason[BadSecond::Loss as usize], 1);
    assert_eq!(report.seconds.by_reason.iter().sum::<u32>(), 1);
    assert!(report.seconds.last_bad.is_some());
    let quality = report.receive_quality.unwrap();
    assert!((quality.lost - 4.0 / 424.0).abs() < 1e-3, "{quality:?}");
    assert!(quality.rating.mos_listening < 4.4);
    assert_eq!(shard_report(&mut rig).seconds.by_reason[BadSecond::Loss as usize], 1);
}

#[test]
fn a_late_tick_makes_a_bad_second_of_our_own() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(220);
    let late = rig.shard.next_tick() + Duration::from_millis(11);
    rig.shard.tick(late, &mut rig.taken);
    rig.run(100);
    let seconds = report(&mut rig, session).seconds;
    assert_eq!(seconds.by_reason[BadSecond::LateTick as usize], 1, "{seconds:?}");
}

#[test]
fn what_no_report_of_ours_brought_about_and_a_jitter_of_hours_are_not_believed() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(REPORTED);
    let ssrc = rig.taken.rtp(0)[0].view().ssrc();
    let block = ReportBlock { ssrc, jitter: u32::MAX, last_sr: 7, ..ReportBlock::default() };
    deliver(&mut rig, 0, Some(block), Extended::default());
    let told = report(&mut rig, session);
    assert_eq!(told.round_trip, None);
    let quality = told.send_quality.unwrap();
    assert_eq!(quality.jitter, Duration::ZERO);
    assert!(quality.rating.r_factor > 90.0, "{quality:?}");
}

#[test]
fn reports_come_from_where_the_description_said_as_well() {
    let mut rig = Rig::new();
    let elsewhere: std::net::SocketAddr = "192.0.2.77:7001".parse().unwrap();
    let separate = engine_control::RtcpTransport::Separate(elsewhere);
    let session = rig.dial_with(0, Route::Echo, Some(0x90), |media| media.rtcp = separate);
    rig.run(REPORTED);
    let ssrc = rig.taken.rtp(0)[0].view().ssrc();
    let block = ReportBlock { ssrc, fraction_lost: 13, ..ReportBlock::default() };
    let mut buffer = [0; COMPOUND_BYTES_MAX];
    let (of, extended) = (rig.phone(0).ssrc, Extended::default());
    let sent = Report {
        ssrc: of,
        sender: None,
        block: Some(block),
        cname: b"phone",
        extended,
        bye: false,
    };
    let length = sent.write(&mut buffer);
    rig.deliver(0, Port::Rtcp, elsewhere, &buffer[..length]);
    assert!(report(&mut rig, session).send_quality.is_some());
}

#[test]
fn what_the_phone_reports_is_the_quality_of_what_we_send() {
    let mut rig = Rig::new();
    let session = rig.dial(0, Route::Echo, Some(0x90));
    rig.run(REPORTED);
    let ours = rig.taken.rtp(0)[0].view().ssrc();
    let block = ReportBlock {
        ssrc: ours,
        fraction_lost: 13,
        cumulative_lost: 20,
        jitter: 80,
        ..ReportBlock::default()
    };
    deliver(&mut rig, 0, Some(block), Extended::default());
    let quality = report(&mut rig, session).send_quality.unwrap();
    assert!((quality.lost - 0.05).abs() < 0.005, "{quality:?}");
    assert_eq!((quality.discarded, quality.spread), (None, None));
    assert_eq!(quality.jitter, Duration::from_millis(10));
    assert!((3.0..4.2).contains(&quality.rating.mos_conversational));

    let metrics = VoipMetrics {
        discard_rate: 26,
        end_system_delay_ms: 250,
        mos_listening_tenths: Some(33),
        ..VoipMetrics::default()
    };
    let extended = Extended { metrics: Some((ours, metrics)), ..Extended::default() };
    deliver(&mut rig, 0, Some(block), extended);
    let foreign = Extended { metrics: Some((Ssrc(1), VoipMetrics::default())), ..extended };
    deliver(&mut rig, 0, None, foreign);
    let worse = report(&mut rig, session);
    assert_eq!(worse.far_end, Some(metrics), "of our own source only");
    let worse = worse.send_quality.unwrap();
    assert!(worse.rating.r_factor < quality.rating.r_factor - 5.0);
    assert!(worse.delay >= Duration::from_millis(250));
    assert_eq!(shard_report(&mut rig).metrics_received, 1);

    rig.command(Command::CloseSession { session });
    let shard = shard_report(&mut rig);
    assert_eq!(shard.receive_opinions.buckets.iter().sum::<u64>(), 1);
    assert_eq!(shard.send_opinions.buckets.iter().sum::<u64>(), 1);
}

#[test]
fn a_phone_that_sends_no_media_is_told_the_round_trip() {
    let mut rig = Rig::new();
    rig.dial(0, Route::Echo, Some(0x90));
    rig.run(20);
    let asked = Extended { reference: Some(NtpTime(0x1234_5678_9abc_def0)), ..Extended::default() };
    deliver(&mut rig, 0, None, asked);
    rig.run(REPORTED);
    let phone = rig.phone(0).ssrc;
    let answer = facts_sent(&rig, 0).into_iter().find_map(|fact| match fact {
        Fact::Answered { answer } => Some(answer),
        _ => None,
    });
    let answer = answer.unwrap();
    assert_eq!((answer.ssrc, answer.last), (phone, 0x5678_9abc));
    assert!(answer.delay_since_last > 0 && answer.delay_since_last < 8 << 16);
}

#[test]
fn we_ask_for_the_round_trip_where_we_send_no_media() {
    let mut rig = Rig::new();
    let session = rig.dial_with(0, Route::Echo, Some(0x90), |media| {
        media.voip_metrics = true;
        media.direction = Direction::ReceiveOnly;
    });
    rig.run(REPORTED);
    let asked = facts_sent(&rig, 0).into_iter().find_map(|fact| match fact {
        Fact::ReferenceTime { ssrc, ntp } => Some((ssrc, ntp)),
        _ => None,
    });
    let (ssrc, ntp) = asked.expect("a receiver asks");
    let last_reference =
        media::rtcp::LastReference { ssrc, last: ntp.middle(), delay_since_last: 0 };
    let answer = Extended { last_reference: Some(last_reference), ..Extended::default() };
    deliver(&mut rig, 0, None, answer);
    assert!(report(&mut rig, session).round_trip.is_some());
}

#[test]
fn who_never_sent_anything_says_no_goodbye() {
    let mut rig = Rig::new();
    let silent = rig.dial_with(0, Route::Echo, Some(0x90), |media| {
        media.direction = Direction::ReceiveOnly;
    });
    rig.run(10);
    rig.command(Command::CloseSession { session: silent });
    assert!(rig.taken.rtcp(0).is_empty());
    let heard = rig.dial(1, Route::Echo, Some(0x90));
    rig.run(10);
    rig.command(Command::CloseSession { session: heard });
    assert!(matches!(facts_sent(&rig, 1).last(), Some(Fact::Goodbye { .. })));
}
