//! What we write, read by another; what others write, read by us.

use media_units::{BurstGap, Discard, VoipMetrics};
use proptest::prelude::*;
use rtcp_types::prelude::*;
use rtcp_types::{Bye, Packet, ReceiverReport, SenderReport};

use super::*;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(7),
    fraction_lost: 25,
    cumulative_lost: -3,
    highest_sequence: 0x1_0002,
    jitter: 44,
    last_sr: 0x1234_5678,
    delay_since_last_sr: 65_536,
};

const INFO: SenderInfo = SenderInfo {
    ntp: NtpTime(0x0102_0304_0506_0708),
    timestamp: RtpTimestamp(160),
    packets: 9,
    octets: 1440,
};

const METRICS: VoipMetrics = VoipMetrics {
    loss_rate: 13,
    discard_rate: 2,
    spread: BurstGap {
        burst_density: 90,
        gap_density: 3,
        burst_duration_ms: 340,
        gap_duration_ms: 12_345,
    },
    round_trip_ms: 58,
    end_system_delay_ms: 61,
    signal_dbm: Some(-17),
    noise_dbm: None,
    echo_return_loss_db: None,
    gap_minimum: 16,
    r_factor: Some(86),
    external_r_factor: None,
    mos_listening_tenths: Some(42),
    mos_conversational_tenths: Some(41),
    receiver_configuration: 0xf0,
    playout_nominal_ms: 40,
    playout_maximum_ms: 80,
    playout_limit_ms: 300,
};

const ANSWER: LastReference =
    LastReference { ssrc: Ssrc(7), last: 0x1234_5678, delay_since_last: 99 };

const EXTENDED: Extended = Extended {
    reference: Some(NtpTime(0x0a0b_0c0d_0e0f_0102)),
    last_reference: Some(ANSWER),
    metrics: Some((Ssrc(7), METRICS)),
};

fn write(report: &Report<'_>) -> Vec<u8> {
    let mut buffer = [0xaa; COMPOUND_BYTES_MAX];
    let length = report.write(&mut buffer);
    buffer[..length].to_vec()
}

fn facts(bytes: &[u8]) -> Vec<Fact> {
    Compound::parse(bytes).unwrap().facts().collect()
}

#[test]
fn a_sender_report_is_read_by_another() {
    let cname = b"7f3a@mixminus";
    let report = Report {
        ssrc: Ssrc(5),
        sender: Some(INFO),
        block: Some(BLOCK),
        cname,
        extended: Extended::default(),
        bye: true,
    };
    let bytes = write(&report);
    let packets: Vec<_> =
        rtcp_types::Compound::parse(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
    let [Packet::Sr(sr), Packet::Sdes(sdes), Packet::Bye(bye)] = &packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!((sr.ssrc(), sr.ntp_timestamp()), (5, INFO.ntp.0));
    assert_eq!((sr.rtp_timestamp(), sr.packet_count(), sr.octet_count()), (160, 9, 1440));
    let block = sr.report_blocks().next().unwrap();
    assert_eq!((block.ssrc(), block.fraction_lost()), (7, 25));
    assert_eq!(block.cumulative_lost(), 0xff_fffd);
    assert_eq!(block.extended_sequence_number(), 0x1_0002);
    assert_eq!(block.interarrival_jitter(), 44);
    assert_eq!(block.last_sender_report_timestamp(), 0x1234_5678);
    assert_eq!(block.delay_since_last_sender_report_timestamp(), 65_536);
    let chunk = sdes.chunks().next().unwrap();
    let item = chunk.items().next().unwrap();
    assert_eq!((chunk.ssrc(), item.type_(), item.value()), (5, 1, &cname[..]));
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [5]);
}

#[test]
fn what_we_write_is_what_we_read() {
    let report = Report {
        ssrc: Ssrc(5),
        sender: Some(INFO),
        block: Some(BLOCK),
        cname: b"a",
        extended: Extended::default(),
        bye: true,
    };
    let sender = Fact::Sender { ssrc: Ssrc(5), info: INFO };
    let reception = Fact::Reception { reporter: Ssrc(5), block: BLOCK };
    let goodbye = Fact::Goodbye { ssrc: Ssrc(5) };
    assert_eq!(facts(&write(&report)), [sender, reception, goodbye]);
    let receiver = Report { sender: None, bye: false, ..report };
    assert_eq!(facts(&write(&receiver)), [reception]);
    assert_eq!(facts(&write(&Report { block: None, ..receiver })), []);
}

fn extended(extended: Extended) -> Report<'static> {
    Report { ssrc: Ssrc(5), sender: None, block: None, cname: b"a", extended, bye: false }
}

