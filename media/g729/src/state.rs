//! A state of libbcg729 as a piece of memory.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// A word of it. What is behind the state, up to the end of what `malloc` gave, was never written.
pub(crate) type Word = MaybeUninit<usize>;

unsafe extern "C" {
    /// glibc's: how many octets the program may use at what `malloc` answered.
    fn malloc_usable_size(memory: *mut c_void) -> usize;
}

/// The memory of one state. Who holds it closes it.
#[derive(Debug)]
pub(crate) struct State {
    words: NonNull<Word>,
    count: usize,
}

// SAFETY: the library keeps nothing beside its states (all its tables are constant), so that it does not
// matter which thread uses one, as long as one does; `&mut` sees to that.
unsafe impl Send for State {}

impl State {
    /// # Safety
    ///
    /// `state` is what an `init` call of the library answered, and nobody else holds it.
    pub(crate) unsafe fn of(state: *mut c_void) -> Self {
        let words = NonNull::new(state.cast()).expect("memory for a state of libbcg729");
        // SAFETY: the library had it from `malloc`.
        let octets = unsafe { malloc_usable_size(state) };
        Self { words, count: octets / size_of::<Word>() }
    }

    /// For a call that changes or closes it.
    pub(crate) fn pointer(&mut self) -> *mut c_void {
        self.words.as_ptr().cast()
    }

    pub(crate) fn words(&self) -> &[Word] {
        // SAFETY: so many words are ours, `malloc` aligns them, and a word may be of any content.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }

    pub(crate) fn words_mut(&mut self) -> &mut [Word] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_ptr(), self.count) }
    }
}
