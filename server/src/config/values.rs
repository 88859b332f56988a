//! The types of values a key may have: how each is read, and what is said about a wrong one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::reader::{Right, Section};
use super::units::{parse_duration, parse_size, show_duration, show_size};
use crate::log;

impl Section<'_, '_> {
    /// A whole number.
    pub(super) fn count(
        &mut self,
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        meaning: &'static str,
    ) -> u32 {
        let right = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| within(value, &range);
        self.key(name, default.to_string(), right, meaning, read).unwrap_or(default)
    }

    /// A whole number, or `"auto"`.
    pub(super) fn count_or_auto(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
        meaning: &'static str,
    ) -> Option<u32> {
        let right =
            format!("\"auto\", or a whole number from {} to {}", range.start(), range.end());
        let read = |value: &DeValue<'_>| {
            if value.as_str() == Some("auto") { Ok(None) } else { within(value, &range).map(Some) }
        };
        self.key(name, quoted("auto"), right, meaning, read).flatten()
    }

    /// A length of time.
    pub(super) fn duration(
        &mut self,
        name: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
        meaning: &'static str,
    ) -> Duration {
        let read = |value: &DeValue<'_>| duration_within(string(value)?, &range);
        let shown = quoted(&show_duration(default));
        self.key(name, shown, durations(&range), meaning, read).unwrap_or(default)
    }

    /// A number of octets.
    pub(super) fn size(
        &mut self,
        name: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        meaning: &'static str,
    ) -> u64 {
        let read = |value: &DeValue<'_>| size_within(string(value)?, &range);
        self.key(name, quoted(&show_size(default)), sizes(&range), meaning, read).unwrap_or(default)
    }

    /// Yes or no.
    pub(super) fn flag(
        &mut self,
        name: &'static str,
        default: bool,
        meaning: &'static str,
    ) -> bool {
        let read =
            |value: &DeValue<'_>| value.as_bool().ok_or_else(|| format!("this is {}", a(value)));
        let right = "true or false".to_owned();
        self.key(name, default.to_string(), right, meaning, read).unwrap_or(default)
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
        meaning: &'static str,
    ) -> T {
        let (word, default) = choices[0];
        let read = |value: &DeValue<'_>| pick(string(value)?, choices);
        self.key(name, quoted(word), one_of(choices), meaning, read).unwrap_or(default)
    }

    /// Some of a few words, each at most once, in order of preference: at least one, unless none is the
    /// default.
    pub(super) fn choices<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
        default: &[&'static str],
        meaning: &'static str,
    ) -> Vec<T> {
        let built: Vec<_> = choices.iter().map(|(word, choice)| (*word, Some(*choice))).collect();
        self.choices_built(name, &built, default, meaning)
    }

    /// The same, where this server may be built without some: a word that stands for nothing then is
    /// known, and needs the feature of its name.
    pub(super) fn choices_built<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, Option<T>)],
        default: &[&'static str],
        meaning: &'static str,
    ) -> Vec<T> {
        let read = |value: &DeValue<'_>| {
            let mut picked = Vec::new();
            for item in list(value)? {
                let word = string(item)?;
                let Some(choice) = pick(word, choices)? else {
                    let feature = word.to_lowercase();
                    return Err(format!(
                        "\"{word}\" needs a server built with the feature {feature}"
                    ));
                };
                if picked.contains(&choice) {
                    return Err("named twice".to_owned());
                }
                picked.push(choice);
            }
            if picked.is_empty() && !default.is_empty() {
                Err("empty".to_owned())
            } else {
                Ok(picked)
            }
        };
        let words: Vec<String> = default.iter().map(|word| quoted(word)).collect();
        let shown = format!("[{}]", words.join(", "));
        let built: Vec<_> =
            choices.iter().filter(|(_, choice)| choice.is_some()).copied().collect();
        let right = |choices: &[_]| format!("a list, each {}", one_of(choices));
        let right = Right { here: right(&built), anywhere: right(choices) };
        let usual = || default.iter().filter_map(|word| pick(word, choices).ok()?).collect();
        self.key(name, shown, right, meaning, read).unwrap_or_else(usual)
    }

    /// A text with a grammar of its own; none where it is left out.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        right: &'static str,
        meaning: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = |value: &DeValue<'_>| parse(string(value)?);
        self.key(name, String::new(), right.to_owned(), meaning, read)
    }

    /// Texts with a grammar of their own; none by default.
    pub(super) fn parsed_list<T>(
        &mut self,
        name: &'static str,
        right: &str,
        meaning: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let read = |value: &DeValue<'_>| list(value)?.map(|item| parse(string(item)?)).collect();
        let right = format!("a list of {right}");
        self.key(name, "[]".to_owned(), right, meaning, read).unwrap_or_default()
    }

    /// A text with a grammar of its own.
    pub(super) fn parsed_or<T>(
        &mut self,
        name: &'static str,
        default: &str,
        right: &str,
        meaning: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = |value: &DeValue<'_>| parse(string(value)?);
        self.key(name, quoted(default), right.to_owned(), meaning, read)
    }

    /// A length of time, or `"off"`, which is the default.
    pub(super) fn duration_or_off(
        &mut self,
        name: &'static str,
        range: RangeInclusive<Duration>,
        meaning: &'static str,
    ) -> Option<Duration> {
        let read = |text: &str| duration_within(text, &range);
        self.parsed_or_off(name, &durations(&range), meaning, read)
    }

    /// A number of octets, or `"off"`, which is the default.
    pub(super) fn size_or_off(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
        meaning: &'static str,
    ) -> Option<u64> {
        self.parsed_or_off(name, &sizes(&range), meaning, |text| size_within(text, &range))
    }

    /// A text with a grammar of its own, or `"off"`, which is the default.
    pub(super) fn parsed_or_off<T>(
        &mut self,
        name: &'static str,
        right: &str,
        meaning: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let read = |value: &DeValue<'_>| match string(value)? {
            "off" => Ok(None),
            text => parse(text).map(Some),
        };
        self.key(name, quoted("off"), format!("\"off\", or {right}"), meaning, read).flatten()
    }

    /// A level of sound, as dB below full scale, or `"off"`.
    pub(super) fn level_or_off(
        &mut self,
        name: &'static str,
        default: Option<u8>,
        range: RangeInclusive<u8>,
        meaning: &'static str,
    ) -> Option<u8> {
        let (loud, soft) = (range.start(), range.end());
        let right = format!("\"off\", or a level from \"-{soft}dBov\" to \"-{loud}dBov\"");
        let read = |value: &DeValue<'_>| {
            let text = string(value)?;
            if text == "off" {
                return Ok(None);
            }
            let level = text.strip_prefix('-').and_then(|text| text.strip_suffix("dBov"));
            let level: u8 =
                level.and_then(|digits| digits.trim().parse().ok()).ok_or("no level")?;
            if range.contains(&level) { Ok(Some(level)) } else { Err("out of range".to_owned()) }
        };
        let shown = default.map_or("off".to_owned(), |level| format!("-{level}dBov"));
        self.key(name, quoted(&shown), right, meaning, read).unwrap_or(default)
    }

    /// Socket addresses to listen on; an empty list is none.
    pub(super) fn listeners(
        &mut self,
        name: &'static str,
        default: &[SocketAddr],
        meaning: &'static str,
    ) -> Vec<SocketAddr> {
        let read = |value: &DeValue<'_>| {
            let mut addresses = Vec::new();
            for item in list(value)? {
                let text = string(item)?;
                let address: SocketAddr =
                    text.parse().map_err(|_| format!("\"{text}\" is no address with a port"))?;
                of_one(address.ip()).map_err(|why| format!("\"{text}\" is {why}"))?;
                if address.port() != 0 && addresses.contains(&address) {
                    return Err(format!("\"{text}\" is named twice"));
                }
                addresses.push(address);
            }
            Ok(addresses)
        };
        let words: Vec<String> = default.iter().map(|one| quoted(&one.to_string())).collect();
        let right = "a list of addresses with ports, for example [\"192.0.2.1:5060\", \"[2001:db8::1]:5060\"]; [] for none".to_owned();
        self.key(name, format!("[{}]", words.join(", ")), right, meaning, read)
            .unwrap_or_else(|| default.to_vec())
    }

    /// One socket address, or none.
    pub(super) fn listener_or_off(
        &mut self,
        name: &'static str,
        default: SocketAddr,
        meaning: &'static str,
    ) -> Option<SocketAddr> {
        let read = |value: &DeValue<'_>| match string(value)? {
            "off" => Ok(None),
            text => {
                let address: SocketAddr = text.parse().map_err(|_| "no address with a port")?;
                of_one(address.ip())?;
                Ok(Some(address))
            }
        };
        let right = "an address with a port, for example \"127.0.0.1:8080\", or \"off\"".to_owned();
        self.key(name, quoted(&default.to_string()), right, meaning, read).unwrap_or(Some(default))
    }

    /// One IP address.
    pub(super) fn address(
        &mut self,
        name: &'static str,
        default: IpAddr,
        meaning: &'static str,
    ) -> IpAddr {
        let read = |value: &DeValue<'_>| address_of_one(string(value)?);
        let right = "an IP address, for example \"192.0.2.1\"".to_owned();
        self.key(name, quoted(&default.to_string()), right, meaning, read).unwrap_or(default)
    }

    /// One IP address that others can reach, or `"auto"`.
    pub(super) fn address_or_auto(
        &mut self,
        name: &'static str,
        meaning: &'static str,
    ) -> Option<IpAddr> {
        let read = |value: &DeValue<'_>| match string(value)? {
            "auto" => Ok(None),
            text => match address_of_one(text)? {
                address if address.is_unspecified() => Err("nobody can reach this".to_owned()),
                address => Ok(Some(address)),
            },
        };
        let right = "an IP address, for example \"192.0.2.1\", or \"auto\"".to_owned();
        self.key(name, quoted("auto"), right, meaning, read).flatten()
    }

    /// The first and the last of a range of ports.
    pub(super) fn ports(
        &mut self,
        name: &'static str,
        default: (u16, u16),
        meaning: &'static str,
    ) -> (u16, u16) {
        let read = |value: &DeValue<'_>| {
            let (first, last) = string(value)?.split_once('-').ok_or("no range of ports")?;
            match (first.trim().parse(), last.trim().parse()) {
                (Ok(first), Ok(last)) if first >= 1024 && first < last => Ok((first, last)),
                (Ok(_), Ok(_)) => Err("the first port is at least 1024 and below the last".into()),
                _ => Err("no range of ports".to_owned()),
            }
        };
        let right = "two ports, for example \"16384-32767\"".to_owned();
        let shown = quoted(&format!("{}-{}", default.0, default.1));
        self.key(name, shown, right, meaning, read).unwrap_or(default)
    }

    /// Numbers of CPU cores, or `"auto"`.
    pub(super) fn cores_or_auto(
        &mut self,
        name: &'static str,
        meaning: &'static str,
    ) -> Option<Vec<usize>> {
        let read = |value: &DeValue<'_>| {
            if value.as_str() == Some("auto") {
                return Ok(None);
            }
            let mut cores = Vec::new();
            for item in list(value)? {
                let core = usize::try_from(integer(item)?).ok().filter(|core| *core < 1024);
                let core = core.ok_or("no number of a core")?;
                if cores.contains(&core) {
                    return Err(format!("core {core} is named twice"));
                }
                cores.push(core);
            }
            if cores.is_empty() { Err("empty".to_owned()) } else { Ok(Some(cores)) }
        };
        let right = "\"auto\", or a list of cores, for example [2, 3]".to_owned();
        self.key(name, quoted("auto"), right, meaning, read).flatten()
    }

    /// A folder or a file.
    pub(super) fn path(
        &mut self,
        name: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> PathBuf {
        let read = |value: &DeValue<'_>| match string(value)? {
            "" => Err("empty".to_owned()),
            text => Ok(PathBuf::from(text)),
        };
        let right = "a path".to_owned();
        self.key(name, quoted(default), right, meaning, read).unwrap_or_else(|| default.into())
    }

    /// Which events are logged.
    pub(super) fn log_filter(
        &mut self,
        name: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> String {
        let read = |value: &DeValue<'_>| {
            let text = string(value)?;
            log::filter(text).map(|_| text.to_owned())
        };
        let right = log::RIGHT.to_owned();
        self.key(name, quoted(default), right, meaning, read).unwrap_or_else(|| default.into())
    }
}

pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("this is {}", a(value)))
}

fn list<'v>(value: &'v DeValue<'_>) -> Result<impl Iterator<Item = &'v DeValue<'v>>, String> {
    let array = value.as_array().ok_or_else(|| format!("this is {}", a(value)))?;
    Ok(array.iter().map(Spanned::get_ref))
}

fn within(value: &DeValue<'_>, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let number = u32::try_from(integer(value)?).ok();
    number.filter(|number| range.contains(number)).ok_or_else(|| "out of range".to_owned())
}

fn address_of_one(text: &str) -> Result<IpAddr, String> {
    of_one(text.parse().map_err(|_| "no IP address".to_owned())?)
}

fn of_one(address: IpAddr) -> Result<IpAddr, String> {
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_multicast() || is_broadcast {
        return Err("an address of many machines".to_owned());
    }
    Ok(address)
}

fn durations(range: &RangeInclusive<Duration>) -> String {
    let (from, to) = (show_duration(*range.start()), show_duration(*range.end()));
    format!("a duration from \"{from}\" to \"{to}\"")
}

fn duration_within(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let duration = parse_duration(text)
        .ok_or("no duration (a whole number and one of h, min, s, ms, us, ns)")?;
    if range.contains(&duration) { Ok(duration) } else { Err("out of range".to_owned()) }
}

