//! One queue of the interface: its memory and rings, and a socket on it for each shard.
//!
//! The kernel wants the rings by which places of frames go to and fro to be used by one thread at a
//! time. So each queue has an owner among the shards: it hands the kernel the places to write to, and
//! sends. The others return the places that they have read to the owner, by rings between shards.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_send_buffer_size_force, set_xdp_rx_ring_size, set_xdp_tx_ring_size,
    set_xdp_umem_completion_ring_size, set_xdp_umem_fill_ring_size, set_xdp_umem_reg,
    xdp_mmap_offsets,
};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, SocketAddrXdpWithSharedUmem, XDP_PGOFF_RX_RING,
    XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpMmapOffsets,
    XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use super::ring::{Descriptor, Given, Mapping, Taken};
use crate::packet::{FRAMES_ON_THEIR_WAY, Failure, SEND_BUFFER_BYTES};

/// Bytes of one place: the least that the kernel knows.
pub(super) const PLACE_BYTES: u64 = 2048;

/// Places for frames on their way out. The last one used is taken first, so few of them are in use, and those are
/// in the cache, unless the interface stands still.
pub(super) const SEND_PLACES: u32 = FRAMES_ON_THEIR_WAY as u32;

/// A queue stays taken for some milliseconds after the process that had it has ended.
const TRIES: u32 = 50;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What a queue is opened with.
#[derive(Clone, Copy)]
pub(super) struct QueuePlan {
    pub(super) interface: u32,
    pub(super) queue: u32,
    pub(super) shards: usize,
    /// Places for frames on their way in, a power of two.
    pub(super) receive_places: u32,
    /// Whether its owner sends by it.
    pub(super) sends: bool,
}

impl QueuePlan {
    /// The shard that owns the queue.
    pub(super) fn owner(&self) -> usize {
        self.queue as usize % self.shards
    }

    /// Bytes of the memory shared with the kernel.
    pub(super) fn memory_bytes(&self) -> usize {
        let send_places = if self.sends { SEND_PLACES } else { 0 };
        (u64::from(self.receive_places + send_places) * PLACE_BYTES) as usize
    }
}

/// The end of one shard.
pub(super) struct QueueEnd {
    pub(super) socket: Arc<OwnedFd>,
    pub(super) memory: Arc<Mapping>,
    pub(super) arrived: Taken<Descriptor>,
    pub(super) home: Home,
    /// The owner's, where it sends.
    pub(super) sending: Option<Sending>,
}

/// Where a place goes when its frame was read.
pub(super) enum Home {
    /// To the kernel, with those that other shards return.
    Kernel { fill: Given<u64>, returned: Vec<Consumer<u64>> },
    /// To the owner.
    Owner(Producer<u64>),
}

/// The rings by which frames go out.
pub(super) struct Sending {
    pub(super) frames: Given<Descriptor>,
    pub(super) done: Taken<u64>,
}

/// Opens a queue: an end for each shard. `None`: the interface has no such queue.
pub(super) fn open(plan: &QueuePlan) -> Result<Option<Vec<QueueEnd>>, Failure> {
    let memory = Arc::new(Mapping::new(plan.memory_bytes())?);
    let Owner { socket: owner, mut fill, arrived, sending } = Owner::new(plan, &memory)?;
    match bind_patiently(&owner, plan) {
        Ok(()) => {}
        Err(Errno::INVAL) if plan.queue > 0 => return Ok(None),
        Err(Errno::BUSY) => {
            let text = format!("another program has queue {} of the interface", plan.queue);
            return Err(("bind(AF_XDP)", io::Error::other(text)));
        }
        Err(error) => return Err(("bind(AF_XDP)", error.into())),
    }
    for place in 0..plan.receive_places {
        fill.push(u64::from(place) * PLACE_BYTES);
    }
    fill.publish();
    let mut ends = Vec::with_capacity(plan.shards);
    let mut returned = Vec::with_capacity(plan.shards);
    for shard in (0..plan.shards).filter(|shard| *shard != plan.owner()) {
        let (home, returns) = RingBuffer::new(plan.receive_places as usize);
        returned.push(returns);
        ends.push((shard, others_end(plan, &owner, &memory, Home::Owner(home))?));
    }
    let home = Home::Kernel { fill, returned };
    let end = QueueEnd { socket: Arc::new(owner), memory, arrived, home, sending };
    ends.insert(plan.owner(), (plan.owner(), end));
    Ok(Some(ends.into_iter().map(|(_, end)| end).collect()))
}

