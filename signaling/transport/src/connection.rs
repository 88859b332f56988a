//! One TCP connection: a task that reads, writes and watches the time, until one of them ends it.

use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::framing::{Framed, Framer, FramingFault};
use crate::queue::Unwritten;
use crate::refusal::refuse;
use crate::transport::Inside;
use crate::{CloseCause, TransportConfig};

/// Free room in the buffer before each read.
const READ_BYTES: usize = 4096;

/// How long a connection is still written to that will bring no more messages, because its framing
/// is lost or its peer has said all that it had to say: for the refusal, for the answers to the
/// messages before it, and for the peer to read them before the connection goes.
const FAREWELL: Duration = Duration::from_millis(500);

/// The answer to a keep-alive (RFC 5626 section 4.4.1).
const PONG: Bytes = Bytes::from_static(b"\r\n");

/// Requests that came and final responses that went.
#[derive(Debug, Default)]
struct Owed(usize);

/// The task's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub number: u64,
    pub inside: mpsc::Sender<Inside>,
    pub queue: Unwritten,
    pub timeouts: Timeouts,
    pub message_bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    first_message: Duration,
    message: Duration,
    idle: Duration,
}

impl From<&TransportConfig> for Timeouts {
    fn from(config: &TransportConfig) -> Self {
        Self {
            first_message: config.tcp_first_message_timeout,
            message: config.tcp_message_timeout,
            idle: config.tcp_idle_timeout,
        }
    }
}

/// What the time is measured from.
#[derive(Debug)]
struct Watch {
    /// When the peer connected, while it has not spoken.
    silent_since: Option<Instant>,
    /// When an unfinished message began to come.
    reading_since: Option<Instant>,
    /// When an unfinished message began to go.
    writing_since: Option<Instant>,
    /// When something last came or went.
    last: Instant,
}

impl Connection {
    /// Serves a connection that the peer opened.
    pub(crate) async fn accepted(self, stream: TcpStream) {
        let now = Instant::now();
        self.serve(stream, Some(now)).await;
    }

    /// Opens a connection and serves it.
    pub(crate) async fn dialled(self, remote: std::net::SocketAddr, dial_timeout: Duration) {
        match timeout(dial_timeout, TcpStream::connect(remote)).await {
            Ok(Ok(stream)) => self.serve(stream, None).await,
            _ => self.report_end(CloseCause::DialFailed).await,
        }
    }

    async fn serve(mut self, mut stream: TcpStream, silent_since: Option<Instant>) {
        // Small messages that wait for nobody; without it they are only slower.
        let _ = stream.set_nodelay(true);
        let cause = self.run(&mut stream, silent_since).await;
        self.report_end(cause).await;
    }

    async fn report_end(&self, cause: CloseCause) {
        // Nobody listens any more only while the transport itself is dropped.
        let _ = self.inside.send(Inside::Ended { number: self.number, cause }).await;
    }

    async fn run(&mut self, stream: &mut TcpStream, silent_since: Option<Instant>) -> CloseCause {
        let mut framer = Framer::new(self.message_bytes_max);
        let mut owed = Owed::default();
        let mut watch =
            Watch { silent_since, reading_since: None, writing_since: None, last: Instant::now() };
        let mut unsent = Bytes::new();
        let (mut reader, mut writer) = stream.split();
        loop {
            let (deadline, cause) = watch.deadline(self.timeouts);
            framer.buffer().reserve(READ_BYTES);
            tokio::select! {
                read = reader.read_buf(framer.buffer()) => {
                    match read {
                        Ok(0) => {
                            let _ = timeout(FAREWELL, self.pay(stream, unsent, owed)).await;
                            return CloseCause::ByPeer;
                        }
                        Ok(_) => {}
                        Err(_) => return CloseCause::Broken,
                    }
                    match self.deliver(&mut framer, &mut watch, &mut owed).await {
                        Ok(pinged) => if pinged && unsent.is_empty() { unsent = PONG },
                        Err(fault) => {
                            let refusal = refuse(framer.buffer(), fault).unwrap_or_default();
                            if !refusal.is_empty() {
                                let _ = self.inside.send(Inside::Refused(fault)).await;
                            }
                            // Whatever comes of it, the connection ends.
                            let _ = timeout(FAREWELL, self.farewell(stream, unsent, refusal)).await;
                            return fault.into();
                        }
                    }
                }
                Some(message) = self.queue.next(), if unsent.is_empty() => {
                    owed.goes(&message);
                    unsent = message;
                }
                written = writer.write(&unsent), if !unsent.is_empty() => match written {
                    Ok(count) => {
                        unsent.advance(count);
                        watch.last = Instant::now();
                    }
                    Err(_) => return CloseCause::Broken,
                },
                () = sleep_until(deadline) => return cause,
            }
            watch.writing(!unsent.is_empty());
        }
    }

