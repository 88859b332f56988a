//! The way from whoever asks to the collector.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use crate::collector::Ask;
use crate::writer::Failure;

/// Where asks go in. Those that end something are never refused: of them there are no more than of
/// what they end. All others are, where too many wait.
#[derive(Debug)]
pub(crate) struct Asks {
    sender: Sender<Ask>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
}

/// Where they come out, in the same order.
#[derive(Debug)]
pub(crate) struct Asked {
    receiver: Receiver<Ask>,
    waiting: Arc<AtomicUsize>,
}

/// Both ends.
pub(crate) fn asks(waiting_max: usize) -> (Asks, Asked) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let asked = Asked { receiver, waiting: Arc::clone(&waiting) };
    (Asks { sender, waiting, waiting_max }, asked)
}

impl Asks {
    /// Asks, without waiting.
    pub(crate) fn ask(&self, ask: Ask) -> Result<(), Failure> {
        let is_end = matches!(ask, Ask::EndTrack(..) | Ask::End(_) | Ask::Forget(_));
        if !is_end && self.waiting.load(Ordering::Relaxed) >= self.waiting_max {
            return Err(Failure::Full);
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(ask).map_err(|_| Failure::Stopped)
    }
}

impl Asked {
    /// What is asked next, if anything is.
    pub(crate) fn next(&self) -> Result<Ask, TryRecvError> {
        let ask = self.receiver.try_recv()?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(ask)
    }
}

#[cfg(test)]
mod tests {
    use engine_control::TapId;
    use media_units::Instant;
    use recorder::account::Note;

    use super::*;
    use crate::report::RecordingId;

    #[test]
    fn an_end_has_its_place_behind_whatever_waits_and_a_mark_is_refused_there() {
        let (asks, asked) = asks(2);
        let id = RecordingId(1);
        let tell = || Ask::Tell(id, Instant::START, Note::Paused);
        assert_eq!([tell(), tell(), tell()].map(|ask| asks.ask(ask).is_ok()), [true, true, false]);
        let ends = [Ask::EndTrack(id, TapId(1), Instant::START), Ask::End(id), Ask::Forget(id)];
        assert_eq!(ends.map(|ask| asks.ask(ask)), [Ok(()), Ok(()), Ok(())]);
        let order: Vec<Ask> = std::iter::from_fn(|| asked.next().ok()).collect();
        assert!(
            matches!(
                order[..],
                [Ask::Tell(..), Ask::Tell(..), Ask::EndTrack(..), Ask::End(_), Ask::Forget(_)]
            ),
            "{order:?}"
        );
        assert_eq!(asks.ask(tell()), Ok(()), "there is room again");
        drop(asked);
        assert_eq!(asks.ask(Ask::End(id)), Err(Failure::Stopped));
    }
}
