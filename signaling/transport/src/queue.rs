//! What waits to be written to one connection: bounded in octets, since a turn of the front end may
//! have something to say in every call behind one proxy, and its writer has no turn until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// The end into which messages are put.
#[derive(Debug)]
pub(crate) struct Enqueuer {
    messages: mpsc::UnboundedSender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The end of the connection's task.
#[derive(Debug)]
pub(crate) struct Unwritten {
    messages: mpsc::UnboundedReceiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueFault {
    /// The connection's task has ended.
    Gone,
    /// More would wait than may.
    Full,
}

/// A queue that holds up to `bytes_max` octets.
pub(crate) fn queue(bytes_max: usize) -> (Enqueuer, Unwritten) {
    let (into, out) = mpsc::unbounded_channel();
    let waiting_bytes = Arc::new(AtomicUsize::new(0));
    let unwritten = Unwritten { messages: out, waiting_bytes: waiting_bytes.clone() };
    (Enqueuer { messages: into, waiting_bytes, bytes_max }, unwritten)
}

impl Enqueuer {
    pub(crate) fn put(&self, message: Bytes) -> Result<(), QueueFault> {
        let length = message.len();
        // Only this end adds: what is read here can but become less.
        if self.waiting_bytes.load(Ordering::Relaxed).saturating_add(length) > self.bytes_max {
            return Err(QueueFault::Full);
        }
        self.waiting_bytes.fetch_add(length, Ordering::Relaxed);
        self.messages.send(message).map_err(|_| QueueFault::Gone)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.messages.is_closed()
    }
}

impl Unwritten {
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        let message = self.messages.recv().await?;
        self.waiting_bytes.fetch_sub(message.len(), Ordering::Relaxed);
        Some(message)
    }
}
