//! Reads a TOML document key by key, and learns on the way what keys there are.
//!
//! A section of the configuration is filled by one call per key, which names the key, its
//! default, its range and its meaning. The same call documents the key, reads it, and refuses
//! what is wrong with file, line, key, value and what would be right. What no call asked for
//! is unknown. So a key cannot exist without its documentation, nor the other way round.
//! Every problem of a file is found in one pass: a refused key counts as absent, and is compared
//! with no other.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values::{a, string};

/// What is wrong with a configuration, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the user named it.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The key, with its section; empty where the text is no TOML.
    pub key: String,
    /// The value as written; empty where the key itself is wrong.
    pub value: String,
    /// Why it is refused, and what would be right.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.key.is_empty() {
            f.write_str(&self.key)?;
            if !self.value.is_empty() {
                write!(f, " = {}", self.value)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.why)
    }
}

/// What may be written for a key: in this server, and in any however it was built.
pub(super) struct Right {
    pub(super) here: String,
    pub(super) anywhere: String,
}

impl From<String> for Right {
    fn from(right: String) -> Self {
        Self { here: right.clone(), anywhere: right }
    }
}

/// What the documentation says about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// What may be written: unit and range.
    pub(super) right: String,
    /// The default, as TOML.
    pub(super) default: String,
    pub(super) meaning: &'static str,
}

/// What the documentation says about one section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    /// Whether there may be several: `[[name]]`.
    pub(super) is_repeated: bool,
}

/// A document being read.
pub(super) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    root: DeTable<'a>,
    sections: Vec<Heading>,
    keys: Vec<Key>,
    /// Where each value that was present stands, for checks across keys.
    present: Vec<(String, Range<usize>)>,
    /// Keys and sections whose values are not what the user means: refused, or perhaps misspelt.
    doubtful: Vec<String>,
    problems: Vec<Problem>,
}

/// All that a finished reader knows.
pub(super) struct Read {
    pub(super) sections: Vec<Heading>,
    pub(super) keys: Vec<Key>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Begins to read `text`, which came from `file`.
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Self {
            file,
            text,
            root: root.into_inner(),
            sections: Vec::new(),
            keys: Vec::new(),
            present: Vec::new(),
            doubtful: Vec::new(),
            problems: Vec::new(),
        };
        // One slip of the pen derails the parser for a while: only the first error is sure.
        if let Some(error) = errors.first() {
            let span = error.span().unwrap_or(0..0);
            let why = format!("not valid TOML: {}", error.message());
            reader.refuse_span(&span, "", why);
            reader.root = DeTable::new();
        }
        reader
    }

    /// Reads one section with `read`; what `read` did not ask for is refused as unknown.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        let value = self.root.remove(name);
        self.table(name, meaning, value, read)
    }

    /// Reads every `[[name]]` with `read`, which sees an empty one before all others and is not
    /// refused anything there: so the keys are known where there is none.
    pub(super) fn sections<T>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        mut read: impl FnMut(&mut Section<'_, 'a>) -> T,
    ) -> Vec<T> {
        self.sections.push(Heading { name, meaning, is_repeated: true });
        read(&mut Section { reader: self, name, table: DeTable::new(), span: None });
        let Some(value) = self.root.remove(name) else { return Vec::new() };
        let (span, value) = (value.span(), value.into_inner());
        let DeValue::Array(array) = value else {
            let why = format!("this is {}; write tables: [[{name}]]", a(&value));
            self.refuse_span(&span, name, why);
            return Vec::new();
        };
        let mut all = Vec::new();
        for value in array {
            let (span, table) = self.expect_table(name, value, "[[", "]]");
            let mut section = Section { reader: self, name, table, span: Some(span) };
            all.push(read(&mut section));
            section.refuse_unknown();
        }
        all
    }

    fn table<T>(
        &mut self,
        name: &'static str,
        meaning: &'static str,
        value: Option<Spanned<DeValue<'a>>>,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        self.sections.push(Heading { name, meaning, is_repeated: false });
        let (span, table) = match value.map(|value| self.expect_table(name, value, "[", "]")) {
            None => (None, DeTable::new()),
            Some((span, table)) => (Some(span), table),
        };
        let mut section = Section { reader: self, name, table, span };
        let read = read(&mut section);
        section.refuse_unknown();
        read
    }

    fn expect_table(
        &mut self,
        name: &str,
        value: Spanned<DeValue<'a>>,
        open: &str,
        close: &str,
    ) -> (Range<usize>, DeTable<'a>) {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => (span, table),
            other => {
                let why = format!("this is {}; write a table: {open}{name}{close}", a(&other));
                self.refuse_span(&span, name, why);
                (span, DeTable::new())
            }
        }
    }

    /// Refuses a value for a reason that several keys make together, all of which are in `paths`. The
    /// line is that of the first of them that the document names. Where one of them is wrong by
    /// itself, nothing is known of what they are together.
    pub(super) fn refuse(&mut self, paths: &[&str], why: String) {
        if paths.iter().any(|path| self.is_doubtful(path)) {
            return;
        }
        let found = paths.iter().find_map(|path| {
            self.present.iter().find(|(present, _)| present == path).map(|(_, span)| (path, span))
        });
        let (path, span) = match found {
            Some((path, span)) => (*path, span.clone()),
            None => (paths.first().copied().unwrap_or_default(), 0..0),
        };
        self.refuse_at(&span, path, why);
    }

    /// Whether the document names the key.
    pub(super) fn is_present(&self, path: &str) -> bool {
        self.present.iter().any(|(present, _)| present == path)
    }

    fn is_doubtful(&self, path: &str) -> bool {
        let is_of = |doubtful: &String| {
            path.strip_prefix(doubtful.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.doubtful.iter().any(is_of)
    }

    /// Sections that nobody asked for are unknown.
    pub(super) fn refuse_unknown_sections(&mut self) {
        let known: Vec<&str> = self.sections.iter().map(|heading| heading.name).collect();
        for (name, _) in std::mem::take(&mut self.root) {
            let nearest = nearest(name.get_ref(), &known);
            self.doubtful.extend(nearest.map(str::to_owned));
            let why = unknown("section", nearest, &known);
            self.refuse_key(&name.span(), name.get_ref(), why);
        }
    }

    /// Ends the reading.
    pub(super) fn finish(mut self) -> Read {
        self.problems.sort_by_key(|problem| problem.line);
        Read { sections: self.sections, keys: self.keys, problems: self.problems }
    }

    fn refuse_span(&mut self, span: &Range<usize>, key: &str, why: String) {
        self.doubtful.push(key.to_owned());
        self.refuse_at(span, key, why);
    }

    fn refuse_at(&mut self, span: &Range<usize>, key: &str, why: String) {
        let value = self.text.get(span.clone()).unwrap_or_default();
        self.push(span, key, shorten(value), why);
    }

    fn refuse_key(&mut self, span: &Range<usize>, key: &str, why: String) {
        self.push(span, &shorten(key), String::new(), why);
    }

    fn push(&mut self, span: &Range<usize>, key: &str, value: String, why: String) {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let value = if key.is_empty() { String::new() } else { value };
        let (file, key) = (self.file.to_owned(), key.to_owned());
        self.problems.push(Problem { file, line, key, value, why });
    }
}

/// One table of the document.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
    table: DeTable<'a>,
    /// Where it stands; none: the document has none, and it is there for the defaults or the
    /// documentation only.
    span: Option<Range<usize>>,
}

