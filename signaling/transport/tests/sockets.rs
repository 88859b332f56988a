//! The transport on real sockets of the loopback interface. Where timers matter the clock is
//! tokio's paused one: it jumps when every task waits, so nothing here sleeps for luck.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use signaling::{Carrier, Peer};
use signaling_transport::{BindCause, CloseCause, Incoming, Protocol, Transport, TransportConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn config() -> TransportConfig {
    TransportConfig { udp: vec![loopback()], tcp: vec![loopback()], ..TransportConfig::default() }
}

fn options(body: &str) -> String {
    format!(
        "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connect(transport: &Transport) -> TcpStream {
    TcpStream::connect(transport.tcp_addresses()[0]).await.unwrap()
}

async fn message(transport: &mut Transport) -> (Peer, String) {
    match transport.receive().await {
        Incoming::Message { from, bytes } => (from, String::from_utf8(bytes.to_vec()).unwrap()),
        other @ Incoming::Closed { .. } => panic!("a message expected, {other:?} came"),
    }
}

async fn close(transport: &mut Transport) -> (Peer, CloseCause) {
    match transport.receive().await {
        Incoming::Closed { peer, cause } => (peer, cause),
        other @ Incoming::Message { .. } => panic!("a close expected, {other:?} came"),
    }
}

/// Everything the server says until it closes the connection.
async fn last_words(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_datagram_is_a_message_and_is_answered_to_its_source() {
    let mut transport = Transport::bind(config()).unwrap();
    let phone = UdpSocket::bind(loopback()).await.unwrap();
    phone.connect(transport.udp_addresses()[0]).await.unwrap();
    phone.send(options("").as_bytes()).await.unwrap();
    let (from, text) = message(&mut transport).await;
    assert_eq!(from, Peer { carrier: Carrier::Udp, remote: phone.local_addr().unwrap() });
    assert_eq!(text, options(""));
    transport.send(from, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"));
    let mut buffer = [0; 64];
    let length = phone.recv(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"SIP/2.0 200 OK\r\n\r\n");
    assert_eq!((transport.counters().udp_received, transport.counters().udp_sent), (1, 1));
}

#[tokio::test]
async fn keep_alive_datagrams_are_swallowed_and_the_longest_are_handed_on() {
    let mut transport = Transport::bind(config()).unwrap();
    let phone = UdpSocket::bind(loopback()).await.unwrap();
    phone.connect(transport.udp_addresses()[0]).await.unwrap();
    // RFC 768 over IPv4 carries no more.
    let longest = vec![b'x'; 65_507];
    for datagram in [&b"\r\n\r\n"[..], b"\0\0\0\0", b"", &longest] {
        phone.send(datagram).await.unwrap();
    }
    assert_eq!(message(&mut transport).await.1, "x".repeat(longest.len()));
    assert_eq!(transport.counters().udp_keepalives, 3);
}

#[tokio::test]
async fn a_stream_is_cut_into_messages_however_it_is_split() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    let pipelined = format!("{}{}{}", options("one"), options(""), options("three"));
    let (first, rest) = pipelined.split_at(300);
    phone.write_all(first.as_bytes()).await.unwrap();
    let (from, text) = message(&mut transport).await;
    assert_eq!(text, options("one"));
    phone.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(message(&mut transport).await, (from, options("")));
    assert_eq!(message(&mut transport).await, (from, options("three")));
    assert_eq!(transport.counters().tcp_received, 3);
}

#[tokio::test]
async fn a_peer_that_closes_its_half_still_gets_its_answers() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(format!("{0}{0}", options("")).as_bytes()).await.unwrap();
    phone.shutdown().await.unwrap();
    let (from, _) = message(&mut transport).await;
    message(&mut transport).await;
    let answers: [&[u8]; 3] =
        [b"SIP/2.0 100 \r\n\r\n", b"SIP/2.0 200 \r\n\r\n", b"SIP/2.0 404 \r\n\r\n"];
    for answer in answers {
        transport.send(from, Bytes::from_static(answer));
    }
    assert_eq!(last_words(&mut phone).await.as_bytes(), answers.concat());
    assert_eq!(close(&mut transport).await, (from, CloseCause::ByPeer));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_does_not_wait_for_ever_for_an_answer() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(options("").as_bytes()).await.unwrap();
    phone.shutdown().await.unwrap();
    let (from, _) = message(&mut transport).await;
    assert_eq!(close(&mut transport).await, (from, CloseCause::ByPeer));
    assert_eq!(last_words(&mut phone).await, "");
}

#[tokio::test]
async fn an_answer_goes_back_on_its_connection_and_a_ping_gets_a_pong() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(format!("\r\n\r\n{}", options("")).as_bytes()).await.unwrap();
    let (from, _) = message(&mut transport).await;
    let mut pong = [0; 2];
    phone.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    transport.send(from, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"));
    let mut answer = [0; 18];
    phone.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"SIP/2.0 200 OK\r\n\r\n");
    drop(phone);
    assert_eq!(close(&mut transport).await, (from, CloseCause::ByPeer));
    assert_eq!(transport.connections(), 0);
    transport.send(from, Bytes::from_static(b"x"));
    assert_eq!(transport.counters().tcp_send_gone, 1);
}

#[tokio::test]
async fn a_stream_without_a_length_is_answered_400_and_closed() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    let unframed = options("").replace("Content-Length: 0\r\n", "");
    phone.write_all(unframed.as_bytes()).await.unwrap();
    let reader = tokio::spawn(async move { last_words(&mut phone).await });
    assert_eq!(close(&mut transport).await.1, CloseCause::Unframed);
    let answer = reader.await.unwrap();
    assert!(answer.starts_with("SIP/2.0 400 Content-Length Required\r\nVia: "), "{answer}");
    let counters = transport.counters();
    assert_eq!((counters.tcp_unframed, counters.tcp_refused_malformed), (1, 1));
    assert_eq!(counters.tcp_sent, 1);
}

