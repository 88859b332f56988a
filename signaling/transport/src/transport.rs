//! All sockets as one: what comes in, in order, and what goes out, at once.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use signaling::{Carrier, Peer};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::connection::Connection;
use crate::framing::FramingFault;
use crate::queue::{Enqueuer, QueueFault, queue};
use crate::{BindFailure, CloseCause, Counters, Incoming, TransportConfig, bind};

/// Messages that wait for the front end. When they are so many, sockets are not read: the
/// kernel's buffers fill, and then the network drops, as it should.
const INSIDE_MAX: usize = 1024;

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// How long a socket rests after an error that would come again at once.
const REST: Duration = Duration::from_millis(50);

/// What a socket's task tells the transport.
#[derive(Debug)]
pub(crate) enum Inside {
    Datagram { remote: SocketAddr, bytes: Bytes },
    Keepalive,
    Accepted { stream: TcpStream, remote: SocketAddr },
    AcceptFailed,
    Framed { number: u64, bytes: Bytes },
    Refused(FramingFault),
    Ended { number: u64, cause: CloseCause },
}

/// The SIP sockets of one server. Lives on a tokio runtime; dropping it closes them all.
#[derive(Debug)]
pub struct Transport {
    config: TransportConfig,
    udp: Vec<Arc<UdpSocket>>,
    udp_addresses: Vec<SocketAddr>,
    tcp_addresses: Vec<SocketAddr>,
    connections: HashMap<u64, Outlet>,
    /// Connections by the other end, so that one is not dialled twice.
    numbers: HashMap<SocketAddr, u64>,
    next_number: u64,
    inside: mpsc::Receiver<Inside>,
    into_inside: mpsc::Sender<Inside>,
    /// What `send` found out.
    notices: VecDeque<Incoming>,
    counters: Counters,
    tasks: JoinSet<()>,
}

/// Our end of a connection's task.
#[derive(Debug)]
struct Outlet {
    remote: SocketAddr,
    queue: Enqueuer,
    task: AbortHandle,
}

impl Transport {
    /// Opens every socket, or none.
    pub fn bind(config: TransportConfig) -> Result<Self, BindFailure> {
        let udp = bind::udp(&config.udp)?;
        let tcp = bind::tcp(&config.tcp)?;
        let (into_inside, inside) = mpsc::channel(INSIDE_MAX);
        let mut transport = Self {
            udp_addresses: udp.iter().filter_map(|socket| socket.local_addr().ok()).collect(),
            tcp_addresses: tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect(),
            udp: udp.into_iter().map(Arc::new).collect(),
            config,
            connections: HashMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            inside,
            into_inside,
            notices: VecDeque::new(),
            counters: Counters::default(),
            tasks: JoinSet::new(),
        };
        transport.listen(tcp);
        Ok(transport)
    }

    fn listen(&mut self, listeners: Vec<TcpListener>) {
        for socket in &self.udp {
            self.tasks.spawn(read_datagrams(socket.clone(), self.into_inside.clone()));
        }
        for listener in listeners {
            self.tasks.spawn(accept(listener, self.into_inside.clone()));
        }
    }

    /// Where datagrams are received.
    pub fn udp_addresses(&self) -> &[SocketAddr] {
        &self.udp_addresses
    }