/// The socket with the queue's memory and rings, not bound yet: before Linux 6.4 the kernel shows no ring of
/// a socket that is.
struct Owner {
    socket: OwnedFd,
    fill: Given<u64>,
    arrived: Taken<Descriptor>,
    sending: Option<Sending>,
}

impl Owner {
    fn new(plan: &QueuePlan, memory: &Mapping) -> Result<Self, Failure> {
        let socket = new_socket(plan)?;
        let registration = XdpUmemReg {
            addr: memory.address(),
            len: memory.bytes() as u64,
            chunk_size: PLACE_BYTES as u32,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        let failed = |call| move |error: Errno| (call, io::Error::from(error));
        set_xdp_umem_reg(&socket, registration).map_err(failed("setsockopt(XDP_UMEM_REG)"))?;
        set_xdp_umem_fill_ring_size(&socket, plan.receive_places)
            .map_err(failed("setsockopt(XDP_UMEM_FILL_RING)"))?;
        set_xdp_umem_completion_ring_size(&socket, SEND_PLACES)
            .map_err(failed("setsockopt(XDP_UMEM_COMPLETION_RING)"))?;
        if plan.sends {
            set_xdp_tx_ring_size(&socket, SEND_PLACES)
                .map_err(failed("setsockopt(XDP_TX_RING)"))?;
            set_socket_send_buffer_size_force(&socket, SEND_BUFFER_BYTES)
                .map_err(failed("setsockopt(SO_SNDBUFFORCE)"))?;
        }
        let offsets = offsets(&socket)?;
        let fill = Given::new(&socket, XDP_UMEM_PGOFF_FILL_RING, offsets.fr, plan.receive_places)?;
        let done = Taken::new(&socket, XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, SEND_PLACES)?;
        let arrived = Taken::new(&socket, XDP_PGOFF_RX_RING, offsets.rx, plan.receive_places)?;
        let sending = match plan.sends {
            true => {
                let frames = Given::new(&socket, XDP_PGOFF_TX_RING, offsets.tx, SEND_PLACES)?;
                Some(Sending { frames, done })
            }
            false => None,
        };
        Ok(Self { socket, fill, arrived, sending })
    }
}

fn others_end(
    plan: &QueuePlan,
    owner: &OwnedFd,
    memory: &Arc<Mapping>,
    home: Home,
) -> Result<QueueEnd, Failure> {
    let socket = new_socket(plan)?;
    // Before it is bound, as with the owner's.
    let rings = offsets(&socket)?;
    let arrived = Taken::new(&socket, XDP_PGOFF_RX_RING, rings.rx, plan.receive_places)?;
    let flags = SocketAddrXdpFlags::XDP_SHARED_UMEM;
    let address = SocketAddrXdpWithSharedUmem {
        addr: SocketAddrXdp::new(flags, plan.interface, plan.queue),
        shared_umem_fd: owner.as_fd(),
    };
    bind(&socket, &address).map_err(|error| ("bind(AF_XDP, XDP_SHARED_UMEM)", error.into()))?;
    let (socket, memory) = (Arc::new(socket), Arc::clone(memory));
    Ok(QueueEnd { socket, memory, arrived, home, sending: None })
}

/// A socket that may receive, not bound yet.
fn new_socket(plan: &QueuePlan) -> Result<OwnedFd, Failure> {
    let socket = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(|error| ("socket(AF_XDP)", io::Error::from(error)))?;
    set_xdp_rx_ring_size(&socket, plan.receive_places)
        .map_err(|error| ("setsockopt(XDP_RX_RING)", io::Error::from(error)))?;
    Ok(socket)
}

fn bind_patiently(socket: &OwnedFd, plan: &QueuePlan) -> Result<(), Errno> {
    // The kernel shares its memory with the driver where the driver can do that, else it copies.
    let address =
        SocketAddrXdp::new(SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP, plan.interface, plan.queue);
    for _ in 1..TRIES {
        match bind(socket, &address) {
            Err(Errno::BUSY) => sleep(TRY_AGAIN_AFTER),
            bound => return bound,
        }
    }
    bind(socket, &address)
}

fn offsets(socket: &OwnedFd) -> Result<XdpMmapOffsets, Failure> {
    xdp_mmap_offsets(socket).map_err(|error| ("getsockopt(XDP_MMAP_OFFSETS)", error.into()))
}
