//! Options of sockets that the libraries have no function for.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, socklen_t};

/// Sets an option whose value is one integer.
pub(crate) fn set(socket: &impl AsFd, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the option's value is one integer, which outlives the call.
    let returned = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<c_int>() as socklen_t,
        )
    };
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
