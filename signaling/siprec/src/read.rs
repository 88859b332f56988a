//! Reads recording metadata (RFC 7865 section 6.10, and the drafts before it that are in the
//! field: other names of the same things, and streams named inside of participants).
//!
//! Elements are known by their place and by the prefix of the root, so that what others add in
//! namespaces of their own is passed over. An element without an identifier cannot be referred
//! to, and is passed over too. No document type is read and no entity expanded but the five of
//! XML.

use quick_xml::XmlVersion;
use quick_xml::errors::Error;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::metadata::merge;
use crate::metadata::{Association, DataMode, Metadata, Participant, Presence, Session, Stream};
use crate::refusal::Refusal;

/// Longest metadata that is read.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How deep elements may be nested.
pub const DEPTH_MAX: usize = 16;

/// Most elements of one document.
const ELEMENTS_MAX: usize = 4096;

/// Most communication sessions.
pub const SESSIONS_MAX: usize = 16;

/// Most participants.
pub const PARTICIPANTS_MAX: usize = 256;

/// Most streams.
pub const STREAMS_MAX: usize = 256;

/// Most references from participants to streams and sessions.
pub const ASSOCIATIONS_MAX: usize = 2048;

/// Longest identifier, name, address or time.
pub const TEXT_BYTES_MAX: usize = 512;

/// Reads one document.
pub fn read(document: &[u8]) -> Result<Metadata, Refusal> {
    if document.len() > BODY_BYTES_MAX {
        return Err(Refusal::TooLarge);
    }
    let text = std::str::from_utf8(document).map_err(|_| Refusal::NotXml)?;
    let root = tree(text.trim_start_matches('\u{feff}').trim())?;
    if !matches!(root.name.as_str(), "recording" | "recording_metadata") {
        return Err(Refusal::NotRecording);
    }
    let mut metadata = Metadata::default();
    for element in &root.children {
        take(&mut metadata, element)?;
    }
    metadata.is_within_bounds()?;
    Ok(metadata)
}

fn take(metadata: &mut Metadata, element: &Element) -> Result<(), Refusal> {
    match element.name.as_str() {
        "datamode" if element.text()?.eq_ignore_ascii_case("partial") => {
            metadata.data_mode = DataMode::Partial;
        }
        "session" => {
            let session = Session {
                id: element.attribute(&["session_id", "id"])?,
                sip_session_ids: element.texts("sipsessionid")?,
                start_time: element.child("start-time")?,
                stop_time: element.child("stop-time")?,
            };
            add(&mut metadata.sessions, session, |session| &session.id);
        }
        "stream" => {
            let stream = Stream {
                id: element.attribute(&["stream_id", "id"])?,
                session: element.attribute(&["session_id", "session"])?,
                label: element.child("label")?.unwrap_or_default(),
            };
            add(&mut metadata.streams, stream, |stream| &stream.id);
        }
        "participant" => participant(metadata, element)?,
        "participantsessionassoc" => {
            let id = element.attribute(&["participant_id", "participant"])?;
            let session = element.attribute(&["session_id", "session"])?;
            let sessions = vec![presence(element, session)?];
            metadata.take(Participant { id, sessions, ..Participant::default() });
        }
        "participantstreamassoc" => {
            let participant = element.attribute(&["participant_id", "participant"])?;
            associate(metadata, participant, element)?;
        }
        _ => {}
    }
    Ok(())
}

/// A participant; in drafts before the RFC its streams and its session stand in it.
fn participant(metadata: &mut Metadata, element: &Element) -> Result<(), Refusal> {
    let id = element.attribute(&["participant_id", "id"])?;
    if id.is_empty() {
        return Ok(());
    }
    let name_id = element.children.iter().find(|child| child.name == "nameid");
    let (mut aor, mut name) = (String::new(), None);
    if let Some(name_id) = name_id {
        aor = name_id.attribute(&["aor"])?;
        name = name_id.child("name")?.filter(|name| !name.is_empty());
    }
    let mut sessions = Vec::new();
    let session = element.attribute(&["session"])?;
    if !session.is_empty() {
        sessions.push(presence(element, session)?);
    }
    if element.children.iter().any(|child| matches!(child.name.as_str(), "send" | "recv")) {
        associate(metadata, id.clone(), element)?;
    }
    metadata.take(Participant { id, aor, name, sessions });
    Ok(())
}

fn presence(element: &Element, session: String) -> Result<Presence, Refusal> {
    Ok(Presence {
        session,
        associate_time: element.child("associate-time")?,
        disassociate_time: element.child("disassociate-time")?,
    })
}

