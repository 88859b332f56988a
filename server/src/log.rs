//! The log: structured, on standard error, filtered by the configuration or the environment.

use std::env::var_os;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;
use crate::failure::Failure;

/// What wins over the configuration.
pub(crate) const VARIABLE: &str = "MIXMINUS_LOG";

/// What a filter looks like.
pub(crate) const RIGHT: &str =
    "error, warn, info, debug or trace, or a filter such as \"info,signaling=debug\"";

/// Starts to log. Where something in this process logs already (tests), that goes on.
pub(crate) fn start(config: &Log) -> Result<(), Failure> {
    let registry = tracing_subscriber::registry().with(chosen(var_os(VARIABLE), config)?);
    let started = if config.json {
        registry.with(layer().json().with_writer(io::stderr)).try_init()
    } else {
        let colours = io::stderr().is_terminal();
        registry.with(layer().with_ansi(colours).with_writer(io::stderr)).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started before");
    }
    Ok(())
}

/// What the variable says; where it is unset or empty, what the configuration says.
fn chosen(variable: Option<OsString>, config: &Log) -> Result<EnvFilter, Failure> {
    let Some(value) = variable.filter(|value| !value.is_empty()) else {
        return Ok(EnvFilter::new(&config.level));
    };
    let value = value.to_string_lossy().into_owned();
    filter(&value).map_err(|why| Failure::Log { value, why })
}

/// Reads a filter, or tells what is wrong with it.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    // A word alone would be the name of a module, of which all is logged: a level misspelt. No
    // word at all would be errors only.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let mut words = text.split(',').filter(|part| !part.contains(['=', '[', ']'])).map(str::trim);
    if let Some(word) = words.find(|word| !is_level(word)) {
        return Err(format!("\"{word}\" is no level"));
    }
    EnvFilter::builder().parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(variable: Option<&str>) -> Result<String, String> {
        let config = Log { level: "warn".to_owned(), json: false };
        let chosen = chosen(variable.map(OsString::from), &config);
        chosen.map(|filter| filter.to_string()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_variable_wins_where_it_says_something() {
        assert_eq!(logs(None), Ok("warn".to_owned()));
        assert_eq!(logs(Some("")), Ok("warn".to_owned()), "empty is as unset");
        assert_eq!(logs(Some("debug")), Ok("debug".to_owned()));
        assert_eq!(logs(Some("signaling=debug,info")), Ok("signaling=debug,info".to_owned()));
    }

    #[test]
    fn a_variable_that_would_silence_the_server_is_refused_by_its_name() {
        assert_eq!(
            logs(Some("warning")).unwrap_err(),
            "MIXMINUS_LOG = \"warning\": \"warning\" is no level; write error, warn, info, debug or \
             trace, or a filter such as \"info,signaling=debug\""
        );
        for wrong in ["noisy", " ", "info,", "info,signaling", "signaling=loud"] {
            assert!(logs(Some(wrong)).unwrap_err().starts_with("MIXMINUS_LOG = "), "{wrong}");
        }
    }
}
