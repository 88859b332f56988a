//! Routes and neighbours of the kernel, told to the shards: a thread that asks the kernel by
//! rtnetlink (RFC 3549), and asks again when its tables change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{read, write};

use super::Failure;
use super::kernel::{KernelTables, TableNews};

pub(crate) const ETHERNET_BYTES: usize = 14;

/// How a frame to an address begins, and where it leaves this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Index of the interface; of the VLAN's own where there is one, which adds the tag.
    pub(crate) interface: i32,
    /// Destination, source and type of the frame (IEEE 802.3).
    pub(crate) ethernet: [u8; ETHERNET_BYTES],
    /// The address of ours that the route prefers.
    pub(crate) source: IpAddr,
}

/// The way to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a frame of ours.
    Frame(Hop),
    /// By the kernel, from this address where it is known: in IPv6 there is no other way.
    Kernel(Option<IpAddr>),
}

impl Way {
    /// Nothing is known: it was asked for, or there is no route.
    pub(crate) const UNKNOWN: Self = Self::Kernel(None);
}

/// What a shard asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// The way to this address, now and whenever it changes.
    Resolve(IpAddr),
    /// Nothing of what was asked for until now.
    ForgetAll,
}

/// An address and the way to it.
type Answer = (IpAddr, Way);

/// Changes of the tables are gathered for so long: a neighbour that fails and returns, or an
/// interface that goes down with all its routes, is a burst of them.
const GATHER: Duration = Duration::from_millis(100);

/// The shard's end.
#[derive(Debug)]
pub(crate) struct RouteAsker {
    asks: Producer<Ask>,
    answers: Consumer<Answer>,
    wake: Arc<OwnedFd>,
}

impl RouteAsker {
    /// Asks; false where too much was asked at once.
    pub(crate) fn ask(&mut self, ask: Ask) -> bool {
        let asked = self.asks.push(ask).is_ok();
        // It fails only where the counter is full: then the thread is awake anyway.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
        asked
    }

    /// The next answer, where one waits.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answers.pop().ok()
    }
}

/// The thread, until it is dropped.
#[derive(Debug)]
pub(crate) struct Routes {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
}

impl Routes {
    /// Starts the thread for so many shards; `address` is what media sockets are bound to.
    pub(crate) fn start(
        shards: usize,
        sessions_max: u32,
        address: IpAddr,
    ) -> Result<(Self, Vec<RouteAsker>), Failure> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| ("eventfd", error.into()))?;
        let wake = Arc::new(wake);
        let stop = Arc::new(AtomicBool::new(false));
        let tables = KernelTables::open(address)?;
        let news = TableNews::open()?;
        let (askers, known) =
            (0..shards).map(|_| ends(2 * sessions_max as usize + 1, &wake)).unzip();
        let mut resolver = Resolver { tables, news, shards: known };
        let (ended, woken) = (Arc::clone(&stop), Arc::clone(&wake));
        let thread = std::thread::Builder::new()
            .name("routes".into())
            .spawn(move || {
                while !ended.load(Ordering::Acquire) {
                    resolver.work(&woken);
                }
            })
            .map_err(|error| ("clone", error))?;
        Ok((Self { thread: Some(thread), stop, wake }, askers))
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of routes had panicked");
        }
    }
}

/// What a shard asked for and was told.
struct ShardsHops {
    asks: Consumer<Ask>,
    answers: Producer<Answer>,
    told: HashMap<IpAddr, Way>,
}

fn ends(capacity: usize, wake: &Arc<OwnedFd>) -> (RouteAsker, ShardsHops) {
    let (ask, asks) = RingBuffer::new(capacity);
    let (answers, answer) = RingBuffer::new(2 * capacity);
    (
        RouteAsker { asks: ask, answers: answer, wake: Arc::clone(wake) },
        ShardsHops { asks, answers, told: HashMap::new() },
    )
}

struct Resolver {
    tables: KernelTables,
    news: TableNews,
    shards: Vec<ShardsHops>,
}

impl Resolver {
    /// Waits for questions and for news, and answers.
    fn work(&mut self, wake: &OwnedFd) {
        let mut waits = [PollFd::new(wake, PollFlags::IN), PollFd::new(&self.news, PollFlags::IN)];
        let _ = poll(&mut waits, None);
        let has_news = !waits[1].revents().is_empty();
        let _ = read(wake, &mut [0_u8; 8]);
        if has_news {
            std::thread::sleep(GATHER);
            self.news.clear();
        }
        let Self { tables, shards, .. } = self;
        for shard in shards {
            if has_news {
                shard.ask_again(tables);
            }
            shard.answer_all(tables);
        }
    }
}

impl ShardsHops {
    fn answer_all(&mut self, tables: &mut KernelTables) {
        while let Ok(ask) = self.asks.pop() {
            match ask {
                Ask::Resolve(address) => {
                    let way = tables.way(address);
                    self.told.insert(address, Way::UNKNOWN);
                    self.tell(address, way);
                }
                Ask::ForgetAll => self.told.clear(),
            }
        }
    }

    fn ask_again(&mut self, tables: &mut KernelTables) {
        let addresses: Vec<_> = self.told.keys().copied().collect();
        for address in addresses {
            let way = tables.way(address);
            self.tell(address, way);
        }
    }

    /// Tells a way that is new. Where the ring is full (the shard stands still), the next change
    /// of the tables tries again.
    fn tell(&mut self, address: IpAddr, way: Way) {
        if let Some(told) = self.told.get_mut(&address)
            && *told != way
            && self.answers.push((address, way)).is_ok()
        {
            *told = way;
        }
    }
}

/// A shard's end, and the thread's ends of its rings.
#[cfg(test)]
pub(crate) fn asker_with_ends(capacity: usize) -> (RouteAsker, Consumer<Ask>, Producer<Answer>) {
    let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
    let (asker, shard) = ends(capacity, &wake);
    (asker, shard.asks, shard.answers)
}
