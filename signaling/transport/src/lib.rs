//! SIP messages on sockets: datagrams and TCP streams in, whole messages out, and back.
//!
//! RFC 3261 section 18 (transport), section 18.3 (framing) and RFC 5626 section 4.4.1
//! (keep-alives). This crate knows where a message ends and nothing of what it means; the front
//! end never sees a socket. Whatever a peer does is bounded: its connections, the length of a
//! message, the time it may take, and what waits to be sent to it. [`Transport::send`] never
//! waits, so that a peer that does not read harms only itself.
//!
//! Why this is not `sipx-transport`: docs/decisions/0003-sip-transport.md.

mod bind;
mod connection;
mod framing;
mod queue;
mod refusal;
mod transport;

pub use bind::{BindCause, BindFailure, Protocol};
pub use transport::Transport;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use signaling::Peer;

/// Where to listen, and how much of what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// UDP addresses: at most one of each address family, so that the family alone decides
    /// which socket an answer leaves by.
    pub udp: Vec<SocketAddr>,
    /// TCP addresses.
    pub tcp: Vec<SocketAddr>,
    /// TCP connections at one time, accepted and dialled.
    pub tcp_connections_max: usize,
    /// Longest message on a TCP connection, head and body together.
    pub tcp_message_bytes_max: usize,
    /// How long a client may take from connecting to the end of its first message.
    pub tcp_first_message_timeout: Duration,
    /// How long a message may take from its first byte to its last, in either direction.
    pub tcp_message_timeout: Duration,
    /// How long a connection may be silent.
    pub tcp_idle_timeout: Duration,
    /// How long dialling may take.
    pub tcp_dial_timeout: Duration,
    /// Octets that may wait to be written to one connection.
    pub tcp_write_queue_bytes_max: usize,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            tcp_connections_max: 4096,
            tcp_message_bytes_max: 64 * 1024,
            tcp_first_message_timeout: Duration::from_secs(10),
            tcp_message_timeout: Duration::from_secs(10),
            tcp_idle_timeout: Duration::from_secs(3600),
            tcp_dial_timeout: Duration::from_secs(5),
            tcp_write_queue_bytes_max: 8 << 20,
        }
    }
}

/// What the network brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// One whole message.
    Message {
        /// Who sent it, and how it is answered.
        from: Peer,
        /// From the start line to the end of the body.
        bytes: Bytes,
    },
    /// A connection is gone; whatever waited to be sent on it is lost. Where dialling failed,
    /// the peer is the one given to [`Transport::send`], with `Carrier::TcpNew`.
    Closed {
        /// The other end.
        peer: Peer,
        /// Why.
        cause: CloseCause,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The peer closed it.
    ByPeer,
    /// The network broke it.
    Broken,
    /// No first message in time.
    NeverSpoke,
    /// A message began and did not end in time.
    MessageTooSlow,
    /// Nothing was said for too long.
    Idle,
    /// A message longer than allowed; answered 513 where it could be read so far.
    MessageTooLong,
    /// No way to tell where the message ends; answered 400 where it could be read so far.
    Unframed,
    /// The peer did not take what we wrote in time.
    WriteTooSlow,
    /// Too much waited to be written.
    WriteQueueFull,
    /// It could not be dialled.
    DialFailed,
    /// Every connection allowed is in use.
    ConnectionsFull,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages received by UDP.
    pub udp_received: u64,
    /// Keep-alives received by UDP: datagrams of nothing but line ends or zeros.
    pub udp_keepalives: u64,
    /// Messages sent by UDP.
    pub udp_sent: u64,
    /// Messages that the UDP socket did not take: the network's business, SIP sends them again.
    pub udp_send_failed: u64,
    /// Connections accepted.
    pub tcp_accepted: u64,
    /// Connections dialled.
    pub tcp_dialled: u64,
    /// Connections not accepted, or not dialled, because all allowed are in use.
    pub tcp_full: u64,
    /// Failures to accept a connection, as by lack of file descriptors.
    pub tcp_accept_failed: u64,
    /// Connections that could not be dialled.
    pub tcp_dial_failed: u64,
    /// Messages received by TCP.
    pub tcp_received: u64,
    /// Messages handed to a connection.
    pub tcp_sent: u64,
    /// Messages for a connection that is gone.
    pub tcp_send_gone: u64,
    /// Requests answered 400 here, because their end could not be told.
    pub tcp_refused_malformed: u64,
    /// Requests answered 513 here, because they were too long.
    pub tcp_refused_too_large: u64,
    /// Connections closed: no first message in time.
    pub tcp_never_spoke: u64,
    /// Connections closed: a message took too long, either way.
    pub tcp_too_slow: u64,
    /// Connections closed: silent for too long.
    pub tcp_idle: u64,
    /// Connections closed: a message was too long.
    pub tcp_too_long: u64,
    /// Connections closed: framing lost.
    pub tcp_unframed: u64,
    /// Connections closed: too much waited to be written.
    pub tcp_write_queue_full: u64,
}
