//! A whole recording brought to another rate, whatever both are. Allocates: for files that are read
//! at start, never on a shard.

use media_kernels::Kernels;

use super::filter::Filter;
use super::{by_ratio, narrow};

/// Brings all of `sound` from one rate to another. Nothing is delayed.
pub fn whole(kernels: Kernels, sound: &[i16], from: u32, to: u32) -> Vec<i16> {
    let common = greatest_common_divisor(from.max(1), to.max(1));
    let (up, down) = ((to.max(1) / common) as usize, (from.max(1) / common) as usize);
    if up == down {
        return sound.to_vec();
    }
    let filter = Filter::for_ratio(up, down);
    let ahead = filter.taps_per_phase() / 2;
    let mut window = vec![0; filter.taps_per_phase() - 1 - ahead];
    window.extend_from_slice(sound);
    window.resize(window.len() + ahead + 1, 0);
    let mut sums = vec![0; sound.len() * up / down];
    by_ratio(kernels, &filter, (up, down), &window, &mut sums);
    let mut brought = vec![0; sums.len()];
    narrow(&sums, &mut brought);
    brought
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
