//! The names of a recording's files. What a caller chose (a room's name, its own) is part of a
//! name, so it is reduced to characters that no file system and no shell gives a meaning to, and
//! is cut. No name leaves its folder.

use std::fmt;
use std::str::FromStr;

use crate::utc::Utc;

/// Characters of a room's name or a person's that a name keeps.
pub const TEXT_CHARS_MAX: usize = 40;

/// Characters of a name at most.
pub const NAME_CHARS_MAX: usize = 120;

/// How recordings are named: words and `{fields}`, of which `{time}` and `{number}` make each name
/// new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// What one recording is named by.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// When it began, in nanoseconds from the Unix epoch.
    pub started_unix_nanos: u64,
    /// Its number since the server started.
    pub number: u64,
    /// The room, or what was dialled.
    pub subject: &'a str,
    /// The user part of who called, where it is of one call.
    pub caller: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Words(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Time,
    Date,
    Number,
    Subject,
    Caller,
}

const FIELDS: [(&str, Field); 5] = [
    ("time", Field::Time),
    ("date", Field::Date),
    ("number", Field::Number),
    ("subject", Field::Subject),
    ("caller", Field::Caller),
];

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A character that a name may not have.
    Character(char),
    /// Not a field.
    Field(String),
    /// A brace without its counterpart.
    Brace,
    /// Two recordings could have the same name.
    NotUnique,
    /// A name could be longer than [`NAME_CHARS_MAX`].
    TooLong,
    /// A name could begin with what a program takes for an option, or be hidden.
    Beginning,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(character) => write!(f, "{character:?} is not for names of files"),
            Self::Field(field) => write!(f, "{{{field}}} is not known"),
            Self::Brace => f.write_str("a brace has no counterpart"),
            Self::NotUnique => f.write_str("without {time} and {number} names would repeat"),
            Self::TooLong => write!(f, "names could have more than {NAME_CHARS_MAX} characters"),
            Self::Beginning => f.write_str(
                "a name must begin with a letter, a digit or {time}, {date} or {number}",
            ),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// The name, without an ending: one plain part of a path.
    pub fn name(&self, of: &Named<'_>) -> String {
        self.parts.iter().map(|part| part.text(of)).collect()
    }
}

impl Default for Template {
    fn default() -> Self {
        let field = Part::Field;
        let dash = || Part::Words("-".to_owned());
        let parts =
            vec![field(Field::Time), dash(), field(Field::Number), dash(), field(Field::Subject)];
        Self { parts }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Words(words) => f.write_str(words)?,
                Part::Field(field) => {
                    let name = FIELDS.iter().find(|(_, known)| known == field);
                    write!(f, "{{{}}}", name.map_or("", |(name, _)| name))?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (words, after) = rest.split_once('{').map_or((rest, None), |(w, a)| (w, Some(a)));
            if let Some(wrong) = words.chars().find(|&character| !is_plain(character)) {
                let is_brace = wrong == '}';
                return Err(if is_brace {
                    TemplateError::Brace
                } else {
                    TemplateError::Character(wrong)
                });
            }
            if !words.is_empty() {
                parts.push(Part::Words(words.to_owned()));
            }
            let Some(after) = after else { break };
            let (name, after) = after.split_once('}').ok_or(TemplateError::Brace)?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            parts.push(Part::Field(field.ok_or_else(|| TemplateError::Field(name.to_owned()))?.1));
            rest = after;
        }
        Self { parts }.checked()
    }
}

impl Template {
    fn checked(self) -> Result<Self, TemplateError> {
        let has = |field| self.parts.contains(&Part::Field(field));
        if !has(Field::Time) || !has(Field::Number) {
            return Err(TemplateError::NotUnique);
        }
        if self.parts.iter().map(Part::chars_max).sum::<usize>() > NAME_CHARS_MAX {
            return Err(TemplateError::TooLong);
        }
        match self.parts.first() {
            Some(Part::Field(Field::Time | Field::Date | Field::Number)) => Ok(self),
            Some(Part::Words(words)) if words.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                Ok(self)
            }
            _ => Err(TemplateError::Beginning),
        }
    }
}

impl Part {
    fn text(&self, of: &Named<'_>) -> String {
        let time = || Utc::from_unix_nanos(of.started_unix_nanos).compact();
        match self {
            Self::Words(words) => words.clone(),
            Self::Field(Field::Time) => time(),
            Self::Field(Field::Date) => time().chars().take(8).collect(),
            Self::Field(Field::Number) => of.number.to_string(),
            Self::Field(Field::Subject) => harmless(of.subject),
            Self::Field(Field::Caller) => harmless(of.caller),
        }
    }

