use media_units::CLOCK_RATE;

use super::*;
use crate::rtp::RtpHeader;

struct Sender {
    reception: Reception,
    ssrc: u32,
    now: Instant,
}

impl Sender {
    fn new() -> Self {
        let now = Instant::from_millis(5000);
        Self { reception: Reception::new(CLOCK_RATE), ssrc: 1, now }
    }

    /// Sends a packet that arrives `late_ms` later than its timestamp says.
    fn send(&mut self, sequence: u16, late_ms: u64) -> Result<Arrival, Discard> {
        let header = RtpHeader {
            payload_type: 0,
            marker: false,
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(self.now.as_rtp_units(CLOCK_RATE).wrapping_sub(77)),
            ssrc: Ssrc(self.ssrc),
        };
        let bytes = [&header.write()[..], &[0; 160]].concat();
        let arrival = self.now + Duration::from_millis(late_ms);
        self.now += Duration::from_millis(20);
        self.reception.packet(&RtpView::parse(&bytes).unwrap(), Some(arrival))
    }

    fn block(&mut self) -> ReportBlock {
        self.reception.report_block(self.now).unwrap()
    }
}

#[test]
fn sequence_numbers_are_extended_over_the_wrap() {
    let mut sender = Sender::new();
    let first = sender.send(65534, 0).unwrap();
    assert!(first.restarted);
    for (steps, sequence) in [(1, 65535), (2, 0), (4, 2), (3, 1)] {
        let arrival = sender.send(sequence, 0).unwrap();
        assert_eq!(arrival.extended.0, first.extended.0 + steps);
        assert!(!arrival.restarted);
    }
    assert_eq!(sender.block().highest_sequence, 0x1_0002);
}

#[test]
fn loss_is_expected_less_received() {
    let mut sender = Sender::new();
    assert_eq!(sender.reception.report_block(sender.now), None);
    for sequence in [10, 11, 13, 14, 17] {
        sender.send(sequence, 0).unwrap();
    }
    let block = sender.block();
    assert_eq!((block.cumulative_lost, block.fraction_lost), (3, (3 * 256 / 8) as u8));
    assert_eq!((sender.reception.lost(), sender.reception.packets()), (3, 5));
    assert_eq!(sender.reception.octets(), 800);
    sender.send(18, 0).unwrap();
    sender.send(18, 0).unwrap(); // A duplicate counts as received.
    let block = sender.block();
    assert_eq!((block.cumulative_lost, block.fraction_lost), (2, 0));
    assert_eq!(sender.reception.report_block(sender.now), None, "nothing came since");
}

#[test]
fn a_jump_is_believed_when_confirmed() {
    let mut sender = Sender::new();
    sender.send(100, 0).unwrap();
    assert!(!sender.send(3099, 0).unwrap().restarted, "2998 lost packets are loss");
    assert_eq!(sender.send(30_000, 0), Err(Discard::MalformedRtp));
    assert!(!sender.send(3100, 0).unwrap().restarted, "the jump was an accident");
    assert_eq!(sender.send(30_000, 0), Err(Discard::MalformedRtp));
    assert!(sender.send(30_001, 0).unwrap().restarted);
    assert!(!sender.send(30_002, 0).unwrap().restarted);
    assert_eq!(sender.block().cumulative_lost, 0, "counted anew");
    assert_eq!(sender.reception.lost(), 2998, "the total is kept");
}

#[test]
fn a_new_ssrc_restarts_the_stream_at_once() {
    let mut sender = Sender::new();
    sender.send(100, 0).unwrap();
    sender.ssrc = 2;
    let arrival = sender.send(9000, 0).unwrap();
    assert!(arrival.restarted);
    assert_eq!(sender.reception.ssrc(), Some(Ssrc(2)));
    assert_eq!(sender.reception.packets(), 2);
    assert_eq!(sender.block().highest_sequence, 9000);
}

#[test]
fn two_sources_in_turn_are_one_source_and_a_stranger_until_it_falls_silent() {
    let mut sender = Sender::new();
    let mut from = |ssrc, sequence| {
        sender.ssrc = ssrc;
        sender.send(sequence, 0).map(|arrival| arrival.restarted)
    };
    assert_eq!((from(1, 100), from(2, 500)), (Ok(true), Ok(true)));
    for step in 1..50 {
        assert_eq!(from(1, 100 + step), Err(Discard::Stranger), "{step}");
        assert_eq!(from(2, 500 + step), Ok(false), "{step}");
    }
    for step in 50..54 {
        assert_eq!(from(1, 100 + step), Err(Discard::Stranger), "{step}");
    }
    assert_eq!(from(1, 154), Ok(true), "the other is silent");
    assert_eq!(from(2, 550), Err(Discard::Stranger));
    assert_eq!(from(1, 155), Ok(false));
    assert_eq!(from(3, 7), Ok(true), "a new one is heard at once");
    assert_eq!(sender.reception.missing(), 0);
}

