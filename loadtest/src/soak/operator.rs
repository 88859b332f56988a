//! Who orders things by the API while callers come and go, and reads the server's vitals: a thread
//! of its own, because the callers' thread may not wait.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use sim::Seed;

use super::api::{Answer, Api};
use super::vitals::Vitals;

/// Most recordings that go on at one time.
const RECORDINGS_MAX: usize = 5;
/// What the deletion of a recording is waited for once its room is gone: until it is finished.
const DELETION: Duration = Duration::from_secs(60);
/// At most so many samples are taken, the first after one interval.
const SAMPLES: u32 = 240;
const SAMPLE_INTERVAL_MIN: Duration = Duration::from_millis(500);
/// How our callers' addresses begin.
const OURS: &str = "sip:load";

/// What was ordered, and what was read meanwhile.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Orders {
    pub(crate) muted: usize,
    pub(crate) unmuted: usize,
    pub(crate) recordings: usize,
    pub(crate) recordings_deleted: usize,
    /// Orders that were refused though nothing was wrong with them, by order and status.
    pub(crate) refused: BTreeMap<String, usize>,
    pub(crate) samples: Vec<Sample>,
}

/// What the server held at one time under load.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// What callers and orders did until then.
    pub(crate) acts: u64,
    pub(crate) anonymous_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

