//! Bodies in the shapes that recording clients in the field send: what each means.

use bytes::Bytes;
use signaling_siprec::{Metadata, multipart, read};

/// Metadata out of a body of several parts, as a call carries it.
fn metadata(body: &str, boundary: &str) -> Metadata {
    let body = Bytes::copy_from_slice(body.replace('\n', "\r\n").as_bytes());
    let parts = multipart::parts(&body, boundary.as_bytes()).unwrap();
    let sdp = parts.iter().find(|part| part.content_type == "application/sdp").unwrap();
    assert!(sdp.content.starts_with(b"v=0\r\n"), "{sdp:?}");
    let is_metadata = |part: &&multipart::Part| {
        part.content_type.starts_with("application/rs-metadata") && part.disposition.is_some()
    };
    read(&parts.iter().find(is_metadata).unwrap().content).unwrap()
}

/// Address and name of who sends under a label.
fn sender<'a>(metadata: &'a Metadata, label: &str) -> Option<(&'a str, &'a str)> {
    let sender = metadata.sender(label)?;
    Some((&sender.aor, sender.name.as_deref().unwrap_or_default()))
}

/// A gateway: dispositions before types, a third part that may be ignored, no closing delimiter.
#[test]
fn a_gateway_with_a_third_part_for_signalling() {
    let body = "\n--edge\nContent-Disposition: session;handling=required\nContent-Type: application/sdp\n\n\
v=0\n\n--edge\nContent-Disposition: recording-session\nContent-Type: application/rs-metadata+xml\n\n\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\">\n\
<datamode>complete</datamode>\n<session session_id=\"S/0=\">\n\
<sipSessionID>aa;remote=bb</sipSessionID>\n<start-time>2026-06-23T12:16:06.040Z</start-time>\n</session>\n\
<participant participant_id=\"P1+=\">\n<nameID aor=\"sip:301@192.0.2.1\">\n</nameID>\n</participant>\n\
<participantsessionassoc participant_id=\"P1+=\" session_id=\"S/0=\">\n\
<associate-time>2026-06-23T12:16:06.040Z</associate-time>\n</participantsessionassoc>\n\
<stream stream_id=\"X1=\" session_id=\"S/0=\">\n<label>1</label>\n</stream>\n\
<participant participant_id=\"P2+=\">\n<nameID aor=\"sip:302@192.0.2.1\">\n\
<name xml:lang=\"en\">302</name>\n</nameID>\n</participant>\n\
<stream stream_id=\"X2=\" session_id=\"S/0=\">\n<label>2</label>\n</stream>\n\
<participantstreamassoc participant_id=\"P1+=\">\n<send>X1=</send>\n<recv>X2=</recv>\n\
</participantstreamassoc>\n<participantstreamassoc participant_id=\"P2+=\">\n<send>X2=</send>\n\
<recv>X1=</recv>\n</participantstreamassoc>\n</recording>\n\n--edge\n\
Content-Disposition: signal;handling=optional\nContent-Type: application/gtd\n\nIAM,\nGCI,91\n";
    let metadata = metadata(body, "edge");
    assert_eq!(sender(&metadata, "1"), Some(("sip:301@192.0.2.1", "")));
    assert_eq!(sender(&metadata, "2"), Some(("sip:302@192.0.2.1", "302")));
    assert_eq!(metadata.sessions[0].sip_session_ids, ["aa;remote=bb"]);
    let presence = &metadata.participants[0].sessions[0];
    assert_eq!(presence.associate_time.as_deref(), Some("2026-06-23T12:16:06.040Z"));
}

