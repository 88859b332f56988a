//! The E-model (ITU-T G.107 for narrowband, G.107.1 for wideband): what loss, delay and codec are
//! worth on one scale. docs/call-quality.md has the formulas and where each number comes from.
//!
//! All that we do not measure has the default of G.107 table 2; so an ideal path gives R = 93.2.

use std::time::Duration;

use media_units::{Encoding, Rating};

/// Basic signal-to-noise ratio less what impairs the speech itself: Ro - Is with all defaults.
const BASE: f64 = 94.7688 - 1.4136;

/// The same of a wideband connection (G.107.1 section 7.1).
const BASE_WIDE: f64 = 129.0;

/// Wideband ratings are so many times those of narrowband (G.107.1 annex A).
const WIDE_SCALE: f64 = 1.29;

/// Noise of all sources with all defaults, in dBm0p (G.107 equation 7-3).
const NOISE: f64 = -61.1792;

/// Talker echo loudness rating, its default.
const TALKER_ECHO: f64 = 65.0;

/// Weighted echo path loss, its default.
const ECHO_PATH_LOSS: f64 = 110.0;

/// Receive loudness rating, its default.
const RECEIVE_LOUDNESS: f64 = 2.0;

/// Delay that nobody notices in a conversation, its default.
const UNNOTICED_DELAY_MS: f64 = 100.0;

/// Impairment of a codec that gives nothing any more: what loss adds approaches it.
const IMPAIRMENT_MAX: f64 = 95.0;

/// What a payload format does to speech (ITU-T G.113).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Equipment impairment factor (Ie) without loss.
    pub factor: f32,
    /// Packet-loss robustness factor (Bpl), with concealment.
    pub robustness: f32,
    /// Whether both are on the scale of G.107.1.
    pub is_wide: bool,
}

impl Impairment {
    /// Of a payload format at so many bits in a second (which matter for Opus only).
    pub fn of(encoding: Encoding, bit_rate: u32) -> Self {
        let (factor, robustness, is_wide) = match encoding {
            // G.113 table I.1 and I.2; linear sound is concealed as G.711 is.
            Encoding::Pcmu | Encoding::Pcma | Encoding::L16At8000 => (0.0, 25.1, false),
            // Ie of G.113 table I.1. Bpl: none is published; that of G.729A, since the state of
            // the decoder suffers, too.
            Encoding::G726 => (7.0, 19.0, false),
            // Ie of G.113 table I.1. Bpl: that of GSM enhanced full rate.
            Encoding::Gsm => (20.0, 10.0, false),
            // Not in G.113: the quality of G.729A, and frames that stand alone.
            Encoding::Ilbc => (11.0, 32.0, false),
            // G.113 tables I.1 and I.3: G.729A, of which our encoder and decoder are.
            #[cfg(feature = "g729")]
            Encoding::G729 => (11.0, 19.0, false),
            // G.113 table IV.1. Bpl as for Opus.
            Encoding::G722 => (13.0, WIDE_ROBUSTNESS, true),
            Encoding::L16At16000 | Encoding::L16At44100 | Encoding::L16At48000 => {
                (0.0, WIDE_ROBUSTNESS, true)
            }
            // Not in G.113: that of AMR-WB at the same rate.
            Encoding::Opus => (wide_factor(bit_rate), WIDE_ROBUSTNESS, true),
        };
        Self { factor, robustness, is_wide }
    }
}

/// The mean of what G.113 table IV.4 has for three modes of AMR-WB.
const WIDE_ROBUSTNESS: f32 = 4.6;

/// Ie of AMR-WB at its bit rates (G.113 table IV.1), but for the highest, which is rated worse
/// than the one before.
const WIDE_FACTORS: [(u32, f32); 8] = [
    (23_050, 1.0),
    (19_850, 3.0),
    (18_250, 5.0),
    (15_850, 7.0),
    (14_250, 10.0),
    (12_650, 13.0),
    (8_850, 26.0),
    (0, 41.0),
];

