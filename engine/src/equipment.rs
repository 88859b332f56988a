//! What a session needs where it does not speak plain G.711: built outside the shard, donated with
//! the command that opens or changes the session, and sent home to be dropped outside.

use engine_control::{Limits, RemoteMedia};
use media::codec::Decoder;
use media::playout::{Memory, PlayoutLimits};
use media::resample::History;
use media_units::EncodingParameters;

use crate::bench::Bench;
use crate::sender::Sender;

/// Codec states and buffers of one session.
#[derive(Debug)]
pub struct Equipment {
    pub(crate) decoder: Decoder,
    pub(crate) sender: Sender,
    /// On its way to the session's playout, and back.
    pub(crate) memory: Option<Box<Memory>>,
    /// What it played at a rate that is no rate class.
    pub(crate) played: History,
}

impl Equipment {
    /// What a session with this media needs. `None` for plain G.711 in packets of 20 ms, which
    /// needs nothing but its slot. Allocates.
    pub(crate) fn for_media(media: &RemoteMedia, limits: &Limits) -> Option<Box<Self>> {
        let is_plain = media.encoding.law().is_some() && is_plain(&media.parameters);
        (!is_plain).then(|| {
            Box::new(Self {
                decoder: Decoder::new(media.encoding),
                sender: Sender::new(
                    media.encoding,
                    media.parameters,
                    media.comfort_noise.is_some(),
                ),
                memory: Memory::new(media.encoding, &playout_limits(limits)),
                played: History::SILENT,
            })
        })
    }

    /// What comes next does not follow what was decoded last: predictors begin anew, which is softer
    /// than the truth and never louder.
    pub(crate) fn forget_received(&mut self) {
        self.decoder.reset();
        self.played = History::SILENT;
    }

    /// Brings what was played at a rate that is no rate class to the rate of `block`.
    pub(crate) fn bring_to_class(&mut self, bench: &mut Bench, from: u32, block: &mut [i16]) {
        let played = &bench.samples[..from as usize / 50];
        bench.resampler.resample(&self.played, from, played, block.len() as u32 * 50, block);
        self.played.keep(played);
    }
}

fn is_plain(parameters: &EncodingParameters) -> bool {
    parameters.packet_time_ms == 20 && !parameters.discontinuous
}

/// The bounds of playout among the limits of a shard.
pub(crate) fn playout_limits(limits: &Limits) -> PlayoutLimits {
    PlayoutLimits {
        delay_min: limits.playout_delay_min,
        delay_initial: limits.playout_delay_initial,
        delay_max: limits.playout_delay_max,
    }
}
