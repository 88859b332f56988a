//! Numbers out of the shards: one portion at a time, so small that no tick feels it.
//!
//! The control plane donates empty reports, a shard fills them in at a tick's start and sends
//! them home. Only one portion is under way at any time, so that a report that comes home
//! belongs to it; other questions wait in line. A shard that never answers leaves the line
//! standing, and those in it run into the API's time limit: the truth about such a server.

use std::collections::{HashMap, VecDeque};

use engine_control::{Command, Event, SessionKey, SessionReport, ShardReport};

/// Sessions in one portion: some tens of microseconds of a shard's tick.
const PORTION: usize = 64;

/// What the shards said. Sessions that are gone are missing.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    pub(crate) sessions: HashMap<SessionKey, SessionReport>,
    pub(crate) shards: Vec<ShardReport>,
}

/// Questions, each with something of the asker's that is given back with the answer.
#[derive(Debug)]
pub(crate) struct Survey<T> {
    /// The first of them is under way.
    questions: VecDeque<Question<T>>,
    is_away: bool,
}

#[derive(Debug)]
struct Question<T> {
    asker: T,
    portions: VecDeque<Command>,
    /// Sessions that no shard was asked about yet: where they live is looked up at the last moment.
    sessions: Vec<SessionKey>,
    reports: Reports,
}

impl<T> Question<T> {
    /// What is to be asked next.
    fn next(&mut self, shard_of: impl Fn(SessionKey) -> u8) -> Option<Command> {
        let Some(&first) = self.sessions.first() else { return self.portions.pop_front() };
        let (shard, mut room) = (shard_of(first), PORTION);
        let mut reports = Vec::with_capacity(PORTION);
        self.sessions.retain(|&session| {
            let is_asked = room > 0 && shard_of(session) == shard;
            if is_asked {
                room -= 1;
                reports.push(SessionReport::of(session));
            }
            !is_asked
        });
        Some(Command::ReportSessions { reports: Box::new(reports) })
    }
}

impl<T> Survey<T> {
    /// Nobody asks for anything.
    pub(crate) fn new() -> Self {
        Self { questions: VecDeque::new(), is_away: false }
    }

    /// Puts a question about sessions in line.
    pub(crate) fn about_sessions(&mut self, sessions: &[SessionKey], asker: T) {
        self.ask(VecDeque::new(), sessions.to_vec(), asker);
    }

    /// Puts a question about the first so many shards in line.
    pub(crate) fn about_shards(&mut self, shards: usize, asker: T) {
        let portion = |shard| {
            let report = ShardReport { shard: shard as u8, ..ShardReport::default() };
            Command::ReportShard { report: Box::new(report) }
        };
        self.ask((0..shards).map(portion).collect(), Vec::new(), asker);
    }

    /// Goes on as far as it can: sends the next portion to the engine, of sessions that live on the
    /// same shard, by `send` (which says whether it could), or returns a question that is answered. To be
    /// called until it returns `None`.
    pub(crate) fn advance<E>(
        &mut self,
        engine: &mut E,
        shard_of: impl Fn(&E, SessionKey) -> u8,
        send: impl Fn(&mut E, Command) -> bool,
    ) -> Option<(T, Reports)> {
        while !self.is_away {
            match self.questions.front_mut()?.next(|session| shard_of(engine, session)) {
                // A portion that cannot be sent stays unanswered.
                Some(portion) => self.is_away = send(engine, portion),
                None => return self.questions.pop_front().map(|done| (done.asker, done.reports)),
            }
        }
        None
    }

    /// Takes an event where it is the portion that was away; gives it back where it is not.
    pub(crate) fn take(&mut self, event: Event) -> Option<Event> {
        let reports = self.questions.front_mut().map(|question| &mut question.reports);
        match (event, reports) {
            (Event::SessionsReported { reports: home }, Some(reports)) => {
                reports.sessions.extend(home.iter().map(|report| (report.session, *report)));
            }
            (Event::ShardReported { report }, Some(reports)) => reports.shards.push(*report),
            (Event::Refused { command, .. }, _) if is_portion(&command) => {}
            (other, _) => return Some(other),
        }
        self.is_away = false;
        None
    }

    fn ask(&mut self, portions: VecDeque<Command>, sessions: Vec<SessionKey>, asker: T) {
        let reports = Reports::default();
        self.questions.push_back(Question { asker, portions, sessions, reports });
    }
}

fn is_portion(command: &Command) -> bool {
    matches!(command, Command::ReportSessions { .. } | Command::ReportShard { .. })
}

#[cfg(test)]
mod tests {
    use engine_control::Refusal;

    use super::*;

    fn key(shard: u8, slot: u32) -> SessionKey {
        SessionKey::new(shard, slot, 1)
    }

    fn sent(survey: &mut Survey<&'static str>) -> (Vec<Command>, Option<&'static str>) {
        let mut commands = Vec::new();
        let done = survey.advance(&mut commands, at_home, |commands, command| {
            commands.push(command);
            true
        });
        (commands, done.map(|(asker, _)| asker))
    }

    fn at_home<E>(_: &E, session: SessionKey) -> u8 {
        session.shard()
    }

    #[test]
    fn portions_go_one_by_one_and_never_to_two_shards_at_once() {
        let mut survey = Survey::new();
        let sessions: Vec<SessionKey> =
            (0..100).map(|slot| key(1, slot)).chain([key(0, 1)]).collect();
        survey.about_sessions(&sessions, "asker");
        let mut sizes = Vec::new();
        loop {
            let (mut commands, done) = sent(&mut survey);
            if let Some(asker) = done {
                assert_eq!(asker, "asker");
                break;
            }
            assert_eq!(commands.len(), 1);
            let Some(Command::ReportSessions { reports }) = commands.pop() else { panic!() };
            let shards: Vec<u8> = reports.iter().map(|one| one.session.shard()).collect();
            assert!(shards.iter().all(|shard| *shard == shards[0]));
            sizes.push(reports.len());
            assert!(survey.take(Event::SessionsReported { reports }).is_none());
        }
        assert_eq!(sizes, [64, 36, 1]);
    }

    #[test]
    fn a_second_question_waits_for_the_first() {
        let mut survey = Survey::new();
        survey.about_shards(1, "first");
        survey.about_sessions(&[key(0, 1)], "second");
        let (commands, _) = sent(&mut survey);
        assert!(matches!(commands[..], [Command::ReportShard { .. }]));
        assert_eq!(sent(&mut survey).0.len(), 0, "one portion is away");
        assert!(survey.take(Event::ShardReported { report: Box::default() }).is_none());
        assert_eq!(sent(&mut survey).1, Some("first"));
        assert!(matches!(sent(&mut survey).0[..], [Command::ReportSessions { .. }]));
    }

    #[test]
    fn a_portion_that_is_refused_or_cannot_be_sent_is_not_waited_for() {
        let mut survey = Survey::new();
        survey.about_shards(2, "asker");
        let (mut commands, _) = sent(&mut survey);
        let command = commands.remove(0);
        assert!(survey.take(Event::Refused { command, refusal: Refusal::Busy }).is_none());
        let done = survey.advance(&mut (), at_home, |(), _| false);
        let (asker, reports) = done.expect("nothing is left to wait for");
        assert_eq!((asker, reports.shards.len()), ("asker", 0));
    }

    #[test]
    fn what_is_no_report_is_given_back() {
        let mut survey: Survey<()> = Survey::new();
        let event = Event::RtcpBye { session: key(0, 1) };
        assert!(matches!(survey.take(event), Some(Event::RtcpBye { .. })));
    }
}
