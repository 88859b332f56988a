//! The caller against hand-written responses.

use super::*;

#[derive(Default)]
struct Log {
    sent: Vec<String>,
    events: Vec<CallEvent>,
}

impl CallerOutput for Log {
    fn transmit(&mut self, message: &[u8]) {
        self.sent.push(String::from_utf8(message.to_vec()).unwrap());
    }

    fn happened(&mut self, event: CallEvent) {
        self.events.push(event);
    }
}

impl Log {
    /// The last message's first word and its `CSeq` and To headers.
    fn last(&self) -> (&str, String) {
        let text = self.sent.last().unwrap();
        let message = Message::read(text.as_bytes()).unwrap();
        (text.split(' ').next().unwrap(), message.header("To").unwrap().to_owned())
    }
}

const SDP: &str = "v=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 9000 RTP/AVP 8 101\r\n";

fn caller() -> Caller {
    let settings = Settings {
        target: "sip:conf1@192.0.2.9:5060".into(),
        user: "ann".into(),
        local: "192.0.2.1:5070".parse().unwrap(),
        media: "192.0.2.1:4000".parse().unwrap(),
        reliable: false,
        encodings: vec![Encoding::Pcmu, Encoding::Pcma],
        offer_in_ok: false,
        session_expires: None,
        call_id: "1@here".into(),
    };
    Caller::new(settings, &Seed::new(9))
}

/// A response to the last request that was sent with `method`.
fn respond(log: &Log, method: &str, status: &str, extra: &str, body: &str) -> String {
    let is_it = |text: &&String| text.starts_with(method);
    let request = log.sent.iter().rev().find(is_it).unwrap();
    let message = Message::read(request.as_bytes()).unwrap();
    let header = |name: &str| message.header(name).unwrap().to_owned();
    let to = header("To");
    let to = if to.contains("tag=") || status.starts_with("100") { to } else { to + ";tag=theirs" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         {extra}Content-Length: {}\r\n\r\n{body}",
        header("Via"),
        header("From"),
        header("Call-ID"),
        header("CSeq"),
        body.len()
    )
}

fn answer(caller: &mut Caller, log: &mut Log, method: &str, status: &str, extra: &str, body: &str) {
    let response = respond(log, method, status, extra, body);
    let message = Message::read(response.as_bytes()).unwrap();
    caller.receive(Instant::from_millis(10), &message, log);
}

#[test]
fn a_call_is_dialled_answered_held_and_ended() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    answer(&mut caller, &mut log, "INVITE", "180 Ringing", "", "");
    let extra = "Contact: <sip:focus@192.0.2.9:5061>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\n";
    answer(&mut caller, &mut log, "INVITE", "200 OK", extra, SDP);
    assert!(matches!(log.events[..], [CallEvent::Ringing, CallEvent::Answered(media)]
        if media.encoding == Encoding::Pcma && media.remote.port() == 9000));
    let ack = log.sent.last().unwrap().clone();
    assert!(ack.starts_with("ACK sip:focus@192.0.2.9:5061 SIP/2.0\r\n"));
    assert!(ack.find("Route: <sip:p2;lr>").unwrap() < ack.find("Route: <sip:p1;lr>").unwrap());

    answer(&mut caller, &mut log, "INVITE", "200 OK", extra, SDP);
    assert_eq!(log.sent.last(), Some(&ack), "a 200 that comes again is acknowledged again");

    assert!(caller.renegotiate(Hold::SendOnly, Instant::from_millis(20), &mut log));
    assert!(log.sent.last().unwrap().contains("a=sendonly"));
    assert!(!caller.renegotiate(Hold::Active, Instant::from_millis(20), &mut log));
    answer(&mut caller, &mut log, "INVITE", "200 OK", "", &format!("{SDP}a=recvonly\r\n"));
    let held = caller.media().unwrap();
    assert!(held.sends && !held.receives);

    caller.hang_up(Instant::from_millis(30), &mut log);
    assert_eq!(log.last().0, "BYE");
    assert!(log.last().1.ends_with("tag=theirs"));
    answer(&mut caller, &mut log, "BYE", "200 OK", "", "");
    assert_eq!(log.events.last(), Some(&CallEvent::Ended));
    assert!(caller.is_over() && caller.next_expiry().is_none());
}

