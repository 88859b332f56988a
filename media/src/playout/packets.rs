//! Received frames in the order of their sound, as they came, until they are due.

use std::time::Duration;

/// Packets that are kept: more than twice 300 ms of packets of 5 ms.
const PACKETS_MAX: usize = 144;

/// Longer ones do not come over any network that we know.
const PAYLOAD_BYTES_MAX: usize = 2048;

/// One packet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Packet {
    /// Place of its first sample.
    pub(super) position: u64,
    /// How many samples it holds.
    pub(super) samples: u32,
    start: u32,
    length: u32,
}

impl Packet {
    /// Behind its last sample.
    pub(super) fn end(&self) -> u64 {
        self.position + u64::from(self.samples)
    }

    fn overlaps(&self, start: usize, length: usize) -> bool {
        start < (self.start + self.length) as usize && (self.start as usize) < start + length
    }
}

/// The store. Octets lie in a ring in the order of arrival; packets are listed in the order of
/// their sound.
#[derive(Debug)]
pub(super) struct PacketStore {
    packets: Box<[Packet]>,
    count: usize,
    octets: Box<[u8]>,
    /// Where the next packet's octets go.
    next: usize,
}

impl PacketStore {
    /// For a stream of so many octets a second. Allocates.
    pub(super) fn new(octets_per_second: usize, delay_max: Duration) -> Self {
        // What waits, a packet of 120 ms more, and the end of the ring that a packet may not fit.
        let octets = octets_per_second * (delay_max.as_millis() as usize + 120) / 1000;
        Self {
            packets: vec![Packet::default(); PACKETS_MAX].into_boxed_slice(),
            count: 0,
            octets: vec![0; octets + 2 * PAYLOAD_BYTES_MAX].into_boxed_slice(),
            next: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
        self.next = 0;
    }

    /// The packets, in order.
    pub(super) fn list(&self) -> &[Packet] {
        &self.packets[..self.count]
    }

    /// The octets of a packet of the list.
    pub(super) fn payload(&self, packet: &Packet) -> &[u8] {
        &self.octets[packet.start as usize..][..packet.length as usize]
    }

    /// Whether a payload of that length can be kept.
    pub(super) fn fits(length: usize) -> bool {
        (1..=PAYLOAD_BYTES_MAX).contains(&length)
    }

    /// Keeps a packet, one that [`PacketStore::fits`]. False where another one had to make way.
    pub(super) fn insert(&mut self, position: u64, samples: usize, payload: &[u8]) -> bool {
        if self.next + payload.len() > self.octets.len() {
            self.next = 0;
        }
        let (start, length) = (self.next, payload.len());
        self.octets[start..start + length].copy_from_slice(payload);
        self.next += length;
        let before = self.count;
        self.retain(|packet| !packet.overlaps(start, length));
        if self.count == PACKETS_MAX {
            self.remove_first();
        }
        let whole = self.count == before;
        let place = self.list().partition_point(|packet| packet.position <= position);
        self.packets.copy_within(place..self.count, place + 1);
        let (start, length) = (start as u32, length as u32);
        self.packets[place] = Packet { position, samples: samples as u32, start, length };
        self.count += 1;
        whole
    }

    /// Drops the first packet of the list.
    pub(super) fn remove_first(&mut self) {
        if self.count > 0 {
            self.packets.copy_within(1..self.count, 0);
            self.count -= 1;
        }
    }

    /// Drops all packets that end at `position` or before.
    pub(super) fn remove_until(&mut self, position: u64) {
        while self.list().first().is_some_and(|packet| packet.end() <= position) {
            self.remove_first();
        }
    }

    fn retain(&mut self, keep: impl Fn(&Packet) -> bool) {
        let mut kept = 0;
        for index in 0..self.count {
            if keep(&self.packets[index]) {
                self.packets[kept] = self.packets[index];
                kept += 1;
            }
        }
        self.count = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DELAY_MAX: Duration = Duration::from_millis(300);

    #[test]
    fn packets_are_listed_in_the_order_of_their_sound() {
        let mut store = PacketStore::new(8000, DELAY_MAX);
        for position in [480, 160, 320, 0] {
            assert!(store.insert(position, 160, &[position as u8; 20]));
        }
        let positions: Vec<u64> = store.list().iter().map(|packet| packet.position).collect();
        assert_eq!(positions, [0, 160, 320, 480]);
        assert!(store.list().iter().all(|p| store.payload(p) == [p.position as u8; 20]));
        store.remove_until(330);
        assert_eq!(store.list().len(), 2);
    }

    proptest! {
        #[test]
        fn what_is_listed_is_whole(
            packets in prop::collection::vec((0u64..5000, 1usize..2048, any::<u8>()), 1..300)
        ) {
            let mut store = PacketStore::new(8000, DELAY_MAX);
            let mut made_way = 0;
            for (index, &(position, length, code)) in packets.iter().enumerate() {
                let before = store.list().len();
                let whole = store.insert(position, 160, &vec![code; length]);
                prop_assert_eq!(whole, store.list().len() == before + 1);
                made_way += before + 1 - store.list().len();
                prop_assert_eq!(store.list().len() + made_way, index + 1);
                for packet in store.list() {
                    let code = packets.iter().find(|p| p.0 == packet.position).map(|p| p.2);
                    let payload = store.payload(packet);
                    prop_assert!(payload.iter().all(|&octet| octet == payload[0]));
                    let several = packets.iter().filter(|p| p.0 == packet.position).count() > 1;
                    prop_assert!(several || Some(payload[0]) == code);
                }
            }
        }
    }
}
