//! Keys to be pressed that a shard has yet to take or refuse: only it knows how many wait already.

use std::collections::VecDeque;

use engine_control::{Command, Event, Refusal, SessionKey};

use crate::api::{Reply, Trouble};

/// Who waits, in the order of the commands. No more than a shard's ring of commands holds.
#[derive(Debug, Default)]
pub(super) struct Presses(VecDeque<(SessionKey, Reply<()>)>);

impl Presses {
    /// Keys for this session are on their way to its shard.
    pub(super) fn add(&mut self, session: SessionKey, reply: Reply<()>) {
        self.0.push_back((session, reply));
    }

    /// Answers whom this event is about: a shard tells about commands in their order.
    pub(super) fn note(&mut self, event: &Event) {
        let (session, answer) = match event {
            Event::DigitsTaken { session } => (session, Ok(())),
            Event::Refused { command: Command::SendDigits { session, .. }, refusal } => {
                let gone = *refusal == Refusal::Gone;
                (session, Err(if gone { Trouble::NoParticipant } else { Trouble::KeysWaiting }))
            }
            _ => return,
        };
        let first = self.0.iter().position(|(waiting, _)| waiting == session);
        if let Some((_, reply)) = first.and_then(|at| self.0.remove(at)) {
            // Nobody reads it where whoever asked is gone.
            let _ = reply.send(answer);
        }
    }
}
