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

use std::fmt;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use options::Options;
use report::Report;
use rustix::thread::{CpuSet, sched_setaffinity};

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
    let options = Options::parse();
    match measure(&options) {
        Ok(report) if report.is_met() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("loadtest: {failure}");
            ExitCode::from(2)
        }
    }
}

fn measure(options: &Options) -> Result<Report, Failure> {
    options.check()?;
    if let Some(core) = options.core {
        pin(core)?;
    }
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
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report).map_err(io::Error::from);
        text.and_then(|text| std::fs::write(path, text + "\n"))
            .map_err(|error| Failure::Io("cannot write the report", error))?;
    }
    Ok(report)
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
