//! The control task: the one owner of the front end, the engine, the SIP sockets and the
//! recorder. Whatever happens outside of a shard happens here, one thing after the other.

mod answers;
mod presses;
mod recordings;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use engine_control::{Balance, Command, Event, Refusal, Relief};
use media_units::Instant;
use signaling::{FrontEnd, ParticipantId};
use signaling_transport::Incoming;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{self, Interval};

use crate::api::Ask;
use crate::control::answers::Asker;
use crate::control::presses::Presses;
use crate::failure::Failure;
use crate::flight;
use crate::recording::Keeper;
use crate::survey::Survey;
use crate::world::World;

/// How often the recorder and the shards' threads are looked after.
const ROUND: Duration = Duration::from_millis(500);

/// How often rooms that should always be recorded and are not are tried again.
const OWED_EVERY: Duration = Duration::from_secs(10);

/// The control task.
pub(crate) struct Control {
    front: FrontEnd,
    world: World,
    keeper: Keeper,
    survey: Survey<Asker>,
    presses: Presses,
    asks: mpsc::Receiver<Ask>,
    /// Readable when shards have facts.
    facts: AsyncFd<OwnedFd>,
    signals: [Signal; 2],
    hang_up: Signal,
    round: Interval,
    balance: Balance,
    /// How often those who are recorded hear a beep, and when they do next.
    beep_every: Option<Duration>,
    beep_at: Option<Instant>,
    /// When rooms that should always be recorded are tried again.
    owed_at: Instant,
    /// When the server started, since 1970.
    started: Duration,
    /// How long calls may take to end once the server is told to stop.
    stop_timeout: Duration,
    /// When it no longer waits for them.
    stop_at: Option<Instant>,
    /// A shard whose thread has ended: the server cannot go on.
    dead_shard: Option<u8>,
}

/// What happened.
enum Wake {
    Incoming(Incoming),
    Facts,
    Expiry,
    Ask(Ask),
    Round,
    Signal,
    HangUp,
}

