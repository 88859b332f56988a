//! SIP messages of all calls over one UDP socket or one TCP connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use clap::ValueEnum;
use sim::caller::framed_octets;
use socket2::SockRef;

const RECEIVE_BUFFER: usize = 4 << 20;
const MESSAGE_MAX: usize = 65_535;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What carries SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Datagrams.
    Udp,
    /// One connection for all calls.
    Tcp,
}

/// The way to the server.
#[derive(Debug)]
pub(crate) enum SipWire {
    Udp { socket: UdpSocket, server: SocketAddr, buffer: Vec<u8> },
    Tcp { stream: TcpStream, unsent: Vec<u8>, unread: Vec<u8> },
}

impl SipWire {
    pub(crate) fn open(transport: Transport, server: SocketAddr) -> io::Result<Self> {
        match transport {
            Transport::Udp => {
                let local = local_address_towards(server)?;
                let socket = UdpSocket::bind(SocketAddr::new(local.ip(), 0))?;
                SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Udp { socket, server, buffer: vec![0; MESSAGE_MAX] })
            }
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&server, CONNECT_TIMEOUT)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(Self::Tcp { stream, unsent: Vec::new(), unread: Vec::new() })
            }
        }
    }

    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp { socket, .. } => socket.local_addr(),
            Self::Tcp { stream, .. } => stream.local_addr(),
        }
    }

    pub(crate) fn transmit(&mut self, message: &[u8]) {
        match self {
            // A datagram that the kernel does not take is a lost one: it will be sent again.
            Self::Udp { socket, server, .. } => drop(socket.send_to(message, *server)),
            Self::Tcp { unsent, .. } => unsent.extend_from_slice(message),
        }
    }

    /// Passes on every whole message that came. An error means that the connection is gone.
    pub(crate) fn receive(&mut self, each: impl FnMut(&[u8])) -> io::Result<()> {
        match self {
            Self::Udp { socket, buffer, .. } => receive_datagrams(socket, buffer, each),
            Self::Tcp { stream, unsent, unread } => {
                write_stream(stream, unsent)?;
                receive_stream(stream, unread, each)
            }
        }
    }
}

/// Our own address on the way to the server.
pub(crate) fn local_address_towards(server: SocketAddr) -> io::Result<SocketAddr> {
    let any: SocketAddr = if server.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.local_addr()
}

fn receive_datagrams(
    socket: &UdpSocket,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    loop {
        match socket.recv(buffer) {
            Ok(octets) => each(&buffer[..octets]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // Nobody listens there: the calls will time out and say so.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}

fn write_stream(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(octets) => drop(unsent.drain(..octets)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive_stream(
    stream: &mut TcpStream,
    unread: &mut Vec<u8>,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut part = [0; 16_384];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(octets) => unread.extend_from_slice(&part[..octets]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    let mut begin = 0;
    loop {
        // Blank lines between messages are keep-alives (RFC 5626).
        while unread[begin..].starts_with(b"\r\n") {
            begin += 2;
        }
        let Some(octets) = framed_octets(&unread[begin..]) else { break };
        each(&unread[begin..begin + octets]);
        begin += octets;
    }
    unread.drain(..begin);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn split_and_pipelined_messages_of_a_stream_are_cut_right() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut wire = SipWire::open(Transport::Tcp, listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let one = "SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab";
        let text = format!("{one}\r\n\r\n{one}SIP/2.0 1");
        let mut seen = vec![];
        for part in text.as_bytes().chunks(11) {
            peer.write_all(part).unwrap();
            peer.flush().unwrap();
            wire.receive(|message| seen.push(message.to_vec())).unwrap();
        }
        // Loopback delivers in order, but maybe not at once.
        for _ in 0..1000 {
            wire.receive(|message| seen.push(message.to_vec())).unwrap();
            if seen.len() == 2 {
                break;
            }
            std::thread::yield_now();
        }
        assert_eq!(seen, [one.as_bytes(), one.as_bytes()]);
    }
}
