//! Webhooks: each state of each recording as an HTTP POST of a JSON document.
//!
//! Messages to one URL go one after the other, in order. One that is not taken (any answer but
//! 2xx) is sent again with growing pauses, and given up after [`ATTEMPTS_MAX`]. What waits is bounded
//! and on the disk ([`Outbox`]); what has no room, or is given up, is counted. With a secret the header
//! `X-Mixminus-Signature` is `sha256=` and the HMAC-SHA256 of the body in hexadecimal digits.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use reqwest::{Client, Url, redirect};
use sha2::Sha256;
use tokio::sync::mpsc;

use crate::config::{Failure, Retry, Webhook};
use crate::outbox::{Message, Outbox};
use crate::shelf::Inside;

/// How often a message is sent before it is given up.
const ATTEMPTS_MAX: u32 = 10;
/// How long the other side may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const SIGNATURE: &str = "X-Mixminus-Signature";

/// One URL.
pub(crate) struct Hook {
    client: Client,
    url: Url,
    secret: Option<String>,
    retry: Retry,
}

impl Hook {
    /// None, where the URL is none of HTTP.
    pub(crate) fn new(webhook: &Webhook, retry: Retry, client: &Client) -> Option<Self> {
        let url: Url = webhook.url.parse().ok().filter(|_| Webhook::takes(&webhook.url))?;
        let secret = webhook.secret.as_ref().map(|secret| secret.reveal().to_owned());
        Some(Self { client: client.clone(), url, secret, retry })
    }

    /// Its queue, with what an earlier run has left in it.
    pub(crate) fn outbox(&self, recordings: &Path) -> (Outbox, mpsc::Receiver<Message>) {
        Outbox::open(recordings, self.url.as_str())
    }

    /// What tells its queue from those of others.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Sends messages until no more can come.
    pub(crate) async fn run(self, mut messages: mpsc::Receiver<Message>, inside: Arc<Inside>) {
        while let Some(message) = messages.recv().await {
            let taken = self.send(&message.body).await;
            message.remove();
            inside.count(|status| {
                if taken {
                    status.announced += 1;
                } else {
                    status.unannounced += 1;
                }
            });
        }
    }

    async fn send(&self, body: &[u8]) -> bool {
        for attempt in 1..=ATTEMPTS_MAX {
            let mut request = self
                .client
                .post(self.url.clone())
                .header("Content-Type", "application/json")
                .body(body.to_vec());
            if let Some(secret) = &self.secret {
                request = request.header(SIGNATURE, signature(secret.as_bytes(), body));
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) => {
                    let status = answer.status().as_u16();
                    tracing::debug!(attempt, status, "a webhook was not taken");
                }
                Err(error) => {
                    let error = error.without_url();
                    tracing::debug!(attempt, %error, "a webhook was not sent");
                }
            }
            if attempt < ATTEMPTS_MAX {
                tokio::time::sleep(self.retry.after(attempt)).await;
            }
        }
        tracing::warn!(host = self.url.host_str(), "a message to a webhook was given up");
        false
    }
}

/// What sends messages. It follows nobody elsewhere.
pub(crate) fn client() -> Result<Client, Failure> {
    let client = Client::builder().timeout(ANSWER_TIMEOUT).redirect(redirect::Policy::none());
    client.build().map_err(|_| Failure::System)
}

/// The signature of a body.
fn signature(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of HMAC has any length");
    mac.update(body);
    let mut signature = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_rfc_4231() {
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), expected);
    }
}