impl Control {
    /// A control task on the runtime that this is called on.
    pub(crate) fn new(
        front: FrontEnd,
        world: World,
        (keeper, beep_every): (Keeper, Option<Duration>),
        balance: Balance,
        asks: mpsc::Receiver<Ask>,
        started: Duration,
        stop_timeout: Duration,
    ) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd that never leaves keeps it sound"
        )]
        let facts = AsyncFd::with_interest(
            world.engine.events_fd().try_clone_to_owned()?,
            Interest::READABLE,
        )?;
        let now = world.engine.now();
        Ok(Self {
            front,
            world,
            keeper,
            survey: Survey::new(),
            presses: Presses::default(),
            asks,
            facts,
            signals: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?],
            hang_up: signal(SignalKind::hangup())?,
            round: time::interval(ROUND),
            balance,
            started,
            stop_timeout,
            stop_at: None,
            dead_shard: None,
            beep_every,
            beep_at: beep_every.map(|every| now + every),
            owed_at: now + OWED_EVERY,
        })
    }

    /// Serves until the server was told to stop, or a shard has died, and its calls have ended, or
    /// a second signal came; then closes the recordings and stops the shards.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        loop {
            let wake = self.wake().await;
            let was_stopping = self.stop_at.is_some();
            let is_signal = matches!(wake, Wake::Signal);
            self.handle(wake);
            let now = self.world.engine.now();
            let is_over = |at| self.is_empty() || at <= now || (was_stopping && is_signal);
            if self.stop_at.is_some_and(is_over) {
                break;
            }
        }
        let outcome = self.dead_shard.map_or(Ok(()), |shard| Err(Failure::Shard { shard }));
        self.close();
        outcome
    }

    async fn wake(&mut self) -> Wake {
        let now = self.world.engine.now();
        let next = self.front.next_expiry().into_iter().chain(self.stop_at).min();
        let expiry = async {
            match next {
                Some(at) => time::sleep(at.since(now)).await,
                None => std::future::pending().await,
            }
        };
        let [terminate, interrupt] = &mut self.signals;
        tokio::select! {
            incoming = self.world.transport.receive() => Wake::Incoming(incoming),
            ready = self.facts.readable() => {
                // Before the facts are taken, so that none that comes meanwhile is overlooked.
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
                Wake::Facts
            }
            () = expiry => Wake::Expiry,
            Some(ask) = self.asks.recv() => Wake::Ask(ask),
            _ = self.round.tick() => Wake::Round,
            _ = terminate.recv() => Wake::Signal,
            _ = interrupt.recv() => Wake::Signal,
            _ = self.hang_up.recv() => Wake::HangUp,
        }
    }

    fn handle(&mut self, wake: Wake) {
        let now = self.world.engine.now();
        match wake {
            Wake::Incoming(incoming) => self.incoming(now, incoming),
            Wake::Facts => self.take_facts(now),
            Wake::Expiry => self.front.expire(now, &mut self.world),
            Wake::Ask(ask) => self.answer(now, ask),
            Wake::Round => self.look_after(now),
            Wake::Signal => self.stop(now),
            Wake::HangUp => {
                tracing::warn!("SIGHUP: nothing is read again; SIGTERM ends the server");
            }
        }
        self.tell_keeper();
    }

    fn tell_keeper(&mut self) {
        loop {
            while let Some(fact) = self.front.next_fact() {
                self.keeper.take(fact, |id| self.front.participant(id), &mut self.world);
            }
            let over = self.keeper.take_over();
            if over.is_empty() {
                break;
            }
            let now = self.world.engine.now();
            for (recording, ending) in over {
                self.front.recording_over(now, recording, ending, &mut self.world);
            }
        }
        if self.keeper.take_change() {
            let now = self.world.engine.now();
            let aware: Vec<ParticipantId> = self.front.record_aware().collect();
            for id in aware {
                let state = self.keeper.state_of(id, &self.world);
                self.front.set_recorded(now, id, state, &mut self.world);
            }
        }
    }

    fn incoming(&mut self, now: Instant, incoming: Incoming) {
        match incoming {
            Incoming::Message { from, bytes } => {
                tracing::trace!(?from, message = %String::from_utf8_lossy(&bytes), "received");
                self.front.receive(now, from, bytes, &mut self.world);
            }
            Incoming::Closed { peer, cause } => {
                tracing::debug!(?peer, ?cause, "connection closed");
                self.front.closed(now, peer, &mut self.world);
            }
        }
    }

    fn take_facts(&mut self, now: Instant) {
        while let Some(event) = self.world.engine.next_event() {
            if let Some(event) = self.survey.take(event) {
                log(&event);
                self.presses.note(&event);
                for over in self.world.note_tap(&event) {
                    self.keeper.lost(over);
                }
                self.front.engine_event(now, event, &mut self.world);
            }
        }
        self.world.stop_unused();
        self.continue_survey();
    }

    fn look_after(&mut self, now: Instant) {
        self.world.stop_unused();
        // Asked first: what was repaired is told before all is said to be.
        let is_settled = self.world.recorder.is_settled();
        while let Some(event) = self.world.recorder.next_event() {
            if let Some(over) = self.world.note_written(&event) {
                self.keeper.lost(over);
            }
        }
        if is_settled {
            self.world.shelf.begin();
        }
        while let Some(event) = self.world.shelf.try_event() {
            tracing::info!(?event, "a finished recording");
        }
        if self.beep_at.is_some_and(|at| at <= now) {
            self.keeper.beep(&mut self.world);
            self.beep_at = self.beep_every.map(|every| now + every);
        }
        if self.owed_at <= now {
            self.keeper.record_owed(&mut self.world);
            self.owed_at = now + OWED_EVERY;
        }
        self.relieve();
        let World { flights, engine, .. } = &mut self.world;
        for flight in flights.take_late(engine) {
            flight.write_aside(|written| flight::log(&written));
        }
        let dead = self.world.engine.dead_shard();
        if let (Some(shard), None) = (dead, self.dead_shard) {
            tracing::error!(shard, "a shard's thread has ended: ending all calls and the server");
            self.dead_shard = dead;
            // Before anything else: what is known of it is in the memory of this process.
            let World { flights, engine, .. } = &mut self.world;
            if let Some(flight) =
                flights.take(engine, shard, "a fault: the shard's thread has ended")
            {
                flight::log(&flight.write());
            }
            self.end_calls(now);
        }
    }

    /// A shard with too much to do gives sessions of spread rooms to one with slack.
    fn relieve(&mut self) {
        let engine = &self.world.engine;
        let loads: Vec<_> = (0..engine.shards() as u8).map(|shard| engine.load(shard)).collect();
        let Some(Relief { from, to, sessions }) = self.balance.choose(&loads) else { return };
        let sent = self.front.relieve(from, to, sessions as usize, &mut self.world);
        if sent > 0 {
            tracing::info!(from, to, sessions = sent, "a shard gives sessions to another");
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.stop_at.is_some() {
            tracing::warn!("stopping at once");
            return;
        }
        tracing::info!(calls = self.front.calls(), "stopping: ending all calls");
        self.end_calls(now);
    }

    fn end_calls(&mut self, now: Instant) {
        self.stop_at.get_or_insert(now + self.stop_timeout);
        self.front.drain(now, &mut self.world);
    }

    /// Whether no call is left, neither here nor on a shard that lives.
    fn is_empty(&self) -> bool {
        let engine = &self.world.engine;
        self.front.is_drained()
            && (0..engine.shards() as u8)
                .all(|shard| engine.sessions(shard) == 0 || Some(shard) == self.dead_shard)
    }

    fn close(mut self) {
        let left = self.front.calls();
        if left > 0 {
            tracing::warn!(calls = left, "stopped before these calls had ended");
        }
        let now = self.world.engine.now();
        self.take_facts(now);
        let World { engine, recorder, mut recordings, shelf, .. } = self.world;
        // The shards first: the taps end with them, and so do the recordings.
        engine.stop();
        let (events, is_settled) = recorder.stop();
        for event in &events {
            recordings.hand_over(event, &shelf);
        }
        if is_settled {
            shelf.begin();
        }
        shelf.stop();
        tracing::info!("stopped");
    }
}

