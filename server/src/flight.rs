//! Files of the flight recorder: when one is written, under which name, and how many there are.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use engine::flight::{FlightFile, FlightFileFault};
use engine_driver::Engine;
use media_kernels::Kernels;
use sim::replay::{Outcome, replay};

use crate::config::Flight;

/// Late ticks come in swarms: one file tells of them.
const LATE_PAUSE: Duration = Duration::from_secs(60);

/// How the files' names end.
const SUFFIX: &str = "flight";

/// Writes what the shards' recorders hold.
pub(crate) struct FlightLog {
    folder: PathBuf,
    files_max: usize,
    /// When a shard's late tick was written last.
    late: HashMap<u8, Instant>,
    written: u64,
}

/// A file that is yet to be written.
pub(crate) struct Unwritten {
    folder: PathBuf,
    name: String,
    files_max: usize,
    file: FlightFile,
}

impl FlightLog {
    pub(crate) fn new(config: &Flight) -> Self {
        Self {
            folder: config.folder.clone(),
            files_max: config.files_max as usize,
            late: HashMap::new(),
            written: 0,
        }
    }

    /// How often one was to be written so far, for the metrics.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// What a shard's recorder holds now; `None` where it has none.
    pub(crate) fn take(&mut self, engine: &Engine, shard: u8, cause: &str) -> Option<Unwritten> {
        let file = engine.flight(shard, cause.to_owned())?;
        self.written += 1;
        let millis = engine.wall().unix_nanos(engine.now()) / 1_000_000;
        // Numbered beside the time: two of one millisecond are two files.
        let name = format!("{millis}-{:04}-shard{shard}.{SUFFIX}", self.written % 10_000);
        let (folder, files_max) = (self.folder.clone(), self.files_max);
        Some(Unwritten { folder, name, files_max, file })
    }

    /// What is to be written for late ticks.
    pub(crate) fn take_late(&mut self, engine: &Engine) -> Vec<Unwritten> {
        let late = |shard| engine.late_tick(shard).map(|late| (shard, late));
        let late: Vec<_> = (0..engine.shards() as u8).filter_map(late).collect();
        let mut taken = Vec::new();
        for (shard, late) in late {
            let is_soon = self.late.get(&shard).is_some_and(|last| last.elapsed() < LATE_PAUSE);
            if !is_soon {
                self.late.insert(shard, Instant::now());
                let cause = format!("a tick that was {} ms late", late.as_millis());
                taken.extend(self.take(engine, shard, &cause));
            }
        }
        taken
    }
}

impl Unwritten {
    /// Writes it, and removes the oldest of those that are too many. Waits for the disk.
    pub(crate) fn write(self) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let path = self.folder.join(&self.name);
        fs::write(&path, self.file.to_bytes())?;
        for old in too_many(&self.folder, self.files_max)? {
            fs::remove_file(old)?;
        }
        Ok(path)
    }

    /// Writes it beside everything else, and hands on what came of it.
    pub(crate) fn write_aside<F>(self, then: F)
    where
        F: FnOnce(io::Result<PathBuf>) + Send + 'static,
    {
        let (give, taken) = mpsc::channel::<(Self, F)>();
        let write = move || {
            if let Ok((flight, then)) = taken.recv() {
                then(flight.write());
            }
        };
        match thread::Builder::new().name("flight".to_owned()).spawn(write) {
            // It waits for just this.
            Ok(_detached) => drop(give.send((self, then))),
            Err(error) => then(Err(error)),
        }
    }
}

/// Says in the log what came of it.
pub(crate) fn log(outcome: &io::Result<PathBuf>) {
    match outcome {
        Ok(path) => tracing::warn!(path = %path.display(), "flight recorder written"),
        Err(error) => tracing::error!(%error, "the flight recorder cannot be written"),
    }
}

/// Those of our files that are too many, which are the oldest: names begin with the time.
fn too_many(folder: &Path, files_max: usize) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    files.truncate(files.len().saturating_sub(files_max));
    Ok(files)
}

/// Runs what is in a file again, and says what came of it; an error where it could not be read, or
/// where the shard did not do the same again.
pub fn replay_file(path: &Path) -> Result<String, String> {
    let trouble = |what: String| format!("error: {}: {what}", path.display());
    let bytes = fs::read(path).map_err(|error| trouble(error.to_string()))?;
    let file = FlightFile::read(&bytes).map_err(|fault| {
        trouble(match fault {
            FlightFileFault::Foreign => "no file of the flight recorder".to_owned(),
            FlightFileFault::Version(version) => {
                format!(
                    "of another version ({version}): run it again with the program that wrote it"
                )
            }
            FlightFileFault::Length(octets, written) => {
                format!(
                    "not whole: {octets} octets behind its first line, and {written} were written"
                )
            }
            FlightFileFault::Checksum => {
                "damaged: what is behind its first line is not what was written".to_owned()
            }
            FlightFileFault::Header(why) => format!("its second line cannot be read: {why}"),
            FlightFileFault::Limit(name, value) => {
                format!("its second line is wrong: no shard ever had {value} for {name}")
            }
        })
    })?;
    let replayed = replay(&file, Kernels::detect());
    match replayed.outcome {
        Outcome::Different { .. } => Err(trouble(replayed.to_string())),
        _ => Ok(replayed.to_string()),
    }
}
