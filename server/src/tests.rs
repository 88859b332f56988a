//! A whole server in this process: real sockets on free ports, real shards, real requests.

mod refusals;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::config::Config;
use crate::failure::Failure;
use crate::start::Server;

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server's addresses.
#[derive(Clone, Copy)]
struct Addresses {
    api: SocketAddr,
    sip: SocketAddr,
}

/// Runs `test` beside a server whose media ports begin at `port`.
fn with_server<F: Future<Output = ()>>(port: u16, more: &str, test: impl FnOnce(Addresses) -> F) {
    with_sip(port, "", more, test);
}

/// As [`with_server`], and `sip` is for its SIP.
fn with_sip<F: Future<Output = ()>>(
    port: u16,
    sip: &str,
    more: &str,
    test: impl FnOnce(Addresses) -> F,
) {
    let text = format!(
        "[sip]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n{sip}[rtp]\naddress = \"127.0.0.1\"\n\
         ports = \"{port}-{}\"\nrealtime = false\nshards = 1\n[api]\nlisten = \"127.0.0.1:0\"\n{more}",
        port + 63
    );
    let config = Config::parse("test", &text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(&config).unwrap();
        let addresses = Addresses { api: server.api.unwrap(), sip: server.udp.unwrap() };
        tokio::select! {
            ended = server.run() => panic!("the server ended by itself: {ended:?}"),
            ended = tokio::time::timeout(PATIENCE, test(addresses)) => ended.unwrap(),
        }
    });
}

/// One request over a connection of its own: status and body.
async fn ask(api: SocketAddr, method: &str, path: &str) -> (u16, String) {
    ask_with(api, method, path, "").await
}

/// Asks with a body in JSON.
async fn ask_with(api: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(api).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

/// What does not end, and its status.
async fn endless(api: SocketAddr, path: &str) -> (TcpStream, u16) {
    let mut stream = TcpStream::connect(api).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    (stream, str::from_utf8(&answer[9..]).unwrap().parse().unwrap())
}

async fn get(api: SocketAddr, path: &str) -> Value {
    let (status, body) = ask(api, "GET", path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The identity of who came first of those who are there.
async fn first_participant(api: SocketAddr) -> Value {
    get(api, "/v1/participants").await["participants"][0]["id"].take()
}

/// Asks until the answer is as wanted.
async fn until(api: SocketAddr, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let found = get(api, path).await;
        if wanted(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A phone with one call, of as few words as possible.
struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    name: &'static str,
    to_tag: String,
}

/// What a phone offers.
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio 9 RTP/AVP 8 0\r\n";

impl Phone {
    async fn new(server: SocketAddr, name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, server, name, to_tag: String::new() }
    }

    async fn call(server: SocketAddr, name: &'static str, user: &str) -> Self {
        let mut phone = Self::new(server, name).await;
        let answer = loop {
            phone.send("INVITE", user, "INVITE", OFFER).await;
            let answer = phone.receive("SIP/2.0 ");
            // As RFC 3261 has it: datagrams get lost on a busy machine.
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(500), answer).await {
                break answer;
            }
        };
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        let to = answer.lines().find(|line| line.starts_with("To:")).unwrap();
        phone.to_tag = format!(";tag={}", to.split(";tag=").nth(1).unwrap().trim());
        phone.send("ACK", user, "ACK", "").await;
        phone
    }

    async fn send(&self, method: &str, user: &str, branch: &str, body: &str) {
        let Self { socket, server, name, to_tag } = self;
        let own = socket.local_addr().unwrap();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:{user}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}{name}\r\n\
             Max-Forwards: 70\r\nFrom: \"{name} X\" <sip:{name}@example.com>;tag=1\r\n\
             To: <sip:{user}@{server}>{to_tag}\r\nCall-ID: {name}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:{name}@{own}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.send_to(text.as_bytes(), server).await.unwrap();
    }

    /// Answers a request of the server's with 200.
    async fn answer(&self, request: &str) {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| {
            let line = request.lines().find(|line| line.starts_with(name)).unwrap();
            format!("{line}\r\n")
        });
        let text = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied.concat());
        self.socket.send_to(text.as_bytes(), self.server).await.unwrap();
    }

    /// The next message that begins so; others are passed over.
    async fn receive(&self, start: &str) -> String {
        let mut buffer = vec![0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(start) {
                return text;
            }
        }
    }
}

