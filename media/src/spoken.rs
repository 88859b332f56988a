//! Sound for tests: something like a voice, and what it is made of.

use std::f64::consts::TAU;

use crate::Random;

/// Even between 0 and 1.
pub(crate) fn unit(random: &mut Random) -> f64 {
    f64::from(random.next_u32()) / 4_294_967_296.0
}

/// Near enough to a normal distribution of variance 1.
pub(crate) fn noise(random: &mut Random) -> f64 {
    (0..12).map(|_| unit(random)).sum::<f64>() - 6.0
}

/// A voice: pulses of a pitch that glides, through three resonances that move.
pub(crate) fn voice(seconds: usize, random: &mut Random) -> Vec<i16> {
    let mut sound = Vec::new();
    let (mut pitch, mut phase) = (120.0, 0.0);
    let mut states = [[0.0_f64; 2]; 3];
    while sound.len() < seconds * 8000 {
        let goal = 80.0 + 220.0 * unit(random);
        let formants = [
            300.0 + 700.0 * unit(random),
            900.0 + 1400.0 * unit(random),
            2400.0 + 700.0 * unit(random),
        ];
        for _ in 0..(800.0 + 1600.0 * unit(random)) as usize {
            pitch += (goal - pitch) / 400.0;
            phase += pitch / 8000.0;
            let mut sample = 60.0 * noise(random);
            if phase >= 1.0 {
                phase -= 1.0;
                sample += 9000.0;
            }
            for (state, formant) in states.iter_mut().zip(formants) {
                let radius = 0.97;
                let next = sample * 0.4 + 2.0 * radius * (TAU * formant / 8000.0).cos() * state[0]
                    - radius * radius * state[1];
                *state = [next, state[0]];
                sample = next;
            }
            sound.push((sample / 12.0).clamp(-30000.0, 30000.0) as i16);
        }
    }
    sound.truncate(seconds * 8000);
    sound
}