#[test]
fn a_missing_packet_makes_no_longer_packets() {
    let mut sender = Sender::new();
    for sequence in [10, 11, 12] {
        sender.send(sequence, 0).unwrap();
    }
    sender.now += Duration::from_millis(20);
    sender.send(14, 0).unwrap();
    let packet_time = sender.reception.fates().unwrap().packet_time;
    assert_eq!(packet_time, Duration::from_millis(20));
}

#[test]
fn jitter_follows_the_mean_difference_of_transit() {
    let mut sender = Sender::new();
    for sequence in 0..1000 {
        sender.send(sequence, 0).unwrap();
    }
    assert_eq!(sender.reception.jitter(), Duration::ZERO);
    for sequence in 1000..2000 {
        sender.send(sequence, u64::from(sequence % 2) * 10).unwrap();
    }
    let jitter = sender.reception.jitter();
    let expected = Duration::from_millis(9)..=Duration::from_millis(10);
    assert!(expected.contains(&jitter), "{jitter:?}");
    sender.now += Duration::from_secs(3600);
    sender.send(2000, 3_000).unwrap(); // A jump of the clock says nothing of the network.
    assert!(sender.reception.jitter() <= jitter);
}

#[test]
fn a_duplicate_does_not_make_up_for_a_packet_that_never_came() {
    let mut sender = Sender::new();
    for sequence in [10, 11, 13, 13, 14] {
        sender.send(sequence, 0).unwrap();
    }
    assert_eq!((sender.reception.lost(), sender.reception.missing()), (0, 1));
    sender.send(12, 0).unwrap();
    assert_eq!(sender.reception.missing(), 0, "it was only late");
    sender.send(9, 0).unwrap();
    sender.send(7, 0).unwrap();
    assert_eq!(sender.reception.missing(), 1, "8, before the first");
    sender.ssrc = 2;
    sender.send(100, 0).unwrap();
    sender.send(103, 0).unwrap();
    assert_eq!(sender.reception.missing(), 3, "of both sources");
    assert_eq!(sender.reception.fates().unwrap().lost, 2, "of the present one");
}

#[test]
fn what_is_discarded_is_counted_once_and_as_missing_in_bursts() {
    let mut sender = Sender::new();
    let arrivals: Vec<Arrival> =
        (0..50).map(|sequence| sender.send(sequence, 0).unwrap()).collect();
    for at in [20, 21, 21] {
        sender.reception.discard(arrivals[at].extended);
    }
    for sequence in 50..120 {
        sender.send(sequence, 0).unwrap();
    }
    let fates = sender.reception.fates().unwrap();
    assert_eq!((fates.expected, fates.lost, fates.discarded), (120, 0, 2));
    assert_eq!((fates.spread.burst_duration_ms, fates.spread.burst_density), (40, 255));
    assert_eq!(fates.packet_time, Duration::from_millis(20));
    assert_eq!(sender.reception.discarded(), 2);
    sender.reception.discard(ExtendedSequence(u64::MAX));
    sender.reception.discard(ExtendedSequence(0));
}

#[test]
fn jitter_is_counted_on_the_clock_of_the_payload_format() {
    let mut reception = Reception::new(48_000);
    let mut now = Instant::from_millis(1000);
    for sequence in 0..500u16 {
        let header = RtpHeader {
            payload_type: 0,
            marker: false,
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(u32::from(sequence) * 960),
            ssrc: Ssrc(1),
        };
        let late = Duration::from_millis(10 * u64::from(sequence % 2));
        reception.packet(&RtpView::parse(&header.write()).unwrap(), Some(now + late)).unwrap();
        now += Duration::from_millis(20);
    }
    let jitter = reception.jitter();
    assert!((9..=10).contains(&jitter.as_millis()), "{jitter:?}");
    let units = reception.report_block(now).unwrap().jitter;
    assert!((432..=480).contains(&units), "{units} of 48 kHz");
    reception.set_clock_rate(8000);
    assert_eq!(reception.jitter(), Duration::ZERO);
}

#[test]
fn the_block_refers_to_the_last_sender_report_of_the_same_source() {
    let mut sender = Sender::new();
    sender.send(1, 0).unwrap();
    let (ntp, at) = (NtpTime(0x1122_3344_5566_7788), sender.now);
    sender.reception.sender_report(Ssrc(99), ntp, at);
    assert_eq!(sender.block().last_sr, 0);
    sender.send(2, 0).unwrap();
    sender.reception.sender_report(Ssrc(1), ntp, at);
    sender.now = at;
    sender.now += Duration::from_millis(1500);
    let block = sender.block();
    assert_eq!((block.last_sr, block.delay_since_last_sr), (0x3344_5566, 3 << 15));
}
