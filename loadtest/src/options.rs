//! The command line.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use media_units::Encoding;
use sim::code::CODES;
use sim::network::{LinkModel, Loss};

use crate::Failure;
use crate::process::CpuTimes;
use crate::sip_wire::Transport;

/// Dials many calls into the rooms of a SIP server, and measures what its callers get.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// The SIP server.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// Calls at one time. With --search: the first size tried. With --no-media: calls in all.
    #[arg(long, default_value_t = 10)]
    pub(crate) calls: usize,
    /// Rooms; the calls are spread evenly over them. [default: calls / room-size]
    #[arg(long)]
    pub(crate) rooms: Option<usize>,
    /// Calls in one room.
    #[arg(long, default_value_t = 10, conflicts_with = "rooms")]
    pub(crate) room_size: usize,
    /// How many in each room talk. The others send silence and listen.
    #[arg(long, default_value_t = 3)]
    pub(crate) talkers: usize,
    /// Those who listen send one packet in 5 s in place of 250 of silence: enough to stay.
    #[arg(long)]
    pub(crate) listeners_rest: bool,
    /// Calls begun per second.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) rate: f64,
    /// Seconds of measuring, after all calls stand.
    #[arg(long, default_value_t = 30)]
    pub(crate) duration: u64,
    /// Seconds to settle before measuring.
    #[arg(long, default_value_t = 3)]
    pub(crate) settle: u64,
    /// What is dialled: {room} is the number of the room, {call} that of the call.
    #[arg(long, default_value = "conf{room}")]
    pub(crate) dial: String,
    /// The number of the first room.
    #[arg(long, default_value_t = 1)]
    pub(crate) first_room: usize,
    /// What carries SIP.
    #[arg(long, value_enum, default_value_t = Transport::Udp)]
    pub(crate) transport: Transport,
    /// Payload format: PCMU, PCMA, opus, G722, G726-32, GSM, iLBC, L16/8000, L16/16000,
    /// L16/44100, L16/48000 or, where it is built in, G729.
    #[arg(long, default_value = "PCMU", value_parser = encoding)]
    pub(crate) codec: Encoding,
    /// The talkers play this WAV file (8 kHz, mono, 16 bit) over and over. Who hears whom is
    /// not checked then.
    #[arg(long, value_name = "FILE")]
    pub(crate) play: Option<PathBuf>,
    /// Percentage of the packets that get lost on the way to the server.
    #[arg(long, default_value_t = 0.0, value_name = "PERCENT")]
    pub(crate) loss: f64,
    /// Jitter on the way to the server: packets wait up to this long.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) jitter: u64,
    /// Only signalling: each call is hung up after --hold; measures the time of set-ups.
    #[arg(long)]
    pub(crate) no_media: bool,
    /// How long a call of --no-media stands.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) hold: u64,
    /// Looks for the largest number of calls that still meets the bar.
    #[arg(long, conflicts_with = "no_media")]
    pub(crate) search: bool,
    /// --search stops here.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) calls_max: usize,
    /// The server's process on this machine: its CPU time and memory are read.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Runs on this core only.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Our own address. [default: the one that leads to the server]
    #[arg(long)]
    pub(crate) bind: Option<IpAddr>,
    /// Writes the report here as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// What all randomness comes from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A payload format by its name, in letters of any size.
fn encoding(name: &str) -> Result<Encoding, String> {
    let is_it = |encoding: &Encoding| encoding.to_string().eq_ignore_ascii_case(name);
    Encoding::ALL.into_iter().find(is_it).ok_or_else(|| {
        let names: Vec<String> = Encoding::ALL.iter().map(Encoding::to_string).collect();
        format!("not known; known are {}", names.join(", "))
    })
}

impl Options {
    /// Refuses what cannot be measured, and says why.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let wrong = |why: &str| Err(Failure::Options(why.to_owned()));
        match () {
            () if self.calls == 0 => wrong("--calls must be at least 1"),
            () if self.rooms == Some(0) || self.room_size == 0 => wrong("a room needs a member"),
            () if self.talkers > usize::from(CODES) => {
                wrong("--talkers: at most 192 can be told apart in one room")
            }
            () if !(self.rate > 0.0 && self.rate <= 100_000.0) => {
                wrong("--rate must be above 0 and at most 100000")
            }
            () if !(0.0..=100.0).contains(&self.loss) => wrong("--loss is a percentage"),
            () if self.calls_max == 0 => wrong("--calls-max must be at least 1"),
            () if self.search && self.rooms.is_none() && self.calls_max < self.room_size => {
                wrong("--calls-max must be at least --room-size: a search fills its rooms")
            }
            () if self.pid.is_some_and(|pid| CpuTimes::read(pid).is_none()) => {
                wrong("--pid: there is no such process")
            }
            () if self.duration == 0 => wrong("--duration must be at least 1"),
            () => Ok(()),
        }
    }

    pub(crate) fn server_address(&self) -> Result<SocketAddr, Failure> {
        let unknown = || Failure::Options(format!("--server {}: no such address", self.server));
        self.server.to_socket_addrs().map_err(|_| unknown())?.next().ok_or_else(unknown)
    }

    /// How many rooms so many calls fill.
    pub(crate) fn rooms_for(&self, calls: usize) -> usize {
        self.rooms.unwrap_or(calls.div_ceil(self.room_size)).clamp(1, calls)
    }

    /// What happens to our packets on their way, if anything.
    pub(crate) fn link(&self) -> Option<LinkModel> {
        let model = LinkModel {
            jitter: Duration::from_millis(self.jitter),
            loss: if self.loss > 0.0 { Loss::Uniform(self.loss / 100.0) } else { Loss::None },
            ..LinkModel::default()
        };
        (model != LinkModel::default()).then_some(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(more: &[&str]) -> Options {
        let words = ["loadtest", "--server", "127.0.0.1:5060"];
        Options::parse_from(words.iter().chain(more))
    }

    #[test]
    fn calls_fill_rooms_of_the_wanted_size_or_number() {
        assert_eq!(options(&[]).rooms_for(25), 3);
        assert_eq!(options(&["--room-size", "1000"]).rooms_for(100), 1);
        assert_eq!(options(&["--rooms", "7"]).rooms_for(100), 7);
        assert_eq!(options(&["--rooms", "7"]).rooms_for(3), 3);
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for wrong in [
            ["--calls", "0"],
            ["--talkers", "193"],
            ["--rate", "0"],
            ["--loss", "101"],
            ["--rooms", "0"],
            ["--duration", "0"],
        ] {
            assert!(options(&wrong).check().is_err(), "{wrong:?}");
        }
        assert!(options(&[]).check().is_ok());
        assert!(options(&["--search", "--calls-max", "9"]).check().is_err(), "no room is full");
        assert!(options(&["--search", "--calls-max", "9", "--rooms", "1"]).check().is_ok());
        assert!(options(&["--pid", "4294967295"]).check().is_err(), "nobody has this number");
        assert!(options(&["--pid", &std::process::id().to_string()]).check().is_ok());
    }

    #[test]
    fn a_codec_is_known_by_its_name() {
        assert_eq!(options(&["--codec", "OPUS"]).codec, Encoding::Opus);
        assert_eq!(options(&["--codec", "L16/16000"]).codec, Encoding::L16At16000);
        assert!(encoding("mp3").unwrap_err().contains("G722"));
    }

    #[test]
    fn a_clean_network_needs_no_model() {
        assert!(options(&[]).link().is_none());
        assert!(options(&["--jitter", "5"]).link().is_some());
    }
}
