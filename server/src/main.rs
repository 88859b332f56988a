//! The command line.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mixminus::config::Config;
use recorder_writer::Finding;

/// A SIP media server and conference mixer. Without a command it runs on embedded defaults: SIP on
/// port 5060 (UDP and TCP), media on UDP ports 16384-32767, the API on 127.0.0.1:8080.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server until SIGTERM or SIGINT; a second signal ends it at once
    Run(Run),
    /// Reads a configuration and names every key that is wrong in it, with file, line and value
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Prints the `OpenAPI` document of the HTTP API
    Openapi,
    /// Runs a shard again from a file of its flight recorder, and tells what each participant heard and
    /// why not (docs/flight-recorder.md); exits with 1 where it did not do the same again
    Replay {
        /// The file
        file: PathBuf,
    },
    /// Looks after recordings on the disk, while no server records there
    Recording {
        #[command(subcommand)]
        command: Recording,
    },
}

#[derive(Subcommand)]
enum Recording {
    /// Compares every recording in a folder with its metadata (lengths, checksums, alignment) and
    /// reads its files to the end; says what is wrong, and exits with 1 where anything is
    Verify {
        /// The folder of recordings (`recording.folder` of the configuration)
        path: PathBuf,
    },
    /// Makes every recording in a folder whole that a crash has cut, as a server does when it
    /// starts; says which, and exits with 1 where one could not be repaired
    Repair {
        /// The folder of recordings (`recording.folder` of the configuration)
        path: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// The configuration (TOML, see docs/configuration.md); without it the embedded defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match line.command.unwrap_or(Command::Run(line.run)) {
        Command::Run(run) => start(run.config.as_deref()),
        Command::Check { file } => {
            read(&file).and_then(|_| print(&format!("{}: fine\n", file.display())))
        }
        Command::Openapi => print(&(mixminus::openapi() + "\n")),
        Command::Replay { file } => mixminus::replay(&file).and_then(|told| print(&told)),
        Command::Recording { command: Recording::Verify { path } } => {
            tell(recorder_writer::verify(&path), "is fine", "nothing is recorded there")
        }
        Command::Recording { command: Recording::Repair { path } } => {
            tell(recorder_writer::repair(&path), "is repaired", "there is nothing to repair")
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output. Who reads no further has read enough.
fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("error: standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// One line for each recording.
fn tell(
    findings: Result<Vec<Finding>, recorder_writer::Failure>,
    fine: &str,
    nothing: &str,
) -> Result<(), String> {
    let findings = findings.map_err(|failure| format!("error: {failure}"))?;
    let mut faults = Vec::new();
    for Finding { name, faults: found, is_encrypted } in &findings {
        if found.is_empty() && *is_encrypted {
            print(&format!(
                "{name} is encrypted: all of it is there, and only who has the key can check its sound\n"
            ))?;
        } else if found.is_empty() {
            print(&format!("{name} {fine}\n"))?;
        }
        faults.extend(found.iter().map(|fault| format!("error: {name}: {fault}")));
    }
    if findings.is_empty() {
        print(&format!("{nothing}\n"))?;
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

fn start(file: Option<&Path>) -> Result<(), String> {
    let config = match file {
        Some(file) => read(file)?,
        None => Config::default(),
    };
    mixminus::run(&config).map_err(|failure| format!("error: {failure}"))
}

fn read(file: &Path) -> Result<Config, String> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("error: {name}: cannot be read: {error}"))?;
    Config::parse(&name, &text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|one| format!("error: {one}")).collect();
        lines.join("\n")
    })
}
