//! Payload formats and what is agreed on about them.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{Law, RateClass};

/// A payload format that we can encode and decode: a name and clock rate of SDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Encoding {
    /// Opus (RFC 6716, RFC 7587).
    Opus,
    /// ITU-T G.722 at 64 kbit/s. Its clock rate is 8000 by an old mistake, its samples are at
    /// 16 kHz (RFC 3551 section 4.5.2).
    G722,
    /// G.711 mu-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// ITU-T G.726 at 32 kbit/s, codewords packed as in RFC 3551 section 4.5.4.
    G726,
    /// GSM full rate (GSM 06.10; RFC 3551 section 4.5.8).
    Gsm,
    /// iLBC (RFC 3951, RFC 3952).
    Ilbc,
    /// Linear 16 bits, network byte order, one audio channel (RFC 3551 section 4.5.11).
    L16At8000,
    /// As above, at 16 kHz.
    L16At16000,
    /// As above, at 44.1 kHz.
    L16At44100,
    /// As above, at 48 kHz.
    L16At48000,
    /// ITU-T G.729 (RFC 3551 section 4.5.6). Last, so that the numbers of the others are the same
    /// in every build.
    #[cfg(feature = "g729")]
    G729,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 11 + cfg!(feature = "g729") as usize] = [
        Self::Opus,
        Self::G722,
        Self::Pcmu,
        Self::Pcma,
        Self::G726,
        Self::Gsm,
        Self::Ilbc,
        Self::L16At8000,
        Self::L16At16000,
        Self::L16At44100,
        Self::L16At48000,
        #[cfg(feature = "g729")]
        Self::G729,
    ];

    /// G.729, where it is built in: with the feature `g729`.
    pub const G729_IF_BUILT_IN: Option<Self> = {
        #[cfg(feature = "g729")]
        {
            Some(Self::G729)
        }
        #[cfg(not(feature = "g729"))]
        {
            None
        }
    };

    /// Whether it is G.729.
    pub fn is_g729(self) -> bool {
        Self::G729_IF_BUILT_IN == Some(self)
    }

    /// The name in SDP (`a=rtpmap`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G726 => "G726-32",
            Self::Gsm => "GSM",
            Self::Ilbc => "iLBC",
            Self::L16At8000 | Self::L16At16000 | Self::L16At44100 | Self::L16At48000 => "L16",
            #[cfg(feature = "g729")]
            Self::G729 => "G729",
        }
    }

    /// Units of the RTP timestamp in a second.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::L16At16000 => 16_000,
            Self::L16At44100 => 44_100,
            Self::L16At48000 | Self::Opus => 48_000,
            _ => 8000,
        }
    }

    /// Samples in a second of what is decoded and encoded.
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::G722 => 16_000,
            other => other.clock_rate(),
        }
    }

    /// The rate class in which its sound is mixed.
    pub const fn class(self) -> RateClass {
        match self.sample_rate() {
            8000 => RateClass::Narrow,
            16_000 => RateClass::Wide,
            _ => RateClass::Full,
        }
    }

    /// The static payload type of RFC 3551, where it has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Gsm => Some(3),
            Self::Pcma => Some(8),
            Self::G722 => Some(9),
            Self::L16At44100 => Some(11),
            #[cfg(feature = "g729")]
            Self::G729 => Some(18),
            _ => None,
        }
    }

    /// The law, where it is G.711.
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            _ => None,
        }
    }
}

impl fmt::Display for Encoding {
    /// As the configuration writes it: the rate is named where the name alone is not enough.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::L16At8000 | Self::L16At16000 | Self::L16At44100 | Self::L16At48000 => {
                write!(f, "L16/{}", self.clock_rate())
            }
            _ => f.write_str(self.name()),
        }
    }
}

/// How we are to encode for an endpoint: what it asked for, within what the configuration
/// allows. Listeners of the same mix share an encoder only where these are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // independent wishes, each a parameter of SDP
pub struct EncodingParameters {
    /// Milliseconds of sound in each packet we send: 10, 20, 30, 40 or 60.
    pub packet_time_ms: u8,
    /// Opus: bits in a second (`maxaveragebitrate`).
    pub bit_rate: u32,
    /// Opus: the highest rate worth sending (`maxplaybackrate`), 8000 to 48000.
    pub playback_rate: u32,
    /// Opus: 0 to 10, more is better and dearer.
    pub complexity: u8,
    /// Opus: in-band forward error correction, used once the endpoint reports loss.
    pub in_band_fec: bool,
    /// Opus: every packet of the same size (`cbr`).
    pub constant_bit_rate: bool,
    /// Opus: the endpoint prefers two audio channels (`stereo`).
    pub stereo: bool,
    /// Send nothing, or comfort noise, in silence (`usedtx`; RFC 3389 where `comfort_noise` was
    /// negotiated).
    pub discontinuous: bool,
    /// iLBC: milliseconds of sound in each frame, 20 or 30 (`mode`).
    pub ilbc_mode_ms: u8,
}

impl EncodingParameters {
    /// What applies where nothing was said.
    pub const DEFAULT: Self = Self {
        packet_time_ms: 20,
        bit_rate: 32_000,
        playback_rate: 48_000,
        complexity: 5,
        in_band_fec: true,
        constant_bit_rate: false,
        stereo: false,
        discontinuous: false,
        ilbc_mode_ms: 30,
    };
}

impl Default for EncodingParameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}
