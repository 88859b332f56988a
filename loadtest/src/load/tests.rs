//! Whole runs against a room of a few lines, so that each verdict is seen to be right.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::Parser as _;
use media_units::{Law, RtpTimestamp, SequenceNumber, Ssrc};
use sim::caller::{Message, Start};
use sim::g711;
use sim::rtp::Header;

use super::*;

/// What the room does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Everybody hears everything, itself included.
    Echo,
    /// The first member is heard by nobody.
    MuteFirst,
    /// All rooms are one.
    OneRoom,
    /// Each tenth packet is not sent.
    Loss,
}

struct Member {
    room: String,
    socket: UdpSocket,
    remote: SocketAddr,
    sequence: u16,
    block: [i16; 160],
}

struct TinyRooms {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TinyRooms {
    fn start(fault: Fault) -> Self {
        let sip = UdpSocket::bind("127.0.0.1:0").unwrap();
        sip.set_nonblocking(true).unwrap();
        let address = sip.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(&sip, fault, &stopped));
        Self { address, stop, thread: Some(thread) }
    }

    fn run(&self, more: &[&str]) -> Report {
        let server = self.address.to_string();
        let words = ["loadtest", "--server", &server, "--duration", "2", "--settle", "0"];
        let options = Options::parse_from(words.iter().chain(more));
        run(&options, options.calls).unwrap()
    }
}

