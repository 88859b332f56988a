//! The executable `mixminus`: configuration, HTTP API, metrics, and the wiring of the SIP front
//! end, the shards and the recorder.
//!
//! Everything beside the shards runs on one thread, the one that calls [`run`]; the recorder
//! writes on a thread of its own. RFC numbers are with the crates that implement them.

pub mod config;

mod api;
mod control;
mod exposition;
mod failure;
mod files;
mod flight;
mod log;
mod metrics;
mod placement;
mod recording;
mod start;
mod survey;
mod system;
mod welcome;
mod world;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use config::Config;
pub use failure::Failure;
pub use flight::replay_file as replay;
use start::Server;

/// Runs a server until SIGTERM or SIGINT, and ends its calls then. An error is why it could not
/// start, or go on.
pub fn run(config: &Config) -> Result<(), Failure> {
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::System)?;
    runtime.block_on(async {
        let server = Server::start(config)?;
        // A closed standard output is no reason not to serve.
        let _ = io::stdout().write_all(server.welcome.as_bytes());
        // On the heap: it holds the whole control task.
        Box::pin(server.run()).await
    })
}

/// The `OpenAPI` document of the HTTP API, as JSON.
pub fn openapi() -> String {
    api::document().to_pretty_json().expect("a document of strings is JSON")
}

/// Compares a page of docs/ with what the code says it must be.
#[cfg(test)]
fn documented(page: &str, expected: &str) {
    let file = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("MIXMINUS_WRITE_DOCS").is_some() {
        std::fs::write(&file, expected).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let advice = "run the tests with MIXMINUS_WRITE_DOCS=1 and commit it";
    assert!(written == expected, "docs/{page} is not what the code says: {advice}");
}