impl<'a> Section<'_, 'a> {
    /// Reads a section within this one; `path` is its whole name.
    pub(super) fn section<T>(
        &mut self,
        path: &'static str,
        meaning: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        let name = path.rsplit('.').next().unwrap_or(path);
        let value = self.table.remove(name);
        self.reader.table(path, meaning, value, read)
    }

    /// Whether the document has the key, and nobody has read it yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// Refuses the section as a whole.
    pub(super) fn refuse(&mut self, why: &str) {
        if let Some(span) = &self.span {
            self.reader.refuse_key(span, self.name, why.to_owned());
        }
    }

    /// Every entry of a section whose keys the user makes up, as `(key, value)`, each refused or
    /// accepted by `read`; `None` where the section is absent.
    pub(super) fn entries<T>(
        &mut self,
        right: &str,
        mut read: impl FnMut(&str, &str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let table = std::mem::take(&mut self.table);
        let mut entries = Vec::new();
        for (key, value) in &table {
            let path = format!("{}.{}", self.name, key.get_ref());
            match string(value.get_ref()).and_then(|text| read(key.get_ref(), text)) {
                Ok(entry) => entries.push(entry),
                Err(why) => {
                    let why = format!("{why}; write {right}");
                    self.reader.refuse_span(&value.span(), &path, why);
                }
            }
            self.reader.present.push((path, value.span()));
        }
        self.span.is_some().then_some(entries)
    }

    /// One key: documents it, reads it, refuses it with its place where `read` says why.
    pub(super) fn key<T>(
        &mut self,
        name: &'static str,
        default: String,
        right: impl Into<Right>,
        meaning: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let Right { here, anywhere } = right.into();
        let found = self.table.remove(name);
        let outcome = found.map(|value: Spanned<DeValue<'_>>| {
            let path = format!("{}.{name}", self.name);
            let read = read(value.get_ref());
            if let Err(why) = &read {
                let why = format!("{why}; write {here}");
                self.reader.refuse_span(&value.span(), &path, why);
            }
            self.reader.present.push((path, value.span()));
            read.ok()
        });
        let keys = &mut self.reader.keys;
        if !keys.iter().any(|key| (key.section, key.name) == (self.name, name)) {
            keys.push(Key { section: self.name, name, right: anywhere, default, meaning });
        }
        outcome.flatten()
    }

    fn refuse_unknown(self) {
        let known: Vec<&str> = self
            .reader
            .keys
            .iter()
            .filter(|key| key.section == self.name)
            .map(|key| key.name)
            .collect();
        for (name, _) in &self.table {
            let nearest = nearest(name.get_ref(), &known);
            let meant = nearest.map(|nearest| format!("{}.{nearest}", self.name));
            self.reader.doubtful.extend(meant);
            let why = unknown("key", nearest, &known);
            let path = format!("{}.{}", self.name, name.get_ref());
            self.reader.refuse_key(&name.span(), &path, why);
        }
    }
}

/// The first line of a text, and not all of it where it is long.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let line: String = text.lines().next().unwrap_or_default().chars().take(SHOWN).collect();
    if line.len() < text.len() { line + "..." } else { line }
}

fn unknown(what: &str, nearest: Option<&str>, known: &[&str]) -> String {
    match nearest {
        Some(one) => format!("unknown {what}; did you mean {one}?"),
        None => format!("unknown {what}; known are {}", known.join(", ")),
    }
}

/// The known word that is meant, as far as one can tell: a third of its letters may be wrong.
fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, one) = known.iter().map(|one| (distance(name, one), *one)).min()?;
    let wrong_max = (one.len() / 3).clamp(1, 3);
    (distance <= wrong_max).then_some(one)
}

/// Levenshtein's distance of two short words.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