#[test]
fn rooms_and_participants_are_listed_with_their_media() {
    with_server(9100, "", async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let _bob = Phone::call(at.sip, "bob", "3001").await;
        let _eve = Phone::call(at.sip, "eve", "9001").await;
        let room = get(at.api, "/v1/rooms/3001").await;
        assert_eq!((&room["name"], &room["participants"]), (&"3001".into(), &2.into()));
        assert_eq!(room["recorded"], false);
        assert_eq!(get(at.api, "/v1/rooms").await["rooms"].as_array().unwrap().len(), 1);
        let members = until(at.api, "/v1/rooms/3001/participants", |page| {
            page["participants"][1]["media"].is_object()
        })
        .await;
        let bob = &members["participants"][1];
        assert_eq!(bob["caller"], "sip:bob@example.com");
        assert_eq!(bob["display_name"], "bob X");
        assert_eq!((&bob["room"], &bob["dialled"]), (&"3001".into(), &"3001".into()));
        assert_eq!((&bob["answered"], &bob["muted"]), (&true.into(), &false.into()));
        assert_eq!(bob["media"]["codec"], "PCMA");
        assert_eq!(bob["media"]["talking"], false);
        let agreed = &bob["agreed"];
        assert_eq!((&agreed["codec"], &agreed["clock_rate"]), (&"PCMA".into(), &8000.into()));
        assert_eq!(
            (&agreed["payload_type_sent"], &agreed["packet_time_ms"]),
            (&8.into(), &20.into())
        );
        assert_eq!(
            (&agreed["direction"], &agreed["rtcp_mux"]),
            (&"sendrecv".into(), &false.into())
        );
        assert!(agreed.get("telephone_event").is_none() && agreed.get("opus").is_none());
        let all = get(at.api, "/v1/participants").await;
        assert_eq!(all["participants"].as_array().unwrap().len(), 3);
        assert!(all["participants"][2].get("room").is_none());
        let alone = get(at.api, &format!("/v1/participants/{}", bob["id"])).await;
        assert_eq!(alone["call_id"], "bob");
    });
}

#[test]
fn lists_come_in_pages() {
    with_server(9164, "", async |at| {
        let mut phones = Vec::new();
        for (name, user) in [("ann", "3003"), ("bob", "3001"), ("eve", "3002")] {
            phones.push(Phone::call(at.sip, name, user).await);
        }
        let first = get(at.api, "/v1/rooms?limit=2").await;
        assert_eq!(first["rooms"][0]["name"], "3001");
        assert_eq!(first["next"], "3002");
        let last = get(at.api, "/v1/rooms?limit=2&after=3002").await;
        assert_eq!(last["rooms"].as_array().unwrap().len(), 1);
        assert_eq!(last["rooms"][0]["name"], "3003");
        assert!(last.get("next").is_none());
        let first = get(at.api, "/v1/participants?limit=2").await;
        assert_eq!(first["participants"][1]["call_id"], "bob");
        let rest = format!("/v1/participants?limit=2&after={}", first["next"]);
        assert_eq!(get(at.api, &rest).await["participants"][0]["call_id"], "eve");
        for query in ["limit=0", "limit=1001", "limit=x", "nonsense=1", "after=x"] {
            let (status, body) = ask(at.api, "GET", &format!("/v1/participants?{query}")).await;
            assert_eq!(status, 400, "{query}");
            assert!(body.contains("\"error\":\"query\""), "{body}");
        }
    });
}

#[test]
fn mute_kick_and_the_end_of_a_room_reach_the_calls() {
    with_server(9228, "", async |at| {
        let ann = Phone::call(at.sip, "ann", "3001").await;
        let bob = Phone::call(at.sip, "bob", "3001").await;
        let members = get(at.api, "/v1/rooms/3001/participants").await;
        let id = &members["participants"][0]["id"];
        for (action, muted) in [("mute", true), ("unmute", false)] {
            let path = format!("/v1/participants/{id}/{action}");
            assert_eq!(ask(at.api, "POST", &path).await, (204, String::new()));
            assert_eq!(get(at.api, &format!("/v1/participants/{id}")).await["muted"], muted);
        }
        let path = format!("/v1/participants/{id}");
        assert_eq!(ask(at.api, "DELETE", &path).await.0, 204);
        assert!(ann.receive("BYE ").await.contains("Call-ID: ann"));
        assert_eq!(ask(at.api, "DELETE", "/v1/rooms/3001").await.0, 204);
        assert!(bob.receive("BYE ").await.contains("Call-ID: bob"));
        until(at.api, "/v1/rooms", |page| page["rooms"].as_array().is_some_and(Vec::is_empty))
            .await;
    });
}

