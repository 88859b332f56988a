//! What can be dialled: a table from the user part of a Request-URI to a destination.

use std::fmt;
use std::str::FromStr;

/// Longest user part that is looked up, and so the longest name of a room.
const USER_CHARS_MAX: usize = 64;

/// The table, in order: the first pattern that matches decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialPlan {
    entries: Vec<(Pattern, Service)>,
}

/// Which user parts an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// One user part, written as it is: `echo`.
    Exact(String),
    /// Everything longer that begins with this, written with a star: `conf*`.
    Prefix(String),
    /// Numbers of equal length, written as two: `3000-3999`.
    Range {
        /// The first number.
        first: u64,
        /// The last number.
        last: u64,
        /// Digits that a number in the range has.
        digits: usize,
    },
}

/// What answers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// A room: named by what the star stands for, or by the whole user part.
    Room,
    /// The caller's own sound.
    Echo,
    /// A test tone.
    Tone,
    /// A recording until hang-up.
    Record,
}

/// What was dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The room of this name.
    Room(String),
    /// The caller's own sound.
    Echo,
    /// A test tone.
    Tone,
    /// A recording.
    Record,
}

/// Why an entry of a plan was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// The pattern is empty.
    Empty,
    /// A character that no user part of a dialled address has.
    Character(char),
    /// A star that is not the last character.
    Star,
    /// A range whose ends are not two numbers of equal length, the smaller one first.
    Range(String),
    /// Not the name of a service.
    Service(String),
    /// The pattern is there already.
    Twice(Pattern),
}

impl DialPlan {
    /// A plan of these entries in this order.
    pub fn new(entries: Vec<(Pattern, Service)>) -> Result<Self, PlanError> {
        for (index, (pattern, _)) in entries.iter().enumerate() {
            if entries.iter().take(index).any(|(earlier, _)| earlier == pattern) {
                return Err(PlanError::Twice(pattern.clone()));
            }
        }
        Ok(Self { entries })
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[(Pattern, Service)] {
        &self.entries
    }

    /// What the user part `user` reaches, or `None` where it is an unknown number.
    pub fn destination(&self, user: &str) -> Option<Destination> {
        if !may_be_dialled(user) {
            return None;
        }
        let (name, service) = self
            .entries
            .iter()
            .find_map(|(pattern, service)| Some((pattern.matched(user)?, *service)))?;
        Some(match service {
            Service::Room if !may_name_a_room(name) => return None,
            Service::Room => Destination::Room(name.to_owned()),
            Service::Echo => Destination::Echo,
            Service::Tone => Destination::Tone,
            Service::Record => Destination::Record,
        })
    }
}

impl Default for DialPlan {
    /// `conf<name>` and 3000-3999 are rooms; `echo`, `tone` and `record` also have numbers.
    fn default() -> Self {
        let exact = |user: &str, service| (Pattern::Exact(user.to_owned()), service);
        Self {
            entries: vec![
                (Pattern::Prefix("conf".to_owned()), Service::Room),
                (Pattern::Range { first: 3000, last: 3999, digits: 4 }, Service::Room),
                exact("echo", Service::Echo),
                exact("9000", Service::Echo),
                exact("tone", Service::Tone),
                exact("9001", Service::Tone),
                exact("record", Service::Record),
                exact("8000", Service::Record),
            ],
        }
    }
}

impl Pattern {
    /// Whether `user` is one of those that it is for.
    pub fn matches(&self, user: &str) -> bool {
        self.matched(user).is_some()
    }

    /// The part of `user` that names a room, where `user` matches.
    fn matched<'a>(&self, user: &'a str) -> Option<&'a str> {
        match self {
            Self::Exact(exact) => (user == exact).then_some(user),
            Self::Prefix(prefix) => user.strip_prefix(prefix.as_str()).filter(|n| !n.is_empty()),
            Self::Range { first, last, digits } => {
                let number = (user.len() == *digits).then(|| number(user)).flatten()?;
                (*first..=*last).contains(&number).then_some(user)
            }
        }
    }
}

impl FromStr for Pattern {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let (body, star) = text.strip_suffix('*').map_or((text, false), |body| (body, true));
        if body.is_empty() {
            return Err(PlanError::Empty);
        }
        if body.contains('*') {
            return Err(PlanError::Star);
        }
        if let Some(other) = body.chars().find(|c| !is_dialled(*c)) {
            return Err(PlanError::Character(other));
        }
        if star {
            return Ok(Self::Prefix(body.to_owned()));
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let halves = body.split_once('-').filter(|(a, b)| is_number(a) && is_number(b));
        let Some((first, last)) = halves else {
            return Ok(Self::Exact(body.to_owned()));
        };
        let ends = number(first).zip(number(last));
        let ends = ends.filter(|(a, b)| a <= b && first.len() == last.len());
        let (first_number, last_number) = ends.ok_or_else(|| PlanError::Range(body.to_owned()))?;
        Ok(Self::Range { first: first_number, last: last_number, digits: first.len() })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(user) => f.write_str(user),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Range { first, last, digits } => write!(f, "{first:0digits$}-{last:0digits$}"),
        }
    }
}

