//! The configuration: one TOML file, every key optional, checked as a whole before anything runs.
//!
//! Each key is declared once, where its field is filled (see [`reader`]): name, default, range
//! and meaning. docs/configuration.md is written from the same declarations.

mod codecs;
mod documentation;
mod flight;
mod overload;
mod reader;
mod recording;
mod rooms;
mod rtp;
mod services;
mod shelf;
mod sip;
mod siprec;
mod units;
mod values;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine_control::{OverloadRule, PortPlan};
use engine_driver::DriverChoice;
use signaling::{DialPlan, EndpointRule, Pattern, RoomRule, SiprecConfig};

pub use documentation::markdown;
pub use flight::Flight;
pub use reader::Problem;
use reader::{Read, Reader};
pub use recording::{Arrangement, Occasion, Recording};
pub use rooms::Rooms;
pub use rtp::{Rtp, Shards};
pub use services::{Api, Log};
pub use sip::{Connections, Sip};
use units::show_duration;

/// All settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Signalling.
    pub sip: Sip,
    /// Media.
    pub rtp: Rtp,
    /// What is given up where time is short.
    pub overload: OverloadRule,
    /// Above which pressure a shard gives sessions to another, in percent.
    pub move_above: u32,
    /// The flight recorder.
    pub flight: Flight,
    /// Endpoints with payload formats of their own.
    pub endpoints: Vec<EndpointRule>,
    /// Rooms.
    pub rooms: Rooms,
    /// Rooms that sound otherwise.
    pub named_rooms: Vec<RoomRule>,
    /// When rooms of such names are recorded; the first that matches decides.
    pub named_occasions: Vec<(Pattern, Occasion)>,
    /// What can be dialled.
    pub dial: DialPlan,
    /// Recordings.
    pub recording: Recording,
    /// Recording sessions of others.
    pub siprec: SiprecConfig,
    /// The HTTP API.
    pub api: Api,
    /// The log.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        read("", "").0
    }
}

impl Config {
    /// Reads and checks a configuration, with the announcement that it names; `file` is its name in
    /// messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (config, read) = read(file, text);
        if read.problems.is_empty() { Ok(config) } else { Err(read.problems) }
    }

    /// What no key can be refused for alone.
    fn check(&self, reader: &mut Reader<'_>) {
        if self.sip.udp.is_empty() && self.sip.tcp.is_empty() {
            let why = "no address to listen on; write at least one in sip.udp or sip.tcp";
            reader.refuse(&["sip.udp", "sip.tcp"], why.to_owned());
        }
        let ipv4 = |address: &&SocketAddr| address.is_ipv4();
        let ipv4 = self.sip.udp.iter().filter(ipv4).count();
        if ipv4 > 1 || self.sip.udp.len() - ipv4 > 1 {
            let why = "two UDP addresses of one family; write at most one of IPv4 and one of IPv6";
            reader.refuse(&["sip.udp"], why.to_owned());
        }
        let timing = self.sip.timing;
        at_most(reader, "sip.t1", timing.t1, "sip.t2", timing.t2);
        let (shortest, asked) = (self.sip.session_expires_min, self.sip.session_expires);
        at_most(reader, "sip.session_expires_min", shortest, "sip.session_expires", asked);
        let (least, most) = (self.rtp.playout_delay_min, self.rtp.playout_delay_max);
        at_most(reader, "rtp.playout_delay_min", least, "rtp.playout_delay_max", most);
        let begin = self.rtp.playout_delay_initial;
        at_most(reader, "rtp.playout_delay_initial", begin, "rtp.playout_delay_max", most);
        self.check_shards(reader);
        self.check_steering(reader);
        self.check_listeners(reader);
        self.check_overload(reader);
        self.recording.check_keys(reader);
        if let Some(advertised) = self.rtp.advertised
            && advertised.is_ipv4() != self.rtp.address.is_ipv4()
        {
            let why = format!("not of the same family as rtp.address ({})", self.rtp.address);
            reader.refuse(&["rtp.advertised", "rtp.address"], why);
        }
    }

    /// The steps have an order.
    fn check_overload(&self, reader: &mut Reader<'_>) {
        let rule = &self.overload;
        let steps = [
            ("overload.refuse_above", rule.refuse_above),
            ("overload.complexity_above", rule.complexity_above),
            ("overload.recordings_above", rule.taps_above),
        ];
        for pair in steps.windows(2) {
            if let [low, high] = *pair {
                in_order(reader, low, high, |percent| percent.to_string());
            }
        }
    }

    /// What is steered is taken from whoever else has a socket there: our own SIP would be deaf.
    fn check_steering(&self, reader: &mut Reader<'_>) {
        let driver = self.rtp.shards.driver;
        if driver == DriverChoice::Xdp && self.rtp.address.is_unspecified() {
            let why = "this driver serves one interface; write an address of that interface";
            reader.refuse(&["rtp.address", "rtp.driver"], why.to_owned());
        }
        let (first, last) = self.rtp.ports;
        // A pair of ports begins at an even one.
        let steered = first.next_multiple_of(2)..=last;
        let is_taken = |sip: &&SocketAddr| {
            steered.contains(&sip.port()) && overlap(self.rtp.address, sip.ip())
        };
        if let Some(sip) = self.sip.udp.iter().find(is_taken)
            && driver.is_steered()
        {
            let port = sip.port();
            let why = format!(
                "port {port} is that of sip.udp, and this driver takes all datagrams to the range; write \
                 a range without {port}, or another port in sip.udp"
            );
            reader.refuse(&["rtp.ports", "sip.udp", "rtp.driver", "rtp.address"], why);
        }
    }

    /// Two listeners cannot have one port. A port of 0 is a free one.
    fn check_listeners(&self, reader: &mut Reader<'_>) {
        let Some(api) = self.api.listen.filter(|api| api.port() != 0) else { return };
        let is_taken = |sip: &&SocketAddr| sip.port() == api.port() && overlap(api.ip(), sip.ip());
        if let Some(sip) = self.sip.tcp.iter().find(is_taken) {
            let why = format!(
                "api.listen ({api}) and sip.tcp ({sip}) are the same port; write another in one of them"
            );
            reader.refuse(&["api.listen", "sip.tcp"], why);
        }
    }

    fn check_shards(&self, reader: &mut Reader<'_>) {
        let (first, last) = self.rtp.ports;
        let shards = self.rtp.shards.asked().unwrap_or(1);
        if let (Some(count), Some(cores)) = (self.rtp.shards.count, &self.rtp.shards.cores)
            && (count as usize) > cores.len()
        {
            let why = format!("more shards than cores; rtp.cores names {}", cores.len());
            reader.refuse(&["rtp.shards", "rtp.cores"], why);
        }
        if PortPlan::divide(first, last, shards as u8).is_none() {
            let why = format!(
                "too few for {shards} shards; write a range of at least {}",
                2 * shards + 1
            );
            reader.refuse(&["rtp.ports", "rtp.shards", "rtp.cores"], why);
        }
    }
}

