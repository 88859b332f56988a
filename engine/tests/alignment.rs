//! Tracks lie on one clock: whatever the endpoints' clocks and the network do, what was received,
//! mixed and sent at one moment has one place in every track.

mod rig;

use std::collections::VecDeque;
use std::time::Duration;

use engine_control::{Route, TapId, TapPoint};
use media::Random;
use media_units::{BLOCK_SAMPLES, Instant, PHASES};
use rig::{Phone, Rig, SILENCE, datagram};

/// How much faster each endpoint's clock runs than ours, in parts per million.
const DRIFTS_PPM: [i64; 3] = [300, -300, 0];

/// What each endpoint's click is made of.
const CLICKS: [u8; 3] = [0x98, 0xa8, 0xb8];

/// Samples of a click.
const CLICK_SAMPLES: usize = 16;

/// Samples from one click of an endpoint to its next: 2.02 s, so that it wanders through packets.
const CLICK_EVERY: u64 = 16_160;

/// The most that playout may hold a click back, in samples: 300 ms, and a period.
const DELAY_MAX: usize = 8 * 320;

/// An endpoint whose clock is not ours.
struct Endpoint {
    phone: Phone,
    drift_ppm: i64,
    click: u8,
    sent: u64,
    /// Packets on their way, with the time at which each arrives.
    waiting: VecDeque<(Instant, Vec<u8>)>,
    /// Where each click that was not lost was said, in samples of our clock.
    said: Vec<u64>,
}

impl Endpoint {
    fn new(slot: u32) -> Self {
        let phone = Phone::new(slot, media_units::Law::Mu, None);
        let (drift_ppm, click) = (DRIFTS_PPM[slot as usize], CLICKS[slot as usize]);
        Self { phone, drift_ppm, click, sent: 0, waiting: VecDeque::new(), said: Vec::new() }
    }

    /// Our time of one sample of its clock.
    fn time(&self, sample: u64) -> Instant {
        let nanos = sample * 125_000;
        let earlier = nanos as i64 / 1_000_000 * self.drift_ppm;
        Instant::from_nanos((nanos as i64 - earlier) as u64)
    }

    /// Sends what is due until `now`: one packet in a hundred is lost, the others have jitter.
    fn speak(&mut self, now: Instant, random: &mut Random) {
        loop {
            let first = self.sent * BLOCK_SAMPLES as u64;
            let sent_at = self.time(first + BLOCK_SAMPLES as u64);
            if sent_at > now {
                return;
            }
            self.sent += 1;
            let mut payload = [SILENCE; BLOCK_SAMPLES];
            let start = (first.next_multiple_of(CLICK_EVERY) - first) as usize;
            let has_click = start + CLICK_SAMPLES <= BLOCK_SAMPLES;
            if has_click {
                payload[start..start + CLICK_SAMPLES].fill(self.click);
            }
            let packet = self.phone.packet(&payload);
            if !random.next_u32().is_multiple_of(100) {
                let jitter = Duration::from_micros(u64::from(random.next_u32() % 8000));
                let arrival =
                    self.waiting.back().map_or(sent_at, |last| last.0).max(sent_at + jitter);
                self.waiting.push_back((arrival, packet));
                if has_click {
                    self.said.push(self.time(first + start as u64).as_nanos() / 125_000);
                }
            }
        }
    }
}

/// The samples of a tap, appended to its track.
fn append(rig: &mut Rig, tap: TapId, track: &mut Vec<i16>, first: &mut Option<u64>) {
    for tapped in rig.tapped(tap) {
        let first = *first.get_or_insert(tapped.period);
        assert_eq!((tapped.period - first) as usize * BLOCK_SAMPLES, track.len(), "a hole");
        track.extend(tapped.samples());
    }
}

/// Where a click begins in a track at or after a place, if it is there before another could be.
fn click_after(track: &[i16], place: usize) -> Option<usize> {
    let near = track.get(place..place + DELAY_MAX)?;
    near.iter().position(|&sample| sample != 0)
}

