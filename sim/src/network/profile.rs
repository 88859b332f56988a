//! Networks that people have, by name; and what one of them did to a stream, packet by packet,
//! so that another receiver can be given exactly the same.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use media_units::Instant;

use super::{Hold, Link, LinkModel, Loss, Swing};
use crate::Seed;

const MS: Duration = Duration::from_millis(1);

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A wire.
    Clean,
    /// An access point with many stations: it holds packets back and lets them go at once.
    OfficeWifi,
    /// A cell whose scheduler makes the latency swing, with short holes.
    Lte,
    /// One packet of a hundred is lost at random.
    Loss1,
    /// Three of a hundred.
    Loss3,
    /// Five of a hundred.
    Loss5,
    /// Ten of a hundred.
    Loss10,
    /// Five of a hundred are lost, three in a row on average (Gilbert-Elliott).
    Bursts5,
    /// Every few seconds everything is 100 ms late.
    Spikes100,
    /// The sender's clock is wrong by 300 parts per million.
    Skew300,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Clean,
        Self::OfficeWifi,
        Self::Lte,
        Self::Loss1,
        Self::Loss3,
        Self::Loss5,
        Self::Loss10,
        Self::Bursts5,
        Self::Spikes100,
        Self::Skew300,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::OfficeWifi => "wifi",
            Self::Lte => "lte",
            Self::Loss1 => "loss1",
            Self::Loss3 => "loss3",
            Self::Loss5 => "loss5",
            Self::Loss10 => "loss10",
            Self::Bursts5 => "bursts5",
            Self::Spikes100 => "spikes100",
            Self::Skew300 => "skew300",
        }
    }

    /// What it does to datagrams.
    pub fn link(self) -> LinkModel {
        let wire = LinkModel { latency: 20 * MS, jitter: 2 * MS, ..LinkModel::default() };
        let uniform = |share| LinkModel { jitter: 8 * MS, loss: Loss::Uniform(share), ..wire };
        match self {
            Self::Clean | Self::Skew300 => wire,
            Self::OfficeWifi => LinkModel {
                jitter: 6 * MS,
                loss: Loss::Uniform(0.01),
                hold: Some(Hold {
                    every: 900 * MS,
                    shortest: 30 * MS,
                    longest: 160 * MS,
                    spacing: MS / 2,
                }),
                ..wire
            },
            Self::Lte => LinkModel {
                latency: 35 * MS,
                jitter: 16 * MS,
                loss: Loss::Bursts { to_bad: 0.0095, to_good: 0.4, loss_bad: 0.95 },
                swing: Some(Swing { highest: 90 * MS, every: 1200 * MS }),
                ..wire
            },
            Self::Loss1 => uniform(0.01),
            Self::Loss3 => uniform(0.03),
            Self::Loss5 => uniform(0.05),
            Self::Loss10 => uniform(0.10),
            // 1/16 of the time bad, 0.8 lost while bad: 0.05.
            Self::Bursts5 => LinkModel {
                jitter: 8 * MS,
                loss: Loss::Bursts { to_bad: 0.0233, to_good: 0.35, loss_bad: 0.8 },
                ..wire
            },
            Self::Spikes100 => LinkModel {
                hold: Some(Hold {
                    every: 2500 * MS,
                    shortest: 100 * MS,
                    longest: 100 * MS,
                    spacing: MS / 2,
                }),
                ..wire
            },
        }
    }

    /// By how many parts per million the sender's clock is too fast.
    pub fn skew_ppm(self, seed: &Seed) -> i64 {
        match self {
            Self::Skew300 if seed.fork(SKEW).chance(0.5) => 300,
            Self::Skew300 => -300,
            _ => 0,
        }
    }

    /// What happens to so many packets, one every `packet_time` of the sender's clock, the first
    /// one sent at `begin`.
    pub fn trace(
        self,
        begin: Instant,
        packets: usize,
        packet_time: Duration,
        octets: usize,
        seed: &Seed,
    ) -> Trace {
        let mut link = Link::new(self.link(), seed.fork(LINK));
        let second = 1_000_000_000 - 1000 * self.skew_ppm(seed);
        let interval = packet_time.as_nanos() as i64 * second / 1_000_000_000;
        let interval = Duration::from_nanos(interval as u64);
        let mut sent = begin;
        let passage = |_| {
            let passage = Passage { sent, arrival: link.carry(sent, octets)[0] };
            sent += interval;
            passage
        };
        Trace { passages: (0..packets).map(passage).collect() }
    }
}

/// Labels of the seeds that a trace uses.
const LINK: u64 = 1;
const SKEW: u64 = 2;

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == name).ok_or(UnknownProfile)
    }
}

