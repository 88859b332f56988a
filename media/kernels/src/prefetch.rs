//! A hint to the memory, given early enough that the wait for it is over when the bytes are needed.

/// Asks for the cache lines of `value`. Changes nothing, and does nothing where the CPU has no such
/// hint.
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_start(value, size_of_val(value));
}

/// Asks for the cache lines of the first so many octets of `value`.
pub fn prefetch_start<T: ?Sized>(value: &T, octets: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let start = std::ptr::from_ref(value).cast::<i8>();
        let begin = start.addr();
        let end = begin + octets.min(size_of_val(value));
        for address in (begin - begin % LINE..end).step_by(LINE) {
            // SAFETY: a prefetch never faults, and each of these lines has a part of `value` in it.
            unsafe { _mm_prefetch(start.with_addr(address), _MM_HINT_T0) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, octets);
}