fn wide_factor(bit_rate: u32) -> f32 {
    let reached = WIDE_FACTORS.iter().find(|(rate, _)| bit_rate >= *rate);
    reached.map_or(0.0, |(_, factor)| *factor)
}

/// What a codec adds to the delay beside the packet that it fills: how far it looks ahead.
pub fn look_ahead(encoding: Encoding) -> Duration {
    Duration::from_micros(match encoding {
        Encoding::Opus => 6500,
        Encoding::G722 => 1375,
        // iLBC with frames of 30 ms; with 20 ms it is half.
        Encoding::Ilbc => 10_000,
        #[cfg(feature = "g729")]
        Encoding::G729 => 5000,
        _ => 0,
    })
}

/// What is known of one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// What the codec does to it.
    pub impairment: Impairment,
    /// Share of the packets that are missing when they are to be played, of 1.
    pub missing: f32,
    /// How many times longer than at random the runs of missing packets are, 1 or more.
    pub burst_ratio: f32,
    /// From mouth to ear, one way.
    pub delay: Duration,
}

impl Path {
    /// What it is worth.
    pub fn rating(&self) -> Rating {
        let delay_ms = self.delay.as_secs_f64() * 1000.0;
        let wide = self.impairment.is_wide;
        let (base, scale) = if wide { (BASE_WIDE, WIDE_SCALE) } else { (BASE, 1.0) };
        let heard = base - self.equipment();
        // Echo and delay of a wideband connection are rated by the equations of narrowband.
        let conversed = heard - delay_impairment(delay_ms);
        let heard = if wide { heard } else { heard - delay_impairment(0.0) };
        let (heard, conversed) = (heard / scale, conversed / scale);
        Rating {
            r_factor: conversed.clamp(0.0, 100.0) as f32,
            mos_listening: opinion(heard) as f32,
            mos_conversational: opinion(conversed) as f32,
        }
    }

    /// Ie,eff (G.107 equation 7-29, G.107.1 equation 7-15).
    fn equipment(&self) -> f64 {
        let factor = f64::from(self.impairment.factor);
        let percent = f64::from(self.missing.clamp(0.0, 1.0)) * 100.0;
        // The equation holds for bursts up to twice as long as at random, where losses are not
        // rare (G.107 table 2, note 4).
        let ratio_max = if percent < 2.0 { 8.0 } else { 2.0 };
        let ratio = f64::from(self.burst_ratio).clamp(1.0, ratio_max);
        let robustness = f64::from(self.impairment.robustness);
        factor + (IMPAIRMENT_MAX - factor) * percent / (percent / ratio + robustness)
    }
}

