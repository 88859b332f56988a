//! Who takes part in what is recorded, and who is in which stream (RFC 7865).

use crate::Refusal;
use crate::read::{ASSOCIATIONS_MAX, PARTICIPANTS_MAX, SESSIONS_MAX, STREAMS_MAX};

/// Whether metadata says all there is, or what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataMode {
    /// All of it: what was said before is void.
    #[default]
    Complete,
    /// Elements that are new or have changed.
    Partial,
}

/// The metadata of one recording session. Times are as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// All or a part.
    pub data_mode: DataMode,
    /// The communication sessions that are recorded.
    pub sessions: Vec<Session>,
    /// Who takes part.
    pub participants: Vec<Participant>,
    /// The streams, by the labels of the session description.
    pub streams: Vec<Stream>,
    /// Who sends and receives which stream.
    pub associations: Vec<Association>,
}

/// A communication session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// Its identifier.
    pub id: String,
    /// Its identifiers in SIP.
    pub sip_session_ids: Vec<String>,
    /// When it began.
    pub start_time: Option<String>,
    /// When it ended.
    pub stop_time: Option<String>,
}

/// A participant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Participant {
    /// Its identifier.
    pub id: String,
    /// Its address.
    pub aor: String,
    /// Its name.
    pub name: Option<String>,
    /// The communication sessions that it is in.
    pub sessions: Vec<Presence>,
}

impl Participant {
    /// Whether it has left every session that it was in.
    fn has_left(&self) -> bool {
        let mut sessions = self.sessions.iter();
        !self.sessions.is_empty() && sessions.all(|presence| presence.disassociate_time.is_some())
    }
}

/// That a participant is in a communication session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presence {
    /// In which.
    pub session: String,
    /// Since when.
    pub associate_time: Option<String>,
    /// Until when.
    pub disassociate_time: Option<String>,
}

/// A media stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stream {
    /// Its identifier.
    pub id: String,
    /// The communication session that it is of.
    pub session: String,
    /// Its label in the session description (RFC 4574).
    pub label: String,
}

impl Stream {
    /// Whether it takes the place of another: under the same identifier, or the same label.
    fn replaces(&self, known: &Self) -> bool {
        self.id == known.id || (self.label == known.label && !self.label.is_empty())
    }
}

/// Which streams a participant sends and receives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Association {
    /// Who.
    pub participant: String,
    /// The streams that it contributes to.
    pub sends: Vec<String>,
    /// The streams that it hears.
    pub receives: Vec<String>,
    /// Since when.
    pub associate_time: Option<String>,
    /// Until when.
    pub disassociate_time: Option<String>,
}

impl Metadata {
    /// Takes later metadata of the same recording session. Where it is refused all stays as it
    /// was.
    pub fn update(&mut self, later: Self) -> Result<(), Refusal> {
        let mut updated = match later.data_mode {
            DataMode::Complete => Self::default(),
            DataMode::Partial => self.clone(),
        };
        merge(&mut updated.sessions, later.sessions, |session| &session.id);
        // A label is that of one line of the description: whoever names it again has another stream there.
        updated.streams.retain(|known| !later.streams.iter().any(|new| new.replaces(known)));
        updated.streams.extend(later.streams);
        merge(&mut updated.associations, later.associations, |it| &it.participant);
        for participant in later.participants {
            updated.take(participant);
        }
        updated.is_within_bounds()?;
        *self = updated;
        Ok(())
    }

