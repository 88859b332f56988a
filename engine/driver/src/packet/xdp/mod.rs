//! AF_XDP: a shortcut past the kernel's network stack, both ways, by the interface that has the media
//! address (documented in the kernel as Documentation/networking/af_xdp.rst).
//!
//! A program at the interface takes the datagrams for our ports out of the stream of frames, into
//! memory shared with the shards; frames of ours leave from such memory. It is a part of the packet
//! road and no road of its own: what the program leaves to the kernel, and what comes by other
//! interfaces, still arrives at the steered socket, and frames that cannot go by a queue go by the
//! packet socket. Whatever way a packet takes, the shard sees no difference.

mod filter;
mod inlet;
mod outlet;
mod queue;
mod ring;

use std::fmt;
use std::io;
use std::os::fd::AsRawFd;

use aya::Ebpf;
use aya::maps::{MapData, XskMap};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use rustix::net::sockopt::xdp_options;
use rustix::net::xdp::XdpOptionsFlags;

use super::bpf::{MapPlan, SOCKET_BYTES, load, missing, whole};
use super::kernel::{KernelTables, Link};
use super::{Failure, PacketPlan};
use filter::{Filter, XDP_PASS};
pub(crate) use inlet::QueueInlet;
pub(crate) use outlet::QueueOutlet;
use queue::{QueueEnd, QueuePlan};

/// Bytes of the time that the program writes in front of a frame.
const STAMP_BYTES: usize = 8;

/// More queues than any interface needs for media: the others are left to the kernel.
const QUEUES_MAX: u32 = 64;

/// Places for frames on their way in, for each queue: what so many sessions send in 40 ms, within
/// these bounds.
const SESSION_PLACES: u32 = 2;
const PLACES: std::ops::RangeInclusive<u32> = 1024..=65_536;

const MAP: &str = "QUEUES";
const PROGRAM: &str = "take";

/// Keeps the shortcut open, until it is dropped. The kernel takes the program away when the process
/// ends, however it does.
pub(crate) struct XdpKeeper {
    _link: FdLink,
    _loaded: Ebpf,
    memory_bytes: usize,
}

/// What one shard has of it.
#[derive(Default)]
pub(crate) struct XdpEnds {
    pub(crate) inlets: Vec<QueueInlet>,
    /// None: there are fewer queues than shards.
    pub(crate) outlet: Option<QueueOutlet>,
}

impl XdpKeeper {
    /// Bytes shared with the kernel.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }
}

impl fmt::Debug for XdpKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdpKeeper")
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

/// Opens the shortcut for every shard, or says what is missing for it.
pub(crate) fn open(plan: &PacketPlan<'_>) -> Result<(XdpKeeper, Vec<XdpEnds>), Failure> {
    let interface = interface_of(plan)?;
    let filter = Filter {
        hardware: interface.hardware,
        address: plan.address,
        ports: plan.ports,
        shards: plan.shards,
        stamps: plan.stamps,
    };
    const XSKMAP: u32 = 17;
    let entries = QUEUES_MAX * plan.shards as u32;
    let map = MapPlan { name: MAP, kind: XSKMAP, value_bytes: SOCKET_BYTES, entries };
    let mut loaded = load("xdp", PROGRAM, &filter.instructions(XDP_PASS), &map)?;
    // First, as only one can have the interface: until sockets are in its map, all passes to the kernel.
    let (link, is_native) = attach(&mut loaded, &interface)?;
    let queues = open_queues(plan, &interface)?;
    let map = loaded.map_mut(MAP).ok_or_else(|| missing(MAP))?;
    let mut map: XskMap<&mut MapData> =
        map.try_into().map_err(|error| ("bpf(MAP_CREATE)", whole(&error)))?;
    for (plan, ends) in &queues {
        for (shard, end) in ends.iter().enumerate() {
            map.set(filter.key(plan.queue, shard), end.socket.as_raw_fd(), 0)
                .map_err(|error| ("bpf(MAP_UPDATE_ELEM)", whole(&error)))?;
        }
    }
    let memory_bytes = queues.iter().map(|(plan, _)| plan.memory_bytes()).sum();
    tracing::info!(
        interface = interface.name,
        is_native,
        is_zero_copy = queues.first().is_some_and(|(_, ends)| is_zero_copy(&ends[0])),
        queues = queues.len(),
        "taking media from the interface by XDP"
    );
    let keeper = XdpKeeper { _link: link, _loaded: loaded, memory_bytes };
    Ok((keeper, ends_of_shards(queues, plan.shards)))
}

