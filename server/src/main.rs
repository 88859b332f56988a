//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mixminus::config::Config;

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
    /// Reads a configuration and names everything wrong in it, with file, line, key and value
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Prints the `OpenAPI` document of the HTTP API
    Openapi,
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
        Command::Check { file } => read(&file).map(|_| println!("{}: fine", file.display())),
        Command::Openapi => {
            println!("{}", mixminus::openapi());
            Ok(())
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