#[tokio::test]
async fn answers_to_messages_before_the_fault_are_still_sent() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(format!("{}garbage\r\n\r\n", options("")).as_bytes()).await.unwrap();
    let reader = tokio::spawn(async move { last_words(&mut phone).await });
    let (from, _) = message(&mut transport).await;
    transport.send(from, Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n"));
    assert_eq!(close(&mut transport).await, (from, CloseCause::Unframed));
    assert_eq!(reader.await.unwrap(), "SIP/2.0 200 OK\r\n\r\n");
}

#[tokio::test]
async fn an_over_long_message_is_answered_513_and_harms_nobody_else() {
    let limited = TransportConfig { tcp_message_bytes_max: 2000, ..config() };
    let mut transport = Transport::bind(limited).unwrap();
    let mut other = connect(&transport).await;
    let mut phone = connect(&transport).await;
    let long = options(&"z".repeat(100_000));
    let reader = tokio::spawn(async move {
        phone.write_all(long.as_bytes()).await.unwrap();
        last_words(&mut phone).await
    });
    assert_eq!(close(&mut transport).await.1, CloseCause::MessageTooLong);
    assert!(reader.await.unwrap().starts_with("SIP/2.0 513 "));
    other.write_all(options("").as_bytes()).await.unwrap();
    assert_eq!(message(&mut transport).await.1, options(""));
    let counters = transport.counters();
    assert_eq!((counters.tcp_too_long, counters.tcp_refused_too_large), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_speaks_is_closed() {
    let mut transport = Transport::bind(config()).unwrap();
    let start = tokio::time::Instant::now();
    let mut phone = connect(&transport).await;
    assert_eq!(close(&mut transport).await.1, CloseCause::NeverSpoke);
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(last_words(&mut phone).await, "");
    assert_eq!(transport.counters().tcp_never_spoke, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_drips_a_byte_a_second_is_closed() {
    let patient =
        TransportConfig { tcp_first_message_timeout: Duration::from_secs(60), ..config() };
    let mut transport = Transport::bind(patient).unwrap();
    let start = tokio::time::Instant::now();
    let mut phone = connect(&transport).await;
    let dripping = tokio::spawn(async move {
        for byte in options("").into_bytes() {
            if phone.write_all(&[byte]).await.is_err() {
                return true;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        false
    });
    assert_eq!(close(&mut transport).await.1, CloseCause::MessageTooSlow);
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(dripping.await.unwrap(), "the connection was closed under the client");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_when_idle_and_a_ping_keeps_it() {
    let short = TransportConfig { tcp_idle_timeout: Duration::from_secs(120), ..config() };
    let mut transport = Transport::bind(short).unwrap();
    let start = tokio::time::Instant::now();
    let mut phone = connect(&transport).await;
    phone.write_all(options("").as_bytes()).await.unwrap();
    message(&mut transport).await;
    let pinging = tokio::spawn(async move {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(100)).await;
            phone.write_all(b"\r\n\r\n").await.unwrap();
        }
        phone
    });
    assert_eq!(close(&mut transport).await.1, CloseCause::Idle);
    assert_eq!(start.elapsed().as_secs(), 420);
    drop(pinging.await.unwrap());
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection_only() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(options("").as_bytes()).await.unwrap();
    let (from, _) = message(&mut transport).await;
    let big = Bytes::from(vec![b'x'; 64 * 1024]);
    for _ in 0..=TransportConfig::default().tcp_write_queue_bytes_max / big.len() {
        transport.send(from, big.clone());
    }
    assert_eq!(close(&mut transport).await, (from, CloseCause::WriteQueueFull));
    assert_eq!(transport.connections(), 0);
    let mut other = connect(&transport).await;
    other.write_all(options("").as_bytes()).await.unwrap();
    assert_eq!(message(&mut transport).await.1, options(""));
}

/// The writer has no turn while the front end has one, and a proxy has many calls.
#[tokio::test]
async fn all_that_one_turn_has_to_say_is_written() {
    let mut transport = Transport::bind(config()).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(options("").as_bytes()).await.unwrap();
    let (from, _) = message(&mut transport).await;
    let words: Vec<String> = (0..8192).map(|n| options(&format!("{n:0700}"))).collect();
    for word in &words {
        transport.send(from, Bytes::from(word.clone()));
    }
    let mut text = vec![0; words.concat().len()];
    phone.read_exact(&mut text).await.unwrap();
    assert_eq!(text, words.concat().into_bytes());
    assert_eq!(transport.counters().tcp_write_queue_full, 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_too_long_to_read_is_closed() {
    let roomy = TransportConfig { tcp_write_queue_bytes_max: 64 << 20, ..config() };
    let mut transport = Transport::bind(roomy).unwrap();
    let mut phone = connect(&transport).await;
    phone.write_all(options("").as_bytes()).await.unwrap();
    let (from, _) = message(&mut transport).await;
    // More than any socket buffer takes, and no more than may wait.
    transport.send(from, Bytes::from(vec![b'x'; 64 << 20]));
    assert_eq!(close(&mut transport).await, (from, CloseCause::WriteTooSlow));
    assert_eq!(transport.counters().tcp_too_slow, 1);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let one = TransportConfig { tcp_connections_max: 1, ..config() };
    let mut transport = Transport::bind(one).unwrap();
    let mut first = connect(&transport).await;
    first.write_all(options("").as_bytes()).await.unwrap();
    let (from, _) = message(&mut transport).await;
    let mut second = connect(&transport).await;
    let reader = tokio::spawn(async move { last_words(&mut second).await });
    // The transport sees the second connection while it waits for the next message.
    first.write_all(options("again").as_bytes()).await.unwrap();
    assert_eq!(message(&mut transport).await, (from, options("again")));
    while !reader.is_finished() {
        tokio::select! {
            incoming = transport.receive() => panic!("{incoming:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(reader.await.unwrap(), "");
    assert_eq!(transport.counters().tcp_full, 1);
    let elsewhere = Peer { carrier: Carrier::TcpNew, remote: "127.0.0.1:9".parse().unwrap() };
    transport.send(elsewhere, Bytes::from_static(b"x"));
    assert_eq!(close(&mut transport).await, (elsewhere, CloseCause::ConnectionsFull));
}

#[tokio::test]
async fn a_new_connection_is_dialled_once_and_reused() {
    let mut transport = Transport::bind(config()).unwrap();
    let phone = TcpListener::bind(loopback()).await.unwrap();
    let peer = Peer { carrier: Carrier::TcpNew, remote: phone.local_addr().unwrap() };
    transport.send(peer, Bytes::from(options("1")));
    transport.send(peer, Bytes::from(options("2")));
    let (mut stream, _) = phone.accept().await.unwrap();
    let both = options("1") + &options("2");
    let mut text = vec![0; both.len()];
    stream.read_exact(&mut text).await.unwrap();
    assert_eq!(text, both.as_bytes());
    stream.write_all(options("back").as_bytes()).await.unwrap();
    let (from, text) = message(&mut transport).await;
    assert_eq!((from.remote, text), (peer.remote, options("back")));
    assert!(matches!(from.carrier, Carrier::Tcp(_)));
    assert_eq!(transport.counters().tcp_dialled, 1);
}

#[tokio::test]
async fn a_peer_that_cannot_be_dialled_is_reported() {
    let mut transport = Transport::bind(config()).unwrap();
    let nobody = TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap();
    let peer = Peer { carrier: Carrier::TcpNew, remote: nobody };
    transport.send(peer, Bytes::from(options("")));
    assert_eq!(close(&mut transport).await, (peer, CloseCause::DialFailed));
    assert_eq!((transport.connections(), transport.counters().tcp_dial_failed), (0, 1));
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let first = Transport::bind(config()).unwrap();
    let taken_udp = TransportConfig { udp: first.udp_addresses().to_vec(), ..config() };
    let failure = Transport::bind(taken_udp).unwrap_err();
    assert_eq!((failure.protocol, failure.address), (Protocol::Udp, first.udp_addresses()[0]));
    let expected = format!(
        "cannot listen for SIP on UDP {}: address in use by another process",
        first.udp_addresses()[0]
    );
    assert_eq!(failure.to_string(), expected);
    let taken_tcp = TransportConfig { tcp: first.tcp_addresses().to_vec(), ..config() };
    assert_eq!(Transport::bind(taken_tcp).unwrap_err().protocol, Protocol::Tcp);
    let twice = TransportConfig { udp: vec![loopback(), loopback()], ..config() };
    let failure = Transport::bind(twice).unwrap_err();
    assert!(matches!(failure.cause, BindCause::SecondOfFamily));
}

#[tokio::test]
async fn both_families_are_served_and_answers_leave_by_the_right_one() {
    if UdpSocket::bind("[::1]:0").await.is_err() {
        return; // a machine without IPv6 has nothing to tell apart
    }
    let both = TransportConfig { udp: vec![loopback(), "[::1]:0".parse().unwrap()], ..config() };
    let mut transport = Transport::bind(both).unwrap();
    for address in transport.udp_addresses().to_vec() {
        let phone = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).await.unwrap();
        phone.connect(address).await.unwrap();
        phone.send(b"hello").await.unwrap();
        let (from, _) = message(&mut transport).await;
        transport.send(from, Bytes::from_static(b"there"));
        let mut buffer = [0; 16];
        assert_eq!(phone.recv(&mut buffer).await.unwrap(), 5);
    }
}