fn associate(
    metadata: &mut Metadata,
    participant: String,
    element: &Element,
) -> Result<(), Refusal> {
    let association = Association {
        participant,
        sends: element.texts("send")?,
        receives: element.texts("recv")?,
        associate_time: element.child("associate-time")?,
        disassociate_time: element.child("disassociate-time")?,
    };
    // Several of one participant in one document add up.
    let known = &mut metadata.associations;
    match known.iter_mut().find(|it| it.participant == association.participant) {
        Some(it) if it.disassociate_time == association.disassociate_time => {
            it.sends.extend(association.sends);
            it.receives.extend(association.receives);
        }
        _ => add(known, association, |it| &it.participant),
    }
    Ok(())
}

fn add<T>(known: &mut Vec<T>, new: T, name: impl Fn(&T) -> &String) {
    if !name(&new).is_empty() {
        merge(known, vec![new], name);
    }
}

/// One element with what is in it.
#[derive(Default)]
struct Element {
    /// Its local name in small letters.
    name: String,
    /// Local names in small letters, and values.
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn text(&self) -> Result<String, Refusal> {
        token(&self.text)
    }

    /// The first attribute of one of these names, or nothing.
    fn attribute(&self, names: &[&str]) -> Result<String, Refusal> {
        let named = |name: &&str| self.attributes.iter().find(|(known, _)| known == name);
        token(names.iter().find_map(named).map_or("", |(_, value)| value))
    }

    fn child(&self, name: &str) -> Result<Option<String>, Refusal> {
        let child = self.children.iter().find(|child| child.name == name);
        child.map(Element::text).transpose()
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let named = self.children.iter().filter(|child| child.name == name);
        named.map(Element::text).collect()
    }
}

/// A text with single blanks inside and none around it, as `xs:token` has it: so the same word is
/// the same however it was laid out.
fn token(text: &str) -> Result<String, Refusal> {
    let token = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Neither XML nor any identifier has them.
    if token.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(Refusal::NotXml);
    }
    if token.len() <= TEXT_BYTES_MAX { Ok(token) } else { Err(Refusal::TooLarge) }
}

/// The elements of a document that have the prefix of its root.
fn tree(text: &str) -> Result<Element, Refusal> {
    let mut reader = Reader::from_str(text);
    let mut prefix = None;
    let mut root = None;
    let mut open: Vec<(Element, bool)> = Vec::new();
    let mut elements = 0;
    loop {
        match reader.read_event().map_err(|_| Refusal::NotXml)? {
            Event::Start(start) => {
                elements += 1;
                may_begin(elements, open.len(), root.is_some())?;
                open.push(begin(&start, &mut prefix)?);
            }
            Event::Empty(start) => {
                elements += 1;
                may_begin(elements, open.len(), root.is_some())?;
                end(begin(&start, &mut prefix)?, &mut open, &mut root);
            }
            Event::End(_) => {
                let element = open.pop().ok_or(Refusal::NotXml)?;
                end(element, &mut open, &mut root);
            }
            Event::Text(text) => append(&mut open, &text.xml10_content())?,
            Event::CData(text) => append(&mut open, &text.xml10_content())?,
            Event::GeneralRef(reference) => append(&mut open, &resolved(&reference)?)?,
            Event::DocType(_) => return Err(Refusal::DocumentType),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    root.filter(|_| open.is_empty()).ok_or(Refusal::NotXml)
}

/// Whether one more element may begin, the so-manieth of all, at this depth.
fn may_begin(elements: usize, depth: usize, after_root: bool) -> Result<(), Refusal> {
    if after_root {
        return Err(Refusal::NotXml);
    }
    if elements > ELEMENTS_MAX || depth >= DEPTH_MAX { Err(Refusal::TooMany) } else { Ok(()) }
}

/// What a reference stands for: a character by its number, or one of the five entities of XML.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Refusal> {
    let character = reference.resolve_char_ref().map_err(|_| Refusal::NotXml)?;
    let entity = || resolve_predefined_entity(reference).map(str::to_owned);
    character.map(String::from).or_else(entity).ok_or(Refusal::Entity)
}

/// An element, and whether it is one of ours.
fn begin(start: &BytesStart<'_>, prefix: &mut Option<String>) -> Result<(Element, bool), Refusal> {
    let (local, own) = start.name().decompose();
    let own = own.map(|own| own.as_ref().to_owned()).unwrap_or_default();
    let is_ours = *prefix.get_or_insert_with(|| own.clone()) == own;
    let mut element = Element { name: local.as_ref().to_ascii_lowercase(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| Refusal::NotXml)?;
        let value =
            attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| match error {
                Error::Escape(_) => Refusal::Entity,
                _ => Refusal::NotXml,
            })?;
        let name = attribute.key.local_name().as_ref().to_ascii_lowercase();
        element.attributes.push((name, value.into_owned()));
    }
    Ok((element, is_ours))
}