/// No profile has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownProfile;

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such profile; there are {}", Profile::ALL.map(Profile::name).join(", "))
    }
}

impl std::error::Error for UnknownProfile {}

/// What the network did to a stream, one entry for each packet in the order of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The packets.
    pub passages: Vec<Passage>,
}

/// One packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When it was sent.
    pub sent: Instant,
    /// When it arrived, unless it was lost.
    pub arrival: Option<Instant>,
}

impl Trace {
    /// Packets that were lost.
    pub fn lost(&self) -> usize {
        self.passages.iter().filter(|passage| passage.arrival.is_none()).count()
    }

    /// Which packets arrive, in the order of their arrival.
    pub fn arrivals(&self) -> Vec<(Instant, usize)> {
        let arrival = |(number, passage): (usize, &Passage)| Some((passage.arrival?, number));
        let mut all: Vec<_> = self.passages.iter().enumerate().filter_map(arrival).collect();
        all.sort_unstable();
        all
    }
}

impl fmt::Display for Trace {
    /// A line for each packet: microseconds at which it was sent, and at which it arrived.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |at: Instant| at.as_nanos() / 1000;
        for passage in &self.passages {
            match passage.arrival {
                Some(arrival) => writeln!(f, "{} {}", micros(passage.sent), micros(arrival))?,
                None => writeln!(f, "{} lost", micros(passage.sent))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(profile: Profile, packets: usize, seed: u64) -> Trace {
        profile.trace(Instant::START, packets, 20 * MS, 172, &Seed::new(seed))
    }

    /// Delays of what arrived, in milliseconds, sorted.
    fn delays(trace: &Trace) -> Vec<f64> {
        let delay =
            |passage: &Passage| Some(passage.arrival?.since(passage.sent).as_secs_f64() * 1000.0);
        let mut all: Vec<f64> = trace.passages.iter().filter_map(delay).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    #[test]
    fn names_lead_back_to_their_profiles() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        assert_eq!("isdn".parse::<Profile>(), Err(UnknownProfile));
    }

    #[test]
    fn the_same_seed_gives_the_same_trace_and_another_another() {
        for profile in Profile::ALL {
            assert_eq!(trace(profile, 500, 3), trace(profile, 500, 3));
            assert_ne!(trace(profile, 500, 3), trace(profile, 500, 4), "{profile}");
        }
    }

    #[test]
    fn losses_are_as_the_names_say() {
        let share = |profile| trace(profile, 100_000, 1).lost() as f64 / 1000.0;
        let expected = [
            (Profile::Clean, 0.0),
            (Profile::OfficeWifi, 1.0),
            (Profile::Lte, 2.2),
            (Profile::Loss1, 1.0),
            (Profile::Loss3, 3.0),
            (Profile::Loss5, 5.0),
            (Profile::Loss10, 10.0),
            (Profile::Bursts5, 5.0),
            (Profile::Spikes100, 0.0),
            (Profile::Skew300, 0.0),
        ];
        for (profile, percent) in expected {
            let lost: f64 = share(profile);
            assert!((lost - percent).abs() <= 0.1 * percent, "{profile}: {lost}");
        }
    }

    #[test]
    fn wifi_holds_lte_swings_and_spikes_are_100_ms() {
        let spread = |profile, share: f64| {
            let all = delays(&trace(profile, 20_000, 2));
            all[((all.len() - 1) as f64 * share) as usize] - all[0]
        };
        assert!(spread(Profile::Clean, 1.0) < 2.1);
        assert!(spread(Profile::OfficeWifi, 0.5) < 10.0);
        assert!(spread(Profile::OfficeWifi, 1.0) > 120.0);
        assert!((30.0..80.0).contains(&spread(Profile::Lte, 0.5)));
        let spike = spread(Profile::Spikes100, 1.0);
        assert!((90.0..105.0).contains(&spike), "{spike}");
        assert!(spread(Profile::Spikes100, 0.9) < 5.0);
    }

    #[test]
    fn skew_is_in_the_times_of_sending() {
        for seed in 0..8 {
            let passages = trace(Profile::Skew300, 50_001, seed).passages;
            let nanos = passages[50_000].sent.as_nanos() as i64;
            assert_eq!((nanos - 1_000_000_000_000).abs(), 300_000_000);
        }
    }

    #[test]
    fn a_trace_is_printed_line_by_line() {
        let passages = vec![
            Passage { sent: Instant::START, arrival: Some(Instant::from_millis(21)) },
            Passage { sent: Instant::from_millis(20), arrival: None },
        ];
        assert_eq!(Trace { passages }.to_string(), "0 21000\n20000 lost\n");
    }
}
