//! How a room is to sound: policy as data, given when the room is opened.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Who of those who speak is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selection {
    /// Everyone.
    Everyone,
    /// The loudest so many; who was admitted stays for a while (hysteresis).
    Loudest(u8),
}

/// An amplification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Gain {
    /// In tenths of a decibel, -600 (a thousandth) to +300.
    pub tenths_db: i16,
}

impl Gain {
    /// Unchanged.
    pub const UNITY: Self = Self { tenths_db: 0 };

    /// The least and the greatest.
    pub const RANGE: RangeInclusive<i16> = -600..=300;

    /// So many tenths of a decibel, if that is in range.
    pub fn of(tenths_db: i16) -> Option<Self> {
        Self::RANGE.contains(&tenths_db).then_some(Self { tenths_db })
    }
}

/// How a room sounds. Everything is off or on here; the defaults sound right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // independent switches of the configuration
pub struct RoomSound {
    /// Who is heard.
    pub selection: Selection,
    /// Sources are brought to this level of speech, in dB below full scale (dBov, so 20 means
    /// -20 dBov), slowly and only while they speak. None: they stay as they are.
    pub automatic_gain_dbov: Option<u8>,
    /// Sources softer than this many dB below full scale are silence. None: no gate.
    pub noise_gate_dbov: Option<u8>,
    /// Steady noise in what sources say is turned down by up to 20 dB.
    pub noise_suppression: bool,
    /// Sums beyond full scale are turned down ahead of time instead of clipped.
    pub limiter: bool,
    /// A room in which nobody speaks is not dead silent.
    pub comfort_noise: bool,
    /// Digits that come as tones in the sound are detected, and kept out of the mix.
    pub in_band_digits: bool,
}

impl RoomSound {
    /// What applies where nothing was said: everyone as they are, without clipping.
    pub const DEFAULT: Self = Self {
        selection: Selection::Everyone,
        automatic_gain_dbov: None,
        noise_gate_dbov: None,
        noise_suppression: false,
        limiter: true,
        comfort_noise: false,
        in_band_digits: false,
    };

    /// Whether sources are heard otherwise than they are, or not at all.
    pub fn conditions_sources(&self) -> bool {
        self.selection != Selection::Everyone
            || self.automatic_gain_dbov.is_some()
            || self.noise_gate_dbov.is_some()
            || self.noise_suppression
    }
}

impl Default for RoomSound {
    fn default() -> Self {
        Self::DEFAULT
    }
}
