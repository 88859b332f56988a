//! What a session needs where it does not speak plain G.711: built outside the shard, donated with
//! the command that opens or changes the session, and sent home to be dropped outside.

use engine_control::{Command, RemoteMedia};
use media::codec::Decoder;
use media_units::EncodingParameters;

use crate::sender::Sender;

/// Codec states and buffers of one session.
#[derive(Debug)]
pub struct Equipment {
    pub(crate) decoder: Decoder,
    pub(crate) sender: Sender,
}

impl Equipment {
    /// What must be donated beside a command, if anything.
    pub fn beside(command: &Command) -> Option<Box<Self>> {
        match command {
            Command::OpenSession { open, .. } => Self::for_media(&open.media),
            Command::UpdateSession { media, .. } => Self::for_media(media),
            _ => None,
        }
    }

    /// What a session with this media needs. `None` for plain G.711 in packets of 20 ms, which
    /// needs nothing but its slot. Allocates.
    fn for_media(media: &RemoteMedia) -> Option<Box<Self>> {
        let is_plain = media.encoding.law().is_some() && is_plain(&media.parameters);
        (!is_plain).then(|| {
            Box::new(Self {
                decoder: Decoder::new(media.encoding),
                sender: Sender::new(media.encoding, media.parameters),
            })
        })
    }
}

fn is_plain(parameters: &EncodingParameters) -> bool {
    parameters.packet_time_ms == 20 && !parameters.discontinuous
}
