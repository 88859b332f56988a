//! An allocator that counts what the threads of the shards do with it, once it is armed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// How many shards every engine has that is guarded.
pub(crate) const SHARDS: u16 = 2;

/// The threads that must not allocate (0: none).
static GUARDED: [AtomicI32; SHARDS as usize] = [const { AtomicI32::new(0) }; SHARDS as usize];
/// What they did all the same.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

struct Guard;

/// Counts a call if a guarded thread makes it.
fn count(calls: &AtomicU64) {
    // SAFETY: a call without arguments that cannot fail and does not allocate.
    let thread = unsafe { libc::gettid() };
    if GUARDED.iter().any(|guarded| guarded.load(Ordering::Relaxed) == thread) {
        calls.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(&FREES);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static GUARD: Guard = Guard;

/// Arms the guard for the threads of the shards.
pub(crate) fn arm() {
    let mut places = GUARDED.iter();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        if std::fs::read_to_string(task.path().join("comm")).unwrap().starts_with("shard-") {
            let thread = task.file_name().to_str().unwrap().parse().unwrap();
            places.next().expect("as many as shards").store(thread, Ordering::Relaxed);
        }
    }
    assert!(places.next().is_none(), "every shard has a thread");
}

/// Disarms it; nothing must have been counted.
pub(crate) fn disarm() {
    GUARDED.iter().for_each(|guarded| guarded.store(0, Ordering::Relaxed));
    let counted = (ALLOCATIONS.load(Ordering::Relaxed), FREES.load(Ordering::Relaxed));
    assert_eq!(counted, (0, 0), "allocations and frees on the threads of shards");
}
