//! Every target over its corpus and over changes of it.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::changes::Changes;

/// One test for each target. A round is one input; there are as many as take about a second.
macro_rules! targets {
    ($($name:ident $rounds:literal),+ $(,)?) => {
        const NAMES: &[&str] = &[$(stringify!($name)),+];

        $(#[test]
        fn $name() {
            explore(stringify!($name), crate::$name::run, $rounds);
        })+
    };
}

targets! {
    codec 6000,
    configuration 10_000,
    dtmf 6000,
    multipart 50_000,
    journal 20_000,
    naming 50_000,
    playout 4000,
    rs_metadata 20_000,
    rtcp 100_000,
    rtp 100_000,
    sdp 20_000,
    sip 2000,
}

fn explore(name: &str, run: fn(&[u8]), rounds: u32) {
    let corpus = corpus(name);
    for bytes in &corpus {
        check(name, run, bytes);
    }
    let mut changes = Changes::new(1);
    for _ in 0..rounds {
        check(name, run, &changes.next(&corpus));
    }
}

/// Runs one input; where it panics, leaves it behind as libFuzzer does.
fn check(name: &str, run: fn(&[u8]), bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
        let folder = folder("artifacts").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("found"), bytes).unwrap();
        panic!("{name} panics: the input is fuzz/artifacts/{name}/found");
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = entries(&folder("corpus").join(name));
    files.sort();
    assert!(!files.is_empty(), "{name} has a corpus");
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_target_and_no_corpus_is_left_out() {
    let stems = |name: &str| -> BTreeSet<String> {
        let names = entries(&folder(name));
        names.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let tested: BTreeSet<String> = NAMES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), tested);
    assert_eq!(stems("corpus"), tested);
}
