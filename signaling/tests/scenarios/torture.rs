//! The torture messages of RFC 4475 and RFC 5118, each with what it gets.

use std::fs;
use std::path::Path;

use signaling::{DialPlan, Pattern, Service};

use crate::harness::{World, udp};

/// What a message gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    /// One response of this status.
    Status(u16),
    /// Nothing.
    Silence,
}

use Gets::{Silence, Status};

/// The RFC's section, the message, and what a user agent server like ours does with it.
const RFC_4475: [(&str, &str, Gets); 50] = [
    // Valid messages. Ours serves neither REGISTER nor MESSAGE nor invented methods, and does not
    // know the dialog that `wsinv` names.
    ("3.1.1.1", "wsinv", Status(481)),
    ("3.1.1.2", "intmeth", Status(405)),
    ("3.1.1.3", "esc01", Status(404)),
    ("3.1.1.4", "escnull", Status(405)),
    ("3.1.1.5", "esc02", Status(405)),
    ("3.1.1.6", "lwsdisp", Status(200)),
    ("3.1.1.7", "longreq", Status(200)),
    ("3.1.1.8", "dblreq", Status(405)),
    ("3.1.1.9", "semiuri", Status(404)),
    ("3.1.1.10", "transports", Status(200)),
    ("3.1.1.11", "mpart01", Status(405)),
    ("3.1.1.12", "unreason", Silence),
    ("3.1.1.13", "noreason", Silence),
    // Invalid messages.
    ("3.1.2.1", "badinv01", Status(400)),
    ("3.1.2.2", "clerr", Status(400)),
    ("3.1.2.3", "ncl", Status(400)),
    ("3.1.2.4", "scalar02", Status(400)),
    ("3.1.2.5", "scalarlg", Silence),
    ("3.1.2.6", "quotbal", Status(400)),
    ("3.1.2.7", "ltgtruri", Status(400)),
    ("3.1.2.8", "lwsruri", Status(400)),
    ("3.1.2.9", "lwsstart", Status(400)),
    ("3.1.2.10", "trws", Status(400)),
    ("3.1.2.11", "escruri", Status(400)),
    ("3.1.2.12", "baddate", Status(200)), // the RFC lets an element ignore the bad Date
    ("3.1.2.13", "regbadct", Status(405)),
    ("3.1.2.14", "badaspec", Status(400)),
    ("3.1.2.15", "baddn", Status(400)),
    ("3.1.2.16", "badvers", Status(505)),
    ("3.1.2.17", "mismatch01", Status(400)),
    ("3.1.2.18", "mismatch02", Status(400)),
    ("3.1.2.19", "bigcode", Silence),
    // Transaction layer.
    ("3.2.1", "badbranch", Status(200)),
    // Application layer.
    ("3.3.1", "insuf", Status(400)),
    ("3.3.2", "unkscm", Status(416)),
    ("3.3.3", "novelsc", Status(416)),
    ("3.3.4", "unksm2", Status(405)),
    ("3.3.5", "bext01", Status(420)),
    ("3.3.6", "invut", Status(415)),
    ("3.3.7", "regaut01", Status(405)),
    ("3.3.8", "multi01", Status(400)),
    ("3.3.9", "mcl01", Status(400)),
    ("3.3.10", "bcast", Silence),
    ("3.3.11", "zeromf", Status(200)), // we forward nothing, so the hops left do not matter
    ("3.3.12", "cparam01", Status(405)),
    ("3.3.13", "cparam02", Status(405)),
    ("3.3.14", "regescrt", Status(405)),
    ("3.3.15", "sdp01", Status(406)),
    // Backward compatibility: no branch, no From tag, no Contact, no Max-Forwards.
    ("3.4.1", "inv2543", Status(200)),
    // In the archive but not in the text: neither a version nor a Via.
    ("-", "test", Silence),
];