#[test]
fn a_refusal_is_acknowledged_in_the_same_transaction() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    answer(&mut caller, &mut log, "INVITE", "486 Busy Here", "", "");
    assert_eq!(log.events, [CallEvent::Refused(486)]);
    let branch = |text: &String| text.split("branch=").nth(1).unwrap()[..20].to_owned();
    assert_eq!(log.last().0, "ACK");
    assert_eq!(branch(&log.sent[0]), branch(&log.sent[1]));
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    caller.hang_up(Instant::START, &mut log);
    assert_eq!(log.sent.len(), 1);
    answer(&mut caller, &mut log, "INVITE", "100 Trying", "", "");
    assert_eq!(log.last().0, "CANCEL");
    answer(&mut caller, &mut log, "CANCEL", "200 OK", "", "");
    answer(&mut caller, &mut log, "INVITE", "487 Request Terminated", "", "");
    assert_eq!(log.events, [CallEvent::Refused(487)]);
    assert!(caller.is_over());
}

#[test]
fn a_call_that_is_answered_after_the_cancel_is_hung_up() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    answer(&mut caller, &mut log, "INVITE", "100 Trying", "", "");
    caller.hang_up(Instant::START, &mut log);
    answer(&mut caller, &mut log, "INVITE", "200 OK", "", SDP);
    let words: Vec<_> = log.sent.iter().map(|text| text.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["INVITE", "CANCEL", "ACK", "BYE"]);
}

#[test]
fn an_unanswered_invite_is_repeated_and_given_up_after_32_seconds() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    let mut times = vec![];
    while let Some(at) = caller.next_expiry() {
        caller.expire(at, &mut log);
        times.push(at.as_nanos() / 1_000_000);
    }
    assert_eq!(times, [500, 1500, 3500, 7500, 15500, 31500, 32000]);
    assert_eq!((log.sent.len(), log.events.last()), (7, Some(&CallEvent::TimedOut)));
}

#[test]
fn requests_of_the_other_side_are_answered_once_and_repeated_alike() {
    let (mut caller, mut log) = (caller(), Log::default());
    caller.dial(Instant::START, &mut log);
    answer(&mut caller, &mut log, "INVITE", "200 OK", "", SDP);
    let mut ask = |method: &str, sequence: u32, body: &str, log: &mut Log| {
        let text = format!(
            "{method} sip:ann@h SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z\r\nFrom: <sip:s>;tag=theirs\r\n\
             To: <sip:ann>;tag=o\r\nCall-ID: 1@here\r\nCSeq: {sequence} {method}\r\n\r\n{body}"
        );
        let message = Message::read(text.as_bytes()).unwrap();
        caller.receive(Instant::START, &message, log);
        log.sent.last().unwrap().split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(ask("OPTIONS", 1, "", &mut log), "SIP/2.0 200 OK");
    assert_eq!(ask("UPDATE", 2, SDP, &mut log), "SIP/2.0 200 OK");
    assert!(matches!(log.events.last(), Some(CallEvent::Renegotiated(_))));
    assert_eq!(ask("REFER", 3, "", &mut log), "SIP/2.0 405 Method Not Allowed");
    assert_eq!(ask("BYE", 4, "", &mut log), "SIP/2.0 200 OK");
    assert_eq!(ask("BYE", 4, "", &mut log), "SIP/2.0 200 OK");
    assert_eq!(log.events.iter().filter(|e| **e == CallEvent::HungUp).count(), 1);
    assert_eq!(ask("BYE", 5, "", &mut log), "SIP/2.0 481 Call/Transaction Does Not Exist");
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut caller = caller();
    caller.settings.offer_in_ok = true;
    let mut log = Log::default();
    caller.dial(Instant::START, &mut log);
    assert!(log.sent[0].ends_with("Content-Length: 0\r\n\r\n"));
    answer(&mut caller, &mut log, "INVITE", "200 OK", "", SDP);
    assert_eq!(log.last().0, "ACK");
    assert!(log.sent.last().unwrap().contains("m=audio 4000"));
}