    fn chars_max(&self) -> usize {
        match self {
            Self::Words(words) => words.len(),
            Self::Field(Field::Time) => 19,
            Self::Field(Field::Date) => 8,
            Self::Field(Field::Number) => 20,
            Self::Field(Field::Subject | Field::Caller) => TEXT_CHARS_MAX,
        }
    }
}

/// A text without what could mean something.
fn harmless(text: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' }
    };
    if text.is_empty() {
        "recording".to_owned()
    } else {
        text.chars().take(TEXT_CHARS_MAX).map(plain).collect()
    }
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_".contains(character)
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    const STARTED: u64 = 1_735_689_600_123_000_000;

    fn of(subject: &str) -> Named<'_> {
        Named { started_unix_nanos: STARTED, number: 7, subject, caller: "Al\u{ef}ce" }
    }

    fn name(template: &str, subject: &str) -> String {
        template.parse::<Template>().unwrap().name(&of(subject))
    }

    #[test]
    fn a_name_tells_when_and_what() {
        assert_eq!(Template::default().name(&of("conf-sales")), "20250101T000000123Z-7-conf-sales");
        let template = "sales-{date}_{caller}-{time}-{number}";
        assert_eq!(name(template, "x"), "sales-20250101_Al_ce-20250101T000000123Z-7");
        assert_eq!(template.parse::<Template>().unwrap().to_string(), template);
        assert_eq!(Template::default().to_string().parse(), Ok(Template::default()));
    }

    #[test]
    fn a_subject_cannot_leave_the_folder_or_end_the_name() {
        let name = |subject| Template::default().name(&of(subject));
        assert_eq!(name("../../etc/x"), "20250101T000000123Z-7-______etc_x");
        assert_eq!(name("a\0b\r\n"), "20250101T000000123Z-7-a_b__");
        assert_eq!(name("Z\u{fc}rich \u{1f399}"), "20250101T000000123Z-7-Z_rich__");
        assert_eq!(name(""), "20250101T000000123Z-7-recording");
        assert_eq!(name("."), "20250101T000000123Z-7-_");
        assert_eq!(name(&"x".repeat(100_000)).len(), 19 + 1 + 1 + 1 + TEXT_CHARS_MAX);
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Template>().unwrap_err();
        assert_eq!(refused("../{time}{number}"), TemplateError::Character('.'));
        assert_eq!(refused("{time}/{number}"), TemplateError::Character('/'));
        assert_eq!(refused("{time}{number}{room}"), TemplateError::Field("room".into()));
        assert_eq!(refused("{time"), TemplateError::Brace);
        assert_eq!(refused("time}"), TemplateError::Brace);
        assert_eq!(refused("{time}"), TemplateError::NotUnique);
        assert_eq!(refused(""), TemplateError::NotUnique);
        assert_eq!(refused("-{time}{number}"), TemplateError::Beginning);
        assert_eq!(refused("{subject}{time}{number}"), TemplateError::Beginning);
        let long = "{time}{number}{subject}{caller}{date}";
        assert_eq!(refused(long), TemplateError::TooLong);
    }

    proptest! {
        #[test]
        fn every_name_is_one_plain_component(
            words in "[A-Za-z0-9][A-Za-z0-9_-]{0,9}", subject in any::<String>(),
            caller in any::<String>(), started_unix_nanos in 0..4_000_000_000_000_000_000_u64,
            number in any::<u64>()
        ) {
            let template: Template = format!("{words}{{time}}{{number}}{{subject}}").parse().unwrap();
            let of = Named { started_unix_nanos, number, subject: &subject, caller: &caller };
            let name = template.name(&of);
            let components: Vec<_> = Path::new(&name).components().collect();
            prop_assert_eq!(components, vec![Component::Normal(name.as_ref())]);
            prop_assert!(name.chars().all(is_plain));
            prop_assert!(name.len() <= NAME_CHARS_MAX);
        }

        #[test]
        fn recordings_of_different_numbers_have_different_names(
            a in any::<String>(), b in any::<String>(), number in 0..u64::MAX
        ) {
            let name = |subject: &str, number| {
                Template::default().name(&Named { number, ..of(subject) })
            };
            prop_assert_ne!(name(&a, number), name(&b, number + 1));
        }
    }
}