/// The opinion of the mean user (G.107 annex B).
pub fn opinion(r: f64) -> f64 {
    let r = r.clamp(0.0, 100.0);
    // Below R = 6.5 the polynomial dips under its lower end.
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

/// Id (G.107 section 7.4): talker echo, listener echo, and delay as such.
fn delay_impairment(ms: f64) -> f64 {
    talker_echo(ms) + listener_echo(2.0 * ms) + pure_delay(ms)
}

fn talker_echo(ms: f64) -> f64 {
    let masking = 6.0 * (-0.3 * ms * ms).exp();
    let rating = TALKER_ECHO - 40.0 * ((1.0 + ms / 10.0) / (1.0 + ms / 150.0)).log10() + masking;
    let without = -1.5 * (NOISE - RECEIVE_LOUDNESS);
    let with = 80.0 + 2.5 * (rating - 14.0);
    let half = (without - with) / 2.0;
    (half + (half * half + 100.0).sqrt() - 1.0) * (1.0 - (-ms).exp())
}

fn listener_echo(round_trip_ms: f64) -> f64 {
    let with = 10.5 * (ECHO_PATH_LOSS + 7.0) * (round_trip_ms + 1.0).powf(-0.25);
    let half = (94.7688 - with) / 2.0;
    half + (half * half + 169.0).sqrt()
}

fn pure_delay(ms: f64) -> f64 {
    if ms <= UNNOTICED_DELAY_MS {
        return 0.0;
    }
    let x = (ms / UNNOTICED_DELAY_MS).log2();
    let root = |value: f64| (1.0 + value.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const G711: Impairment = Impairment { factor: 0.0, robustness: 25.1, is_wide: false };

    fn path(impairment: Impairment, missing: f32, delay_ms: u64) -> Path {
        Path { impairment, missing, burst_ratio: 1.0, delay: Duration::from_millis(delay_ms) }
    }

    fn assert_near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found}, expected {expected}");
    }

    #[test]
    fn the_defaults_of_g107_give_93_2_and_4_41() {
        let rating = path(G711, 0.0, 0).rating();
        assert_near(rating.r_factor.into(), 93.2, 0.05);
        assert_near(rating.mos_conversational.into(), 4.41, 0.005);
        assert_near(rating.mos_listening.into(), rating.mos_conversational.into(), 0.0);
    }

    /// The constants by the equations of G.107 (2015) sections 7.2 and 7.3 with the defaults of
    /// table 2: SLR 8, RLR 2, STMR 15, Dr 3, Ds 3, TELR 65, qdu 1, Nc -70, Nfor -64, Ps = Pr 35.
    #[test]
    fn the_constants_follow_from_the_defaults_of_g107() {
        let power = |db: f64| 10f64.powf(db / 10.0);
        let send_room = 35.0 - 8.0 - 3.0 - 100.0 + 0.004 * (35.0 - 10.0 - 3.0 - 14.0f64).powi(2);
        let masked = 35.0 + 10.0 * (1.0 + power(10.0 - (15.0 + 3.0))).log10();
        let receive_room = 2.0 - 121.0 + masked + 0.008 * (masked - 35.0).powi(2);
        let floor = -64.0 + 2.0;
        let noise =
            10.0 * (power(-70.0) + power(send_room) + power(receive_room) + power(floor)).log10();
        assert_near(noise, NOISE, 1e-3);
        let ro = 15.0 - 1.5 * (8.0 + noise);
        let loudness = (10.0 + 0.2 * (64.0 + noise - 2.0)) / 8.0;
        let too_loud = 20.0 * ((1.0 + loudness.powi(8)).powf(1.0 / 8.0) - loudness);
        let sidetone = -10.0 * (power(-15.0) + power(-65.0)).log10();
        let by_sidetone = 12.0 * (1.0 + ((sidetone - 13.0) / 6.0).powi(8)).powf(1.0 / 8.0)
            - 28.0 * (1.0 + ((sidetone + 1.0) / 19.4).powi(35)).powf(1.0 / 35.0)
            - 13.0 * (1.0 + ((sidetone - 3.0) / 33.0).powi(13)).powf(1.0 / 13.0)
            + 29.0;
        let g = 1.07 + 0.258 * 37.0 + 0.0602 * 37.0f64.powi(2);
        let (y, z) = ((ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0, 46.0 / 30.0 - g / 40.0);
        let by_quantizing = 15.0 * (1.0 + 10f64.powf(y) + 10f64.powf(z)).log10();
        assert_near(ro - (too_loud + by_sidetone + by_quantizing), BASE, 1e-3);
    }

    #[test]
    fn opinion_is_that_of_g107_annex_b() {
        for (r, mos) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            // Rounded in the table, and not everywhere to the nearest.
            assert_near(opinion(r), mos, 0.01);
        }
        assert_near(opinion(-5.0), 1.0, 0.0);
        assert_near(opinion(3.0), 1.0, 0.0);
        assert_near(opinion(130.0), 4.5, 0.0);
    }

    /// Ie of G.711 with concealment and of G.729A under random loss, as G.113 (2001) appendix I
    /// tabulated them before Bpl was fitted to them.
    #[test]
    fn loss_impairs_as_g113_tabulates() {
        let g711 = [(1, 5), (2, 7), (3, 10), (5, 15), (7, 20), (10, 25), (15, 35), (20, 45)];
        for (percent, expected) in g711 {
            let found = path(G711, percent as f32 / 100.0, 0).equipment();
            assert_near(found, expected.into(), 3.0);
        }
        let g729a = Impairment { factor: 11.0, robustness: 19.0, is_wide: false };
        let table = [(0, 11), (1, 15), (2, 19), (3, 23), (4, 26), (8, 36), (16, 49)];
        for (percent, expected) in table {
            let found = path(g729a, percent as f32 / 100.0, 0).equipment();
            assert_near(found, expected.into(), 0.6);
        }
        assert_near(path(g729a, 0.0, 0).rating().r_factor.into(), 82.2, 0.05);
    }

    #[test]
    fn bursts_are_worse_than_random_loss() {
        let random = path(G711, 0.05, 0);
        let bursts = Path { burst_ratio: 2.0, ..random };
        assert!(bursts.equipment() > random.equipment());
        let longer = Path { burst_ratio: 6.0, ..random };
        assert_near(longer.equipment(), bursts.equipment(), 0.0);
        let rare = Path { missing: 0.01, burst_ratio: 6.0, ..random };
        assert!(rare.equipment() > Path { burst_ratio: 2.0, ..rare }.equipment());
    }

    #[test]
    fn delay_is_paid_in_conversation_only() {
        let mut before = 100.0;
        for ms in [0, 20, 50, 100, 150, 200, 300, 400, 600, 1000, 100_000] {
            let rating = path(G711, 0.0, ms).rating();
            assert!(rating.r_factor < before, "{ms} ms: {rating:?}");
            assert_near(rating.mos_listening.into(), 4.41, 0.005);
            before = rating.r_factor;
        }
        // G.114: up to 150 ms most users are very satisfied or satisfied, at 400 ms many are not.
        assert!(path(G711, 0.0, 150).rating().r_factor > 80.0);
        assert!((60.0..80.0).contains(&path(G711, 0.0, 400).rating().r_factor));
    }

    #[test]
    fn the_impairment_of_pure_delay_is_that_of_g107() {
        assert_near(pure_delay(100.0), 0.0, 0.0);
        // X = 1 at 200 ms: 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2).
        let expected =
            25.0 * (2f64.powf(1.0 / 6.0) - 3.0 * (730.0f64 / 729.0).powf(1.0 / 6.0) + 2.0);
        assert_near(pure_delay(200.0), expected, 1e-9);
    }

    #[test]
    fn wideband_is_rated_on_its_own_scale_and_shown_on_the_common_one() {
        let g722 = Impairment::of(Encoding::G722, 64_000);
        let rating = path(g722, 0.0, 0).rating();
        assert_near(rating.mos_listening.into(), opinion((129.0 - 13.0) / 1.29), 1e-6);
        assert_near(rating.r_factor.into(), 116.0 / 1.29, 0.2);
        let linear = path(Impairment::of(Encoding::L16At48000, 0), 0.0, 0).rating();
        assert_near(linear.mos_listening.into(), 4.5, 1e-6);
    }

    #[test]
    fn opus_is_as_good_as_its_bit_rate() {
        let factor = |bit_rate| Impairment::of(Encoding::Opus, bit_rate).factor;
        let factors: Vec<f32> =
            [6000, 10_000, 13_000, 16_000, 20_000, 24_000, 64_000].map(factor).to_vec();
        assert_eq!(factors, [41.0, 26.0, 13.0, 7.0, 3.0, 1.0, 1.0]);
    }

    #[test]
    fn every_encoding_has_a_finite_rating_whatever_happens() {
        for encoding in Encoding::ALL {
            for missing in [0.0, 0.5, 1.0, 7.0, -1.0] {
                for burst_ratio in [0.0, 1.0, 1e9] {
                    let impairment = Impairment::of(encoding, 32_000);
                    let delay = Duration::from_secs(3600) + look_ahead(encoding);
                    let rating = Path { impairment, missing, burst_ratio, delay }.rating();
                    assert!((0.0..=100.0).contains(&rating.r_factor));
                    assert!((1.0..=4.5).contains(&rating.mos_listening));
                    assert!(rating.mos_conversational <= rating.mos_listening);
                }
            }
        }
    }
}