/// A border controller with a prefix, call data in a namespace of its own, bare addresses, and
/// streams that are crossed: what is said counts, not what is likely.
#[test]
fn a_border_controller_with_a_prefix_and_crossed_streams() {
    let body = "--d\nContent-Type: application/sdp\n\nv=0\n\n--d\n\
Content-Disposition: recording-session\nContent-Type: application/rs-metadata+xml\n\n\
<t:recording xmlns:t='urn:ietf:params:xml:ns:recording'>\n<t:datamode>complete</t:datamode>\n\
<t:group group_id=\"G=\"><callData xmlns='urn:ietf:params:xml:ns:callData'>\
<fromhdr>\"Ext 85\" &lt;sip:85@192.0.2.5&gt;;tag=x</fromhdr></callData></t:group>\n\
<t:session session_id=\"S=\"><t:group-ref>G=</t:group-ref></t:session>\n\
<t:participant participant_id=\"A=\"><t:nameID aor=\"85@192.0.2.5\"><t:name xml:lang=\"en\">Ext 85</t:name>\
</t:nameID></t:participant>\n<t:participant participant_id=\"B=\"><t:nameID aor=\"12@192.0.2.6\">\
<t:name xml:lang=\"en\"> </t:name></t:nameID></t:participant>\n\
<t:stream stream_id=\"X=\" session_id=\"S=\"><t:label>1</t:label></t:stream>\n\
<t:stream stream_id=\"Y=\" session_id=\"S=\"><t:label>2</t:label></t:stream>\n\
<t:participantstreamassoc participant_id=\"A=\"><t:send>Y=</t:send><t:recv>X=</t:recv>\
</t:participantstreamassoc>\n<t:participantstreamassoc participant_id=\"B=\"><t:send>X=</t:send>\
<t:recv>Y=</t:recv></t:participantstreamassoc>\n</t:recording>\n--d--\n";
    let metadata = metadata(body, "d");
    assert_eq!(sender(&metadata, "2"), Some(("85@192.0.2.5", "Ext 85")));
    assert_eq!(sender(&metadata, "1"), Some(("12@192.0.2.6", "")));
}

/// A border controller of a draft before the RFC: other names of identifiers, streams and session
/// named inside of the participant, extension data beside them.
#[test]
fn a_border_controller_of_an_early_draft() {
    let body = "--u-1\nContent-Type: application/sdp\n\nv=0\n\n--u-1\n\
Content-Type: application/rs-metadata+xml\nContent-Disposition: recording-session\n\n\
<?xml version='1.0' encoding='UTF-8'?>\n<recording xmlns='urn:ietf:params:xml:ns:recording'>\n\
\t<datamode>complete</datamode>\n\t<session id=\"S==\">\n\t\t<associate-time>2026-03-09T16:50:20</associate-time>\n\
\t</session>\n\t<participant id=\"A==\" session=\"S==\">\n\t\t<nameID aor=\"sip:9000@192.0.2.2\">\n\
\t\t\t<name>9000</name>\n\t\t</nameID>\n\t\t<send>X==</send>\n\
\t\t<associate-time>2026-03-09T16:50:20</associate-time>\n\
\t\t<extensiondata xmlns:e=\"urn:example\"><e:callingParty>true</e:callingParty></extensiondata>\n\
\t</participant>\n\t<participant id=\"B==\" session=\"S==\">\n\t\t<nameID aor=\"sip:12@192.0.2.3\"/>\n\
\t\t<send>Y==</send>\n\t</participant>\n\t<stream id=\"X==\" session=\"S==\">\n\t\t<label>16777227</label>\n\
\t\t<mode>separate</mode>\n\t</stream>\n\t<stream id=\"Y==\" session=\"S==\">\n\t\t<label>16777228</label>\n\
\t</stream>\n</recording>\n--u-1-- \n";
    let metadata = metadata(body, "u-1");
    assert_eq!(sender(&metadata, "16777227"), Some(("sip:9000@192.0.2.2", "9000")));
    assert_eq!(sender(&metadata, "16777228"), Some(("sip:12@192.0.2.3", "")));
    let presence = &metadata.participants[0].sessions[0];
    assert_eq!(presence.session, "S==");
    assert_eq!(presence.associate_time.as_deref(), Some("2026-03-09T16:50:20"));
}

