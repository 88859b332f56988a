//! The two laws of ITU-T G.711.

use std::fmt;

use crate::Encoding;

/// Which law compresses a sample to an octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// Mu-law (North America, Japan).
    Mu,
    /// A-law (everywhere else).
    A,
}

impl Law {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mu, Self::A];

    /// The payload format that carries it.
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::Mu => Encoding::Pcmu,
            Self::A => Encoding::Pcma,
        }
    }

    /// The name in SDP (`a=rtpmap`).
    pub const fn name(self) -> &'static str {
        self.encoding().name()
    }

    /// The static payload type of RFC 3551.
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Self::Mu => 0,
            Self::A => 8,
        }
    }
}

impl From<Law> for Encoding {
    fn from(law: Law) -> Self {
        law.encoding()
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