#[test]
fn an_extended_report_is_read_back_as_it_was_written() {
    let facts = facts(&write(&extended(EXTENDED)));
    let expected = [
        Fact::ReferenceTime { ssrc: Ssrc(5), ntp: EXTENDED.reference.unwrap() },
        Fact::Answered { answer: ANSWER },
        Fact::Metrics { reporter: Ssrc(5), source: Ssrc(7), metrics: METRICS },
    ];
    assert_eq!(facts, expected);
    let nothing = write(&extended(Extended::default()));
    assert_eq!(rtcp_types::Compound::parse(&nothing).unwrap().count(), 2, "no empty packet");
}

/// The layout of RFC 3611 section 4.7, octet by octet.
#[test]
fn voip_metrics_are_laid_out_as_the_rfc_draws_them() {
    let report = extended(Extended { metrics: EXTENDED.metrics, ..Extended::default() });
    let bytes = write(&report);
    let expected = [
        0x80, 207, 0, 10, 0, 0, 0, 5, // header, our SSRC
        7, 0, 0, 8, 0, 0, 0, 7, // block, source
        13, 2, 90, 3, 1, 84, 0x30, 0x39, 0, 58, 0, 61, // rates, durations, delays
        0xef, 127, 127, 16, 86, 127, 42, 41, // levels, Gmin, ratings
        0xf0, 0, 0, 40, 0, 80, 1, 44, // receiver, playout buffer
    ];
    assert_eq!(bytes[bytes.len() - expected.len()..], expected);
}

