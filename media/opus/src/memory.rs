//! Where a state of libopus lives.

use std::ffi::c_int;

/// A cache line, so that a state is aligned better than `malloc` would.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

const LINE_BYTES: usize = 64;

/// The memory of one state, owned like any other.
#[derive(Debug)]
pub(crate) struct Memory(Box<[Line]>);

impl Memory {
    /// Zeroed, with at least so many octets as libopus says that the state takes.
    pub(crate) fn of(size: c_int) -> Self {
        let lines = usize::try_from(size).unwrap_or(0).div_ceil(LINE_BYTES);
        Self(vec![Line([0; LINE_BYTES]); lines].into_boxed_slice())
    }

    /// Makes it equal to `other`, which is as large.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    /// For a call that changes the state.
    pub(crate) fn pointer<State>(&mut self) -> *mut State {
        self.0.as_mut_ptr().cast()
    }
}
