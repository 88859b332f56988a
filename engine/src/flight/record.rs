//! What the ring is written and read in: a head of one word, then as many words as it says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use media::{Demux, demux};
use media_units::{Arrival, Instant};
use serde::{Deserialize, Serialize};

use super::{FlightSink, Rest};
use crate::{Datagram, Decision, Port};

/// How much of each datagram is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kept {
    /// What sound there is in it is private: of RTP the fixed header, of anything else nothing.
    #[default]
    Headers,
    /// All of it: so that a shard can be run again.
    All,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// The shard was at rest, and is so no more.
    Rest(Rest),
    /// A command was applied, the one with this number.
    Command {
        /// Which: the control plane has numbered them.
        number: u64,
        /// When.
        now: Instant,
    },
    /// A tick began.
    Begin {
        /// When.
        now: Instant,
    },
    /// A datagram arrived.
    Datagram {
        /// As the shard got it, but for the octets that were not kept.
        datagram: Datagram<'a>,
        /// How long it was.
        length: usize,
    },
    /// The next group of the tick was run.
    Group,
    /// Something was decided.
    Decision {
        /// About which session.
        slot: u32,
        /// What.
        decision: Decision,
    },
    /// The tick was over.
    End {
        /// How long it took.
        busy: Duration,
        /// Datagrams that the kernel refused.
        send_failures: u32,
        /// What stands for all that came out since the tick before.
        trace: u64,
    },
}

/// The fixed header of RTP (RFC 3550 section 5.1).
const HEADER_BYTES: usize = 12;

const REST: u64 = 1;
const COMMAND: u64 = 2;
const BEGIN: u64 = 3;
const DATAGRAM: u64 = 4;
const GROUP: u64 = 5;
const DECISION: u64 = 6;
const END: u64 = 7;

/// A head: its kind, how many words follow, and a little of what is told.
const fn head(kind: u64, words: usize, told: u64) -> u64 {
    kind | (words as u64) << 8 | told << 24
}

impl FlightSink {
    /// The shard is at rest no more.
    pub fn rest(&mut self, rest: &Rest) {
        let [a, b, c] = rest.load;
        self.mark();
        self.push([head(REST, 5, 0), rest.tick, rest.random, a, b, c], &[]);
    }

    /// A command is about to be applied.
    pub fn command(&mut self, number: u64, now: Instant) {
        self.push([head(COMMAND, 2, 0), number, now.as_nanos()], &[]);
    }

    /// A tick begins.
    pub fn begin(&mut self, now: Instant) {
        self.mark();
        self.push([head(BEGIN, 1, 0), now.as_nanos()], &[]);
    }

    /// A datagram is about to be handed in.
    pub fn datagram(&mut self, datagram: &Datagram<'_>, kept: Kept) {
        let Datagram { slot, port, source, arrival, bytes, truncated } = *datagram;
        let kept = match kept {
            Kept::All => bytes,
            Kept::Headers if demux(bytes) == Demux::Rtp => &bytes[..bytes.len().min(HEADER_BYTES)],
            Kept::Headers => &[],
        };
        let is_estimate = matches!(arrival, Arrival::By(_));
        let flags = u64::from(port == Port::Rtcp)
            | u64::from(truncated) << 1
            | u64::from(is_estimate) << 2
            | u64::from(source.is_ipv6()) << 3;
        let told = u64::from(slot) << 8 | flags;
        let lengths = (bytes.len() as u64) << 32 | (kept.len() as u64) << 16;
        let peer = lengths | u64::from(source.port());
        let (at, words) = (arrival.latest().as_nanos(), kept.len().div_ceil(8));
        match source.ip() {
            IpAddr::V4(v4) => {
                let ip = v4.to_bits().into();
                self.push([head(DATAGRAM, 3 + words, told), at, peer, ip], kept);
            }
            IpAddr::V6(v6) => {
                let (low, high) = (v6.to_bits() as u64, (v6.to_bits() >> 64) as u64);
                self.push([head(DATAGRAM, 4 + words, told), at, peer, low, high], kept);
            }
        }
    }

    /// The next group is about to be run.
    pub fn group(&mut self) {
        self.push([head(GROUP, 0, 0)], &[]);
    }

    /// Something was decided.
    pub fn decision(&mut self, slot: u32, decision: Decision) {
        let told = u64::from(slot) << 8 | u64::from(decision.to_bits());
        self.push([head(DECISION, 0, told)], &[]);
    }

    /// The tick is over.
    pub fn end(&mut self, busy: Duration, send_failures: u32, trace: u64) {
        let nanos = busy.as_nanos() as u64;
        self.push([head(END, 2, u64::from(send_failures)), nanos, trace], &[]);
    }
}

/// Reads records from words, each with the least octet first. What is no record ends it.
#[derive(Debug, Clone)]
pub struct Records<'a>(&'a [Word]);

/// A word as it is kept.
type Word = [u8; size_of::<u64>()];