#[test]
fn an_extended_report_is_read_by_another_and_theirs_by_us() {
    use rtcp_types::{
        DelaySinceLastReceiverReport, DelaySinceLastReceiverReportBlock, ReceiverReferenceTime,
    };
    let bytes = write(&extended(EXTENDED));
    let packets: Vec<_> =
        rtcp_types::Compound::parse(&bytes).unwrap().collect::<Result<_, _>>().unwrap();
    let Packet::Xr(xr) = &packets[2] else { panic!("{packets:?}") };
    assert_eq!((xr.sender_ssrc(), xr.block_iter().count()), (5, 3));
    let times: Vec<u64> = xr
        .block_iter()
        .filter_map(|block| block.parse_into::<ReceiverReferenceTime<'_>>().ok())
        .map(|time| time.ntp_timestamp())
        .collect();
    assert_eq!(times, [EXTENDED.reference.unwrap().0]);

    let block = DelaySinceLastReceiverReportBlock::builder().ssrc(7);
    let block =
        block.last_receiver_report(ANSWER.last).delay_since_last_receiver_report_timestamp(99);
    let xr = rtcp_types::Xr::builder()
        .sender_ssrc(9)
        .add_block(ReceiverReferenceTime::builder().ntp_timestamp(77))
        .add_block(DelaySinceLastReceiverReport::builder().add_block(block));
    let theirs =
        rtcp_types::Compound::builder().add_packet(ReceiverReport::builder(9)).add_packet(xr);
    let mut buffer = [0; 200];
    let length = theirs.write_into(&mut buffer).unwrap();
    let expected = [
        Fact::ReferenceTime { ssrc: Ssrc(9), ntp: NtpTime(77) },
        Fact::Answered { answer: ANSWER },
    ];
    assert_eq!(facts(&buffer[..length]), expected);
}

#[test]
fn what_is_broken_in_an_extended_report_is_skipped_and_the_rest_is_read() {
    let mut bytes = write(&extended(Extended { last_reference: None, ..EXTENDED }));
    let start = bytes.windows(2).position(|pair| pair == [0x80, 207]).unwrap();
    let metrics = Fact::Metrics { reporter: Ssrc(5), source: Ssrc(7), metrics: METRICS };
    bytes[start + 8] = 200; // the first block is of an unknown type now
    assert_eq!(facts(&bytes), [metrics]);
    bytes[start + 11] = 200; // and longer than the packet
    assert_eq!(facts(&bytes), []);
    let short = [&write(&extended(Extended::default()))[..], &[0x80, 207, 0, 0][..]].concat();
    assert_eq!(facts(&short), [], "a packet without even its SSRC");
    let stub =
        [&short[..short.len() - 4], &[0x80, 207, 0, 3, 0, 0, 0, 1, 7, 0, 0, 1, 0, 0, 0, 2][..]];
    assert_eq!(facts(&stub.concat()), [], "metrics of one word");
}

#[test]
fn the_answer_to_our_time_gives_a_round_trip() {
    let sent = NtpTime(0x0001_0002_0000_0000);
    let answer = LastReference { ssrc: Ssrc(5), last: sent.middle(), delay_since_last: 1 << 15 };
    let now = NtpTime(sent.0 + (3 << 31));
    assert_eq!(answer.round_trip(now), Some(Duration::from_secs(1)));
    assert_eq!(LastReference { last: 0, ..answer }.round_trip(now), None);
}

#[test]
fn every_length_of_name_is_valid_and_fits() {
    for length in 0..300 {
        let cname = vec![b'x'; length];
        let report = Report {
            ssrc: Ssrc(5),
            sender: Some(INFO),
            block: Some(BLOCK),
            cname: &cname,
            extended: EXTENDED,
            bye: true,
        };
        let bytes = write(&report);
        assert_eq!(bytes.len() % 4, 0);
        let packets = rtcp_types::Compound::parse(&bytes).unwrap();
        assert_eq!(packets.map(Result::unwrap).count(), 4, "{length}");
        assert!(Compound::parse(&bytes).is_ok());
    }
}

#[test]
fn several_reports_and_goodbyes_are_all_read() {
    let block = |ssrc| rtcp_types::ReportBlock::builder(ssrc).fraction_lost(1);
    let bytes = rtcp_types::Compound::builder()
        .add_packet(SenderReport::builder(1).add_report_block(block(10)))
        .add_packet(
            ReceiverReport::builder(1).add_report_block(block(11)).add_report_block(block(12)),
        )
        .add_packet(Bye::builder().add_source(1).add_source(2).reason("gone"));
    let mut buffer = [0; 400];
    let length = bytes.write_into(&mut buffer).unwrap();
    let mut about = Vec::new();
    let mut gone = Vec::new();
    for fact in facts(&buffer[..length]) {
        match fact {
            Fact::Reception { block, .. } => about.push(block.ssrc.0),
            Fact::Goodbye { ssrc } => gone.push(ssrc.0),
            Fact::Sender { ssrc, .. } => assert_eq!(ssrc, Ssrc(1)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((about, gone), (vec![10, 11, 12], vec![1, 2]));
}

#[test]
fn what_is_no_compound_is_discarded() {
    let report = Report {
        ssrc: Ssrc(1),
        sender: None,
        block: None,
        cname: b"a",
        extended: Extended::default(),
        bye: true,
    };
    let good = write(&report);
    assert!(Compound::parse(&good).is_ok());
    assert!(Compound::parse(&good[..8]).is_ok(), "a report alone");
    let damaged = |at: usize, with: u8| {
        let mut bytes = good.clone();
        bytes[at] = with;
        bytes
    };
    let malformed = [
        ("empty", vec![]),
        ("cut", good[..good.len() - 1].to_vec()),
        ("no report first", good[8..].to_vec()),
        ("version 1", damaged(0, 0x40)),
        ("version 1 inside", damaged(8, 0x41)),
        ("padding in the first", damaged(0, 0xa0)),
        ("a length beyond the end", damaged(11, 0x40)),
        ("more blocks than there are", damaged(0, 0x81)),
        ("more goodbyes than there are", damaged(20, 0x82)),
    ];
    for (what, bytes) in malformed {
        assert_eq!(Compound::parse(&bytes).err(), Some(Discard::MalformedRtcp), "{what}");
    }
}

#[test]
fn round_trip_is_elapsed_less_delay_at_the_other_end() {
    let sent = NtpTime(0x0000_ffff_f000_0000);
    let block = ReportBlock { last_sr: sent.middle(), delay_since_last_sr: 65_536 / 2, ..BLOCK };
    let now = NtpTime(sent.0 + (3 << 31)); // 1.5 s later, over the wrap of the middle bits
    assert_eq!(block.round_trip(now), Some(Duration::from_secs(1)));
    assert_eq!(ReportBlock { last_sr: 0, ..block }.round_trip(now), None);
    let invented = ReportBlock { delay_since_last_sr: 65_536 * 2, ..block };
    assert_eq!(invented.round_trip(now), None);
}

proptest! {
    #[test]
    fn any_octets_are_facts_or_discarded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(compound) = Compound::parse(&bytes) {
            prop_assert!(compound.facts().count() <= bytes.len() / 4);
        }
    }

    #[test]
    fn a_damaged_compound_is_facts_or_discarded(
        damage in prop::collection::vec((0usize..200, any::<u8>()), 1..4), cut in 0usize..200,
    ) {
        let report = Report {
            ssrc: Ssrc(5), sender: Some(INFO), block: Some(BLOCK), cname: b"abc", extended: EXTENDED,
            bye: true,
        };
        let mut bytes = write(&report);
        for (at, with) in damage {
            let at = at % bytes.len();
            bytes[at] = with;
        }
        bytes.truncate(bytes.len() - cut % bytes.len());
        if let Ok(compound) = Compound::parse(&bytes) {
            prop_assert!(compound.facts().count() <= bytes.len() / 4);
        }
    }
}
