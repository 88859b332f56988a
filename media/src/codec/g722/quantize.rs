//! The quantizers' tables (ITU-T G.722 section 6.2.1, tables 14 to 21).

/// Decision levels of the lower band's quantizer (Q6), times 16 so that a product with the scale
/// factor need only be cut at 16 bits. The greatest of the 29 is there four times, to make the
/// number of them even.
pub(super) const DECISIONS: [u16; 32] = [
    560, 1152, 1760, 2400, 3040, 3728, 4416, 5168, 5920, 6752, 7568, 8480, 9392, 10400, 11424,
    12576, 13728, 15040, 16368, 17936, 19504, 21424, 23328, 25792, 28240, 31680, 35120, 40912,
    46704, 46704, 46704, 46704,
];

/// What a code of six bits stands for (QM6): the quantized difference for the scale factor 2^15.
pub(super) const LOW_6: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];

/// What the four upper bits of a code stand for (QM4): this is what both sides adapt to.
pub(super) const LOW_4: [i16; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];

/// What a code of the upper band stands for (QM2).
pub(super) const HIGH_2: [i16; 4] = [-7408, -1616, 7408, 1616];

/// How the four upper bits of a code move the logarithm of the scale factor (WL by RL42).
pub(super) const LOW_STEPS: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

/// How a code moves it in the upper band (WH by RH2).
pub(super) const HIGH_STEPS: [i16; 4] = [798, -214, 798, -214];

/// 2^(n/32) times 2048 (ILB).
pub(super) const POWERS: [i16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