/// Runs so many periods, and looks at every sample and every click of all tracks.
fn assert_aligned(periods: u64) {
    let mut rig = Rig::new();
    let mut random = Random::new(4);
    let room = rig.open_room(0);
    let sessions = [0, 1, 2].map(|slot| rig.dial(slot, Route::Room(room), None));
    rig.phones.clear();
    let mut endpoints = [0, 1, 2].map(Endpoint::new);
    let received = sessions.map(|session| rig.start_tap(TapPoint::Received(session)));
    let sent = sessions.map(|session| rig.start_tap(TapPoint::Sent(session)));
    let whole = rig.start_tap(TapPoint::Room(room));
    let taps = [&received[..], &sent[..], &[whole]].concat();
    let mut tracks = vec![Vec::new(); taps.len()];
    let mut first = None;
    for tick in 0..periods * PHASES {
        let now = rig.shard.next_tick();
        for endpoint in &mut endpoints {
            endpoint.speak(now, &mut random);
            let slot = endpoint.phone.slot;
            if !rig.shard.due().contains(&slot) {
                continue;
            }
            while endpoint.waiting.front().is_some_and(|next| next.0 <= now) {
                let Some((arrival, bytes)) = endpoint.waiting.pop_front() else { break };
                let datagram = datagram(slot, endpoint.phone.source, arrival, &bytes);
                rig.shard.receive(datagram, &mut rig.taken);
            }
        }
        rig.shard.tick(now, &mut rig.taken);
        if tick % (50 * PHASES) == 0 {
            rig.forget();
            for (&tap, track) in taps.iter().zip(&mut tracks) {
                append(&mut rig, tap, track, &mut first);
            }
        }
    }
    assert_one_sum(&tracks);
    let first = first.unwrap() * BLOCK_SAMPLES as u64;
    for (endpoint, track) in endpoints.iter().zip(&tracks) {
        assert_clicks_are_in_place(endpoint, track, first);
    }
}

/// Every sample of the room is the sum of what was received there, and every sample that is sent
/// is the sum of the others.
fn assert_one_sum(tracks: &[Vec<i16>]) {
    let length = tracks[0].len();
    assert!(tracks.iter().all(|track| track.len() == length), "one length");
    let [one, two, three, to_one, to_two, to_three, whole] = tracks else { panic!("seven tracks") };
    for place in 0..length {
        let said = [one, two, three].map(|track| i32::from(track[place]));
        let all: i32 = said.iter().sum();
        assert_eq!(i32::from(whole[place]), all, "the room at {place}");
        let heard = [to_one, to_two, to_three].map(|track| i32::from(track[place]));
        assert_eq!(heard, said.map(|own| all - own), "sent at {place}");
    }
}

/// Each click is in its track, later than it was said by a playout delay that does not grow.
fn assert_clicks_are_in_place(endpoint: &Endpoint, track: &[i16], first: u64) {
    // What was said before playout settled, and what is not in the tracks yet, is left out.
    let settled = first + 10 * 8000;
    let end = first + track.len() as u64 - 2 * DELAY_MAX as u64;
    let said = endpoint.said.iter().filter(|&&said| (settled..end).contains(&said));
    let delays: Vec<_> = said.map(|&said| click_after(track, (said - first) as usize)).collect();
    let heard: Vec<usize> = delays.iter().flatten().copied().collect();
    let ppm = endpoint.drift_ppm;
    assert!(delays.len() > 10 && heard.len() * 50 >= delays.len() * 49, "{ppm}: {delays:?}");
    // A packet waits to be whole, for the tick that reads it, and for the slowest of its kind.
    let (least, most) = (heard.iter().min().unwrap(), heard.iter().max().unwrap());
    assert!(*least > 0 && most - least < 8 * 60 && *most < 8 * 100, "{ppm}: {least} to {most}");
}

#[test]
fn after_an_hour_of_drift_and_loss_every_sample_agrees_and_every_click_is_in_its_place() {
    assert_aligned(60 * 60 * 50);
}