    /// Where connections are accepted.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.tcp_addresses
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// TCP connections at the moment, with those being dialled.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The next thing that the network brought. Nothing is lost where the future is dropped.
    pub async fn receive(&mut self) -> Incoming {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return notice;
            }
            match self.inside.recv().await {
                Some(inside) => {
                    if let Some(incoming) = self.take(inside) {
                        return incoming;
                    }
                }
                // Not while `into_inside` lives.
                None => std::future::pending().await,
            }
        }
    }

    /// Sends one whole message, or drops it where it cannot be sent now; never waits.
    pub fn send(&mut self, to: Peer, bytes: Bytes) {
        match to.carrier {
            Carrier::Udp => self.send_datagram(to.remote, &bytes),
            Carrier::Tcp(number) => self.enqueue(number, bytes),
            Carrier::TcpNew => {
                if let Some(number) = self.number_for(to.remote) {
                    self.enqueue(number, bytes);
                }
            }
        }
    }

    fn send_datagram(&mut self, remote: SocketAddr, bytes: &[u8]) {
        let family = self.udp_addresses.iter().position(|own| own.is_ipv4() == remote.is_ipv4());
        let socket = family.and_then(|index| self.udp.get(index));
        match socket.map(|socket| socket.try_send_to(bytes, remote)) {
            Some(Ok(_)) => self.counters.udp_sent += 1,
            Some(Err(_)) | None => self.counters.udp_send_failed += 1,
        }
    }

    fn enqueue(&mut self, number: u64, bytes: Bytes) {
        let Some(outlet) = self.connections.get(&number) else {
            self.counters.tcp_send_gone += 1;
            return;
        };
        match outlet.queue.put(bytes) {
            Ok(()) => self.counters.tcp_sent += 1,
            // Its task has ended, and says so in the next event.
            Err(QueueFault::Gone) => self.counters.tcp_send_gone += 1,
            Err(QueueFault::Full) => {
                outlet.task.abort();
                let closed = self.close(number, CloseCause::WriteQueueFull);
                self.notices.extend(closed);
            }
        }
    }

    /// The connection to `remote`: the one there is, or a new one.
    fn number_for(&mut self, remote: SocketAddr) -> Option<u64> {
        let known = self.numbers.get(&remote).copied();
        // One that has ended already, unheard of as yet, is as good as none.
        let open = |number| self.connections.get(number).is_some_and(|it| !it.queue.is_gone());
        if known.as_ref().is_some_and(open) {
            return known;
        }
        if self.is_full() {
            let peer = Peer { carrier: Carrier::TcpNew, remote };
            self.notices.push_back(Incoming::Closed { peer, cause: CloseCause::ConnectionsFull });
            return None;
        }
        let dial_timeout = self.config.tcp_dial_timeout;
        self.counters.tcp_dialled += 1;
        Some(self.open(remote, |connection| connection.dialled(remote, dial_timeout)))
    }

    fn is_full(&mut self) -> bool {
        let full = self.connections.len() >= self.config.tcp_connections_max;
        self.counters.tcp_full += u64::from(full);
        full
    }

    /// Enters a connection in the books and starts its task.
    fn open<T>(&mut self, remote: SocketAddr, task: impl FnOnce(Connection) -> T) -> u64
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let number = self.next_number;
        self.next_number += 1;
        let (queue, unsent) = queue(self.config.tcp_write_queue_bytes_max);
        let connection = Connection {
            number,
            inside: self.into_inside.clone(),
            queue: unsent,
            timeouts: (&self.config).into(),
            message_bytes_max: self.config.tcp_message_bytes_max,
        };
        let task = self.tasks.spawn(task(connection));
        self.connections.insert(number, Outlet { remote, queue, task });
        self.numbers.insert(remote, number);
        number
    }

    /// Strikes a connection from the books.
    fn close(&mut self, number: u64, cause: CloseCause) -> Option<Incoming> {
        let outlet = self.connections.remove(&number)?;
        if self.numbers.get(&outlet.remote) == Some(&number) {
            self.numbers.remove(&outlet.remote);
        }
        self.count_close(cause);
        let dialling = cause == CloseCause::DialFailed;
        let carrier = if dialling { Carrier::TcpNew } else { Carrier::Tcp(number) };
        Some(Incoming::Closed { peer: Peer { carrier, remote: outlet.remote }, cause })
    }

    fn count_close(&mut self, cause: CloseCause) {
        let counters = &mut self.counters;
        match cause {
            CloseCause::NeverSpoke => counters.tcp_never_spoke += 1,
            CloseCause::MessageTooSlow | CloseCause::WriteTooSlow => counters.tcp_too_slow += 1,
            CloseCause::Idle => counters.tcp_idle += 1,
            CloseCause::MessageTooLong => counters.tcp_too_long += 1,
            CloseCause::Unframed => counters.tcp_unframed += 1,
            CloseCause::WriteQueueFull => counters.tcp_write_queue_full += 1,
            CloseCause::DialFailed => counters.tcp_dial_failed += 1,
            // Ordinary, or counted where it was noticed.
            CloseCause::ByPeer | CloseCause::Broken | CloseCause::ConnectionsFull => {}
        }
    }

    /// What a task's word means for the outside.
    fn take(&mut self, inside: Inside) -> Option<Incoming> {
        let udp = |remote| Peer { carrier: Carrier::Udp, remote };
        match inside {
            Inside::Datagram { remote, bytes } => {
                self.counters.udp_received += 1;
                Some(Incoming::Message { from: udp(remote), bytes })
            }
            Inside::Keepalive => {
                self.counters.udp_keepalives += 1;
                None
            }
            Inside::Accepted { stream, remote } => {
                if !self.is_full() {
                    self.counters.tcp_accepted += 1;
                    self.open(remote, |connection| connection.accepted(stream));
                }
                None
            }
            Inside::AcceptFailed => {
                self.counters.tcp_accept_failed += 1;
                None
            }
            Inside::Framed { number, bytes } => {
                let remote = self.connections.get(&number)?.remote;
                self.counters.tcp_received += 1;
                Some(Incoming::Message {
                    from: Peer { carrier: Carrier::Tcp(number), remote },
                    bytes,
                })
            }
            Inside::Refused(fault) => {
                self.counters.tcp_sent += 1;
                match fault {
                    FramingFault::TooLong => self.counters.tcp_refused_too_large += 1,
                    FramingFault::NoLength | FramingFault::BadLength => {
                        self.counters.tcp_refused_malformed += 1;
                    }
                }
                None
            }
            Inside::Ended { number, cause } => {
                while self.tasks.try_join_next().is_some() {}
                self.close(number, cause)
            }
        }
    }
}

/// Whatever its length: the front end answers one that is too long (RFC 3261 section 21.5.7).
async fn read_datagrams(socket: Arc<UdpSocket>, inside: mpsc::Sender<Inside>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let Ok((length, remote)) = socket.recv_from(&mut buffer).await else {
            sleep(REST).await;
            continue;
        };
        let word = match buffer.get(..length) {
            Some(bytes) if !is_keepalive(bytes) => {
                Inside::Datagram { remote, bytes: Bytes::copy_from_slice(bytes) }
            }
            _ => Inside::Keepalive,
        };
        if inside.send(word).await.is_err() {
            return;
        }
    }
}

/// Phones behind address translators send these to keep their binding.
fn is_keepalive(datagram: &[u8]) -> bool {
    datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

async fn accept(listener: TcpListener, inside: mpsc::Sender<Inside>) {
    loop {
        let word = if let Ok((stream, remote)) = listener.accept().await {
            Inside::Accepted { stream, remote }
        } else {
            sleep(REST).await;
            Inside::AcceptFailed
        };
        if inside.send(word).await.is_err() {
            return;
        }
    }
}