/// Whether what is for the one may be for the other, which is one of SIP. A socket of media or of the
/// API at `::` is given what is for IPv4 too, and one of SIP is not.
fn overlap(ours: IpAddr, sip: IpAddr) -> bool {
    let is_same_family = ours.is_ipv4() == sip.is_ipv4();
    if ours.is_unspecified() {
        return is_same_family || ours.is_ipv6();
    }
    (sip.is_unspecified() && is_same_family) || ours == sip
}

fn at_most(reader: &mut Reader<'_>, low: &str, least: Duration, high: &str, most: Duration) {
    in_order(reader, (low, least), (high, most), |duration| {
        format!("\"{}\"", show_duration(duration))
    });
}

/// Refuses a value that should be at most another. One of the two is the default where only the other is
/// written, and may not stand where that does.
fn in_order<T: PartialOrd + Copy>(
    reader: &mut Reader<'_>,
    (low, least): (&str, T),
    (high, most): (&str, T),
    shown: impl Fn(T) -> String,
) {
    if least <= most {
        return;
    }
    let (least, most) = (shown(least), shown(most));
    let why = match (reader.is_present(low), reader.is_present(high)) {
        (true, false) => {
            format!("{high} is {most} unless it is written; write at most {most}, or {high}, too")
        }
        (false, true) => {
            format!("{low} is {least} unless it is written; write at least {least}, or {low}, too")
        }
        _ => format!("{low} ({least}) is above {high} ({most}); write them the other way round"),
    };
    reader.refuse(&[low, high], why);
}

fn read(file: &str, text: &str) -> (Config, Read) {
    let mut reader = Reader::new(file, text);
    let sip = reader.section("sip", "The SIP front end.", Sip::read);
    let rtp =
        reader.section("rtp", "Media: addresses, ports, codecs, threads, playout.", Rtp::read);
    let (overload, move_above) = reader.section("overload", overload::OVERLOAD, overload::overload);
    let flight = reader.section("flight", flight::FLIGHT, Flight::read);
    let endpoints = reader.sections("endpoint", codecs::ENDPOINT, codecs::endpoint);
    let rooms = reader.section(
        "rooms",
        "Rooms, made when their first member joins and gone after the last left, and how they \
         sound.",
        Rooms::read,
    );
    let named_rooms = reader.sections("room", rooms::ROOM, |section| rooms::room(section, &rooms));
    let named_rooms: Vec<(RoomRule, Occasion)> = named_rooms.into_iter().flatten().collect();
    let named_occasions = named_rooms.iter().map(|(rule, record)| (rule.name.clone(), *record));
    let named_occasions = named_occasions.collect();
    let config = Config {
        sip,
        rtp,
        overload,
        move_above,
        flight,
        endpoints: endpoints.into_iter().flatten().collect(),
        rooms,
        named_rooms: named_rooms.into_iter().map(|(rule, _)| rule).collect(),
        named_occasions,
        dial: reader.section("dial", services::DIAL, services::dial),
        recording: reader.section(
            "recording",
            "Where calls and rooms are recorded.",
            Recording::read,
        ),
        siprec: reader.section("siprec", siprec::SIPREC, siprec::siprec),
        api: reader.section("api", "The HTTP API with health and metrics.", Api::read),
        log: reader.section("log", "The log, on standard error.", Log::read),
    };
    reader.refuse_unknown_sections();
    config.check(&mut reader);
    (config, reader.finish())
}