#[cfg(test)]
impl Sample {
    /// One for tests.
    pub(crate) fn of(seconds: u64, acts: u64, anonymous_kib: u64) -> Self {
        Self { seconds: seconds as f64, acts, anonymous_kib, descriptors: 1, threads: 1 }
    }
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Operator {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Orders>,
}

impl Operator {
    /// Begins to give so many orders a second, and to sample for a load of this length. What is done is
    /// counted in `acts`.
    pub(crate) fn start(
        vitals: Vitals,
        acts: Arc<AtomicU64>,
        per_second: f64,
        load: Duration,
        seed: Seed,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut work = Work { vitals, acts, seed, ours: Vec::new(), orders: Orders::default() };
        let ended = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            work.run(per_second, load, &ended);
            work.clean_up();
            work.orders
        });
        Self { is_over, thread }
    }

    /// Ends it: its recordings are deleted then.
    pub(crate) fn finish(self) -> Orders {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

struct Work {
    vitals: Vitals,
    acts: Arc<AtomicU64>,
    seed: Seed,
    /// Recordings that we began, and whether they go on.
    ours: Vec<(String, bool)>,
    orders: Orders,
}

impl Work {
    fn run(&mut self, per_second: f64, load: Duration, is_over: &AtomicBool) {
        let begin = Instant::now();
        let sample_every = (load / SAMPLES).max(SAMPLE_INTERVAL_MIN);
        let (mut sample_at, mut order_at) = (sample_every, Duration::ZERO);
        while !is_over.load(Ordering::Relaxed) {
            let passed = begin.elapsed();
            if passed >= sample_at && passed <= load {
                self.sample(passed);
                sample_at += sample_every;
            }
            if passed >= order_at {
                if let Some(api) = self.vitals.api.clone() {
                    self.order(&api);
                }
                order_at = passed + Duration::from_secs_f64(1.0 / per_second);
            }
            let next = sample_at.min(order_at).saturating_sub(begin.elapsed());
            thread::sleep(next.min(Duration::from_millis(100)));
        }
    }

    fn sample(&mut self, passed: Duration) {
        let Some(reading) = self.vitals.read() else { return };
        self.orders.samples.push(Sample {
            seconds: passed.as_secs_f64(),
            acts: self.acts.load(Ordering::Relaxed),
            anonymous_kib: reading.memory.anonymous_kib,
            descriptors: reading.descriptors,
            threads: reading.threads,
        });
    }

    fn order(&mut self, api: &Api) {
        let going = self.ours.iter().filter(|(_, goes_on)| *goes_on).count();
        match self.seed.below(4) {
            0 if going > 0 => self.stop_recording(api),
            1 => self.delete_recording(api),
            2 if going < RECORDINGS_MAX => {
                if let Some((room, _)) = self.any_room(api) {
                    self.record(api, &room);
                }
            }
            _ => {
                if let Some((_, members)) = self.any_room(api) {
                    self.mute(api, &members);
                }
            }
        }
    }

    /// Any room in which all are ours, and who they are.
    fn any_room(&mut self, api: &Api) -> Option<(String, Vec<Value>)> {
        let rooms = api.get("/v1/rooms?limit=1000").json();
        let rooms = rooms["rooms"].as_array()?;
        let room = rooms.get(self.seed.below(rooms.len().max(1) as u64) as usize)?;
        let name = room["name"].as_str()?.to_owned();
        let page = api.get(&format!("/v1/rooms/{name}/participants?limit=1000")).json();
        let members = page["participants"].as_array()?.clone();
        let is_ours =
            |member: &Value| member["caller"].as_str().is_some_and(|c| c.starts_with(OURS));
        members.iter().all(is_ours).then_some((name, members))
    }

    fn mute(&mut self, api: &Api, members: &[Value]) {
        let member = members.get(self.seed.below(members.len().max(1) as u64) as usize);
        let Some((member, id)) = member.and_then(|one| Some((one, one["id"].as_u64()?))) else {
            return;
        };
        let word = if member["muted"] == true { "unmute" } else { "mute" };
        if self.is_done(word, &api.post(&format!("/v1/participants/{id}/{word}"), "")) {
            match word {
                "mute" => self.orders.muted += 1,
                _ => self.orders.unmuted += 1,
            }
        }
    }

    fn record(&mut self, api: &Api, room: &str) {
        let answer = api.post(&format!("/v1/rooms/{room}/recordings"), "{}");
        if self.is_done("record", &answer)
            && let Some(id) = answer.json()["id"].as_str()
        {
            self.orders.recordings += 1;
            self.ours.push((id.to_owned(), true));
        }
    }

    fn stop_recording(&mut self, api: &Api) {
        let Some((id, goes_on)) = self.ours.iter_mut().find(|(_, goes_on)| *goes_on) else {
            return;
        };
        *goes_on = false;
        let path = format!("/v1/recordings/{id}/stop");
        self.is_done("stop a recording", &api.post(&path, ""));
    }

    /// Deletes one that is over. One that is being finished is not known (404) until it is, and tried again
    /// after the others.
    fn delete_recording(&mut self, api: &Api) {
        let Some(index) = self.ours.iter().position(|(_, goes_on)| !goes_on) else { return };
        let one = self.ours.remove(index);
        let answer = api.delete(&format!("/v1/recordings/{}", one.0));
        if self.is_done("delete a recording", &answer) {
            self.orders.recordings_deleted += 1;
        } else {
            self.ours.push(one);
        }
    }

    /// Deletes all that we recorded: by now the rooms are gone, and their recordings are over.
    fn clean_up(&mut self) {
        let Some(api) = self.vitals.api.clone() else { return };
        let give_up = Instant::now() + DELETION;
        for (_, goes_on) in &mut self.ours {
            *goes_on = false;
        }
        while !self.ours.is_empty() && Instant::now() < give_up {
            self.delete_recording(&api);
            thread::sleep(Duration::from_millis(20));
        }
        if !self.ours.is_empty() {
            self.orders.refused.insert("delete a recording, for good".to_owned(), self.ours.len());
        }
    }

    /// Whether an order was done. Who or what it was for may just have gone, or be about to.
    fn is_done(&mut self, order: &str, answer: &Answer) -> bool {
        match answer.status {
            200..=299 => {
                self.acts.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            404 | 409 => {}
            status => *self.orders.refused.entry(format!("{order}: {status}")).or_default() += 1,
        }
        false
    }
}
