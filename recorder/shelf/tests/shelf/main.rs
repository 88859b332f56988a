//! The shelf with a real folder, a real S3-compatible server and real HTTP.

mod folder;
mod hooks;
mod storage;
mod storage_server;

use std::fs;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant, SystemTime};

use folder::Folder;
use recorder::Retention;
use recorder_shelf::{Encryption, Event, Failure, Refusal, Retry, Shelf, ShelfConfig};

/// Waits until something is so; it must be within half a minute, however busy the machine is.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn config(folder: &Folder) -> ShelfConfig {
    let retry = Retry { first: Duration::from_millis(10), longest: Duration::from_millis(50) };
    ShelfConfig { retry, ..ShelfConfig::new(folder.path().to_owned()) }
}

/// A shelf that begins at once.
fn open(config: &ShelfConfig) -> Shelf {
    let shelf = Shelf::open(config).unwrap();
    shelf.begin();
    shelf
}

/// A recording is finished, and the disk holds it.
fn finish(shelf: &Shelf, name: &str) {
    shelf.finished(name);
    shelf.durable(name);
}

fn names(page: &recorder_shelf::Page) -> Vec<&str> {
    page.recordings.iter().map(|recording| recording.name.as_str()).collect()
}

#[test]
fn recordings_are_listed_newest_first_by_page() {
    let folder = Folder::new();
    for (day, name) in [(3, "c"), (1, "a"), (5, "2026/01/e"), (2, "b"), (4, "d")] {
        folder.record(name, day, b"sound");
    }
    folder.write("broken.json", b"{ not json");
    folder.write("foreign.json", b"{}");
    folder.write("growing.wav.part", b"not finished");
    folder.write(".hidden/x.json", b"{}");
    let shelf = open(&config(&folder));
    let first = shelf.list(None, 2);
    assert_eq!(names(&first), ["2026/01/e", "d"]);
    let next = first.next.as_deref().unwrap();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:/".contains(c);
    assert!(next.chars().all(is_plain), "{next} is not fit for a URL as it is");
    // What comes or goes meanwhile moves nothing.
    shelf.started("f");
    folder.record("f", 6, b"sound");
    finish(&shelf, "f");
    wait_until("the new one is there", || shelf.find("f").is_some());
    shelf.delete("d").unwrap();
    let second = shelf.list(first.next.as_deref(), 2);
    assert_eq!(names(&second), ["c", "b"]);
    let third = shelf.list(second.next.as_deref(), 2);
    assert_eq!((names(&third), &third.next), (vec!["a"], &None));
    let all = shelf.list(None, 5);
    assert_eq!((all.recordings.len(), all.next), (5, None), "a full page may be the last");
    assert_eq!(shelf.list(None, 0).recordings.len(), 1, "a page is never empty");
    assert_eq!(shelf.list(None, usize::MAX).recordings.len(), 5);
    assert_eq!(shelf.status().recordings, 5);
    shelf.stop();
}

#[test]
fn a_recording_is_found_read_and_deleted_with_all_its_files_and_nothing_else() {
    let folder = Folder::new();
    folder.record("a", 1, b"0123456789");
    folder.record("ab", 2, b"another");
    let shelf = open(&config(&folder));
    let recording = shelf.find("a").unwrap();
    let files: Vec<_> = recording.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(files, ["a.json", "a.wav", "a.peaks.dat"]);
    assert_eq!(recording.metadata["subject"], "test");
    let mut opened = shelf.read("a", "a.wav").unwrap();
    let mut bytes = Vec::new();
    opened.file.read_to_end(&mut bytes).unwrap();
    assert_eq!((opened.bytes, opened.media_type), (10, "audio/wav"));
    assert_eq!(bytes, b"0123456789");
    assert_eq!(shelf.delete("a"), Ok(()));
    assert_eq!(folder.files(), ["ab.json", "ab.peaks.dat", "ab.wav"]);
    assert_eq!((shelf.find("a"), shelf.delete("a")), (None, Err(Refusal::Unknown)));
    assert_eq!(shelf.try_event(), Some(Event::Deleted { name: "a".into() }));
    shelf.stop();
}

