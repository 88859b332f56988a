//! Webhooks, to a server that does not always take them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use recorder_shelf::{Retry, Secret, Shelf, ShelfConfig, Webhook};
use serde_json::{Map, Value, json};

use crate::folder::Folder;
use crate::{config, finish, open, wait_until};

/// A message as it came.
struct Message {
    signature: Option<String>,
    body: Value,
}

/// A server that gives these answers, then 204; and what it was told.
fn server(answers: &'static [u16]) -> (String, mpsc::Receiver<Message>) {
    serve(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
}

fn serve(listener: TcpListener, answers: &'static [u16]) -> (String, mpsc::Receiver<Message>) {
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, messages) = mpsc::channel();
    std::thread::spawn(move || {
        let mut answers = answers.iter();
        for socket in listener.incoming() {
            let mut reader = BufReader::new(socket.unwrap());
            let mut signature = None;
            let mut length = 0;
            for line in reader.by_ref().lines() {
                let line = line.unwrap().to_ascii_lowercase();
                let Some((key, value)) = line.split_once(": ") else {
                    if line.is_empty() {
                        break;
                    }
                    continue;
                };
                match key {
                    "x-mixminus-signature" => signature = Some(value.to_owned()),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            // Who ended while it connected has said nothing.
            let Ok(body) = serde_json::from_slice(&body) else { continue };
            let status = answers.next().copied().unwrap_or(204);
            let answer =
                format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            // Nor does it hear the answer.
            let _ = reader.get_mut().write_all(answer.as_bytes());
            if told.send(Message { signature, body }).is_err() {
                return;
            }
        }
    });
    (url, messages)
}

#[test]
fn each_state_is_told_in_order_signed_and_again_until_it_is_taken() {
    let folder = Folder::new();
    let (url, messages) = server(&[500, 302, 404, 204]);
    let webhook = Webhook { url, secret: Some(Secret::new("s3cret".into())) };
    let shelf = open(&ShelfConfig { webhooks: vec![webhook], ..config(&folder) });
    let detail = json!({ "room": "sales" });
    shelf.announce("started", "a", detail.as_object().cloned().unwrap());
    shelf.started("a");
    folder.record("a", 1, b"sound");
    finish(&shelf, "a");
    wait_until("it is there, and nobody works on it", || shelf.delete("a").is_ok());
    let told: Vec<Message> = (0..6).map(|_| messages.recv().unwrap()).collect();
    let events: Vec<_> =
        told.iter().map(|message| message.body["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["started", "started", "started", "started", "finished", "deleted"]);
    assert_eq!((&told[0].body["room"], &told[0].body["recording"]), (&json!("sales"), &json!("a")));
    assert_eq!((&told[4].body["subject"], &told[4].body["seconds"]), (&json!("test"), &json!(1.5)));
    assert!(told[5].body["time"].as_str().unwrap().ends_with('Z'));
    for message in &told {
        let signature = message.signature.as_deref().unwrap();
        assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");
    }
    wait_until("they are counted", || shelf.status().announced == 3);
    shelf.stop();
}

#[test]
fn what_waits_at_a_stop_is_sent_after_the_next_start_in_order() {
    let folder = Folder::new();
    // Nobody accepts: the first message hangs.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let config = ShelfConfig { webhooks: vec![Webhook { url, secret: None }], ..config(&folder) };
    let shelf = open(&config);
    for name in ["a", "b"] {
        shelf.announce("started", name, Map::new());
    }
    wait_until("both are on the disk", || folder.files().len() == 2);
    shelf.stop();
    folder.write(&folder.files()[0].replace("001.json", "007.json"), b"{ torn by a cra");
    let shelf = open(&config);
    shelf.announce("started", "c", Map::new());
    // Told just before the stop.
    shelf.stop();
    let shelf = open(&config);
    let (_, messages) = serve(listener, &[]);
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "c") {
        told.push(messages.recv().unwrap().body["recording"].as_str().unwrap().to_owned());
    }
    // What hung was perhaps read by the one who begins to accept.
    told.dedup();
    assert_eq!(told, ["a", "b", "c"]);
    wait_until("nothing is left", || folder.files().is_empty());
    shelf.stop();
}

#[test]
fn messages_to_a_url_that_is_configured_no_more_go_away() {
    let folder = Folder::new();
    let url =
        format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let config = ShelfConfig {
        webhooks: vec![Webhook { url, secret: None }],
        retry: Retry { first: Duration::from_secs(600), longest: Duration::from_secs(600) },
        ..config(&folder)
    };
    let shelf = open(&config);
    shelf.announce("started", "a", Map::new());
    shelf.stop();
    assert_eq!(folder.files().len(), 1);
    let shelf = open(&ShelfConfig { webhooks: Vec::new(), ..config });
    wait_until("it is gone", || folder.files().is_empty());
    shelf.stop();
}

#[test]
fn what_nobody_takes_is_given_up_and_counted() {
    let folder = Folder::new();
    let (url, _messages) = server(&[500; 1000]);
    let webhook = Webhook { url, secret: None };
    let shelf = open(&ShelfConfig { webhooks: vec![webhook], ..config(&folder) });
    shelf.announce("mark", "a", Map::new());
    wait_until("it was tried often enough", || shelf.status().unannounced == 1);
    assert_eq!(shelf.status().announced, 0);
    wait_until("nothing is left", || folder.files().is_empty());
    shelf.stop();
}

#[test]
fn a_thousand_messages_wait_and_more_are_counted() {
    let folder = Folder::new();
    let (url, _messages) = server(&[500; 1000]);
    let webhook = Webhook { url, secret: None };
    let retry = Retry { first: Duration::from_secs(600), longest: Duration::from_secs(600) };
    let shelf = open(&ShelfConfig { webhooks: vec![webhook], retry, ..config(&folder) });
    for number in 0..1200 {
        shelf.announce("mark", &number.to_string(), Map::new());
    }
    // One is in the hand that sends it.
    wait_until("the others had no room", || shelf.status().unannounced >= 199);
    assert!(folder.files().len() <= 1001);
    shelf.stop();
}

#[test]
fn a_url_that_is_none_is_refused() {
    let folder = Folder::new();
    for url in ["", "example.org", "file:///etc/passwd"] {
        let webhook = Webhook { url: url.into(), secret: None };
        let config = ShelfConfig { webhooks: vec![webhook], ..config(&folder) };
        assert_eq!(Shelf::open(&config).err(), Some(recorder_shelf::Failure::Webhook(0)));
    }
}