    /// What is said about the communication sessions, by name, each in the order of the sessions.
    pub fn words(&self) -> [(&'static str, String); 4] {
        let joined = |words: fn(&Session) -> Vec<&String>| {
            let all: Vec<&str> = self.sessions.iter().flat_map(words).map(String::as_str).collect();
            all.join(" ")
        };
        [
            ("siprec.session_id", joined(|session| vec![&session.id])),
            ("siprec.sip_session_id", joined(|session| session.sip_session_ids.iter().collect())),
            ("siprec.start_time", joined(|session| session.start_time.iter().collect())),
            ("siprec.stop_time", joined(|session| session.stop_time.iter().collect())),
        ]
    }

    /// Who alone sends the stream of this label. `None` where nobody does, or several: then the
    /// stream is a mix.
    pub fn sender(&self, label: &str) -> Option<&Participant> {
        let mut senders = self.senders(label);
        let first = senders.next()?;
        senders.next().is_none().then_some(first)
    }

    /// Everyone who sends a stream of this label, as far as they are still there: each communication
    /// session may have one under it.
    pub fn senders(&self, label: &str) -> impl Iterator<Item = &Participant> {
        let streams = self.streams.iter().filter(move |stream| stream.label == label);
        let ids: Vec<&str> = streams.map(|stream| stream.id.as_str()).collect();
        let is_sending = move |who: &Participant| {
            self.associations.iter().any(|association| {
                association.participant == who.id
                    && association.disassociate_time.is_none()
                    && association.sends.iter().any(|sent| ids.contains(&sent.as_str()))
            })
        };
        self.participants.iter().filter(move |who| !who.has_left() && is_sending(who))
    }

    /// Adds what is known about a participant. A name that is not repeated stays, and so do the
    /// sessions that are not named again.
    pub(crate) fn take(&mut self, later: Participant) {
        let Some(known) = self.participants.iter_mut().find(|known| known.id == later.id) else {
            return self.participants.push(later);
        };
        if !later.aor.is_empty() {
            known.aor = later.aor;
            known.name = later.name;
        }
        merge(&mut known.sessions, later.sessions, |presence| &presence.session);
    }

    pub(crate) fn is_within_bounds(&self) -> Result<(), Refusal> {
        let presences = self.participants.iter().map(|who| who.sessions.len());
        let references = self.associations.iter().map(|it| it.sends.len() + it.receives.len());
        let is_within = self.sessions.len() <= SESSIONS_MAX
            && self.participants.len() <= PARTICIPANTS_MAX
            && self.streams.len() <= STREAMS_MAX
            && self.associations.len() <= PARTICIPANTS_MAX
            && presences.chain(references).sum::<usize>() <= ASSOCIATIONS_MAX;
        if is_within { Ok(()) } else { Err(Refusal::TooMany) }
    }
}

/// Adds what is new, replaces what is named again.
pub(crate) fn merge<T>(known: &mut Vec<T>, later: Vec<T>, name: impl Fn(&T) -> &String) {
    for new in later {
        match known.iter_mut().find(|old| name(old) == name(&new)) {
            Some(old) => *old = new,
            None => known.push(new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(id: &str, label: &str) -> Stream {
        Stream { id: id.into(), session: "s".into(), label: label.into() }
    }

    fn person(id: &str, name: Option<&str>) -> Participant {
        let (aor, name) = (format!("sip:{id}@x"), name.map(Into::into));
        Participant { id: id.into(), aor, name, sessions: Vec::new() }
    }

    fn sends(participant: &str, stream: &str) -> Association {
        let (participant, sends) = (participant.into(), vec![stream.into()]);
        Association { participant, sends, ..Association::default() }
    }

    fn two() -> Metadata {
        Metadata {
            participants: vec![person("a", Some("Anna")), person("b", None)],
            streams: vec![stream("x", "1"), stream("y", "2")],
            associations: vec![sends("a", "x"), sends("b", "y")],
            ..Metadata::default()
        }
    }

    fn sender(metadata: &Metadata, label: &str) -> Option<String> {
        metadata.sender(label).map(|who| who.id.clone())
    }

    #[test]
    fn a_label_leads_to_its_only_sender() {
        let mut metadata = two();
        assert_eq!(sender(&metadata, "1").as_deref(), Some("a"));
        assert_eq!(sender(&metadata, "2").as_deref(), Some("b"));
        assert_eq!(sender(&metadata, "3"), None);
        metadata.associations[1].sends.push("x".into());
        assert_eq!(sender(&metadata, "1"), None, "two send it: it is a mix");
        assert_eq!(metadata.senders("1").count(), 2);
        metadata.associations[0].disassociate_time = Some("later".into());
        assert_eq!(sender(&metadata, "1").as_deref(), Some("b"));
    }

    /// One line may be a stream in each of several communication sessions.
    #[test]
    fn of_several_streams_under_one_label_the_senders_of_all_count() {
        let left = |who: &str| {
            let left = Presence { disassociate_time: Some("later".into()), ..Presence::default() };
            Participant { sessions: vec![left], ..person(who, None) }
        };
        let both = || vec![stream("x", "1"), stream("y", "1")];
        let metadata = |streams: Vec<Stream>| Metadata { streams, ..two() };
        let reversed = || both().into_iter().rev().collect();
        for streams in [both(), reversed()] {
            assert_eq!(sender(&metadata(streams.clone()), "1"), None, "a in one, b in the other");
            assert_eq!(metadata(streams.clone()).senders("1").count(), 2);
            let mut one = metadata(streams.clone());
            one.associations.pop();
            assert_eq!(sender(&one, "1").as_deref(), Some("a"), "nobody sends the other");
            one.associations[0].sends.push("y".into());
            assert_eq!(sender(&one, "1").as_deref(), Some("a"), "the same in both");
            let mut gone = metadata(streams);
            gone.participants[0] = left("a");
            assert_eq!(sender(&gone, "1").as_deref(), Some("b"), "a has left");
        }
    }

    #[test]
    fn a_partial_update_changes_what_it_names_and_a_complete_one_everything() {
        let mut metadata = two();
        let partial = Metadata {
            data_mode: DataMode::Partial,
            participants: vec![person("c", Some("Carl"))],
            streams: vec![stream("z", "2")],
            associations: vec![sends("c", "z"), sends("b", "x")],
            ..Metadata::default()
        };
        metadata.update(partial).unwrap();
        assert_eq!(metadata.participants.len(), 3);
        assert_eq!(metadata.participants[0].name.as_deref(), Some("Anna"));
        assert_eq!(sender(&metadata, "1"), None, "a and b");
        metadata.update(two()).unwrap();
        assert_eq!(metadata, two());
    }

    #[test]
    fn who_comes_for_another_is_the_sender_whichever_way_that_is_told() {
        let left = Presence { disassociate_time: Some("later".into()), ..Presence::default() };
        let bert = Participant { sessions: vec![left], ..person("b", None) };
        let partial = |streams, participants, associations| Metadata {
            data_mode: DataMode::Partial,
            participants,
            streams,
            associations,
            ..Metadata::default()
        };
        let mut metadata = two();
        let carl = || person("c", Some("Carl"));
        metadata.update(partial(vec![], vec![bert, carl()], vec![sends("c", "y")])).unwrap();
        assert_eq!(sender(&metadata, "2").as_deref(), Some("c"), "who is gone sends nothing");
        let mut metadata = two();
        metadata
            .update(partial(vec![stream("z", "2")], vec![carl()], vec![sends("c", "z")]))
            .unwrap();
        assert_eq!(sender(&metadata, "2").as_deref(), Some("c"), "another stream has the label");
        assert_eq!(metadata.streams.len(), 2);
        for number in 0..STREAMS_MAX {
            let again = partial(vec![stream(&number.to_string(), "2")], vec![], vec![]);
            assert_eq!(metadata.update(again), Ok(()), "transfers without end");
        }
    }

    #[test]
    fn updates_cannot_grow_without_bound() {
        let mut metadata = Metadata::default();
        for number in 0..=PARTICIPANTS_MAX {
            let before = metadata.clone();
            let more = Metadata {
                data_mode: DataMode::Partial,
                participants: vec![person(&number.to_string(), None)],
                ..Metadata::default()
            };
            let taken = metadata.update(more);
            if number < PARTICIPANTS_MAX {
                assert_eq!(taken, Ok(()));
            } else {
                assert_eq!((taken, metadata.clone()), (Err(Refusal::TooMany), before));
            }
        }
    }
}
