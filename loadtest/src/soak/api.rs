//! The server's HTTP API, as far as a soak needs it.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

/// What one request is waited for: if its answer were lost, so would be the name of what it made.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The API of one server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    base: String,
    agent: Agent,
}

/// A status and a body; status 0 where there was no answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: String,
}

impl Api {
    /// The API at this address, such as `http://127.0.0.1:8080`.
    pub(crate) fn new(base: &str) -> Self {
        // A connection for each request: one that is kept open would count among the descriptors.
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_idle_connections(0)
            .build();
        Self { base: base.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        Answer::of(self.agent.get(self.url(path)).call())
    }

    /// Sends JSON; nothing where the text is empty.
    pub(crate) fn post(&self, path: &str, json: &str) -> Answer {
        let request = self.agent.post(self.url(path));
        Answer::of(match json {
            "" => request.send_empty(),
            json => request.content_type("application/json").send(json),
        })
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        Answer::of(self.agent.delete(self.url(path)).call())
    }

    /// Samples of `/metrics`, those of one name with other labels added up.
    pub(crate) fn metrics(&self) -> Option<Vec<(String, f64)>> {
        let answer = self.get("/metrics");
        (answer.status == 200).then(|| samples(&answer.body))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Answer {
    fn of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let read = answer.and_then(|mut answer| {
            let body = answer.body_mut().read_to_string()?;
            Ok(Self { status: answer.status().as_u16(), body })
        });
        read.unwrap_or(Self { status: 0, body: String::new() })
    }

    /// The body, where it is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn samples(text: &str) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let (name, _) = name.split_once('{').unwrap_or((name, ""));
        let Ok(value) = value.parse::<f64>() else { continue };
        match found.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += value,
            None => found.push((name.to_owned(), value)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_added_up() {
        let text = "# HELP a b\na{shard=\"0\"} 1\na{shard=\"1\"} 2.5\nb 4\n";
        assert_eq!(samples(text), [("a".to_owned(), 3.5), ("b".to_owned(), 4.0)]);
    }

    #[test]
    fn who_does_not_answer_gives_no_status() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(Api::new(&format!("http://{closed}")).get("/health").status, 0);
    }
}