/// An application server whose metadata stands before the description and who sends one mix.
#[test]
fn an_application_server_with_one_stream_of_both() {
    let body = "--Unique\nContent-Type:application/rs-metadata+xml\n\
Content-Disposition:recording-session\nContent-Length:2012\n\n\
<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\"><dataMode>complete</dataMode>\
<session session_id=\"S\"></session><participant participant_id=\"A\"><nameID aor=\"sip:anna@x\"></nameID>\
</participant><participant participant_id=\"B\"><nameID aor=\"sip:bert@x\"></nameID></participant>\
<stream stream_id=\"M\" session_id=\"S\"><label>10</label></stream>\
<participantstreamassoc participant_id=\"A\"><send>M</send></participantstreamassoc>\
<participantstreamassoc participant_id=\"B\"><send>M</send></participantstreamassoc></recording>\n--Unique\n\
Content-Type: application/sdp\nContent-Length: 300\n\nv=0\n\n--Unique--\n";
    let metadata = metadata(body, "Unique");
    assert_eq!(sender(&metadata, "10"), None, "it is a mix of two");
    assert_eq!(metadata.senders("10").count(), 2);
}

/// A proxy that says who is there and not who sends what.
#[test]
fn a_proxy_without_associations() {
    let body = "--OSS\nContent-Type: application/sdp\n\nv=0\n\n--OSS\n\
Content-Type: application/rs-metadata\nContent-Disposition: recording-session\n\n\
<recording xmlns='urn:ietf:params:xml:ns:recording:1'>\n\t<datamode>complete</datamode>\n\
\t<session session_id=\"S\"/>\n\t<participant participant_id=\"A\"><nameID aor=\"sip:077@x\">\
<name>test;lang=en;id=22</name></nameID></participant>\n\t<stream stream_id=\"X\" session_id=\"S\">\n\
\t\t<label>1</label>\n\t</stream>\n</recording>\n--OSS--\n";
    let metadata = metadata(body, "OSS");
    assert_eq!(metadata.participants[0].name.as_deref(), Some("test;lang=en;id=22"));
    assert_eq!(sender(&metadata, "1"), None, "nobody is guessed");
}

/// Hold, and then a transfer, as updates of what has changed (RFC 8068 sections 3.2 and 3.4).
#[test]
fn partial_updates_for_hold_and_transfer() {
    let first = "<recording><datamode>complete</datamode><session session_id='S'/>\
        <participant participant_id='A'><nameID aor='sip:anna@x'/></participant>\
        <participant participant_id='B'><nameID aor='sip:bert@x'/></participant>\
        <stream stream_id='X' session_id='S'><label>1</label></stream>\
        <stream stream_id='Y' session_id='S'><label>2</label></stream>\
        <participantstreamassoc participant_id='A'><send>X</send><recv>Y</recv></participantstreamassoc>\
        <participantstreamassoc participant_id='B'><send>Y</send><recv>X</recv></participantstreamassoc>\
        </recording>";
    let mut known = read(first.as_bytes()).unwrap();
    let hold = "<recording><datamode>partial</datamode>\
        <participantstreamassoc participant_id='B'><recv>X</recv></participantstreamassoc></recording>";
    known.update(read(hold.as_bytes()).unwrap()).unwrap();
    assert_eq!(sender(&known, "2"), None);
    assert_eq!(sender(&known, "1"), Some(("sip:anna@x", "")));
    let transfer = "<recording><dataMode>partial</dataMode>\
        <participant participant_id='C'><nameID aor='sip:carl@x'><name>Carl</name></nameID></participant>\
        <participantsessionassoc participant_id='B' session_id='S'>\
        <disassociate-time>2026-01-01T00:00:00Z</disassociate-time></participantsessionassoc>\
        <participantstreamassoc participant_id='C'><send>Y</send><recv>X</recv></participantstreamassoc>\
        </recording>";
    known.update(read(transfer.as_bytes()).unwrap()).unwrap();
    assert_eq!(sender(&known, "2"), Some(("sip:carl@x", "Carl")));
    assert_eq!(known.participants.len(), 3);
    assert!(known.participants[1].sessions[0].disassociate_time.is_some());
    assert_eq!(known.participants[1].aor, "sip:bert@x", "what is not said again stays");
}
