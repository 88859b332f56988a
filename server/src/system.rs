//! What the server asks the operating system, beside sockets and threads.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What the process has used, and what the kernel counts about its sockets. Numbers that
/// cannot be read are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Octets in RAM.
    pub(crate) resident_bytes: u64,
    /// When the server started, since 1970.
    pub(crate) started: Duration,
    /// Datagrams to ports without a socket, of the whole machine.
    pub(crate) udp_no_ports: u64,
    /// Datagrams dropped for want of buffer, of the whole machine.
    pub(crate) udp_buffer_errors: u64,
}

impl Usage {
    /// The present numbers of a server that started at `started` after 1970.
    pub(crate) fn now(started: Duration) -> Self {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        let snmp = read("/proc/net/snmp");
        Self {
            cpu: cpu(&read("/proc/self/stat")).unwrap_or_default(),
            resident_bytes: resident(&read("/proc/self/statm")).unwrap_or_default(),
            started,
            udp_no_ports: udp(&snmp, "NoPorts").unwrap_or_default(),
            udp_buffer_errors: udp(&snmp, "RcvbufErrors").unwrap_or_default(),
        }
    }
}

/// Time since 1970.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A number that nobody can guess.
pub(crate) fn unguessable() -> u64 {
    let mut bytes = [0; 8];
    // Fails on no kernel that we run on; then the clock is the next best thing.
    let drawn = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    if drawn == Ok(bytes.len()) {
        u64::from_ne_bytes(bytes)
    } else {
        since_1970().as_nanos() as u64
    }
}

/// The cores that this process may use, in order.
pub(crate) fn cores_allowed() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect()
}

/// Lets the calling thread, and those it starts from now on, run on these cores only.
pub(crate) fn stay_on(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores.iter().filter(|core| **core < CpuSet::MAX_CPU) {
        set.set(*core);
    }
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(%error, ?cores, "the control plane cannot be kept off the shards' cores");
    }
}

/// Lets the calling thread step back behind threads of ordinary priority.
pub(crate) fn step_back() {
    const NICE: i32 = 5;
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the control plane cannot lower its own priority");
    }
}

/// Our address on the way to `peer`: what the kernel would send from. No packet is sent.
pub(crate) fn local_address_toward(peer: IpAddr) -> Option<IpAddr> {
    const DISCARD_SERVICE: u16 = 9;
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((peer, DISCARD_SERVICE)).ok()?;
    let local = socket.local_addr().ok()?.ip();
    (!local.is_unspecified()).then_some(local)
}

/// User and system time out of /proc/self/stat (proc(5)); the second field may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    const CLOCK_TICKS_PER_SECOND: u64 = 100;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / CLOCK_TICKS_PER_SECOND))
}

/// Resident octets out of /proc/self/statm.
fn resident(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// One number of the two lines `Udp:` of /proc/net/snmp: names above, numbers below.
fn udp(snmp: &str, name: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp:"));
    let place = lines.next()?.split_ascii_whitespace().position(|found| found == name)?;
    lines.next()?.split_ascii_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_loopback_begins_there() {
        let loopback: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(local_address_toward(loopback), Some(loopback));
    }

    #[test]
    fn kernel_files_are_read_by_field() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4 1 0 0 0 250 150 0 0 20 0 3 0 9 9 9";
        assert_eq!(cpu(stat), Some(Duration::from_secs(4)));
        let snmp = "Udp: InDatagrams NoPorts RcvbufErrors\nUdp: 5 6 7\nUdpLite: NoPorts\n";
        assert_eq!(udp(snmp, "NoPorts"), Some(6));
        assert_eq!(udp(snmp, "RcvbufErrors"), Some(7));
        assert_eq!((udp("", "NoPorts"), cpu(""), resident("")), (None, None, None));
    }

    #[test]
    fn this_process_uses_something() {
        assert!(Usage::now(Duration::ZERO).resident_bytes > 0);
        assert!(!cores_allowed().is_empty());
        assert_ne!(unguessable(), unguessable());
    }
}
