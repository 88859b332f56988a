//! `loadtest`: many callers at once for any SIP server with rooms, and what they get to hear.
//!
//! The phones are the simulator's (`sim::phone`, `sim::caller`), on real sockets and in real
//! time. One thread does everything.

mod calls;
mod clock;
mod hearing;
mod histogram;
mod load;
mod media;
mod media_wire;
mod options;
mod play;
mod process;
mod report;
mod search;
mod seats;
mod setups;
mod sip_wire;
mod soak;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use options::Options;
use report::Report;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;
use soak::Soak;

/// Dials many calls into the rooms of a SIP server, and measures what its callers get.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Option<Options>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Soak(Soak),
}

/// Why nothing could be measured.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense.
    Options(String),
    /// The machine refused something.
    Io(&'static str, io::Error),
}

impl Failure {
    fn of_socket(error: io::Error) -> Self {
        Self::Io("cannot open a socket", error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(why) => f.write_str(why),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

/// 0: the bar was met. 1: it was missed. 2: nothing could be measured.
fn main() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match (line.command, line.load) {
        (Some(Command::Soak(options)), _) => soak(&options),
        (None, Some(options)) => measure(&options).map(|report| report.is_met()),
        (None, None) => Err(Failure::Options("--server is needed".to_owned())),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("loadtest: {failure}");
            ExitCode::from(2)
        }
    }
}

fn measure(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    prepare(options)?;
    let report = if options.no_media {
        setups::run(options)?
    } else if options.search {
        let best = search::run(options, |report| println!("{report}"))?;
        println!("largest size that meets the bar: {}", if best.is_met() { best.calls } else { 0 });
        best
    } else {
        load::run(options, options.calls)?
    };
    if !options.search {
        print!("{report}");
    }
    write(options, &report)?;
    Ok(report)
}

/// Looks that the report can be written before a long run, and takes its core.
fn prepare(options: &Options) -> Result<(), Failure> {
    if let Some(path) = &options.json {
        try_writing(path).map_err(|error| Failure::Io("cannot write the report", error))?;
    }
    options.core.map_or(Ok(()), pin)
}

fn try_writing(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_file() || there.is_dir() => {
            File::options().append(true).open(path).map(drop)
        }
        // A pipe or a terminal: opened and closed, a reader would take it for the end.
        Ok(_) => Ok(()),
        // A run that is refused leaves no report, and a link that leads to none as it was.
        Err(_) => File::create(path).and_then(|_| std::fs::remove_file(path.canonicalize()?)),
    }
}

/// Whether nothing leaked.
fn soak(options: &Soak) -> Result<bool, Failure> {
    options.check()?;
    prepare(&options.load)?;
    let report = soak::run(options)?;
    print!("{report}");
    write(&options.load, &report)?;
    Ok(report.is_met())
}

fn write(options: &Options, report: &impl Serialize) -> Result<(), Failure> {
    let Some(path) = &options.json else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).map_err(io::Error::from);
    text.and_then(|text| std::fs::write(path, text + "\n"))
        .map_err(|error| Failure::Io("cannot write the report", error))
}

fn pin(core: usize) -> Result<(), Failure> {
    if core >= CpuSet::MAX_CPU {
        return Err(Failure::Options(format!("--core {core}: there is no such core")));
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
        .map_err(|error| Failure::Io("cannot run on that core", error.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn to_try_a_report_leaves_everything_as_it_was() {
        let folder = std::env::temp_dir().join(format!("report-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let [new, old, link, target] = ["new", "old", "link", "target"].map(|it| folder.join(it));
        std::fs::write(&old, "of before").unwrap();
        symlink(&target, &link).unwrap();
        for path in [&new, &old, &link] {
            try_writing(path).unwrap();
        }
        assert!(!new.exists() && !target.exists() && link.is_symlink());
        assert_eq!(std::fs::read(&old).unwrap(), b"of before");
        assert!(try_writing(&folder).is_err(), "a folder");
        assert!(try_writing(&folder.join("nowhere/new")).is_err());
        // Neither end of this pipe is open: to open it would wait for a reader.
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success() && try_writing(&pipe).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
