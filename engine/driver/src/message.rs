//! What the kernel writes beside a datagram: who sent it, and its control messages.

use std::net::SocketAddr;
use std::ptr;

use libc::{c_int, cmsghdr, msghdr, sockaddr_storage, socklen_t, timespec};
use socket2::{SockAddr, SockAddrStorage};

/// A source address that the kernel wrote, IPv4 also where an IPv6 socket saw it mapped.
pub(crate) fn source(name: &sockaddr_storage, length: socklen_t) -> Option<SocketAddr> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_storage` is one of the platform's address types.
    *unsafe { storage.view_as::<sockaddr_storage>() } = *name;
    // SAFETY: the kernel wrote an address of `length` bytes into the zeroed storage.
    let address = unsafe { SockAddr::new(storage, length) }.as_socket()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The kernel's time stamp (`SO_TIMESTAMPNS`), where there is one.
pub(crate) fn stamp_unix_nanos(header: &msghdr) -> Option<u64> {
    let time: timespec = control(header, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)?;
    Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The control message of this kind, where the kernel wrote one with a whole `T`. The header must
/// be one that the kernel has filled.
pub(crate) fn control<T: Copy>(header: &msghdr, level: c_int, kind: c_int) -> Option<T> {
    // SAFETY: the header is one that the kernel filled, its control buffer aligned and alive.
    let mut message: *const cmsghdr = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: the kernel's macros gave a whole control message header inside the buffer.
        let found = unsafe { &*message };
        // SAFETY: the length of a `T` is only computed.
        let whole = unsafe { libc::CMSG_LEN(size_of::<T>() as u32) } as usize;
        if (found.cmsg_level, found.cmsg_type) == (level, kind) && found.cmsg_len as usize >= whole
        {
            // SAFETY: the message's length says that a whole `T` follows its header.
            return Some(unsafe { ptr::read_unaligned(libc::CMSG_DATA(message).cast::<T>()) });
        }
        // SAFETY: as for the first one.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}
