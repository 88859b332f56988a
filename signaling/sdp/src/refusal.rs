//! Why a description was not accepted, and how SIP says so.

use std::net::IpAddr;

use media_units::Encoding;

/// A bound on the size of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Bytes of the whole body.
    Bytes,
    /// Media streams.
    Streams,
    /// Attributes.
    Attributes,
}

/// Why an offer or an answer was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdpRefusal {
    /// Not a session description by RFC 8866, at this line.
    NotSdp {
        /// Line number, from 1.
        line: usize,
    },
    /// Larger than we are willing to read.
    TooLarge(Bound),
    /// No audio stream, or none that is not refused already (port 0).
    NoAudio,
    /// Audio, but over a transport that we do not speak (secure RTP, for one).
    Transport {
        /// What was asked for.
        offered: String,
    },
    /// No payload format in common.
    NoCommonCodec {
        /// What we know.
        known: Vec<Encoding>,
        /// Names that were asked for, bounded in number and length.
        offered: Vec<String>,
    },
    /// No connection address for the audio stream.
    NoAddress,
    /// A network other than the Internet (`IN`).
    Network,
    /// The connection address is a name: this server looks up no media address.
    NotAnAddress {
        /// What was given.
        given: String,
    },
    /// The connection address is a multicast group.
    Multicast,
    /// Media does not go to addresses of this family.
    Family {
        /// What was given.
        given: IpAddr,
    },
}

impl SdpRefusal {
    /// The SIP status that refuses an offer for this reason.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotSdp { .. } | Self::NoAddress => 400,
            Self::TooLarge(_) => 413,
            Self::NoAudio
            | Self::Transport { .. }
            | Self::NoCommonCodec { .. }
            | Self::Network
            | Self::NotAnAddress { .. }
            | Self::Multicast
            | Self::Family { .. } => 488,
        }
    }

    /// The code of the SIP `Warning` header (RFC 3261 section 20.43).
    pub const fn warning_code(&self) -> u16 {
        match self {
            Self::Network => 300,
            Self::NotAnAddress { .. } | Self::Family { .. } => 301,
            Self::Transport { .. } => 302,
            Self::NoAudio => 304,
            Self::NoCommonCodec { .. } => 305,
            Self::Multicast => 330,
            Self::NotSdp { .. } | Self::TooLarge(_) | Self::NoAddress => 399,
        }
    }

    /// The text of the `Warning` header: safe inside a quoted string, whatever the peer sent.
    pub fn warning_text(&self) -> String {
        match self {
            Self::NotSdp { line } => format!("Session description not understood at line {line}"),
            Self::TooLarge(Bound::Bytes) => "Session description too long".into(),
            Self::TooLarge(Bound::Streams) => "Too many media streams".into(),
            Self::TooLarge(Bound::Attributes) => "Too many attributes".into(),
            Self::NoAudio => "No audio stream offered".into(),
            Self::Transport { offered } => {
                format!("RTP/AVP expected, {} offered", plain(offered))
            }
            Self::NoCommonCodec { known, offered } => {
                let known: Vec<_> = known.iter().map(ToString::to_string).collect();
                let offered: Vec<_> = offered.iter().map(|name| plain(name)).collect();
                format!("{} expected, {} offered", known.join(" or "), offered.join(" "))
            }
            Self::NoAddress => "No connection address for the audio stream".into(),
            Self::Network => "Only network type IN is known".into(),
            Self::NotAnAddress { given } => {
                format!("IP address expected, name {} given", plain(given))
            }
            Self::Multicast => "Multicast is not available".into(),
            Self::Family { given } => {
                let expected = if given.to_canonical().is_ipv4() { "IPv6" } else { "IPv4" };
                format!("{expected} address expected, {given} given")
            }
        }
    }
}

/// Longest part of a peer's text that is repeated to it.
const QUOTED_CHARS_MAX: usize = 32;

/// `text` without anything that could end a quoted string or a header line.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_./:+ ".contains(*c))
        .take(QUOTED_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_cannot_carry_the_peers_quotes_or_line_ends() {
        let refusal = SdpRefusal::NotAnAddress { given: "a\"\r\nVia: x\\".into() };
        assert_eq!(refusal.warning_text(), "IP address expected, name aVia: x given");
        let long = SdpRefusal::Transport { offered: "A".repeat(5000) };
        assert!(long.warning_text().len() < 80);
    }

    #[test]
    fn the_warning_names_the_codecs_that_were_offered() {
        let refusal = SdpRefusal::NoCommonCodec {
            known: vec![Encoding::Pcmu, Encoding::Pcma],
            offered: vec!["opus".into(), "G722".into()],
        };
        assert_eq!((refusal.status(), refusal.warning_code()), (488, 305));
        assert_eq!(refusal.warning_text(), "PCMU or PCMA expected, opus G722 offered");
    }
}
