//! Opening the listening sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// A burst of calls waits here while the front end is busy; the kernel may give less.
const UDP_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Connections that may wait to be accepted.
const TCP_BACKLOG: i32 = 1024;

/// What an address was to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

/// Why a listening socket could not be opened.
#[derive(Debug)]
pub struct BindFailure {
    /// Where.
    pub address: SocketAddr,
    /// For what.
    pub protocol: Protocol,
    /// Why.
    pub cause: BindCause,
}

/// What went wrong with it.
#[derive(Debug)]
pub enum BindCause {
    /// The system refused.
    Io(io::Error),
    /// There is another UDP address of the same family: an answer could leave by the wrong one.
    SecondOfFamily,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

impl fmt::Display for BindFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen for SIP on {} {}: ", self.protocol, self.address)?;
        match &self.cause {
            BindCause::Io(error) if error.kind() == io::ErrorKind::AddrInUse => {
                f.write_str("address in use by another process")
            }
            BindCause::Io(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine has no such address")
            }
            BindCause::Io(error) => write!(f, "{error}"),
            BindCause::SecondOfFamily => {
                f.write_str("only one UDP address of each address family is possible")
            }
        }
    }
}

impl std::error::Error for BindFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            BindCause::Io(error) => Some(error),
            BindCause::SecondOfFamily => None,
        }
    }
}

pub(crate) fn udp(addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>, BindFailure> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for (index, &address) in addresses.iter().enumerate() {
        let failure = |cause| BindFailure { address, protocol: Protocol::Udp, cause };
        let earlier = addresses.iter().take(index);
        if earlier.clone().any(|other| other.is_ipv4() == address.is_ipv4()) {
            return Err(failure(BindCause::SecondOfFamily));
        }
        sockets.push(udp_socket(address).map_err(|error| failure(BindCause::Io(error)))?);
    }
    Ok(sockets)
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM)?;
    // More room is a kindness, not a need.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

pub(crate) fn tcp(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindFailure> {
    let bind = |address: &SocketAddr| {
        tcp_listener(*address).map_err(|error| BindFailure {
            address: *address,
            protocol: Protocol::Tcp,
            cause: BindCause::Io(error),
        })
    };
    addresses.iter().map(bind).collect()
}

fn tcp_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM)?;
    // Connections of an earlier run that still time out do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        // So that `[::]` and `0.0.0.0` can be listened on side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
