//! Memory shared with the kernel: places of frames, and the rings that name them (linux/if_xdp.h).

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::xdp::XdpRingOffset;

use crate::packet::Failure;

/// The call by which memory is shared.
const MAP: &str = "mmap";

/// Memory of the kernel's or for the kernel, until it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the memory belongs to the process; who may touch which part of it when is the concern of
// those that do, each with its reason.
unsafe impl Send for Mapping {}
// SAFETY: the same.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Zeros, in memory of its own.
    pub(super) fn new(bytes: usize) -> Result<Self, Failure> {
        Self::map(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    fn of(socket: BorrowedFd<'_>, offset: u64, bytes: usize) -> Result<Self, Failure> {
        Self::map(bytes, libc::MAP_SHARED, socket.as_raw_fd(), offset as i64)
    }

    fn map(bytes: usize, flags: i32, file: i32, offset: i64) -> Result<Self, Failure> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_POPULATE);
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, file, offset) };
        if start == libc::MAP_FAILED {
            return Err((MAP, io::Error::last_os_error()));
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| (MAP, io::ErrorKind::InvalidInput.into()))?;
        Ok(Self { start, bytes })
    }

    pub(super) fn address(&self) -> u64 {
        self.start.as_ptr() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A part of it, where it lies inside.
    fn part(&self, start: u64, length: usize) -> Option<NonNull<u8>> {
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(length)?;
        // SAFETY: the part's start is inside the mapping.
        (end <= self.bytes).then(|| unsafe { self.start.add(start) })
    }

    /// Bytes that the kernel has written.
    ///
    /// # Safety
    ///
    /// Nobody writes there while they are used: the place came by a ring and has not gone back.
    pub(super) unsafe fn read(&self, start: u64, length: usize) -> Option<&[u8]> {
        let start = self.part(start, length)?;
        // SAFETY: inside the mapping, initialised (zeros at first), and not written to, as promised.
        Some(unsafe { slice::from_raw_parts(start.as_ptr(), length) })
    }

    /// A place to write to.
    ///
    /// # Safety
    ///
    /// Nobody else uses the place, neither here nor the kernel.
    #[expect(clippy::mut_from_ref, reason = "places are disjoint, which the caller promises")]
    pub(super) unsafe fn write(&self, start: u64, length: usize) -> Option<&mut [u8]> {
        let start = self.part(start, length)?;
        // SAFETY: inside the mapping, initialised (zeros at first), and ours alone, as promised.
        Some(unsafe { slice::from_raw_parts_mut(start.as_ptr(), length) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and what was borrowed from it is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Names a frame, with its length (`struct xdp_desc`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Descriptor {
    pub(super) address: u64,
    pub(super) length: u32,
    pub(super) options: u32,
}

/// What the kernel may find or leave in a ring: any bits are a value of it.
pub(super) trait Entry: Copy {}
impl Entry for u64 {}
impl Entry for Descriptor {}

/// A ring of one writer and one reader, one of which is the kernel.
struct Ring<T> {
    memory: Mapping,
    offsets: XdpRingOffset,
    mask: u32,
    /// How far our side is; the kernel is told by [`Given::publish`] and [`Taken::release`].
    ours: u32,
    /// How far the kernel's side was when we last looked.
    theirs: u32,
    entries: PhantomData<T>,
}

impl<T: Entry> Ring<T> {
    /// The ring of `count` entries (a power of two) that the socket shows at this offset.
    fn new(
        socket: impl AsFd,
        page: u64,
        offsets: XdpRingOffset,
        count: u32,
    ) -> Result<Self, Failure> {
        let bytes = offsets.desc as usize + count as usize * size_of::<T>();
        let memory = Mapping::of(socket.as_fd(), page, bytes)?;
        Ok(Self { memory, offsets, mask: count - 1, ours: 0, theirs: 0, entries: PhantomData })
    }

    fn index(&self, offset: u64) -> &AtomicU32 {
        // SAFETY: the kernel says that an aligned index is there, and both sides access it as one.
        unsafe { self.memory.start.add(offset as usize).cast().as_ref() }
    }

    fn entry(&self, index: u32) -> NonNull<T> {
        let place = (index & self.mask) as usize * size_of::<T>();
        // SAFETY: the mapping was made for as many entries as the mask allows.
        unsafe { self.memory.start.add(self.offsets.desc as usize + place).cast() }
    }

    /// Whether the kernel asks for a system call to go on.
    fn needs_wakeup(&self) -> bool {
        const NEED_WAKEUP: u32 = 1;
        self.offsets
            .flags
            .is_some_and(|flags| self.index(flags).load(Ordering::Relaxed) & NEED_WAKEUP != 0)
    }
}

/// A ring that we fill.
pub(super) struct Given<T>(Ring<T>);

impl<T: Entry> Given<T> {
    pub(super) fn new(
        socket: impl AsFd,
        page: u64,
        offsets: XdpRingOffset,
        count: u32,
    ) -> Result<Self, Failure> {
        Ok(Self(Ring::new(socket, page, offsets, count)?))
    }

    /// Writes an entry; false where the ring is full.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.is_full() {
            self.look();
            if self.is_full() {
                return false;
            }
        }
        let ring = &mut self.0;
        // SAFETY: the kernel has read what was here, and reads the new entry after it is published.
        unsafe { ring.entry(ring.ours).write(entry) };
        ring.ours = ring.ours.wrapping_add(1);
        true
    }

    /// Shows the kernel all that was pushed.
    pub(super) fn publish(&mut self) {
        self.0.index(self.0.offsets.producer).store(self.0.ours, Ordering::Release);
    }

    /// Entries that the kernel has not taken yet.
    pub(super) fn waiting(&mut self) -> u32 {
        self.look();
        self.0.ours.wrapping_sub(self.0.theirs)
    }

    pub(super) fn needs_wakeup(&self) -> bool {
        self.0.needs_wakeup()
    }

    /// Whether it was full when we last looked.
    fn is_full(&self) -> bool {
        self.0.ours.wrapping_sub(self.0.theirs) > self.0.mask
    }

    fn look(&mut self) {
        self.0.theirs = self.0.index(self.0.offsets.consumer).load(Ordering::Acquire);
    }
}

/// A ring that the kernel fills.
pub(super) struct Taken<T>(Ring<T>);

impl<T: Entry> Taken<T> {
    pub(super) fn new(
        socket: impl AsFd,
        page: u64,
        offsets: XdpRingOffset,
        count: u32,
    ) -> Result<Self, Failure> {
        Ok(Self(Ring::new(socket, page, offsets, count)?))
    }

    /// Looks how much there is to pop.
    pub(super) fn look(&mut self) {
        self.0.theirs = self.0.index(self.0.offsets.producer).load(Ordering::Acquire);
    }

    /// An entry further on, which is not popped yet.
    pub(super) fn peek(&self, ahead: u32) -> Option<T> {
        let ring = &self.0;
        (ahead < ring.theirs.wrapping_sub(ring.ours)).then(|| {
            // SAFETY: the kernel wrote it before it moved its index, and waits for the release.
            unsafe { ring.entry(ring.ours.wrapping_add(ahead)).read() }
        })
    }

    /// The next entry, of those that were there at the last look.
    pub(super) fn pop(&mut self) -> Option<T> {
        let entry = self.peek(0)?;
        self.0.ours = self.0.ours.wrapping_add(1);
        Some(entry)
    }

    /// Lets the kernel write where all was popped.
    pub(super) fn release(&mut self) {
        self.0.index(self.0.offsets.consumer).store(self.0.ours, Ordering::Release);
    }
}
