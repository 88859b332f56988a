//! Webhooks, to a server that does not always take them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use recorder_shelf::{Secret, Shelf, ShelfConfig, Webhook};
use serde_json::{Map, Value, json};

use crate::folder::Folder;
use crate::{config, wait_until};

/// A message as it came.
struct Message {
    signature: Option<String>,
    body: Value,
}

/// A server that gives these answers, then 204; and what it was told.
fn server(answers: &'static [u16]) -> (String, mpsc::Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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
            let body = serde_json::from_slice(&body).unwrap();
            let status = answers.next().copied().unwrap_or(204);
            let answer =
                format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
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
    let shelf = Shelf::open(&ShelfConfig { webhooks: vec![webhook], ..config(&folder) }).unwrap();
    let detail = json!({ "room": "sales" });
    shelf.announce("started", "a", detail.as_object().cloned().unwrap());
    folder.record("a", 1, b"sound");
    shelf.finished("a");
    wait_until("it is there", || shelf.find("a").is_some());
    shelf.delete("a").unwrap();
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
fn what_nobody_takes_is_given_up_and_counted() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let webhook = Webhook { url, secret: None };
    let shelf = Shelf::open(&ShelfConfig { webhooks: vec![webhook], ..config(&folder) }).unwrap();
    for number in 0..1200 {
        shelf.announce("mark", &number.to_string(), Map::new());
    }
    assert!(shelf.status().unannounced >= 100, "there is room for a thousand");
    let before = shelf.status().unannounced;
    wait_until("one was tried often enough", || shelf.status().unannounced > before);
    assert_eq!(shelf.status().announced, 0);
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
