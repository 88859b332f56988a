//! The standard's basic operations (section 5.1): fractions in 16 bits, saturating.

/// A product, truncated.
pub(super) fn multiply(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 15).min(32_767) as i16
}

/// A product, rounded.
pub(super) fn multiply_rounded(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + 16_384) >> 15).min(32_767) as i16
}

/// A quotient of two positive numbers, the divisor not the smaller one.
pub(super) fn divide(numerator: i16, denominator: i16) -> i16 {
    let (numerator, denominator) = (i32::from(numerator), i32::from(denominator));
    if denominator <= 0 {
        return 0;
    }
    ((numerator << 15) / denominator).clamp(0, 32_767) as i16
}

/// How far a positive number can be shifted left without overflow.
pub(super) fn headroom(value: i32) -> u32 {
    value.max(0).leading_zeros().saturating_sub(1)
}

/// A magnitude. That of the lowest number saturates.
pub(super) fn magnitude(value: i16) -> i16 {
    value.saturating_abs()
}

/// The magnitude of the loudest sample.
pub(super) fn loudest(samples: &[i16]) -> i16 {
    samples.iter().map(|sample| magnitude(*sample)).max().unwrap_or(0)
}

/// The sign of `like` for a magnitude.
pub(super) fn signed(magnitude: i16, like: i16) -> i16 {
    if like < 0 { -magnitude } else { magnitude }
}