const RFC_5118: [(&str, &str, Gets); 12] = [
    ("4.1", "ipv6-good", Status(405)),
    ("4.2", "ipv6-bad", Status(400)),
    ("4.3", "port-ambiguous", Status(405)),
    ("4.4", "port-unambiguous", Status(405)),
    ("4.5", "via-received-param-with-delim", Status(481)),
    ("4.5", "via-received-param-no-delim", Status(200)),
    // Read, but the codec offered is none of ours.
    ("4.6", "ipv6-in-sdp", Status(488)),
    ("4.7", "mult-ip-in-header", Status(481)),
    ("4.8", "mult-ip-in-sdp", Status(200)),
    ("4.9", "ipv4-mapped-ipv6", Status(488)),
    ("4.10", "ipv6-bug-abnf-3-colons", Status(200)),
    ("4.10", "ipv6-correct-abnf-2-colons", Status(200)),
];

/// A world where the torturers' addressees exist.
fn world() -> World {
    let users = ["user", "UserB", "vivekg", "t.watson", "remote-target"];
    let room = |user: &&str| (Pattern::Exact((*user).to_owned()), Service::Room);
    let plan = DialPlan::new(users.iter().map(room).collect()).unwrap();
    World::with(|config| config.plan = plan)
}

pub fn message(folder: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(folder);
    let file = if folder.ends_with("rfc4475") { format!("{name}.dat") } else { name.to_owned() };
    let message = fs::read(folder.join(file)).unwrap();
    if folder.ends_with("rfc4475") {
        return message;
    }
    as_sent(&String::from_utf8(message).unwrap())
}

/// The corpus of RFC 5118 is printed text: bare line ends, no last blank line, and lengths that
/// count what the page has lost.
fn as_sent(printed: &str) -> Vec<u8> {
    let (head, body) = printed.split_once("\n\n").unwrap_or((printed.trim_end(), ""));
    let lines: Vec<&str> =
        head.lines().filter(|line| !line.starts_with("Content-Length")).collect();
    let body = body.replace('\n', "\r\n");
    let head = lines.join("\r\n");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// All torture messages.
pub fn messages() -> Vec<Vec<u8>> {
    let of = |folder, table: &[(&str, &str, Gets)]| -> Vec<Vec<u8>> {
        table.iter().map(|(_, name, _)| message(folder, name)).collect()
    };
    [of("rfc4475", &RFC_4475), of("rfc5118", &RFC_5118)].concat()
}

fn torture(folder: &str, table: &[(&str, &str, Gets)]) {
    let mut wrong = Vec::new();
    for (section, name, expected) in table {
        let mut world = world();
        world.send_from(udp("192.0.2.2:5060"), message(folder, name));
        let sent = world.take();
        let got = match &sent[..] {
            [] => Silence,
            [response] => Status(response.status()),
            more => panic!("{name}: {more:#?}"),
        };
        if got != *expected {
            let line = sent.first().map(|s| s.start_line().to_owned()).unwrap_or_default();
            wrong.push(format!("{section} {name}: expected {expected:?}, got {got:?} {line}"));
        }
        world.pass_ms(100_000);
        world.take();
        world.leaves_nothing_behind();
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_messages_of_rfc_4475_parse_or_fail_as_it_says() {
    torture("rfc4475", &RFC_4475);
}

#[test]
fn the_messages_of_rfc_5118_parse_or_fail_as_it_says() {
    torture("rfc5118", &RFC_5118);
}

#[test]
fn a_400_says_what_is_wrong() {
    let table = [
        ("insuf", "400 Bad Request - missing To"),
        ("clerr", "400 Bad Request - body shorter than Content-Length"),
        ("ncl", "400 Bad Request - Content-Length"),
        ("ltgtruri", "400 Bad Request - Request-URI"),
        ("lwsstart", "400 Bad Request - request line"),
        ("badinv01", "400 Bad Request - malformed Via"),
        ("multi01", "400 Bad Request - repeated To"),
        ("mismatch01", "400 Bad Request - CSeq names another method"),
        ("escruri", "400 Bad Request - headers in Request-URI"),
    ];
    for (name, line) in table {
        let mut world = world();
        world.send(message("rfc4475", name));
        assert_eq!(world.only().start_line(), format!("SIP/2.0 {line}"), "{name}");
    }
}