fn end(
    (element, is_ours): (Element, bool),
    open: &mut [(Element, bool)],
    root: &mut Option<Element>,
) {
    match open.last_mut() {
        Some((parent, _)) if is_ours => parent.children.push(element),
        Some(_) => {}
        None => *root = Some(element),
    }
}

/// Text outside of the root may only be blank.
fn append(open: &mut [(Element, bool)], text: &str) -> Result<(), Refusal> {
    match open.last_mut() {
        Some((element, _)) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(Refusal::NotXml),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(document: &str) -> Refusal {
        read(document.as_bytes()).unwrap_err()
    }

    #[test]
    fn names_addresses_and_references_are_read_with_escapes() {
        let document = "<?xml version='1.0'?><!-- c --><recording xmlns='urn:x'><session session_id=' s ' />\
            <participant participant_id='p'><nameID aor='sip:a&amp;b@x'>\
            <name xml:lang='it'>R&#xe9;my &lt;<![CDATA[&co]]></name></nameID></participant></recording>";
        let metadata = read(document.as_bytes()).unwrap();
        assert_eq!(metadata.data_mode, DataMode::Complete);
        assert_eq!(metadata.sessions[0].id, "s");
        assert_eq!(metadata.participants[0].aor, "sip:a&b@x");
        assert_eq!(metadata.participants[0].name.as_deref(), Some("R\u{e9}my <&co"));
    }

    #[test]
    fn entities_and_document_types_are_refused() {
        let bomb = "<!DOCTYPE r [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><recording>&c;</recording>";
        assert_eq!(refused(bomb), Refusal::DocumentType);
        assert_eq!(refused("<recording>&c;</recording>"), Refusal::Entity);
        assert_eq!(refused("<recording a='&c;'/>"), Refusal::Entity);
        assert_eq!(refused("<recording>&#0;</recording>"), Refusal::NotXml);
    }

    #[test]
    fn what_is_not_xml_is_refused() {
        for document in
            ["", "text", "<recording>", "<a></b>", "</recording>", "<recording/><recording/>"]
        {
            assert_eq!(refused(document), Refusal::NotXml, "{document}");
        }
        assert_eq!(refused("<recording a='1' a='2'/>"), Refusal::NotXml);
        assert_eq!(read(b"<recording>\xff</recording>"), Err(Refusal::NotXml));
        assert_eq!(refused("<html/>"), Refusal::NotRecording);
    }

    #[test]
    fn every_bound_is_kept() {
        let deep = |depth| {
            let (begin, end) = ("<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
            read(format!("<recording>{begin}{end}</recording>").as_bytes())
        };
        assert!(deep(DEPTH_MAX).is_ok());
        assert_eq!(deep(DEPTH_MAX + 1), Err(Refusal::TooMany));
        let named = |length| {
            let id = "x".repeat(length);
            read(format!("<recording><session session_id='{id}'/></recording>").as_bytes())
        };
        assert!(named(TEXT_BYTES_MAX).is_ok());
        assert_eq!(named(TEXT_BYTES_MAX + 1), Err(Refusal::TooLarge));
        let many = |element: &str, count: usize| {
            let all: String =
                (0..count).map(|number| element.replace('#', &number.to_string())).collect();
            read(format!("<recording>{all}</recording>").as_bytes())
        };
        for (element, most) in [
            ("<session id='#'/>", SESSIONS_MAX),
            ("<stream id='#'/>", STREAMS_MAX),
            ("<participant id='#'/>", PARTICIPANTS_MAX),
        ] {
            assert!(many(element, most).is_ok(), "{element}");
            assert_eq!(many(element, most + 1), Err(Refusal::TooMany), "{element}");
        }
        let sent = "<send>x</send>".repeat(ASSOCIATIONS_MAX + 1);
        let one =
            format!("<participantstreamassoc participant_id='p'>{sent}</participantstreamassoc>");
        assert_eq!(many(&one, 1), Err(Refusal::TooMany));
        assert_eq!(many("<a/>", ELEMENTS_MAX), Err(Refusal::TooMany));
        assert_eq!(many(" ", BODY_BYTES_MAX), Err(Refusal::TooLarge));
    }

    #[test]
    fn elements_of_others_are_passed_over() {
        let document = "<t:recording xmlns:t='urn:r'><session session_id='no'/><t:session session_id='s'>\
            <x><t:start-time>no</t:start-time></x></t:session><t:participant/></t:recording>";
        let metadata = read(document.as_bytes()).unwrap();
        assert_eq!(metadata.sessions.len(), 1);
        assert_eq!(
            (metadata.sessions[0].id.as_str(), &metadata.sessions[0].start_time),
            ("s", &None)
        );
        assert!(metadata.participants.is_empty(), "it cannot be referred to");
    }
}