fn sizes(range: &RangeInclusive<u64>) -> String {
    let (from, to) = (show_size(*range.start()), show_size(*range.end()));
    format!("a size from \"{from}\" to \"{to}\"")
}

fn size_within(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let size = parse_size(text).ok_or("no size (a whole number and one of B, KiB, MiB, GiB)")?;
    if range.contains(&size) { Ok(size) } else { Err("out of range".to_owned()) }
}

pub(super) fn integer(value: &DeValue<'_>) -> Result<i64, String> {
    let integer = value.as_integer().ok_or_else(|| format!("this is {}", a(value)))?;
    i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| "out of range".to_owned())
}

fn pick<T: Copy>(word: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(choice, _)| *choice == word);
    found.map(|(_, choice)| *choice).ok_or_else(|| format!("\"{word}\" is not known"))
}

fn one_of<T>(choices: &[(&str, T)]) -> String {
    let words: Vec<String> = choices.iter().map(|(word, _)| quoted(word)).collect();
    if words.len() == 1 { words.concat() } else { format!("one of {}", words.join(", ")) }
}

/// The type of a value with its article.
pub(super) fn a(value: &DeValue<'_>) -> String {
    match value.type_str() {
        word @ ("array" | "integer") => format!("an {word}"),
        word => format!("a {word}"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