#[test]
fn a_gain_is_set_and_shown_and_nonsense_is_refused() {
    with_server(9548, "", async |at| {
        let _ann = Phone::call(at.sip, "ann", "3001").await;
        let members = get(at.api, "/v1/rooms/3001/participants").await;
        let path = format!("/v1/participants/{}", members["participants"][0]["id"]);
        let shown = async || {
            let ann = get(at.api, &path).await;
            ["says_db", "hears_db"].map(|key| ann[key].to_string())
        };
        assert_eq!(shown().await, ["0.0", "0.0"]);
        let gain = format!("{path}/gain");
        for (says, hears) in [("-60.0", "30.0"), ("6.5", "-0.1")] {
            let body = format!("{{\"says_db\":{says},\"hears_db\":{hears}}}");
            assert_eq!(ask_with(at.api, "PUT", &gain, &body).await, (204, String::new()));
            assert_eq!(shown().await, [says, hears]);
        }
        for body in [
            "{\"says_db\":30.1,\"hears_db\":0}",
            "{\"says_db\":0,\"hears_db\":-60.1}",
            "{\"says_db\":0,\"hears_db\":1e300}",
            "{\"says_db\":0.05,\"hears_db\":0}",
            "{\"says_db\":0}",
            "{\"says_db\":0,\"hears_db\":0,\"x\":0}",
            "loud",
        ] {
            let (status, answer) = ask_with(at.api, "PUT", &gain, body).await;
            assert_eq!(status, 400, "{body}");
            assert!(answer.contains("\"error\":\"gain\""), "{answer}");
        }
        assert_eq!(shown().await, ["6.5", "-0.1"]);
        let unity = "{\"says_db\":0,\"hears_db\":0}";
        let stranger = ask_with(at.api, "PUT", "/v1/participants/77/gain", unity).await;
        assert_eq!(stranger.0, 404);
    });
}

#[test]
fn what_is_not_there_is_refused_with_what_would_be_right() {
    with_server(9292, "", async |at| {
        for (method, path, status, error) in [
            ("GET", "/v1/rooms/3001", 404, "no_room"),
            ("GET", "/v1/rooms/3001/participants", 404, "no_room"),
            ("DELETE", "/v1/rooms/3001", 404, "no_room"),
            ("GET", "/v1/participants/7", 404, "no_participant"),
            ("POST", "/v1/participants/7/mute", 404, "no_participant"),
            ("POST", "/v1/participants/7/digits", 400, "keys"),
            ("PUT", "/v1/participants/7/gain", 400, "gain"),
            ("DELETE", "/v1/participants/x", 404, "no_participant"),
            ("GET", "/v2", 404, "no_path"),
            ("PUT", "/v1/rooms", 405, "method"),
        ] {
            let (found, body) = ask(at.api, method, path).await;
            assert_eq!(found, status, "{method} {path}");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["error"], error, "{method} {path}");
            assert!(body["what"].is_string() && body["right"].is_string());
        }
    });
}

#[test]
fn health_and_metrics_tell_of_the_calls() {
    with_server(9356, "", async |at| {
        let _ann = Phone::call(at.sip, "ann", "echo").await;
        let health = get(at.api, "/health").await;
        assert_eq!((&health["ready"], &health["calls"]), (&true.into(), &1.into()));
        let (status, text) = ask(at.api, "GET", "/metrics").await;
        assert_eq!(status, 200);
        for line in ["mixminus_calls 1", "mixminus_sip_requests_total{method=\"INVITE\"} 1"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    });
}

#[test]
fn every_documented_route_is_served() {
    crate::documented("openapi.json", &(crate::openapi() + "\n"));
    with_server(9420, "", async |at| {
        let document = get(at.api, "/openapi.json").await;
        assert_eq!(document, serde_json::from_str::<Value>(&crate::openapi()).unwrap());
        let mut served = 0;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let path = path.replace("{name}", "x").replace("{id}", "1").replace("{file}", "f");
                let path = path.replace("{shard}", "9");
                let (status, body) = if path == "/v1/events" {
                    (endless(at.api, &path).await.1, String::new())
                } else {
                    ask(at.api, &method.to_uppercase(), &path).await
                };
                let documented = &methods[method]["responses"][status.to_string()];
                assert!(documented.is_object(), "{method} {path}: {status} {body}");
                assert!(!body.contains("no_path"), "{method} {path}");
                served += 1;
            }
        }
        assert_eq!(served, 31);
    });
}