impl Service {
    /// All services.
    pub const ALL: [Self; 4] = [Self::Room, Self::Echo, Self::Tone, Self::Record];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Echo => "echo",
            Self::Tone => "tone",
            Self::Record => "record",
        }
    }
}

impl FromStr for Service {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let known = Self::ALL.into_iter().find(|service| service.name() == text);
        known.ok_or_else(|| PlanError::Service(text.to_owned()))
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty; write a number or name"),
            Self::Character(other) => {
                write!(f, "{other:?} cannot be dialled; use letters, digits and -_.+")
            }
            Self::Star => f.write_str("a star may only be the last character, as in conf*"),
            Self::Range(text) => write!(
                f,
                "{text:?} is not a range; write two numbers of equal length, as in 3000-3999"
            ),
            Self::Service(text) => {
                write!(f, "{text:?} is not a service; use room, echo, tone or record")
            }
            Self::Twice(pattern) => write!(f, "{pattern} is there twice"),
        }
    }
}

impl std::error::Error for PlanError {}

/// Whether a room could have this name: whether it could be dialled, and be asked for in the path of a
/// URL, where clients take `.` and `..` for folders.
pub fn may_name_a_room(name: &str) -> bool {
    may_be_dialled(name) && name.chars().any(|c| c != '.')
}

fn may_be_dialled(user: &str) -> bool {
    (1..=USER_CHARS_MAX).contains(&user.len()) && user.chars().all(is_dialled)
}

/// Characters that are safe in a URI without escapes, in a file name and in a log line.
fn is_dialled(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.+".contains(c)
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> Destination {
        Destination::Room(name.to_owned())
    }

    #[test]
    fn the_defaults_reach_rooms_echo_tone_and_record() {
        let plan = DialPlan::default();
        assert_eq!(plan.destination("confsales"), Some(room("sales")));
        assert_eq!(plan.destination("3000"), Some(room("3000")));
        assert_eq!(plan.destination("3999"), Some(room("3999")));
        assert_eq!(plan.destination("echo"), Some(Destination::Echo));
        assert_eq!(plan.destination("9000"), Some(Destination::Echo));
        assert_eq!(plan.destination("9001"), Some(Destination::Tone));
        assert_eq!(plan.destination("8000"), Some(Destination::Record));
    }

    #[test]
    fn unknown_numbers_and_unsafe_names_reach_nothing() {
        let plan = DialPlan::default();
        let long = format!("conf{}", "x".repeat(USER_CHARS_MAX));
        for user in ["", "conf", "2999", "4000", "03000", "+3000", "confa/b", "conf\0", &long] {
            assert_eq!(plan.destination(user), None, "{user:?}");
        }
    }

    #[test]
    fn no_room_has_a_name_that_means_a_folder_in_a_url() {
        let plan = DialPlan::default();
        for name in [".", "..", "..."] {
            assert_eq!(plan.destination(&format!("conf{name}")), None, "{name}");
            assert!(!may_name_a_room(name), "{name}");
        }
        assert_eq!(plan.destination("conf.a."), Some(room(".a.")));
    }

    #[test]
    fn patterns_read_back_as_written() {
        for text in ["echo", "conf*", "3000-3999", "0000-0099", "a.b_c", "my-room"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for service in Service::ALL {
            assert_eq!(service.name().parse(), Ok(service));
        }
    }

    #[test]
    fn a_bad_entry_is_refused_with_what_would_be_right() {
        let error = |text: &str| text.parse::<Pattern>().unwrap_err();
        assert_eq!(error(""), PlanError::Empty);
        assert_eq!(error("*"), PlanError::Empty);
        assert_eq!(error("a*b"), PlanError::Star);
        assert_eq!(error("a b"), PlanError::Character(' '));
        assert!(matches!(error("3999-3000"), PlanError::Range(_)));
        assert!(matches!(error("300-3999"), PlanError::Range(_)));
        assert!("mixer".parse::<Service>().unwrap_err().to_string().contains("use room"));
        let twice = vec![(Pattern::Exact("a".into()), Service::Echo); 2];
        assert!(matches!(DialPlan::new(twice), Err(PlanError::Twice(_))));
    }
}
