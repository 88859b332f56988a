//! Any session description: what `survives` says.

#[path = "../../signaling/sdp/tests/survives/mod.rs"]
mod survives;

use engine_control::MediaAddress;
use media_units::{Direction, Encoding};
use signaling_sdp::{Capabilities, Local};

/// Runs one input.
pub fn run(body: &[u8]) {
    let capabilities = Capabilities {
        encodings: Encoding::ALL.to_vec(),
        comfort_noise: true,
        audio_levels: true,
        mixer_levels: true,
        voip_metrics: true,
        ..Capabilities::default()
    };
    let local = Local {
        address: MediaAddress { address: [203, 0, 113, 1].into(), rtp_port: 16384 },
        session_id: 1,
        version: 1,
        direction: Direction::SendReceive,
    };
    survives::survives(body, &capabilities, &local);
}