#[test]
fn what_is_on_a_disk_that_is_away_is_not_gone() {
    let folder = Folder::new();
    let (inner, aside) = (folder.path().join("inner"), folder.path().join("aside"));
    folder.record("inner/a", 1, b"sound");
    let shelf = open(&ShelfConfig { folder: inner.clone(), ..config(&folder) });
    let missing = Err(Refusal::Disk(ErrorKind::NotFound));
    fs::rename(&inner, &aside).unwrap();
    assert_eq!(shelf.delete("a"), missing);
    // What is below it where it is mounted.
    fs::create_dir(&inner).unwrap();
    assert_eq!(shelf.delete("a"), missing);
    shelf.finished("a");
    fs::remove_dir(&inner).unwrap();
    fs::rename(&aside, &inner).unwrap();
    folder.record("inner/b", 2, b"sound");
    shelf.finished("b");
    wait_until("another is there", || shelf.find("b").is_some());
    assert_eq!([shelf.delete("a"), shelf.delete("b")], [Ok(()), Ok(())]);
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
    shelf.stop();
}

#[test]
fn no_name_from_outside_leads_out_of_the_folder() {
    let folder = Folder::new();
    folder.write("secret.json", br#"{"started":"2026","files":[{"name":"../outside"}]}"#);
    let inner = folder.path().join("inner");
    let config = ShelfConfig { folder: inner.clone(), ..config(&folder) };
    folder.record("inner/a", 1, b"sound");
    folder.write("inner/link.json", br#"{"started":"2026","files":[{"name":"../secret.json"}]}"#);
    std::os::unix::fs::symlink(folder.path().join("secret.json"), inner.join("s.json")).unwrap();
    let shelf = open(&config);
    for name in ["../secret", "s", "/etc/passwd", "a/../../secret", "", ".", "a\0"] {
        assert_eq!(shelf.find(name), None, "{name}");
        assert_eq!(shelf.delete(name), Err(Refusal::Unknown), "{name}");
        finish(&shelf, name);
    }
    for file in ["../secret.json", "b.wav", "a", "/etc/passwd", ""] {
        assert_eq!(shelf.read("a", file).unwrap_err(), Refusal::Unknown, "{file}");
    }
    assert_eq!(shelf.find("link").unwrap().files.len(), 1, "only its own metadata");
    shelf.delete("link").unwrap();
    shelf.stop();
    assert!(folder.files().contains(&"secret.json".to_owned()));
}

#[test]
fn encrypted_recordings_are_plain_for_the_recipient_only() {
    let folder = Folder::new();
    let identity = age::x25519::Identity::generate();
    let recipients = vec![identity.to_public().to_string()];
    let config = ShelfConfig { encryption: Some(Encryption { recipients }), ..config(&folder) };
    let sound: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    folder.record("a", 1, &sound);
    folder.write("a.wav.age.part", b"a crash left this");
    let shelf = open(&config);
    wait_until("it is encrypted", || shelf.status().encrypted == 1);
    wait_until("nothing waits", || shelf.status().waiting == 0);
    let recording = shelf.find("a").unwrap();
    let files: Vec<_> = recording.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        (files, recording.encrypted),
        (vec!["a.json", "a.wav.age", "a.peaks.dat.age"], true)
    );
    assert_eq!(folder.files(), ["a.json", "a.peaks.dat.age", "a.shelf", "a.wav.age"]);
    let sealed = std::fs::read(folder.path().join("a.wav.age")).unwrap();
    assert_eq!(age::decrypt(&identity, &sealed).unwrap(), sound);
    assert!(age::decrypt(&age::x25519::Identity::generate(), &sealed).is_err());
    assert_eq!(shelf.try_event(), Some(Event::Encrypted { name: "a".into() }));
    shelf.stop();
    let again = open(&config);
    assert_eq!((again.status().waiting, again.status().encrypted), (0, 0));
    again.delete("a").unwrap();
    assert!(folder.files().is_empty());
    again.stop();
}

#[test]
fn nothing_is_done_to_a_recording_before_the_disk_holds_it() {
    let folder = Folder::new();
    let recipients = vec![age::x25519::Identity::generate().to_public().to_string()];
    let encryption = Some(Encryption { recipients });
    let retention = Retention { age_max: Some(Duration::from_secs(1)), bytes_max: None };
    let config = ShelfConfig { encryption, ..config(&folder) };
    let plain = ["a.json", "a.peaks.dat", "a.wav"];
    for config in [&config, &ShelfConfig { retention, encryption: None, ..config.clone() }] {
        let shelf = Shelf::open(config).unwrap();
        shelf.started("a");
        folder.record("a", 1, b"sound");
        // In whichever order they are told.
        shelf.finished("a");
        shelf.begin();
        shelf.finished("a");
        wait_until("it is there to be heard", || shelf.find("a").is_some());
        shelf.stop();
        assert_eq!(folder.files(), plain);
    }
    let shelf = Shelf::open(&config).unwrap();
    shelf.started("a");
    shelf.begin();
    shelf.finished("a");
    shelf.durable("a");
    wait_until("then it is", || shelf.status().encrypted == 1);
    shelf.stop();
}

#[test]
fn what_an_earlier_run_has_left_is_not_touched_before_it_is_repaired() {
    let folder = Folder::new();
    folder.record("a", 1, b"sound");
    let retention = Retention { age_max: Some(Duration::from_secs(1)), bytes_max: None };
    let config = ShelfConfig { retention, ..config(&folder) };
    let shelf = Shelf::open(&config).unwrap();
    assert_eq!(names(&shelf.list(None, 10)), ["a"]);
    assert_eq!(shelf.delete("a"), Err(Refusal::Busy));
    // The repair makes another whole.
    folder.record("b", 2, b"sound");
    shelf.finished("b");
    shelf.durable("b");
    shelf.stop();
    assert_eq!(folder.files().len(), 6);
    let shelf = Shelf::open(&config).unwrap();
    // And a third, of which nothing is told.
    folder.record_at("c", "2999-01-01T00:00:00.000Z", b"sound");
    shelf.begin();
    wait_until("the old ones are gone", || shelf.status().expired == 2);
    wait_until("the third is known", || names(&shelf.list(None, 10)) == ["c"]);
    assert_eq!(shelf.delete("c"), Ok(()));
    shelf.stop();
}

#[test]
fn the_oldest_are_given_up_when_there_is_too_much() {
    let folder = Folder::new();
    for day in 1..=5 {
        folder.record(&format!("r{day}"), day, &[0; 10_000]);
    }
    let retention = Retention { age_max: None, bytes_max: Some(25_000) };
    let shelf = open(&ShelfConfig { retention, ..config(&folder) });
    wait_until("three are gone", || shelf.status().expired == 3);
    assert_eq!(names(&shelf.list(None, 10)), ["r5", "r4"]);
    shelf.started("r6");
    folder.record("r6", 6, &[0; 10_000]);
    finish(&shelf, "r6");
    wait_until("a fourth is gone", || shelf.status().expired == 4);
    assert_eq!(names(&shelf.list(None, 10)), ["r6", "r5"]);
    assert!(shelf.status().bytes <= 25_000);
    shelf.stop();
}

#[test]
fn the_too_old_are_given_up() {
    let folder = Folder::new();
    folder.record("old", 1, b"sound");
    folder.record_at("new", "2999-01-01T00:00:00.000Z", b"sound");
    // By a clock that stood still, or was set since.
    folder.record("written now", 2, b"sound");
    folder.written_at("written now", SystemTime::now());
    let retention = Retention { age_max: Some(Duration::from_secs(3600)), bytes_max: None };
    let shelf = open(&ShelfConfig { retention, ..config(&folder) });
    wait_until("the old one is gone", || shelf.status().expired == 1);
    assert_eq!(names(&shelf.list(None, 10)), ["new", "written now"]);
    shelf.stop();
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let folder = Folder::new();
    let with_keys = |keys: &[&str]| {
        let recipients = keys.iter().map(|&key| key.to_owned()).collect();
        ShelfConfig { encryption: Some(Encryption { recipients }), ..config(&folder) }
    };
    assert_eq!(Shelf::open(&with_keys(&[])).err(), Some(Failure::Recipient(0)));
    assert_eq!(Shelf::open(&with_keys(&["age1x"])).err(), Some(Failure::Recipient(0)));
    let upload = storage::upload("http://192.0.2.1:9000");
    let config = ShelfConfig { upload: Some(upload), ..config(&folder) };
    assert_eq!(Shelf::open(&config).err(), Some(Failure::Endpoint));
}
