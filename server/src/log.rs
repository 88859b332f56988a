//! The log: structured, on standard error, filtered by the configuration or the environment.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;

/// What wins over the configuration.
const VARIABLE: &str = "MIXMINUS_LOG";

/// Starts to log. Where something in this process logs already (tests), that goes on.
pub(crate) fn start(config: &Log) {
    let configured = EnvFilter::new(&config.level);
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or(configured);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if config.json {
        registry.with(layer().json().with_writer(io::stderr)).try_init()
    } else {
        let colours = io::stderr().is_terminal();
        registry.with(layer().with_ansi(colours).with_writer(io::stderr)).try_init()
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log was started before");
    }
}