#[test]
fn clients_who_send_too_much_or_nothing_are_sent_away() {
    with_server(9484, "timeout = \"200ms\"\nbody_max = \"1KiB\"\n", async |at| {
        let mut silent = TcpStream::connect(at.api).await.unwrap();
        let mut slow = TcpStream::connect(at.api).await.unwrap();
        slow.write_all(b"GET /health HTTP/1.1\r\nHo").await.unwrap();
        for body in ["Content-Length: 9999\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n800\r\n"] {
            let mut large = TcpStream::connect(at.api).await.unwrap();
            let head = "POST /v1/participants/1/mute HTTP/1.1\r\nHost: localhost\r\n";
            let octets = [head, body, &"x".repeat(0x800)].concat();
            large.write_all(octets.as_bytes()).await.unwrap();
            let mut answer = vec![0; 12];
            large.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, b"HTTP/1.1 413", "{body}");
        }
        let mut unfinished = TcpStream::connect(at.api).await.unwrap();
        let head =
            "PUT /v1/participants/1/room HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
        unfinished.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        unfinished.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, b"HTTP/1.1 408");
        for stream in [&mut silent, &mut slow] {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        }
    });
}

#[test]
fn a_client_who_takes_nothing_of_its_answers_does_not_keep_the_connection() {
    with_server(9492, "timeout = \"200ms\"\nconnections_max = 1\n", async |at| {
        let mut deaf = TcpStream::connect(at.api).await.unwrap();
        let asked = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
        // It is closed while that is written, or later.
        let _ = deaf.write_all(asked.as_bytes()).await;
        get(at.api, "/health").await;
        drop(deaf);
    });
}

#[test]
fn what_a_page_of_others_asks_is_refused_and_json_is_json_by_any_name() {
    with_server(9500, "", async |at| {
        let status = async |head: &str| {
            let mut stream = TcpStream::connect(at.api).await.unwrap();
            let body = "{\"name\":\"3001\"}";
            let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            str::from_utf8(&answer[9..]).unwrap().parse::<u16>().unwrap()
        };
        let order = "PUT /v1/participants/1/room HTTP/1.1\r\nHost: localhost\r\n";
        assert_eq!(status(&format!("{order}Origin: https://evil.example\r\n")).await, 403);
        assert_eq!(status("GET /health HTTP/1.1\r\nHost: evil.example\r\n").await, 403);
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        assert_eq!(status(&format!("{order}{form}")).await, 404, "it was read: there is nobody");
        let (code, body) = ask(at.api, "GET", "/v1/rooms/%ff").await;
        assert_eq!((code, body.contains("no_path")), (404, true), "{body}");
    });
}

#[test]
fn a_taken_port_is_named_with_its_key_and_what_to_do() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = format!("[sip]\nudp = [\"{address}\"]\ntcp = []\n[api]\nlisten = \"off\"");
    let config = Config::parse("test", &text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(async { Server::start(&config).err().unwrap() }).to_string();
    assert!(
        failure.starts_with(&format!("sip.udp {address}: address already in use: ")),
        "{failure}"
    );
    assert!(failure.contains("set sip.udp"), "{failure}");
}

