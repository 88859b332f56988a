//! Frames of one shard on their way out by the queue that it owns.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{SendFlags, send};

use super::queue::{PLACE_BYTES, QueueEnd, SEND_PLACES, Sending};
use super::ring::{Descriptor, Mapping};
use crate::packet::routes::ETHERNET_BYTES;

/// Longest payload that every interface takes with any headers (RFC 8200 section 5). What is longer may be
/// longer than the MTU, which a packet socket knows and an XDP socket does not.
const PAYLOAD_BYTES_MAX: usize = 1280 - 48;

/// The way out of one shard.
pub(crate) struct QueueOutlet {
    socket: Arc<OwnedFd>,
    memory: Arc<Mapping>,
    sending: Sending,
    /// Places that nobody uses, the last one used on top: it is still in the cache.
    free: Vec<u64>,
    interface: i32,
}

impl QueueOutlet {
    /// The outlet by a queue's owner's end; `None` where it does not send.
    pub(super) fn new(end: &mut QueueEnd, interface: u32, receive_places: u32) -> Option<Self> {
        let places = receive_places..receive_places + SEND_PLACES;
        Some(Self {
            socket: Arc::clone(&end.socket),
            memory: Arc::clone(&end.memory),
            sending: end.sending.take()?,
            free: places.map(|place| u64::from(place) * PLACE_BYTES).collect(),
            interface: interface as i32,
        })
    }

    /// Whether a payload of this length by this interface is to go this way, and has room.
    pub(crate) fn carries(&mut self, interface: i32, payload_bytes: usize) -> bool {
        if interface != self.interface || payload_bytes > PAYLOAD_BYTES_MAX {
            return false;
        }
        if self.free.is_empty() {
            self.flush();
        }
        !self.free.is_empty()
    }

    /// Takes a frame: a link header, and what `write` puts behind it. `None` where that is none.
    pub(crate) fn push(
        &mut self,
        link_header: &[u8; ETHERNET_BYTES],
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<()> {
        let place = *self.free.last()?;
        // SAFETY: the place is on the list of those that neither the kernel nor anyone else uses.
        let frame = unsafe { self.memory.write(place, PLACE_BYTES as usize) }?;
        let (head, packet) = frame.split_at_mut(ETHERNET_BYTES);
        head.copy_from_slice(link_header);
        let length = (ETHERNET_BYTES + write(packet)?) as u32;
        // The ring has room for every place.
        if self.sending.frames.push(Descriptor { address: place, length, options: 0 }) {
            self.free.pop();
        }
        Some(())
    }

    /// Hands the kernel all that was taken, and takes back the places of what it has sent.
    pub(crate) fn flush(&mut self) {
        self.sending.frames.publish();
        let mut waiting = self.sending.frames.waiting();
        // A call takes some tens of them. Where it takes none, the interface is full or down: what waits
        // goes with the next flush, and what finds no room by the packet socket.
        while waiting > 0 && self.sending.frames.needs_wakeup() {
            let _ = send(&self.socket, &[], SendFlags::DONTWAIT);
            let left = self.sending.frames.waiting();
            if left == waiting {
                break;
            }
            waiting = left;
        }
        self.sending.done.look();
        while let Some(place) = self.sending.done.pop() {
            self.free.push(place & !(PLACE_BYTES - 1));
        }
        self.sending.done.release();
    }
}
