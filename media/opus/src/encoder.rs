//! The encoder.

use std::ffi::c_int;

use opusic_sys as sys;

use crate::memory::Memory;
use crate::{Failure, SAMPLE_RATE, count};

/// How much of the spectrum is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// Up to 4 kHz.
    Narrow,
    /// Up to 6 kHz.
    Medium,
    /// Up to 8 kHz.
    Wide,
    /// Up to 12 kHz.
    SuperWide,
    /// Up to 20 kHz.
    Full,
}

/// What does not change in the life of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bits in a second.
    pub bit_rate: u32,
    /// The most that is coded.
    pub bandwidth: Bandwidth,
    /// 0 to 10.
    pub complexity: u8,
    /// Whether each packet may hold a copy of the one before, once loss was told.
    pub redundancy: bool,
    /// Whether packets are as large as they need to be.
    pub variable_bit_rate: bool,
    /// Whether silence need not be sent.
    pub discontinuous: bool,
}

/// One encoder of one audio channel.
#[derive(Debug)]
pub struct Encoder(Memory);

impl Encoder {
    /// An encoder for talk, of sound at 48 kHz, without past. Allocates.
    pub fn new(settings: &Settings) -> Result<Self, Failure> {
        Self::with(SAMPLE_RATE, sys::OPUS_APPLICATION_VOIP, settings)
    }

    /// An encoder for what is kept, of sound at 8, 12, 16, 24 or 48 kHz, without past: low
    /// frequencies are not filtered out, which would move those of a voice in time. Allocates.
    pub fn faithful(sample_rate: u32, settings: &Settings) -> Result<Self, Failure> {
        Self::with(sample_rate, sys::OPUS_APPLICATION_AUDIO, settings)
    }

    fn with(sample_rate: u32, application: c_int, settings: &Settings) -> Result<Self, Failure> {
        // SAFETY: no pointers; any number of channels is answered.
        let size = unsafe { sys::opus_encoder_get_size(1) };
        let mut encoder = Self(Memory::of(size));
        // SAFETY: the memory is as large as libopus asked for, and this makes it a state.
        let answer = unsafe {
            sys::opus_encoder_init(encoder.0.pointer(), sample_rate as i32, 1, application)
        };
        count(answer)?;
        encoder.configure(settings)?;
        Ok(encoder)
    }

    /// Encodes 2.5, 5, 10, 20, 40 or 60 ms and says how many octets the packet takes. Two or
    /// fewer need not be sent (discontinuous transmission).
    pub fn encode(&mut self, samples: &[i16], packet: &mut [u8]) -> Result<usize, Failure> {
        // SAFETY: the memory is an initialised state; the pointers are to as many samples and octets
        // as are told.
        let answer = unsafe {
            sys::opus_encode(
                self.0.pointer(),
                samples.as_ptr(),
                c_int::try_from(samples.len()).map_err(|_| Failure)?,
                packet.as_mut_ptr(),
                i32::try_from(packet.len()).map_err(|_| Failure)?,
            )
        };
        count(answer)
    }

    /// By how many samples what it codes is late, at the rate of what it is given.
    pub fn look_ahead(&mut self) -> Result<usize, Failure> {
        let mut samples: i32 = 0;
        // SAFETY: the memory is an initialised state, and the request takes one pointer
        // to an `opus_int32`, which outlives the call.
        let answer = unsafe {
            sys::opus_encoder_ctl(
                self.0.pointer(),
                sys::OPUS_GET_LOOKAHEAD_REQUEST,
                &raw mut samples,
            )
        };
        count(answer)?;
        count(samples)
    }

    /// Which share of the packets is to be expected lost, in percent.
    pub fn expect_loss(&mut self, percent: u8) -> Result<(), Failure> {
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, percent.min(100).into())
    }

    /// How hard it tries from the next packet on, 0 to 10.
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), Failure> {
        self.set(sys::OPUS_SET_COMPLEXITY_REQUEST, complexity.min(10).into())
    }

    /// Becomes what `other` is: the next packet of either follows on the last one of `other`.
    pub fn copy_from(&mut self, other: &Self) {
        self.0.copy_from(&other.0);
    }

    fn configure(&mut self, settings: &Settings) -> Result<(), Failure> {
        let bandwidth = match settings.bandwidth {
            Bandwidth::Narrow => sys::OPUS_BANDWIDTH_NARROWBAND,
            Bandwidth::Medium => sys::OPUS_BANDWIDTH_MEDIUMBAND,
            Bandwidth::Wide => sys::OPUS_BANDWIDTH_WIDEBAND,
            Bandwidth::SuperWide => sys::OPUS_BANDWIDTH_SUPERWIDEBAND,
            Bandwidth::Full => sys::OPUS_BANDWIDTH_FULLBAND,
        };
        // 500 bit/s to 512 kbit/s (RFC 7587 section 7.1 names 6 and 510 kbit/s).
        let bit_rate = settings.bit_rate.clamp(6000, 510_000);
        self.set(sys::OPUS_SET_BITRATE_REQUEST, bit_rate as c_int)?;
        self.set(sys::OPUS_SET_MAX_BANDWIDTH_REQUEST, bandwidth)?;
        self.set_complexity(settings.complexity)?;
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, settings.redundancy.into())?;
        self.set(sys::OPUS_SET_VBR_REQUEST, settings.variable_bit_rate.into())?;
        self.set(sys::OPUS_SET_DTX_REQUEST, settings.discontinuous.into())
    }

    /// One setting. Private: the requests used here take exactly one integer.
    fn set(&mut self, request: c_int, value: c_int) -> Result<(), Failure> {
        // SAFETY: the memory is an initialised state, and the request takes one `opus_int32`.
        let answer = unsafe { sys::opus_encoder_ctl(self.0.pointer(), request, value) };
        count(answer).map(drop)
    }
}