fn log(event: &Event) {
    match event {
        Event::Latched { session, source, again } => {
            tracing::debug!(%session, %source, again, "media latched");
        }
        Event::Digit { session, digit, duration_ms, source } => {
            tracing::debug!(%session, %digit, duration_ms, ?source, "digit");
        }
        Event::MediaTimedOut { session } => tracing::info!(%session, "media timed out"),
        Event::Shedding { shard, before, shedding, pressure_percent } => {
            let gives_up = shedding.name();
            if shedding < before {
                tracing::info!(shard, pressure_percent, gives_up, "a shard has time again");
            } else {
                tracing::warn!(shard, pressure_percent, gives_up, "a shard has too little time");
            }
        }
        Event::SessionArrived { session } => tracing::debug!(%session, "session moved"),
        Event::SessionClosed { session } => tracing::debug!(%session, "session closed"),
        // It ended with its session before it was told to.
        Event::Refused { command: Command::StopTap { .. }, refusal: Refusal::Gone } => {}
        Event::Refused { command, refusal } => {
            let command = name(command);
            tracing::warn!(command, ?refusal, "a shard refused a command");
        }
        _ => {}
    }
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::OpenSession { .. } => "open session",
        Command::UpdateSession { .. } => "update session",
        Command::RouteSession { .. } => "route session",
        Command::MuteSession { .. } => "mute session",
        Command::SetGain { .. } => "set gain",
        Command::SendDigits { .. } => "send digits",
        Command::Prompt { .. } => "prompt",
        Command::CloseSession { .. } => "close session",
        Command::SendAway { .. } => "send session away",
        Command::TakeIn { .. } => "take session in",
        Command::OpenRoom { .. } => "open room",
        Command::OpenPart { .. } => "open part of a room",
        Command::CloseRoom { .. } => "close room",
        Command::StartTap { .. } => "start tap",
        Command::StopTap { .. } => "stop tap",
        Command::ReportSessions { .. } => "report sessions",
        Command::ReportShard { .. } => "report shard",
    }
}
