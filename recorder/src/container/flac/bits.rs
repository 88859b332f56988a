//! Bits, highest first.

/// Appends bits to bytes.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// The last bits, fewer than eight once `put` is done.
    bits: u64,
    count: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, bits: 0, count: 0 }
    }

    /// The lowest `count` (at most 32) bits of `value`.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        let value = u64::from(value) & ((1 << count) - 1);
        self.bits = (self.bits << count) | value;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.bits >> self.count) as u8);
        }
    }

    /// So many zeroes and a one.
    pub(super) fn put_unary(&mut self, mut zeroes: u32) {
        while zeroes >= 32 {
            self.put(0, 32);
            zeroes -= 32;
        }
        self.put(1, zeroes + 1);
    }

    /// Zeroes up to the end of the byte.
    pub(super) fn align(self) {
        if self.count > 0 {
            self.out.push((self.bits << (8 - self.count)) as u8);
        }
    }
}
