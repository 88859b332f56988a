//! The rings against a queue, and where each of them is used.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A record as the tests make and compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Record {
    Block(RateClass, bool, i16),
    Silence(RateClass, SilenceCause),
    Packet(SocketAddr, bool, Vec<u8>),
}

fn samples(class: RateClass, first: i16) -> Vec<i16> {
    (0..class.block_samples()).map(|at| first.wrapping_add(at as i16)).collect()
}

fn push(sink: &mut TapSink, tap: TapId, period: PeriodIndex, record: &Record) {
    let at = Instant::from_nanos(period * 7);
    let mut put = |content| sink.push(&TapItem { tap, period, at, content });
    match record {
        &Record::Block(class, concealed, first) => {
            put(TapContent::Block { class, concealed, samples: &samples(class, first) });
        }
        &Record::Silence(class, cause) => put(TapContent::Silence { class, cause }),
        Record::Packet(source, on_rtcp_port, octets) => {
            let (source, on_rtcp_port) = (*source, *on_rtcp_port);
            put(TapContent::Packet { source, on_rtcp_port, octets });
        }
    }
}

fn read(reader: &mut TapReader) -> Option<(TapId, PeriodIndex, Option<Record>)> {
    reader.read(record)
}

fn record(item: &TapItem<'_>) -> (TapId, PeriodIndex, Option<Record>) {
    let &TapItem { tap, period, at, content } = item;
    assert_eq!(at, Instant::from_nanos(period * 7));
    let record = match content {
        TapContent::Block { class, concealed, samples: read } => {
            assert_eq!(read, samples(class, read[0]), "torn");
            Some(Record::Block(class, concealed, read[0]))
        }
        TapContent::Silence { class, cause } => Some(Record::Silence(class, cause)),
        TapContent::Packet { source, on_rtcp_port, octets } => {
            Some(Record::Packet(source, on_rtcp_port, octets.to_vec()))
        }
        TapContent::Ended => None,
    };
    (tap, period, record)
}

fn any_record() -> impl Strategy<Value = Record> {
    let class = || prop::sample::select(&RateClass::ALL[..]);
    let cause = prop::sample::select(&[SilenceCause::Muted, SilenceCause::Held][..]);
    let source = prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ];
    let octets = prop::collection::vec(any::<u8>(), 0..400);
    prop_oneof![
        (class(), any::<bool>(), any::<i16>()).prop_map(|(c, l, f)| Record::Block(c, l, f)),
        (class(), cause).prop_map(|(class, cause)| Record::Silence(class, cause)),
        (source, any::<bool>(), octets).prop_map(|(s, r, o)| Record::Packet(s, r, o)),
    ]
}

/// One step of a test.
#[derive(Debug, Clone)]
enum Step {
    Push(u32, Record),
    Start,
    End,
    Read(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u32, any_record()).prop_map(|(tap, record)| Step::Push(tap, record)),
        1 => Just(Step::Start),
        1 => Just(Step::End),
        2 => (0..6_usize).prop_map(Step::Read),
    ]
}

proptest! {
    /// Against a queue that is told how much fits by the ring's own count of what it lost.
    #[test]
    fn what_is_read_is_what_was_written_whole_in_order_and_no_end_is_lost(
        bytes in 2_000..12_000_usize,
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let (mut sink, mut reader) = tap_ring(bytes);
        let mut expected = VecDeque::new();
        let mut lost = 0;
        for (period, step) in (0..).zip(steps) {
            match step {
                Step::Push(tap, record) => {
                    push(&mut sink, TapId(tap), period, &record);
                    if sink.lost() == lost {
                        expected.push_back((TapId(tap), period, Some(record)));
                    }
                    lost = sink.lost();
                }
                Step::Start => {
                    let open = sink.open();
                    let can_start = sink.can_start();
                    sink.start();
                    prop_assert_eq!(sink.open(), open + usize::from(can_start));
                }
                Step::End if sink.open() > 0 => {
                    sink.end(TapId(9), period, Instant::from_nanos(period * 7));
                    expected.push_back((TapId(9), period, None));
                }
                Step::End => {}
                Step::Read(count) => for _ in 0..count {
                    prop_assert_eq!(read(&mut reader), expected.pop_front());
                },
            }
        }
        while !expected.is_empty() {
            prop_assert_eq!(read(&mut reader), expected.pop_front());
        }
        prop_assert_eq!(read(&mut reader), None);
    }
}

const BLOCK: Record = Record::Block(RateClass::Narrow, false, 5);

#[test]
fn what_finds_no_room_is_counted_and_shows_as_a_hole() {
    let (mut sink, mut reader) = tap_ring(5 * 480);
    sink.start();
    for period in 0..6 {
        push(&mut sink, TapId(1), period, &BLOCK);
    }
    assert_eq!((sink.lost(), reader.lost_end()), (2, 6));
    for period in 0..4 {
        assert_eq!(read(&mut reader), Some((TapId(1), period, Some(BLOCK))));
    }
    push(&mut sink, TapId(1), 6, &BLOCK);
    assert_eq!(read(&mut reader), Some((TapId(1), 6, Some(BLOCK))));
}

#[test]
fn nothing_starts_while_nobody_reads_and_every_end_is_told() {
    let (mut sink, mut reader) = tap_ring(4 * 480);
    let mut started = 0;
    while sink.can_start() {
        sink.start();
        started += 1;
    }
    assert!(started > 2);
    push(&mut sink, TapId(0), 0, &BLOCK);
    assert_eq!(sink.lost(), 1);
    for tap in 0..started {
        sink.end(TapId(tap), 3, Instant::from_nanos(21));
    }
    for tap in 0..started {
        assert_eq!(read(&mut reader), Some((TapId(tap), 3, None)));
    }
    assert!(sink.can_start());
    assert!(!reader.is_finished());
    drop(sink);
    assert!(reader.is_finished());
}

#[test]
fn who_keeps_up_stays_in_the_near_ring_and_who_falls_behind_comes_back_to_it() {
    let (mut sink, mut reader) = tap_ring(1 << 16);
    let mut period = 0;
    let mut round = |sink: &mut TapSink, blocks: u64| {
        (period..period + blocks).for_each(|at| push(sink, TapId(1), at, &BLOCK));
        for at in period..period + blocks {
            assert_eq!(read(&mut reader), Some((TapId(1), at, Some(BLOCK))));
        }
        period += blocks;
    };
    for _ in 0..100 {
        round(&mut sink, 10);
        assert!(!sink.is_far);
    }
    for _ in 0..3 {
        round(&mut sink, 100);
        assert!(sink.is_far, "more at once than the near ring holds");
        round(&mut sink, 10);
        assert!(!sink.is_far);
    }
    assert_eq!(sink.lost(), 0);
}

#[test]
fn a_datagram_longer_than_any_is_lost_and_not_cut() {
    let (mut sink, mut reader) = tap_ring(1 << 16);
    let source = SocketAddr::from(([192, 0, 2, 1], 4000));
    let packet = |octets| Record::Packet(source, false, vec![7; octets]);
    push(&mut sink, TapId(1), 0, &packet(PACKET_BYTES_MAX));
    push(&mut sink, TapId(1), 0, &packet(PACKET_BYTES_MAX + 1));
    assert_eq!(sink.lost(), 1);
    assert_eq!(read(&mut reader), Some((TapId(1), 0, Some(packet(PACKET_BYTES_MAX)))));
    assert_eq!(read(&mut reader), None);
}