impl Drop for TinyRooms {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn serve(sip: &UdpSocket, fault: Fault, stop: &AtomicBool) {
    let clock = Clock::start();
    let mut members: Vec<Member> = Vec::new();
    let mut by_call: HashMap<String, u16> = HashMap::new();
    let mut period = 0;
    while !stop.load(Ordering::Relaxed) {
        period += 1;
        clock.sleep_until(Instant::from_millis(20 * period));
        let mut octets = [0; 4096];
        while let Ok((length, from)) = sip.recv_from(&mut octets) {
            signal(sip, from, &octets[..length], &mut members, &mut by_call);
        }
        mix(&mut members, fault, period);
    }
}

fn signal(
    sip: &UdpSocket,
    from: SocketAddr,
    octets: &[u8],
    members: &mut Vec<Member>,
    by_call: &mut HashMap<String, u16>,
) {
    let message = Message::read(octets).unwrap();
    let Some(Start::Request(method)) = message.start() else { return };
    let call_id = message.header("Call-ID").unwrap().to_owned();
    let mut body = String::new();
    match method {
        "INVITE" => {
            let line = |prefix: &str| message.body.lines().find_map(|l| l.strip_prefix(prefix));
            let port = line("m=audio ").unwrap().split(' ').next().unwrap();
            let address = line("c=IN IP4 ").unwrap();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let local = socket.local_addr().unwrap().port();
            let remote = format!("{address}:{port}").parse().unwrap();
            let to = message.header("To").unwrap();
            let room = to.split(['@', ':']).nth(1).unwrap().to_owned();
            members.push(Member { room, socket, remote, sequence: 0, block: [0; 160] });
            by_call.insert(call_id.clone(), local);
            body = format!("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {local} RTP/AVP 0\r\n");
        }
        "BYE" => {
            let port = by_call.remove(&call_id);
            members.retain(|m| Some(m.socket.local_addr().unwrap().port()) != port);
        }
        _ => return,
    }
    let header = |name| message.header(name).unwrap();
    let mut answer = Vec::new();
    write!(
        answer,
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=t\r\nCall-ID: {call_id}\r\n\
         CSeq: {}\r\nContact: <sip:room@{}>\r\nContent-Length: {}\r\n\r\n{body}",
        header("Via"),
        header("From"),
        header("To"),
        header("CSeq"),
        sip.local_addr().unwrap(),
        body.len()
    )
    .unwrap();
    sip.send_to(&answer, from).unwrap();
}

fn mix(members: &mut [Member], fault: Fault, period: u64) {
    for member in &mut *members {
        member.block = [0; 160];
        let mut octets = [0; 2048];
        if let Ok(length) = member.socket.recv(&mut octets) {
            let (_, _, payload) = Header::read(&octets[..length]).unwrap();
            for (sample, &octet) in member.block.iter_mut().zip(payload) {
                *sample = g711::decode(Law::Mu, octet);
            }
        }
    }
    if let (Fault::MuteFirst, Some(first)) = (fault, members.first_mut()) {
        first.block = [0; 160];
    }
    for sink in 0..members.len() {
        let heard = |source: usize| {
            let same_room = members[source].room == members[sink].room;
            (same_room || fault == Fault::OneRoom) && (source != sink || fault == Fault::Echo)
        };
        let sources: Vec<usize> = (0..members.len()).filter(|&source| heard(source)).collect();
        let sum =
            |n: usize| sources.iter().map(|&source| i32::from(members[source].block[n])).sum();
        let narrow = |sum: i32| sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        let payload: Vec<u8> = (0..160).map(|n| g711::encode(Law::Mu, narrow(sum(n)))).collect();
        let sink = &mut members[sink];
        sink.sequence = sink.sequence.wrapping_add(1);
        let header = Header {
            marker: false,
            payload_type: 0,
            sequence: SequenceNumber(sink.sequence),
            timestamp: RtpTimestamp(u32::from(sink.sequence) * 160),
            ssrc: Ssrc(1),
        };
        if fault != Fault::Loss || !period.is_multiple_of(10) {
            let packet = [header.octets().as_slice(), &payload].concat();
            sink.socket.send_to(&packet, sink.remote).unwrap();
        }
    }
}

/// Two rooms of three, all talking: windows are few, so that the test is short.
const TWO_ROOMS: [&str; 6] = ["--calls", "6", "--rooms", "2", "--rate", "1000"];

#[test]
fn a_right_room_is_judged_right() {
    let report = TinyRooms::start(Fault::None).run(&TWO_ROOMS);
    let media = report.media.unwrap();
    let hearing = media.hearing.unwrap();
    assert_eq!(report.signalling.answered, 6);
    assert_eq!((media.streams, media.unlawful, media.strays), (6, 0, 0));
    assert_eq!((hearing.pairs, hearing.unheard, hearing.unjudged), (12, 0, 0));
    assert_eq!((hearing.echoes, hearing.crosstalk), (0, 0));
    assert!(media.mouth_to_ear.count > 0);
    assert_eq!(report.signalling.tear_down.count, 6);
}

#[test]
fn a_run_after_another_is_not_taken_for_it() {
    let rooms = TinyRooms::start(Fault::None);
    let mut call_ids = std::collections::HashSet::new();
    for _ in 0..2 {
        let wire = SipWire::open(crate::sip_wire::Transport::Udp, rooms.address).unwrap();
        let calls = Calls::new(wire, 1, Clock::start().run());
        assert!(call_ids.insert(calls.call_id(0)));
    }
}

#[test]
fn an_echo_is_noticed() {
    let report = TinyRooms::start(Fault::Echo).run(&TWO_ROOMS);
    let hearing = report.media.unwrap().hearing.unwrap();
    assert_eq!((hearing.echoes, hearing.unheard, hearing.crosstalk), (6, 0, 0));
}

#[test]
fn a_talker_whom_nobody_hears_is_noticed() {
    let report = TinyRooms::start(Fault::MuteFirst).run(&TWO_ROOMS);
    let hearing = report.media.unwrap().hearing.unwrap();
    assert_eq!((hearing.unheard, hearing.echoes), (2, 0));
}

#[test]
fn sound_from_another_room_is_noticed() {
    let report = TinyRooms::start(Fault::OneRoom).run(&TWO_ROOMS);
    let hearing = report.media.unwrap().hearing.unwrap();
    assert_eq!((hearing.crosstalk, hearing.unheard), (6, 0));
}

#[test]
fn packets_that_never_come_are_counted_as_lost() {
    let report = TinyRooms::start(Fault::Loss).run(&TWO_ROOMS);
    let media = report.media.as_ref().unwrap();
    assert!((85.0..95.0).contains(&media.delivered_percent), "{}", media.delivered_percent);
    assert!(!report.is_met());
}

#[test]
fn the_sum_of_a_room_never_clips() {
    for talkers in 1..=192 {
        // Four tones each; five times the root mean square is hardly ever passed.
        let loudness = amplitude(talkers) * (2.0 * talkers as f32).sqrt();
        assert!(loudness * 5.0 < 32_767.0, "{talkers}");
    }
}
