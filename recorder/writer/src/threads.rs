//! The two threads of the recorder, with the one clock that they read.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_control::TapReader;

use crate::asks::Asked;
use crate::collector::{Batch, Collector, Spare};
use crate::keeper::{Keeper, RETRY_AFTER};
use crate::report::{Event, Reporter, Status};
use crate::storage::Storage;
use crate::writer::WriterConfig;

/// How often the rings are emptied.
const POLL: Duration = Duration::from_millis(50);

/// How long a refusing disk may hold up the end.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What the collector counts, for the keeper to tell.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    misplaced: AtomicU64,
    unwritten: AtomicU64,
    /// Whether the last batch is on its way.
    is_over: AtomicBool,
}

/// What comes back from the keeper.
pub(crate) struct Returned {
    /// Memory that it is done with.
    pub(crate) spare: Receiver<Spare>,
    /// Octets that are before it.
    pub(crate) queued: Arc<AtomicUsize>,
    /// What it has told last.
    pub(crate) status: Arc<Mutex<Status>>,
}

/// Empties the rings.
pub(crate) struct CollectorThread {
    collector: Collector,
    asked: Asked,
    batches: Sender<Batch>,
    returned: Returned,
    queue_bytes_max: usize,
    flush_every: Duration,
    counts: Arc<Counts>,
    events: SyncSender<Event>,
}

impl CollectorThread {
    pub(crate) fn new(
        config: &WriterConfig,
        asked: Asked,
        batches: Sender<Batch>,
        returned: Returned,
        events: SyncSender<Event>,
    ) -> Self {
        Self {
            collector: Collector::default(),
            asked,
            batches,
            returned,
            queue_bytes_max: config.queue_bytes_max,
            flush_every: config.flush_every,
            counts: Arc::default(),
            events,
        }
    }

    pub(crate) fn counted(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Runs until nothing can be asked any more; then ends all recordings. `taps` are all rings.
    pub(crate) fn run(mut self, mut taps: Vec<TapReader>) {
        let started = Instant::now();
        let mut flush_at = self.flush_every;
        loop {
            let now = started.elapsed();
            let goes_on = self.drain(&mut taps, now);
            if !goes_on {
                self.collector.end_all();
                self.hand_over(usize::MAX, now);
                self.counts.is_over.store(true, Ordering::Relaxed);
                return;
            }
            if now >= flush_at {
                // Not sooner after a late one: a flush is never in a hurry.
                flush_at = (flush_at + self.flush_every).max(now + self.flush_every / 2);
                let queued = self.returned.queued.load(Ordering::Relaxed);
                self.hand_over(self.queue_bytes_max.saturating_sub(queued), now);
            }
            std::thread::park_timeout(POLL);
        }
    }

    /// Returns whether more may be asked.
    fn drain(&mut self, taps: &mut [TapReader], now: Duration) -> bool {
        let mut goes_on = true;
        let asked = &self.asked;
        self.collector.drain(taps, now, || match asked.next() {
            Ok(ask) => Some(ask),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                goes_on = false;
                None
            }
        });
        goes_on
    }

    fn hand_over(&mut self, room: usize, now: Duration) {
        self.returned.spare.try_iter().for_each(|spare| self.collector.spare.append(spare));
        let keeper = *self.returned.status.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = self.collector.hand_over(room, &keeper, now);
        for (recording, kind) in self.collector.late.drain(..) {
            let late = Event::Interrupted { recording, kind };
            // Where nobody takes events, this one is as late as the disk.
            let _ = self.events.try_send(late);
        }
        let counted = self.collector.counted;
        self.counts.misplaced.store(counted.misplaced, Ordering::Relaxed);
        self.counts.unwritten.store(counted.unwritten, Ordering::Relaxed);
        let Some(batch) = batch else { return };
        self.returned.queued.fetch_add(batch.bytes, Ordering::Relaxed);
        // Where the keeper is gone, a panic of its was printed.
        let _ = self.batches.send(batch);
    }
}

/// Writes the files.
pub(crate) struct KeeperThread {
    /// The journal's next segment.
    pub(crate) first_segment: u64,
    pub(crate) batches: Receiver<Batch>,
    pub(crate) returned: Sender<Spare>,
    pub(crate) queued: Arc<AtomicUsize>,
}

impl KeeperThread {
    /// Repairs, then runs until no more batches can come.
    pub(crate) fn run(
        self,
        config: &WriterConfig,
        storage: impl Storage,
        reporter: Reporter,
        counts: &Counts,
    ) {
        let started = Instant::now();
        let mut keeper = Keeper::new(config, storage, self.first_segment, reporter);
        let mut ends_at = None;
        while ends_at.is_none_or(|end| started.elapsed() < end) {
            let batch = if keeper.is_ready() {
                match self.batches.recv_timeout(RETRY_AFTER) {
                    Err(RecvTimeoutError::Disconnected) if keeper.is_idle() => break,
                    Err(RecvTimeoutError::Disconnected) => Err(()),
                    received => Ok(received.ok()),
                }
            } else {
                Err(())
            };
            // Only the disk is waited for: not for ever, once no more can come.
            if batch.is_ok() {
                ends_at = None;
            } else {
                if counts.is_over.load(Ordering::Relaxed) {
                    ends_at.get_or_insert(started.elapsed() + STOP_PATIENCE);
                }
                std::thread::sleep(RETRY_AFTER);
            }
            let mut batches = Vec::from_iter(batch.ok().flatten());
            if !batches.is_empty() {
                // This thread was late where more than one waits.
                batches.extend(self.batches.try_iter());
            }
            let bytes = batches.iter().map(|batch| batch.bytes).sum();
            keeper.reporter.status.misplaced = counts.misplaced.load(Ordering::Relaxed);
            let unwritten = counts.unwritten.load(Ordering::Relaxed) + keeper.unwritten;
            keeper.reporter.status.unwritten_periods = unwritten;
            let is_awaited = || self.queued.load(Ordering::Relaxed) > bytes;
            keeper.turn(batches, started.elapsed(), &is_awaited);
            self.queued.fetch_sub(bytes, Ordering::Relaxed);
            // Where the collector is gone, its memory is needed no more.
            let _ = self.returned.send(std::mem::take(&mut keeper.spare));
        }
        keeper.stop();
    }
}
