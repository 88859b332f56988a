//! What the operating system is asked for on behalf of a shard: files, a core, priority.

use std::io;
use std::num::NonZeroU64;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

/// Above programs that ask for the least real-time priority there is, which most do, and which would
/// else hold the core for as long as they like; below the kernel's threads for interrupts (50).
const PRIORITY: i32 = 40;

/// Raises the limit of open files as far as it goes. Returns how many the process may open.
pub fn allow_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // May be refused where the hard limit is above the kernel's own (fs.nr_open).
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// An RTP and an RTCP socket for each session of each shard.
pub(crate) const fn sockets(shards: u64, sessions_max: u32) -> u64 {
    2 * shards * sessions_max as u64
}

/// Looks whether the sockets of all sessions may be opened beside so many other files. `Err`: needed,
/// allowed, and how many sessions per shard would fit.
pub(crate) fn allow_sockets(
    shards: u64,
    sessions_max: u32,
    files_beside: u64,
) -> Result<(), (u64, u64, u32)> {
    let allowed = allow_files();
    let needed = sockets(shards, sessions_max) + files_beside;
    if needed <= allowed {
        return Ok(());
    }
    let fit = allowed.saturating_sub(files_beside) / sockets(shards, 1);
    Err((needed, allowed, u32::try_from(fit).unwrap_or(u32::MAX)))
}

/// Ties the calling thread to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    if core >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Asks that the calling thread runs whenever it can, before all ordinary threads. Among those of
/// the same priority on the core, which another server's shard may be, it takes turns: one that is
/// behind and never sleeps stops nobody for more than a slice of time.
pub(crate) fn make_realtime() -> io::Result<()> {
    // Where the limit of the process (RLIMIT_RTPRIO) is lower, the least is better than none.
    set_priority(PRIORITY).or_else(|_| set_priority(1))
}

fn set_priority(priority: i32) -> io::Result<()> {
    // SAFETY: all zeros is a valid parameter block.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = priority;
    // SAFETY: the parameters outlive the call; 0 is the calling thread.
    let returned = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) };
    if returned == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks that the calling thread is woken when its deadline passes, not up to 50 us later.
pub(crate) fn wake_precisely() {
    // Refused by no kernel that knows the call; where it is unknown, ticks are a little late.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_sessions_are_refused_with_the_number_that_fits() {
        let (needed, allowed, fit) = allow_sockets(255, u32::MAX, 100).unwrap_err();
        assert!(needed > allowed);
        assert!(allow_sockets(255, fit, 100).is_ok());
        assert!(allow_sockets(255, fit, 1000).is_err(), "what is beside them counts");
    }
}