#[test]
fn a_shard_that_breaks_ends_every_call_by_bye_closes_the_recordings_and_is_a_failure() {
    let folder = std::env::temp_dir().join(format!("mixminus-fault-{}", std::process::id()));
    let text = format!(
        "[sip]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[rtp]\naddress = \"127.0.0.1\"\n\
         ports = \"9676-9803\"\nrealtime = false\nshards = 2\n[rooms]\nrecord = \"always\"\n\
         [recording]\nfolder = {folder:?}\n[api]\nlisten = \"127.0.0.1:0\"\n[flight]\nkeep = \"nothing\"\n"
    );
    let config = Config::parse("test", &text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(async {
        let server = Server::start(&config).unwrap();
        let (api, sip) = (server.api.unwrap(), server.udp.unwrap());
        let breaker = server.breaker.clone();
        let callers = async {
            // Rooms go to the least loaded shard: one on each.
            let ann = Phone::call(sip, "ann", "3001").await;
            let bob = Phone::call(sip, "bob", "3002").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let before = get(api, "/v1/rooms").await;
            assert_eq!(before["rooms"][1]["recorded"], true, "{before}");
            breaker.break_one();
            for phone in [ann, bob] {
                let bye = phone.receive("BYE ").await;
                phone.answer(&bye).await;
            }
        };
        let (outcome, ()) = tokio::join!(tokio::time::timeout(PATIENCE, server.run()), callers);
        outcome.expect("it ends by itself")
    });
    assert!(matches!(outcome, Err(Failure::Shard { .. })), "{outcome:?}");
    let closed = files_with(&folder, "json");
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(closed, 2, "what is said of a recording is written when its file is closed");
}

/// Sends so many packets of PCMU, 20 ms apart, to where the answer says.
async fn speak(phone: &Phone, to: SocketAddr, ssrc: u32, packets: std::ops::Range<u16>) {
    for number in packets {
        let mut packet = [0x55; 172];
        packet[..2].copy_from_slice(&[0x80, 0]);
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        phone.socket.send_to(&packet, to).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_fault_in_a_live_server_happens_again_out_of_its_file() {
    let folder = std::env::temp_dir().join(format!("mixminus-flight-{}", std::process::id()));
    let text = format!(
        "[sip]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[rtp]\naddress = \"127.0.0.1\"\n\
         ports = \"9804-9867\"\nrealtime = false\nshards = 1\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [flight]\nkeep = \"all\"\nfolder = {folder:?}\n"
    );
    let config = Config::parse("test", &text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (outcome, asked) = runtime.block_on(async {
        let server = Server::start(&config).unwrap();
        let (api, sip) = (server.api.unwrap(), server.udp.unwrap());
        let callers = async {
            let ann = Phone::call(sip, "ann", "3001").await;
            let bob = Phone::call(sip, "bob", "3001").await;
            let media: SocketAddr = "127.0.0.1:9804".parse().unwrap();
            speak(&ann, media, 7, 0..50).await;
            let (status, asked) = ask(api, "POST", "/v1/shards/0/flight").await;
            assert_eq!(status, 201, "{asked}");
            assert_eq!(ask(api, "POST", "/v1/shards/9/flight").await.0, 404);
            speak(&ann, media, engine::FAULTY_SSRC.0, 50..51).await;
            for phone in [ann, bob] {
                let bye = phone.receive("BYE ").await;
                phone.answer(&bye).await;
            }
            asked
        };
        let (outcome, asked) = tokio::join!(tokio::time::timeout(PATIENCE, server.run()), callers);
        (outcome.expect("it ends by itself"), asked)
    });
    assert!(matches!(outcome, Err(Failure::Shard { shard: 0 })), "{outcome:?}");
    let asked: Value = serde_json::from_str(&asked).unwrap();
    let healthy = crate::replay(Path::new(asked["file"].as_str().unwrap())).unwrap();
    assert!(healthy.contains("bit for bit the same\n"), "{healthy}");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let files =
        files.filter(|path| !asked["file"].as_str().unwrap().ends_with(path.to_str().unwrap()));
    let told: Vec<_> = files.map(|file| crate::replay(&file).unwrap()).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    let [told] = &told[..] else { panic!("{told:?}") };
    assert!(told.contains("then the fault: a test sent a packet that breaks a shard"), "{told}");
    assert!(told.contains("heard s0.0.1: 0."), "bob heard ann: {told}");
}

/// How many files there are with such an ending, however deep.
fn files_with(folder: &Path, extension: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: PathBuf| {
        if path.is_dir() {
            files_with(&path, extension)
        } else {
            usize::from(path.extension().is_some_and(|found| found == extension))
        }
    };
    entries.map(count).sum()
}

#[test]
fn the_welcome_says_where_and_what() {
    let text = "[sip]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[rtp]\nports = \"9612-9675\"\n\
                realtime = false\nshards = 1\n[api]\nlisten = \"off\"\n[dial]\n\"7*\" = \"room\"\n\"11\" = \"echo\"";
    let config = Config::parse("test", text).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::start(&config).unwrap();
        let sip = server.udp.unwrap();
        for part in [
            &format!("UDP {sip}"),
            "ports 9612-9675, at most 32 calls",
            "API        off",
            "7*                       a room",
            "reserved  in all",
            &format!("sipp -sn uac -s 11 {sip} -i 127.0.0.1"),
        ] {
            assert!(server.welcome.contains(part), "{part} is not in\n{}", server.welcome);
        }
    });
}