impl<'a> Records<'a> {
    /// The records in these octets.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets.as_chunks().0)
    }

    fn read(told: u64, kind: u64, words: &'a [Word]) -> Option<Record<'a>> {
        let slot = (told >> 8) as u32;
        let number = |word: &Word| u64::from_le_bytes(*word);
        let instant = |word| Instant::from_nanos(number(word));
        Some(match (kind, words) {
            (REST, [tick, random, load @ ..]) => {
                let load: &[Word; 3] = load.try_into().ok()?;
                let [tick, random] = [tick, random].map(number);
                Record::Rest(Rest { tick, random, load: load.each_ref().map(number) })
            }
            (COMMAND, [command, now]) => {
                Record::Command { number: number(command), now: instant(now) }
            }
            (BEGIN, [now]) => Record::Begin { now: instant(now) },
            (DATAGRAM, [at, peer, rest @ ..]) => {
                let is_v6 = told & 8 != 0;
                let (ip, kept_in) = match rest {
                    [low, high, kept @ ..] if is_v6 => {
                        let bits = u128::from(number(high)) << 64 | u128::from(number(low));
                        (IpAddr::V6(Ipv6Addr::from_bits(bits)), kept)
                    }
                    [v4, kept @ ..] if !is_v6 => {
                        (IpAddr::V4(Ipv4Addr::from_bits(number(v4) as u32)), kept)
                    }
                    _ => return None,
                };
                let (at, peer) = (instant(at), number(peer));
                let kept = usize::from((peer >> 16) as u16);
                let datagram = Datagram {
                    slot,
                    port: if told & 1 == 0 { Port::Rtp } else { Port::Rtcp },
                    source: SocketAddr::new(ip, peer as u16),
                    arrival: if told & 4 == 0 { Arrival::At(at) } else { Arrival::By(at) },
                    bytes: kept_in.as_flattened().get(..kept)?,
                    truncated: told & 2 != 0,
                };
                Record::Datagram { datagram, length: (peer >> 32) as usize }
            }
            (GROUP, []) => Record::Group,
            (DECISION, []) => Record::Decision { slot, decision: Decision::from_bits(told as u8)? },
            (END, [busy, trace]) => Record::End {
                busy: Duration::from_nanos(number(busy)),
                send_failures: told as u32,
                trace: number(trace),
            },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (head, rest) = self.0.split_first()?;
        let head = u64::from_le_bytes(*head);
        let (words, rest) = rest.split_at_checked(usize::from((head >> 8) as u16))?;
        let record = Self::read(head >> 24, head & 0xff, words)?;
        self.0 = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flight::flight_ring;

    /// What was written, read again.
    fn read(words: &[u64], check: impl FnOnce(Vec<Record<'_>>)) {
        let octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        check(Records::new(&octets).collect());
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        let (mut sink, reader) = flight_ring(0);
        let rest = Rest { tick: 7, random: 8, load: [1, 2, 3] };
        let now = Instant::from_millis(20);
        let bytes: Vec<u8> = (0..100_u8).map(|at| 0x80 ^ at.wrapping_mul(7)).collect();
        let v4 = Datagram {
            slot: 0x00ab_cdef,
            port: Port::Rtcp,
            source: "192.0.2.7:4000".parse().unwrap(),
            arrival: Arrival::At(Instant::from_millis(19)),
            bytes: &bytes,
            truncated: true,
        };
        let source = "[2001:db8::7]:65535".parse().unwrap();
        let v6 = Datagram { source, arrival: Arrival::By(now), port: Port::Rtp, ..v4 };
        let decision = Decision::Discarded(media_units::Discard::Late);
        sink.rest(&rest);
        sink.begin(now);
        sink.command(3, now);
        sink.datagram(&v4, Kept::All);
        sink.datagram(&v6, Kept::Headers);
        sink.group();
        sink.decision(9, decision);
        sink.end(Duration::from_micros(5), 2, 77);
        read(&reader.copy(), |records| {
            let Record::Datagram { datagram, length: 100 } = records[3] else { panic!() };
            assert_eq!(format!("{datagram:?}"), format!("{v4:?}"));
            let Record::Datagram { datagram, length: 100 } = records[4] else { panic!() };
            assert_eq!((datagram.source, datagram.arrival), (source, Arrival::By(now)));
            assert_eq!(datagram.bytes, &bytes[..HEADER_BYTES]);
            assert_eq!(
                records[..3],
                [Record::Rest(rest), Record::Begin { now }, Record::Command { number: 3, now },]
            );
            assert_eq!(
                records[5..],
                [
                    Record::Group,
                    Record::Decision { slot: 9, decision },
                    Record::End { busy: Duration::from_micros(5), send_failures: 2, trace: 77 },
                ]
            );
        });
    }

    proptest! {
        #[test]
        fn any_words_can_be_read(words in proptest::collection::vec(any::<u64>(), 0..64)) {
            read(&words, |records| assert!(records.len() <= words.len()));
        }
    }
}
