//! Uploads, to a server that is sometimes away.

use recorder::Retention;
use recorder_shelf::{Encryption, Event, Secret, ShelfConfig, Upload};

use crate::folder::Folder;
use crate::storage_server::{ACCESS_KEY, BUCKET, SECRET_KEY, Script, StorageServer};
use crate::{config, finish, open, wait_until};

pub(crate) fn upload(url: &str) -> Upload {
    Upload {
        endpoint: Some(url.to_owned()),
        region: "us-east-1".into(),
        bucket: BUCKET.into(),
        prefix: "calls/".into(),
        access_key: Some(ACCESS_KEY.into()),
        secret_key: Some(Secret::new(SECRET_KEY.into())),
        keep: true,
    }
}

fn with_upload(folder: &Folder, server: &StorageServer) -> ShelfConfig {
    ShelfConfig { upload: Some(upload(&server.url())), ..config(folder) }
}

#[test]
fn what_is_finished_is_uploaded_with_the_metadata_last_and_stays() {
    let (folder, server) = (Folder::new(), StorageServer::start(Script::default()));
    let shelf = open(&with_upload(&folder, &server));
    shelf.started("2026/a b");
    folder.write("2026/a b.wav", b"sound");
    folder.write("2026/a b.json", br#"{"started":"2026-01-01","files":[{"name":"2026/a b.wav"}]}"#);
    finish(&shelf, "2026/a b");
    wait_until("it is uploaded", || shelf.status().uploaded == 1);
    assert_eq!(server.object("calls/2026/a b.wav").unwrap(), b"sound");
    assert!(server.object("calls/2026/a b.json").is_some());
    let puts = server.script.lock().unwrap().puts.clone();
    assert_eq!(puts, ["/bucket/calls/2026/a%20b.wav", "/bucket/calls/2026/a%20b.json"]);
    wait_until("nothing waits", || shelf.status().waiting == 0);
    assert!(shelf.find("2026/a b").unwrap().uploaded);
    assert_eq!(shelf.read("2026/a b", "2026/a b.wav").unwrap().bytes, 5);
    assert_eq!(shelf.try_event(), Some(Event::Uploaded { name: "2026/a b".into() }));
    shelf.stop();
}

#[test]
fn a_server_that_is_away_is_waited_for_across_restarts_and_nothing_is_given_up() {
    let folder = Folder::new();
    let server = StorageServer::start(Script { away: true, ..Script::default() });
    let retention = Retention { age_max: None, bytes_max: Some(0) };
    let config = ShelfConfig { retention, ..with_upload(&folder, &server) };
    folder.record("a", 1, b"sound");
    let shelf = open(&config);
    wait_until("it was tried", || shelf.status().failures >= 3);
    assert!(matches!(shelf.try_event(), Some(Event::Failed { failures: 1, .. })));
    assert_eq!((shelf.status().waiting, shelf.status().recordings), (1, 1));
    shelf.stop();
    let shelf = open(&config);
    wait_until("it was tried again", || shelf.status().failures >= 1);
    assert!(shelf.find("a").is_some(), "the only copy is kept whatever the rule says");
    server.script.lock().unwrap().away = false;
    wait_until("it is uploaded", || shelf.status().uploaded == 1);
    wait_until("only then it is given up", || shelf.status().expired == 1);
    assert_eq!(server.object("calls/a.wav").unwrap(), b"sound");
    assert!(folder.files().is_empty());
    shelf.stop();
}

#[test]
fn after_a_failure_in_the_middle_only_the_rest_is_uploaded() {
    let folder = Folder::new();
    let puts_fail = [false, true, true, false].into();
    let server = StorageServer::start(Script { puts_fail, ..Script::default() });
    folder.record("a", 1, b"sound");
    let shelf = open(&with_upload(&folder, &server));
    wait_until("it is uploaded", || shelf.status().uploaded == 1);
    assert_eq!(shelf.status().failures, 2);
    let puts = server.script.lock().unwrap().puts.clone();
    let names = ["/bucket/calls/a.peaks.dat", "/bucket/calls/a.wav", "/bucket/calls/a.json"];
    assert_eq!(puts, names);
    shelf.stop();
}

#[test]
fn a_long_file_goes_in_parts_and_is_begun_anew_after_a_failure() {
    let folder = Folder::new();
    let puts_fail = [false, false, true].into();
    let server = StorageServer::start(Script { puts_fail, ..Script::default() });
    let sound: Vec<u8> = (0..(20_u32 << 20)).map(|n| (n >> 7) as u8 ^ n as u8).collect();
    folder.record("a", 1, &sound);
    let shelf = open(&with_upload(&folder, &server));
    wait_until("it is uploaded", || shelf.status().uploaded == 1);
    assert_eq!(shelf.status().failures, 1);
    assert!(server.object("calls/a.wav").unwrap() == sound);
    shelf.stop();
}

#[test]
fn a_storage_that_refuses_gets_nothing_and_the_recording_stays() {
    let (folder, server) = (Folder::new(), StorageServer::start(Script::default()));
    let wrong = Some(Secret::new("wrong".into()));
    let upload = Upload { secret_key: wrong, keep: false, ..upload(&server.url()) };
    let config = ShelfConfig { upload: Some(upload), ..config(&folder) };
    folder.record("a", 1, b"sound");
    let shelf = open(&config);
    wait_until("it was refused", || shelf.status().failures >= 2);
    assert_eq!((shelf.status().uploaded, server.object("calls/a.wav")), (0, None));
    assert_eq!(shelf.find("a").unwrap().files.len(), 3);
    shelf.stop();
}

#[test]
fn what_need_not_stay_goes_once_it_is_confirmed_and_only_ciphertext_leaves() {
    let (folder, server) = (Folder::new(), StorageServer::start(Script::default()));
    let identity = age::x25519::Identity::generate();
    let recipients = vec![identity.to_public().to_string()];
    let config = ShelfConfig {
        encryption: Some(Encryption { recipients }),
        upload: Some(Upload { keep: false, ..upload(&server.url()) }),
        ..config(&folder)
    };
    folder.record("a", 1, b"sound");
    let shelf = open(&config);
    wait_until("it is gone", || shelf.status().recordings == 0);
    let status = shelf.status();
    assert_eq!((status.encrypted, status.uploaded), (1, 1));
    assert!(folder.files().is_empty());
    assert_eq!(server.object("calls/a.wav"), None);
    let sealed = server.object("calls/a.wav.age").unwrap();
    assert_eq!(age::decrypt(&identity, &sealed).unwrap(), b"sound");
    shelf.stop();
}

#[test]
fn a_storage_that_never_answers_keeps_nothing_in_the_clear() {
    let folder = Folder::new();
    // It takes connections, and what is sent, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let recipients = vec![age::x25519::Identity::generate().to_public().to_string()];
    let config = ShelfConfig {
        encryption: Some(Encryption { recipients }),
        upload: Some(upload(&url)),
        ..config(&folder)
    };
    for day in 1..=9 {
        folder.record(&format!("r{day}"), day, b"sound");
    }
    let shelf = open(&config);
    wait_until("all are encrypted", || shelf.status().encrypted == 9);
    assert_eq!((shelf.status().uploaded, shelf.status().failures), (0, 0));
    shelf.stop();
}

#[test]
fn what_the_storage_has_lost_is_not_confirmed_and_is_uploaded_again() {
    let folder = Folder::new();
    let server = StorageServer::start(Script { loses_content: true, ..Script::default() });
    folder.record("a", 1, b"sound");
    let shelf = open(&with_upload(&folder, &server));
    wait_until("it is uploaded", || shelf.status().uploaded == 1);
    assert_eq!((shelf.status().failures, server.script.lock().unwrap().puts.len()), (1, 4));
    assert_eq!(server.object("calls/a.peaks.dat").unwrap(), b"peaks");
    shelf.stop();
}
