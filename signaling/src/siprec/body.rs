//! What a message of a recording session carries: a session description, metadata, or both.

use bytes::Bytes;
use signaling_siprec::multipart::{self, Handling};
use signaling_siprec::{Metadata, Refusal as BodyRefusal, read};
use sipx_sip::Headers;

use crate::body::{check_encoding, content_type};
use crate::refusal::Refusal;
use crate::reply::SDP;

/// The body formats of recording sessions.
pub(crate) const FORMATS: &str = "application/sdp, application/rs-metadata+xml, multipart/mixed";

/// The type of metadata; the second is that of drafts before the RFC.
const METADATA: [&str; 2] = ["application/rs-metadata+xml", "application/rs-metadata"];

/// The type by which a recorder asks for it.
const METADATA_REQUEST: &str = "application/rs-metadata-request";

/// The bodies of one message.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    pub description: Option<Bytes>,
    pub metadata: Option<Metadata>,
    /// Whether a recorder asks for all metadata (RFC 7866 section 8.2).
    pub wants_metadata: bool,
}

impl Bodies {
    /// Takes the body of a message apart. What is in a format that we do not have is refused,
    /// unless its sender lets it be ignored (RFC 5621 section 5.2).
    pub(crate) fn read(headers: &Headers, body: &Bytes) -> Result<Self, Refusal> {
        let mut bodies = Self::default();
        if body.is_empty() {
            return Ok(bodies);
        }
        check_encoding(headers)?;
        let content = content_type(headers)?;
        if content.media_type == b"multipart" {
            let boundary = content.param("boundary").unwrap_or_default();
            for part in multipart::parts(body, boundary).map_err(Refusal::Body)? {
                bodies.take(part)?;
            }
        } else {
            let name = [&content.media_type[..], b"/", &content.subtype].concat();
            bodies.take(multipart::Part {
                content_type: String::from_utf8_lossy(&name).into_owned(),
                disposition: None,
                handling: None,
                is_encoded: false,
                content: body.clone(),
            })?;
        }
        Ok(bodies)
    }

    fn take(&mut self, part: multipart::Part) -> Result<(), Refusal> {
        if part.content_type == METADATA_REQUEST {
            self.wants_metadata = true;
            return Ok(());
        }
        let is_metadata = METADATA.contains(&part.content_type.as_str());
        if part.is_encoded || !(is_metadata || part.content_type == SDP) {
            let reason =
                if part.is_encoded { BodyRefusal::PartEncoding } else { BodyRefusal::PartType };
            let is_optional = part.handling == Some(Handling::Optional);
            return if is_optional { Ok(()) } else { Err(Refusal::Body(reason)) };
        }
        // The first of each kind counts.
        if is_metadata {
            let metadata = read(&part.content).map_err(Refusal::Body)?;
            self.metadata.get_or_insert(metadata);
        } else {
            self.description.get_or_insert(part.content);
        }
        Ok(())
    }
}
