//! Any bytes: a value or a refusal, and what we write reads back as what it was.

use bytes::Bytes;
use proptest::prelude::*;
use signaling_siprec::{
    Association, DataMode, Metadata, Participant, Presence, Session, Stream, identifier, multipart,
    read, write,
};

/// Texts that look like what is read, so that more than the first byte is.
fn nearly_xml() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "<recording>",
        "</recording>",
        "<recording ",
        "xmlns='u'",
        ">",
        "/>",
        "<session ",
        "id='s'",
        "<t:stream>",
        "</t:stream>",
        "<label>",
        "1",
        "</label>",
        "<participant participant_id='p'>",
        "</participant>",
        "<send>",
        "</send>",
        "&amp;",
        "&#65;",
        "&x;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?xml version='1.0'?>",
        "<!DOCTYPE a>",
        "\u{e9}",
        "\0",
        " ",
        "\r\n",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

fn nearly_multipart() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "--b",
        "--b--",
        "\r\n",
        "\n",
        "Content-Type: application/sdp",
        ":",
        " ",
        "v=0",
        "--",
        "b",
        "Content-Disposition: x;handling=optional",
        "\r",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// Words that survive writing: without control characters, and without blanks at their ends.
fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9&<>'\"; \u{e9}\u{4e00}]{0,20}"
        .prop_map(|word| word.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn id() -> impl Strategy<Value = String> {
    any::<u128>().prop_map(identifier)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let sessions = prop::collection::vec((id(), word(), prop::option::of(word())), 1..3);
    let people = prop::collection::vec((id(), word(), prop::option::of(word())), 0..6);
    let streams = prop::collection::vec((id(), word()), 0..6);
    (any::<bool>(), sessions, people, streams).prop_map(|(partial, sessions, people, streams)| {
        let session = sessions[0].0.clone();
        Metadata {
            data_mode: if partial { DataMode::Partial } else { DataMode::Complete },
            sessions: sessions
                .into_iter()
                .map(|(id, sip, stop_time)| Session {
                    id,
                    sip_session_ids: vec![sip],
                    start_time: None,
                    stop_time,
                })
                .collect(),
            associations: people
                .iter()
                .zip(&streams)
                .map(|((participant, ..), (stream, label))| Association {
                    participant: participant.clone(),
                    sends: vec![stream.clone()],
                    receives: streams.iter().map(|(stream, _)| stream.clone()).collect(),
                    associate_time: Some(label.clone()),
                    disassociate_time: None,
                })
                .collect(),
            participants: people
                .into_iter()
                .map(|(id, aor, name)| Participant {
                    id,
                    aor,
                    name: name.filter(|name| !name.is_empty()),
                    sessions: vec![Presence { session: session.clone(), ..Presence::default() }],
                })
                .collect(),
            streams: streams
                .into_iter()
                .map(|(id, label)| Stream { id, session: session.clone(), label })
                .collect(),
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = multipart::parts(&Bytes::from(bytes), b"b");
    }

    #[test]
    fn any_near_miss_is_read_or_refused(xml in nearly_xml(), body in nearly_multipart()) {
        if let Ok(metadata) = read(xml.as_bytes()) {
            let mut known = metadata.clone();
            prop_assert!(known.update(metadata).is_ok());
        }
        let body = Bytes::from(body);
        if let Ok(parts) = multipart::parts(&body, b"b") {
            prop_assert!(!parts.is_empty() && parts.len() <= multipart::PARTS_MAX);
            let all: usize = parts.iter().map(|part| part.content.len()).sum();
            prop_assert!(all <= body.len());
        }
    }

    #[test]
    fn what_is_written_reads_back(metadata in metadata()) {
        prop_assert_eq!(read(write(&metadata).as_bytes()), Ok(metadata));
    }

    #[test]
    fn parts_that_are_composed_read_back(contents in prop::collection::vec("[a-z<>=\r\n-]{0,40}", 1..8)) {
        let parts: Vec<_> =
            contents.iter().map(|content| ("a/b", Some("session"), content.as_str())).collect();
        let body = Bytes::from(multipart::compose("edge-of-7f", &parts));
        let found = multipart::parts(&body, b"edge-of-7f").unwrap();
        let found: Vec<&[u8]> = found.iter().map(|part| &part.content[..]).collect();
        let expected: Vec<&[u8]> = contents.iter().map(String::as_bytes).collect();
        prop_assert_eq!(found, expected);
    }
}
