//! Frames that came by one queue for one shard.

use std::time::Duration;

use engine::{Datagram, Shard};
use media_kernels::prefetch;
use media_units::{Arrival, Instant};
use rustix::net::{RecvFlags, recv};

use super::STAMP_BYTES;
use super::queue::{Home, PLACE_BYTES, QueueEnd};
use super::ring::{Descriptor, Mapping};
use crate::carrier::Carrier;
use crate::clock::monotonic_nanos;
use crate::packet::outlet::PacketOutlet;
use crate::packet::{PortBlock, frame, unnoted_arrival};

/// So many frames ahead the memory of a frame is asked for, then that of its session, and then the
/// place of its sound, which the session names.
const FRAME_AHEAD: u32 = 10;
const SESSION_AHEAD: u32 = 6;
const PLACE_AHEAD: u32 = 3;

/// Of a frame, so much is asked for: a packet of G.711 with its headers.
const LIKELY_BYTES: u32 = 214;

/// The way in of one shard by one queue.
pub(crate) struct QueueInlet(QueueEnd);

impl QueueInlet {
    pub(super) fn new(end: QueueEnd) -> Self {
        Self(end)
    }

    /// Hands the shard all that is there, which the ring bounds, and gives the places back.
    pub(crate) fn read(
        &mut self,
        ports: PortBlock,
        shard: &mut Shard,
        carrier: &mut Carrier<PacketOutlet>,
        now: Instant,
    ) {
        let QueueEnd { memory, arrived, home, .. } = &mut self.0;
        let clock = Clock { now, nanos: monotonic_nanos() };
        arrived.look();
        while let Some(descriptor) = arrived.pop() {
            if let Some(ahead) = arrived.peek(FRAME_AHEAD) {
                let length = ahead.length.min(LIKELY_BYTES);
                bytes(memory, &Descriptor { length, ..ahead }).map(prefetch);
            }
            let slot = |ahead| {
                let port = frame::destination_port(bytes(memory, &arrived.peek(ahead)?)?)?;
                ports.recipient(port).map(|(slot, _)| slot)
            };
            shard.prefetch(slot(SESSION_AHEAD).into_iter());
            if let Some(slot) = slot(PLACE_AHEAD) {
                shard.prefetch_place(slot);
            }
            if let Some(datagram) = datagram(memory, &descriptor, ports, clock) {
                carrier.hand_in(shard, datagram);
            }
            home.take(descriptor.address & !(PLACE_BYTES - 1));
        }
        arrived.release();
        if home.finish() {
            // The driver has stopped for want of places, and looks for them when it is asked to.
            let _ = recv(&self.0.socket, &mut [0_u8; 0][..], RecvFlags::DONTWAIT);
        }
    }
}

impl Home {
    /// Each ring has room for every place.
    fn take(&mut self, place: u64) {
        match self {
            Self::Kernel { fill, .. } => {
                fill.push(place);
            }
            Self::Owner(home) => {
                let _ = home.push(place);
            }
        }
    }

    /// Shows the kernel what there is; whether it must be woken for that.
    fn finish(&mut self) -> bool {
        let Self::Kernel { fill, returned } = self else { return false };
        for ring in returned {
            while let Ok(place) = ring.pop() {
                fill.push(place);
            }
        }
        fill.publish();
        fill.needs_wakeup()
    }
}

/// The same moment on the shard's clock and on the kernel's.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    nanos: u64,
}

fn bytes<'a>(memory: &'a Mapping, descriptor: &Descriptor) -> Option<&'a [u8]> {
    // SAFETY: the kernel has handed the frame over, and does not write there again before its place
    // is given back, when nothing refers to it any more.
    unsafe { memory.read(descriptor.address, descriptor.length as usize) }
}

fn datagram<'a>(
    memory: &'a Mapping,
    descriptor: &Descriptor,
    ports: PortBlock,
    clock: Clock,
) -> Option<Datagram<'a>> {
    let arrived = frame::read(bytes(memory, descriptor)?)?;
    let (slot, port) = ports.recipient(arrived.destination_port)?;
    let stamp = Descriptor {
        address: descriptor.address.checked_sub(STAMP_BYTES as u64)?,
        length: STAMP_BYTES as u32,
        options: 0,
    };
    let arrival = match u64::from_ne_bytes(*bytes(memory, &stamp)?.first_chunk()?) {
        // No time was written, as wanted or because the driver has no room for it.
        0 => unnoted_arrival(clock.now),
        stamp => clock.now - Duration::from_nanos(clock.nanos.saturating_sub(stamp)),
    };
    Some(Datagram {
        slot,
        port,
        source: arrived.source,
        arrival: Arrival::At(arrival),
        bytes: arrived.payload,
        truncated: false,
    })
}