/// The interface that has the media address.
fn interface_of(plan: &PacketPlan<'_>) -> Result<Link, Failure> {
    let refused = |text: String| ("the interface", io::Error::other(text));
    if plan.address.is_unspecified() {
        let text = "an address of one interface must be given for media, not that of all";
        return Err(refused(text.into()));
    }
    let found = KernelTables::open(plan.address)?.interface_of(plan.address);
    found.ok_or_else(|| refused(format!("no Ethernet interface has the address {}", plan.address)))
}

/// Attaches the program: by the interface's driver, else in front of the kernel's network stack.
fn attach(loaded: &mut Ebpf, interface: &Link) -> Result<(FdLink, bool), Failure> {
    let program = loaded.program_mut(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
    let program: &mut Xdp =
        program.try_into().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))?;
    program.load().map_err(|error| ("bpf(PROG_LOAD)", whole(&error)))?;
    let native = program.attach_to_if_index(interface.index, XdpMode::Driver);
    let is_native = native.is_ok();
    let attached = match native {
        Err(error) if !is_taken(&error) => {
            program.attach_to_if_index(interface.index, XdpMode::Skb)
        }
        attached => attached,
    };
    let attached = attached.map_err(|error| {
        let name = &interface.name;
        let error = match is_taken(&error) {
            true => io::Error::other(format!(
                "the interface {name} has an XDP program already, of another server or another program"
            )),
            false => whole(&error),
        };
        ("bpf(LINK_CREATE)", error)
    })?;
    // A link of the process, which ends with it, and not one of netlink, which would stay.
    let link = program.take_link(attached).map_err(|error| ("bpf(LINK_CREATE)", whole(&error)))?;
    let link = link.try_into().map_err(|error| ("bpf(LINK_CREATE)", whole(&error)))?;
    Ok((link, is_native))
}

fn is_taken(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    matches!(error.io_error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// Every queue of the interface, with an end for each shard.
fn open_queues(
    plan: &PacketPlan<'_>,
    interface: &Link,
) -> Result<Vec<(QueuePlan, Vec<QueueEnd>)>, Failure> {
    let places = (SESSION_PLACES * plan.limits.sessions_max).next_power_of_two();
    let mut queues = Vec::new();
    for queue in 0..QUEUES_MAX {
        let plan = QueuePlan {
            interface: interface.index,
            queue,
            shards: plan.shards,
            receive_places: places.clamp(*PLACES.start(), *PLACES.end()),
            sends: queue < interface.send_queues && (queue as usize) < plan.shards,
        };
        let Some(ends) = queue::open(&plan)? else { break };
        queues.push((plan, ends));
    }
    Ok(queues)
}

fn is_zero_copy(end: &QueueEnd) -> bool {
    let options = xdp_options(&end.socket);
    options.is_ok_and(|options| options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
}

/// Sorts the ends by shard instead of by queue.
fn ends_of_shards(queues: Vec<(QueuePlan, Vec<QueueEnd>)>, shards: usize) -> Vec<XdpEnds> {
    let mut sorted: Vec<_> = (0..shards).map(|_| XdpEnds::default()).collect();
    for (plan, ends) in queues {
        for (mut end, shard) in ends.into_iter().zip(&mut sorted) {
            if let Some(outlet) = QueueOutlet::new(&mut end, plan.interface, plan.receive_places) {
                shard.outlet = Some(outlet);
            }
            shard.inlets.push(QueueInlet::new(end));
        }
    }
    sorted
}