    /// Answers a peer that has closed its half of the connection: the requests that came before
    /// are no worse for that (RFC 3261 section 18.2.2).
    async fn pay(
        &mut self,
        stream: &mut TcpStream,
        unsent: Bytes,
        mut owed: Owed,
    ) -> std::io::Result<()> {
        stream.write_all(&unsent).await?;
        while owed.0 > 0
            && let Some(message) = self.queue.next().await
        {
            stream.write_all(&message).await?;
            owed.goes(&message);
        }
        Ok(())
    }

    /// Writes what is left to say and ignores what still comes, until the peer has gone.
    async fn farewell(
        &mut self,
        stream: &mut TcpStream,
        unsent: Bytes,
        refusal: Bytes,
    ) -> std::io::Result<()> {
        stream.write_all(&unsent).await?;
        stream.write_all(&refusal).await?;
        let mut ignored = [0; READ_BYTES];
        loop {
            tokio::select! {
                read = stream.read(&mut ignored) => if read? == 0 { return Ok(()) },
                Some(message) = self.queue.next() => stream.write_all(&message).await?,
            }
        }
    }

    /// Hands on every message that is complete; whether a ping was among them.
    async fn deliver(
        &self,
        framer: &mut Framer,
        watch: &mut Watch,
        owed: &mut Owed,
    ) -> Result<bool, FramingFault> {
        let mut pinged = false;
        loop {
            match framer.next()? {
                Framed::Message(bytes) => {
                    watch.message_ended();
                    owed.comes(&bytes);
                    let framed = Inside::Framed { number: self.number, bytes };
                    // As in `report_end`.
                    let _ = self.inside.send(framed).await;
                }
                Framed::Ping => {
                    watch.last = Instant::now();
                    pinged = true;
                }
                Framed::Incomplete => {
                    watch.reading_since.get_or_insert_with(Instant::now);
                    return Ok(pinged);
                }
                Framed::Empty => return Ok(pinged),
            }
        }
    }
}

impl Owed {
    fn comes(&mut self, message: &[u8]) {
        // Everything but responses and ACK wants an answer.
        self.0 += usize::from(!message.starts_with(b"SIP/2.0 ") && !message.starts_with(b"ACK "));
    }

    fn goes(&mut self, message: &[u8]) {
        let is_final = message.starts_with(b"SIP/2.0 ") && !message.starts_with(b"SIP/2.0 1");
        self.0 = self.0.saturating_sub(is_final.into());
    }
}

impl Watch {
    fn message_ended(&mut self) {
        self.last = Instant::now();
        (self.silent_since, self.reading_since) = (None, None);
    }

    fn writing(&mut self, writing: bool) {
        if writing {
            self.writing_since.get_or_insert_with(Instant::now);
        } else {
            self.writing_since = None;
        }
    }

    /// The next moment at which the connection is to end, and why it would.
    fn deadline(&self, timeouts: Timeouts) -> (Instant, CloseCause) {
        let after = |since: Option<Instant>, time: Duration, cause| Some((since? + time, cause));
        [
            after(self.silent_since, timeouts.first_message, CloseCause::NeverSpoke),
            after(self.reading_since, timeouts.message, CloseCause::MessageTooSlow),
            after(self.writing_since, timeouts.message, CloseCause::WriteTooSlow),
        ]
        .into_iter()
        .flatten()
        .fold((self.last + timeouts.idle, CloseCause::Idle), |first, other| {
            if other.0 < first.0 { other } else { first }
        })
    }
}

impl From<FramingFault> for CloseCause {
    fn from(fault: FramingFault) -> Self {
        match fault {
            FramingFault::TooLong => Self::MessageTooLong,
            FramingFault::NoLength | FramingFault::BadLength => Self::Unframed,
        }
    }
}
