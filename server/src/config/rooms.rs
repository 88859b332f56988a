//! `[rooms]` and `[[room]]`

use media_units::{RoomSound, Selection};
use signaling::{PlanError, RoomRule};
use toml::de::DeValue;

use super::reader::Section;
use super::recording::Occasion;
use super::values::{integer, string};

/// Most of the loudest that a room may let through.
const LOUDEST_MAX: i64 = 64;

/// What `[[room]]` means, for the documentation.
pub(super) const ROOM: &str = "\
Rooms that sound otherwise, by name. There may be several of these tables; the first that matches decides. A key that is left
out is as in `[rooms]`.";

/// Rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rooms {
    /// Rooms at one time.
    pub max: u32,
    /// Members of one room.
    pub members_max: u32,
    /// When a room is recorded.
    pub record: Occasion,
    /// How a room sounds.
    pub sound: RoomSound,
    /// Whether rooms may be spread over shards, and above which share of a shard's time they are.
    pub spread_above: Option<u32>,
    /// Rooms that may be spread, at one time.
    pub spread_max: u32,
}

impl Rooms {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            max: section.count(
                "max",
                1024,
                1..=65536,
                "Rooms at one time; one more is answered 503.",
            ),
            members_max: section.count(
                "members_max",
                1024,
                1..=16384,
                "Members of one room; one more is answered 486.",
            ),
            record: section.occasion(Occasion::OnDemand),
            sound: sound(section, RoomSound::DEFAULT),
            spread_above: spread_above(section, None),
            spread_max: section.count(
                "spread_max",
                4,
                1..=64,
                "Rooms with `spread_above` at one time; one more lives on one shard. Each reserves \
                 memory for `members_max` members on each shard.",
            ),
        }
    }
}

/// One `[[room]]`: how it sounds, and when it is recorded; none where it is for no room.
pub(super) fn room(section: &mut Section<'_, '_>, usual: &Rooms) -> Option<(RoomRule, Occasion)> {
    let name = section.parsed(
        "name",
        "one name, a prefix with a star, or a range of numbers, as in [dial]",
        "The rooms that it is for; has to be there.",
        |text| text.parse().map_err(|error: PlanError| error.to_string()),
    );
    let record = section.occasion(usual.record);
    let sound = sound(section, usual.sound);
    let spread_above = spread_above(section, usual.spread_above);
    if name.is_none() {
        section.refuse("for no room; write name");
    }
    name.map(|name| (RoomRule { name, sound, spread_above }, record))
}

fn sound(section: &mut Section<'_, '_>, usual: RoomSound) -> RoomSound {
    RoomSound {
        selection: selection(section, usual.selection),
        automatic_gain_dbov: section.level_or_off(
            "automatic_gain",
            usual.automatic_gain_dbov,
            10..=40,
            "The level that everyone's speech is slowly brought to.",
        ),
        noise_gate_dbov: section.level_or_off(
            "noise_gate",
            usual.noise_gate_dbov,
            20..=90,
            "Who is softer than this is not heard.",
        ),
        noise_suppression: section.flag(
            "noise_suppression",
            usual.noise_suppression,
            "Whether steady noise in what people say is turned down; they are heard 10 ms later.",
        ),
        limiter: section.flag(
            "limiter",
            usual.limiter,
            "Whether many at once are turned down a little ahead of time instead of clipped.",
        ),
        comfort_noise: section.flag(
            "comfort_noise",
            usual.comfort_noise,
            "Whether there is a faint noise while nobody speaks, so that the line is not taken \
             for dead.",
        ),
        in_band_digits: section.flag(
            "in_band_digits",
            usual.in_band_digits,
            "Whether digits that come as tones in the sound are reported, and kept out of the mix.",
        ),
    }
}

/// Most percent of a shard's time.
const SHARE_MAX: i64 = 100;

fn spread_above(section: &mut Section<'_, '_>, usual: Option<u32>) -> Option<u32> {
    let read = |value: &DeValue<'_>| {
        if value.as_str() == Some("off") {
            return Ok(None);
        }
        if value.as_str().is_some() {
            return Err(format!("\"{}\" is not known", string(value)?));
        }
        match integer(value)? {
            share @ 0..=SHARE_MAX => Ok(Some(share as u32)),
            _ => Err("out of range".to_owned()),
        }
    };
    let shown = usual.map_or("\"off\"".to_owned(), |share| share.to_string());
    let right = format!("\"off\", or percent from 0 to {SHARE_MAX}");
    let meaning = "Whether a room may be larger than one shard can carry: once the first of its shards \
         needs more than this of its time (its pressure, as in `[overload]`), the next members go to \
         the one with the most slack; with 0 all are dealt out evenly. Everyone in such a room is heard 15 ms later.";
    section.key("spread_above", shown, right, meaning, read).unwrap_or(usual)
}

fn selection(section: &mut Section<'_, '_>, usual: Selection) -> Selection {
    let read = |value: &DeValue<'_>| {
        if value.as_str() == Some("everyone") {
            return Ok(Selection::Everyone);
        }
        if value.as_str().is_some() {
            return Err(format!("\"{}\" is not known", string(value)?));
        }
        match integer(value)? {
            loudest @ 1..=LOUDEST_MAX => Ok(Selection::Loudest(loudest as u8)),
            _ => Err("out of range".to_owned()),
        }
    };
    let shown = match usual {
        Selection::Everyone => "\"everyone\"".to_owned(),
        Selection::Loudest(count) => count.to_string(),
    };
    let right = format!("\"everyone\", or a whole number from 1 to {LOUDEST_MAX}");
    let meaning = "Who of those who speak is heard: everyone, or so many of the loudest.";
    section.key("selection", shown, right, meaning, read).unwrap_or(usual)
}
