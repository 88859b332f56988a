//! What offer and answer agreed on, as the API tells it.

use engine_control::{RemoteMedia, RtcpTransport};
use media_units::{Direction, Encoding, EncodingParameters};
use serde::Serialize;
use utoipa::ToSchema;

/// What offer and answer agreed on for a call. *Sent* and *received* are seen from the server.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one description")]
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Agreed {
    /// Payload format of both directions.
    #[schema(example = "opus")]
    codec: String,
    /// Units of its RTP timestamps in a second.
    #[schema(example = 48_000)]
    clock_rate: u32,
    /// Payload type of what is received.
    #[schema(example = 96)]
    payload_type_received: u8,
    /// Payload type of what is sent.
    #[schema(example = 96)]
    payload_type_sent: u8,
    /// Sound in each packet sent.
    #[schema(example = 20)]
    packet_time_ms: u8,
    /// Which way sound flows: `sendrecv`, `sendonly`, `recvonly` or `inactive`.
    #[schema(example = "sendrecv")]
    direction: &'static str,
    /// Digits as events (RFC 4733); absent where they were not agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    telephone_event: Option<AgreedEvents>,
    /// Payload type of comfort noise (RFC 3389); absent where it was not agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    comfort_noise: Option<u8>,
    /// Whether less is sent in silence.
    discontinuous: bool,
    /// How Opus is sent; absent for other formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    opus: Option<AgreedOpus>,
    /// Sound in each frame of iLBC; absent for other formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    ilbc_mode_ms: Option<u8>,
    /// Whether it tells how loud it is in each packet (RFC 6464).
    audio_levels: bool,
    /// Whether it is told who is heard, and how loud (RFC 6465).
    mixer_levels: bool,
    /// Whether `VoIP` metrics go both ways (RFC 3611).
    voip_metrics: bool,
    /// Whether RTCP shares the port of RTP (RFC 5761).
    rtcp_mux: bool,
}

/// Digits as events (RFC 4733).
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AgreedEvents {
    /// Payload type of those received.
    #[schema(example = 101)]
    payload_type_received: u8,
    /// Payload type of those sent.
    #[schema(example = 101)]
    payload_type_sent: u8,
    /// Units of their durations in a second.
    #[schema(example = 48_000)]
    clock_rate: u32,
}

/// How Opus is sent (RFC 7587).
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AgreedOpus {
    /// Bits in a second, at most.
    #[schema(example = 32_000)]
    bit_rate: u32,
    /// The sound up to half of this rate is sent.
    #[schema(example = 48_000)]
    playback_rate: u32,
    /// Whether packets repeat the one before in brief, once it reports loss.
    in_band_fec: bool,
    /// Whether every packet has the same size.
    constant_bit_rate: bool,
    /// Whether two audio channels are sent.
    stereo: bool,
}

impl Agreed {
    pub(crate) fn of(media: &RemoteMedia) -> Self {
        let parameters = &media.parameters;
        Self {
            codec: media.encoding.to_string(),
            clock_rate: media.encoding.clock_rate(),
            payload_type_received: media.receive_payload_type,
            payload_type_sent: media.send_payload_type,
            packet_time_ms: parameters.packet_time_ms,
            direction: match media.direction {
                Direction::SendReceive => "sendrecv",
                Direction::SendOnly => "sendonly",
                Direction::ReceiveOnly => "recvonly",
                Direction::Inactive => "inactive",
            },
            telephone_event: media.telephone_event.map(|event| AgreedEvents {
                payload_type_received: event.receive,
                payload_type_sent: event.send,
                clock_rate: event.clock_rate,
            }),
            comfort_noise: media.comfort_noise,
            discontinuous: parameters.discontinuous,
            opus: (media.encoding == Encoding::Opus).then(|| AgreedOpus::of(parameters)),
            ilbc_mode_ms: (media.encoding == Encoding::Ilbc).then_some(parameters.ilbc_mode_ms),
            audio_levels: media.audio_level.is_some(),
            mixer_levels: media.mixer_levels.is_some(),
            voip_metrics: media.voip_metrics,
            rtcp_mux: media.rtcp == RtcpTransport::Mux,
        }
    }
}

impl AgreedOpus {
    fn of(parameters: &EncodingParameters) -> Self {
        Self {
            bit_rate: parameters.bit_rate,
            playback_rate: parameters.playback_rate,
            in_band_fec: parameters.in_band_fec,
            constant_bit_rate: parameters.constant_bit_rate,
            stereo: parameters.stereo,
        }
    }
}

#[cfg(test)]
mod tests {
    use engine_control::TelephoneEvent;
    use media_units::Law;
    use serde_json::json;

    use super::*;

    #[test]
    fn opus_is_told_with_its_parameters_and_both_payload_types() {
        let rtp = "192.0.2.1:4000".parse().unwrap();
        let media = RemoteMedia {
            encoding: Encoding::Opus,
            receive_payload_type: 96,
            send_payload_type: 111,
            telephone_event: Some(TelephoneEvent { receive: 104, send: 110, clock_rate: 48_000 }),
            direction: Direction::ReceiveOnly,
            parameters: EncodingParameters { bit_rate: 24_000, ..EncodingParameters::DEFAULT },
            ..RemoteMedia::g711(Law::Mu, rtp, RtcpTransport::Mux)
        };
        let told = serde_json::to_value(Agreed::of(&media)).unwrap();
        let events = json!({
            "payload_type_received": 104, "payload_type_sent": 110, "clock_rate": 48_000,
        });
        let opus = json!({
            "bit_rate": 24_000, "playback_rate": 48_000, "in_band_fec": true,
            "constant_bit_rate": false, "stereo": false,
        });
        assert_eq!(
            told,
            json!({
                "codec": "opus", "clock_rate": 48_000, "payload_type_received": 96,
                "payload_type_sent": 111, "packet_time_ms": 20, "direction": "recvonly",
                "telephone_event": events, "discontinuous": false, "opus": opus,
                "audio_levels": false, "mixer_levels": false, "voip_metrics": false,
                "rtcp_mux": true,
            })
        );
    }
}
