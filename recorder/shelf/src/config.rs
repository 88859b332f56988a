//! What the shelf is asked to do, and why it may be unable to start.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use recorder::Retention;
use reqwest::Url;

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfConfig {
    /// The folder of recordings.
    pub folder: PathBuf,
    /// How long they are kept.
    pub retention: Retention,
    /// Whether finished recordings are encrypted.
    pub encryption: Option<Encryption>,
    /// Where finished recordings are copied to.
    pub upload: Option<Upload>,
    /// Who is told.
    pub webhooks: Vec<Webhook>,
    /// How soon what failed is tried again.
    pub retry: Retry,
}

impl ShelfConfig {
    /// A shelf that does nothing but list, fetch and delete.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            retention: Retention::default(),
            encryption: None,
            upload: None,
            webhooks: Vec::new(),
            retry: Retry::default(),
        }
    }
}

/// Encryption at rest with age: only who has the private key of one of the recipients can hear the
/// recording. The server cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// Public keys, `age1...`; at least one.
    pub recipients: Vec<String>,
}

impl Encryption {
    /// Whether a text is a public key of age.
    pub fn takes(key: &str) -> bool {
        key.parse::<age::x25519::Recipient>().is_ok()
    }
}

/// S3-compatible storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its URL; without it that of AWS for the region. Plain HTTP is refused but to this machine.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket, which exists.
    pub bucket: String,
    /// What is put before the names of files.
    pub prefix: String,
    /// The access key; without it that of the environment (`AWS_ACCESS_KEY_ID`) or the machine.
    pub access_key: Option<String>,
    /// The secret that belongs to it (else `AWS_SECRET_ACCESS_KEY`).
    pub secret_key: Option<Secret>,
    /// Whether a recording stays here after its upload is confirmed.
    pub keep: bool,
}

impl Upload {
    /// Whether a text is the URL of a storage that recordings may be sent to.
    pub fn takes(endpoint: &str) -> bool {
        let url = endpoint.parse::<Url>();
        url.is_ok_and(|url| url.scheme() == "https" || is_plain_to_this_machine(&url))
    }
}

/// Whether a URL is plain HTTP to this machine.
fn is_plain_to_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    url.scheme() == "http"
        && (host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

/// A place that is told of each state of each recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What messages are signed with.
    pub secret: Option<Secret>,
}

/// How long to wait before trying again: twice as long each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// After the first failure.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(300) }
    }
}

impl Retry {
    /// After so many failures in a row.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let factor = 1 << failures.saturating_sub(1).min(30);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// What no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides it.
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Webhook {
    /// Whether a text is a URL of HTTP.
    pub fn takes(url: &str) -> bool {
        url.parse::<Url>().is_ok_and(|url| ["http", "https"].contains(&url.scheme()))
    }
}

/// Why there is no shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// There is none, or the one at this place is not a public key of age.
    Recipient(usize),
    /// The storage's URL is none, or would send recordings in the clear over a network.
    Endpoint,
    /// The storage's settings do not make sense.
    Storage,
    /// The URL at this place is none.
    Webhook(usize),
    /// No HTTP client, or no thread.
    System,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipient(index) => write!(f, "recipient {} is no public key of age", index + 1),
            Self::Endpoint => {
                f.write_str("the storage's URL is none, or plain HTTP to another machine")
            }
            Self::Storage => f.write_str("the storage's settings do not make sense"),
            Self::Webhook(index) => write!(f, "webhook {} is not a URL of HTTP", index + 1),
            Self::System => f.write_str("no HTTP client or no thread can be made"),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_the_longest() {
        let retry = Retry { first: Duration::from_secs(1), longest: Duration::from_secs(10) };
        let waits = [1, 2, 3, 4, 5, 100, u32::MAX].map(|failures| retry.after(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "***");
    }

    #[test]
    fn nothing_is_sent_in_the_clear_but_to_this_machine() {
        for url in
            ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:1/x", "https://192.0.2.1"]
        {
            assert!(Upload::takes(url), "{url}");
        }
        for url in [
            "http://192.0.2.1",
            "http://localhost.example.org",
            "http://127.0.0.1@evil.org/",
            "ftp://localhost",
            "https://",
            "",
        ] {
            assert!(!Upload::takes(url), "{url}");
        }
    }
}
