//! The two rings between the control plane and one shard, and what travels beside their items.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::Luggage;
use engine_control::{Command, Event, Limits, PASSAGES_MAX, ShardLoad, WAITING_MAX};
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};

use crate::sockets::SocketPair;

/// A command with the sockets and the memory that belong to it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) command: Command,
    pub(crate) sockets: SocketPair,
    pub(crate) luggage: Option<Luggage>,
    /// Under which number the flight recorder keeps it.
    pub(crate) number: u64,
}

/// A fact with the sockets and the memory that nobody needs any more here.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) event: Event,
    pub(crate) sockets: SocketPair,
    pub(crate) luggage: Option<Luggage>,
}

/// What the control plane and all shards share.
#[derive(Debug)]
pub(crate) struct Shared {
    wake: OwnedFd,
    stop: AtomicBool,
    events_lost: AtomicU64,
    #[cfg(feature = "faults")]
    fault: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            stop: AtomicBool::new(false),
            events_lost: AtomicU64::new(0),
            #[cfg(feature = "faults")]
            fault: AtomicBool::new(false),
        })
    }

    /// Readable while notices may wait.
    pub(crate) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Makes [`Shared::wake_fd`] unreadable, until the next wake-up.
    pub(crate) fn rearm(&self) {
        let _ = read(&self.wake, &mut [0_u8; 8]);
    }

    fn wake(&self) {
        // It fails only where the counter is full: then it is readable anyway.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    #[cfg(feature = "faults")]
    pub(crate) fn order_fault(&self) {
        self.fault.store(true, Ordering::Release);
    }

    /// Panics on the first thread that asks after a fault was ordered.
    #[cfg(feature = "faults")]
    pub(crate) fn commit_fault(&self) {
        assert!(!self.fault.swap(false, Ordering::AcqRel), "a test ordered this fault");
    }

    pub(crate) fn events_lost(&self) -> u64 {
        self.events_lost.load(Ordering::Relaxed)
    }
}

/// The control plane's ends.
#[derive(Debug)]
pub(crate) struct ControlEnds {
    pub(crate) orders: Producer<Order>,
    pub(crate) notices: Consumer<Notice>,
    load: Arc<AtomicU64>,
}

impl ControlEnds {
    /// Whether there is room for one more command; what follows a session to its new shard has its
    /// own.
    pub(crate) fn has_room(&self) -> bool {
        self.orders.slots() > RESERVED_ORDERS
    }

    /// How the shard is, as it told after its last tick.
    pub(crate) fn load(&self) -> ShardLoad {
        ShardLoad::from_bits(self.load.load(Ordering::Relaxed))
    }
}

/// The shard's ends.
#[derive(Debug)]
pub(crate) struct ShardEnds {
    pub(crate) orders: Consumer<Order>,
    pub(crate) notices: NoticeSender,
    /// How it is: an [`engine_control::ShardLoad`] in one word.
    pub(crate) load: Arc<AtomicU64>,
}

/// The rings of one shard.
pub(crate) fn rings(limits: &Limits, shared: &Arc<Shared>) -> (ControlEnds, ShardEnds) {
    let (order_sender, orders) = RingBuffer::new(limits.commands_max as usize + RESERVED_ORDERS);
    let reserve = reserved_notices(limits);
    let (ring, notices) = RingBuffer::new(limits.events_max as usize + reserve);
    let sender = NoticeSender { ring, reserve, fresh: false, shared: Arc::clone(shared) };
    let load = Arc::new(AtomicU64::new(0));
    (
        ControlEnds { orders: order_sender, notices, load: Arc::clone(&load) },
        ShardEnds { orders, notices: sender, load },
    )
}

/// Bytes that the rings of one shard reserve.
pub(crate) fn memory_bytes(limits: &Limits) -> usize {
    let notices = limits.events_max as usize + reserved_notices(limits);
    let orders = limits.commands_max as usize + RESERVED_ORDERS;
    orders * size_of::<Order>() + notices * size_of::<Notice>()
}

