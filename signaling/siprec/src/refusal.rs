//! Why a body was not accepted, and how SIP says so.

/// Why a body or one of its parts was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The boundary is missing, or none that RFC 2046 allows.
    Boundary,
    /// No part begins anywhere.
    NoPart,
    /// More parts than we look at.
    TooManyParts,
    /// A part whose headers do not end, or have no name.
    PartHeaders,
    /// A part that has to be understood, in a format that we do not have.
    PartType,
    /// A part in a transfer encoding other than what SIP uses: as it is.
    PartEncoding,
    /// The metadata is larger than we read.
    TooLarge,
    /// More elements of one kind than we keep, or nested deeper than we go.
    TooMany,
    /// Not well-formed XML, or not in UTF-8.
    NotXml,
    /// A document type: it could define entities.
    DocumentType,
    /// An entity other than the five of XML.
    Entity,
    /// XML, but its root is no recording.
    NotRecording,
}

impl Refusal {
    /// The SIP status that says it.
    pub const fn status(self) -> u16 {
        match self {
            Self::PartType | Self::PartEncoding => 415,
            Self::TooManyParts | Self::TooLarge | Self::TooMany => 413,
            _ => 400,
        }
    }

    /// What it is, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Boundary => "Boundary of the multipart body missing or malformed",
            Self::NoPart => "No part in the multipart body",
            Self::TooManyParts => "Too many parts in the multipart body",
            Self::PartHeaders => "Headers of a body part not understood",
            Self::PartType => "Body part in an unknown format",
            Self::PartEncoding => "Transfer encoding of a body part unknown",
            Self::TooLarge => "Recording metadata too long",
            Self::TooMany => "Too many elements in the recording metadata",
            Self::NotXml => "Recording metadata is not well-formed XML",
            Self::DocumentType => "Document type in the recording metadata",
            Self::Entity => "Unknown entity in the recording metadata",
            Self::NotRecording => "Root of the recording metadata is no recording",
        }
    }
}
