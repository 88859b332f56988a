//! How much memory an engine takes, by part.

use std::fmt;

use engine::Shard;
use engine_control::Limits;

use crate::batch::Batch;
use crate::config::EngineConfig;
use crate::packet;
use crate::rings;
use crate::sockets::SocketTable;
use crate::uring::Uring;

/// What the kernel keeps for an open UDP socket, measured on Linux 6.18.
const KERNEL_SOCKET_BYTES: usize = 2664;

/// One part of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPart {
    /// What it is.
    pub name: &'static str,
    /// Its bytes, over all shards.
    pub bytes: usize,
    /// Whether it is reserved at start, or taken by the kernel as sessions come.
    pub reserved: bool,
}

/// The memory of all shards, by part. Its `Display` is a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The parts.
    pub parts: Vec<MemoryPart>,
}

impl MemoryPlan {
    /// The plan of an engine that shares so much memory with the kernel for frames, over all shards.
    pub(crate) fn of(config: &EngineConfig, shared_bytes: usize) -> Self {
        let limits: &Limits = &config.limits;
        let is_steered = config.driver.is_steered();
        let sockets = if is_steered { 0 } else { 2 * limits.sessions_max as usize };
        let queues = if is_steered { limits.sessions_max as usize } else { sockets };
        let part = |name, bytes, reserved| MemoryPart {
            name,
            bytes: bytes * config.shards.len(),
            reserved,
        };
        let mut parts = vec![
            part("sessions and rooms", Shard::memory_bytes(limits), true),
            part("command and event rings", rings::memory_bytes(limits), true),
            part("socket tables", SocketTable::memory_bytes(limits.sessions_max), true),
            part("packet buffers", packet_buffers(config), true),
            part("kernel: sockets, all in use", sockets * KERNEL_SOCKET_BYTES, false),
            part(
                "kernel: receive queues, all full",
                queues * 2 * config.receive_buffer_bytes,
                false,
            ),
        ];
        if shared_bytes > 0 {
            let name = "frames shared with the kernel";
            parts.push(MemoryPart { name, bytes: shared_bytes, reserved: true });
        }
        if let Some(flight) = &config.flight {
            parts.push(part("flight recorder", flight.ring_bytes, true));
        }
        Self { parts }
    }

    /// Bytes reserved at start.
    fn reserved_bytes(&self) -> usize {
        self.parts.iter().filter(|part| part.reserved).map(|part| part.bytes).sum()
    }
}

fn packet_buffers(config: &EngineConfig) -> usize {
    if config.driver.is_steered() {
        packet::memory_bytes(config.limits.sessions_max)
    } else {
        Batch::memory_bytes() + Uring::memory_bytes()
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            let when = if part.reserved { "reserved" } else { "at most" };
            writeln!(f, "{:>10} KiB {when:<8}  {}", part.bytes.div_ceil(1024), part.name)?;
        }
        write!(f, "{:>10} KiB reserved  in all", self.reserved_bytes().div_ceil(1024))
    }
}