/// Places kept for sessions that come from other shards, and for what follows them.
const RESERVED_ORDERS: usize = PASSAGES_MAX * (1 + WAITING_MAX);

/// Most notices that one command is answered with at once.
const NOTICES_PER_ORDER: usize = 4;

/// Places kept for facts that must not be lost and that no command asked for: each session may
/// time out, each room and each tap may end, and some may leave.
fn reserved_notices(limits: &Limits) -> usize {
    limits.sessions_max as usize
        + limits.rooms_max as usize
        + limits.taps_max as usize
        + PASSAGES_MAX
        + NOTICES_PER_ORDER
}

/// The shard's end of its ring of facts.
///
/// Facts that carry memory home or end something are never lost: while the control plane does not
/// read, the shard stops taking commands, and the places kept for the rest suffice. What merely
/// happened (a digit, talking, a latch) is dropped and counted once only those places are left.
#[derive(Debug)]
pub(crate) struct NoticeSender {
    ring: Producer<Notice>,
    reserve: usize,
    fresh: bool,
    shared: Arc<Shared>,
}

impl NoticeSender {
    /// Whether the facts that answer one more command have room.
    pub(crate) fn has_room(&self) -> bool {
        self.ring.slots() > self.reserve
    }

    pub(crate) fn push(&mut self, notice: Notice) {
        if is_passing(&notice.event) && !self.has_room() {
            self.shared.events_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.fresh = true;
        if let Err(rtrb::PushError::Full(notice)) = self.ring.push(notice) {
            // The reserve makes this impossible. Were it to happen: a leak is harmless, freeing
            // on the shard's thread is not.
            std::mem::forget(notice);
            self.shared.events_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Wakes the control plane if there is something new. Called once per tick.
    pub(crate) fn wake(&mut self) {
        if std::mem::take(&mut self.fresh) {
            self.shared.wake();
        }
    }
}

/// Whether a fact carries nothing and ends nothing.
fn is_passing(event: &Event) -> bool {
    matches!(
        event,
        Event::Latched { .. }
            | Event::Digit { .. }
            | Event::TalkStarted { .. }
            | Event::TalkStopped { .. }
            | Event::RtcpBye { .. }
            | Event::Shedding { .. }
    )
}

#[cfg(test)]
mod tests {
    use engine_control::SessionKey;

    use super::*;

    fn notice(event: Event) -> Notice {
        Notice { event, sockets: SocketPair::default(), luggage: None }
    }

    #[test]
    fn passing_facts_make_way_and_final_ones_are_kept() {
        let limits = Limits {
            sessions_max: 8,
            rooms_max: 0,
            taps_max: 0,
            events_max: 4,
            ..Limits::default()
        };
        let shared = Arc::new(Shared::new().unwrap());
        let (mut control, shard) = rings(&limits, &shared);
        let mut notices = shard.notices;
        let session = SessionKey::new(0, 0, 1);
        for _ in 0..10 {
            notices.push(notice(Event::TalkStarted { session }));
        }
        assert!(!notices.has_room());
        assert_eq!(shared.events_lost(), 6);
        for _ in 0..12 {
            notices.push(notice(Event::MediaTimedOut { session }));
        }
        assert_eq!(shared.events_lost(), 6, "no final fact was lost");
        let mut kept = Vec::new();
        while let Ok(notice) = control.notices.pop() {
            kept.push(matches!(notice.event, Event::MediaTimedOut { .. }));
        }
        assert_eq!(kept, [&[false; 4][..], &[true; 12][..]].concat());
        assert!(notices.has_room());
    }

    #[test]
    fn the_control_plane_is_woken_only_for_news() {
        let shared = Arc::new(Shared::new().unwrap());
        let (_control, shard) = rings(&Limits::default(), &shared);
        let mut notices = shard.notices;
        let readable = || read(shared.wake_fd(), &mut [0_u8; 8]).is_ok();
        notices.wake();
        assert!(!readable());
        notices.push(notice(Event::RtcpBye { session: SessionKey::new(0, 0, 1) }));
        notices.wake();
        assert!(readable());
        notices.wake();
        assert!(!readable());
    }
}
