//! What becomes of finished recordings: `[recording.keep]`, `[recording.upload]`, `[recording.webhook]`

use std::path::PathBuf;
use std::time::Duration;

use recorder::Retention;
use recorder_shelf::{Encryption, Secret, ShelfConfig, Upload, Webhook};

use super::reader::Section;

/// What `[recording.keep]` means, for the documentation.
const KEEP: &str = "How long finished recordings stay, and for whose eyes. What still waits for its upload always stays.";

/// What `[recording.upload]` means, for the documentation.
const UPLOAD: &str = "\
S3-compatible storage that finished recordings are copied to, tried again until it has confirmed each file, also after a
restart. Without `bucket` nothing is copied.";

/// What `[recording.webhook]` means, for the documentation.
const WEBHOOK: &str = "\
Who is told of each recording by HTTP POST: when it begins, is paused, goes on, ends, is encrypted, uploaded, given up
or deleted.";

/// What becomes of finished recordings in `folder`.
pub(super) fn shelf(section: &mut Section<'_, '_>, folder: PathBuf) -> ShelfConfig {
    let (retention, encryption) = section.section("recording.keep", KEEP, keep);
    let upload = section.section("recording.upload", UPLOAD, upload);
    let webhooks = section.section("recording.webhook", WEBHOOK, webhooks);
    ShelfConfig { retention, encryption, upload, webhooks, ..ShelfConfig::new(folder) }
}

fn keep(section: &mut Section<'_, '_>) -> (Retention, Option<Encryption>) {
    let hour = Duration::from_secs(3600);
    let retention = Retention {
        age_max: section.duration_or_off(
            "at_most_for",
            hour..=24 * 366 * 100 * hour,
            "A finished recording that is older is deleted.",
        ),
        bytes_max: section.size_or_off(
            "at_most",
            1 << 20..=1 << 60,
            "Where all finished recordings take more, the oldest are deleted.",
        ),
    };
    let recipients = section.parsed_list(
        "encrypted_for",
        "public keys of age, for example [\"age1...\"]",
        "Who can read finished recordings: they are encrypted for these keys (age, X25519), and \
         the server itself cannot read them any more. [] for no encryption.",
        |key| taken(key, Encryption::takes, "no public key of age"),
    );
    (retention, (!recipients.is_empty()).then_some(Encryption { recipients }))
}

fn upload(section: &mut Section<'_, '_>) -> Option<Upload> {
    let bucket = section.parsed_or_off("bucket", "a name", "The bucket, which exists.", text);
    let endpoint = section.parsed_or_off(
        "endpoint",
        "a URL",
        "The storage's URL; `off`: that of AWS for the region. Plain HTTP only to this machine.",
        |url| taken(url, Upload::takes, "no URL, or plain HTTP to another machine"),
    );
    let region = section.parsed_or(
        "region",
        "us-east-1",
        "a name",
        "The region that requests are signed for.",
        text,
    );
    let any = |text: &str| Ok(text.to_owned());
    let prefix =
        section.parsed_or("prefix", "", "a text", "What is put before the names of files.", any);
    let access_key = section.parsed_or_off(
        "access_key",
        "a key",
        "The access key; `off`: that of the environment (`AWS_ACCESS_KEY_ID`) or the machine.",
        text,
    );
    let secret_key = section.parsed_or_off(
        "secret_key",
        "a secret",
        "The secret that belongs to it; `off`: that of the environment (`AWS_SECRET_ACCESS_KEY`).",
        text,
    );
    let keep =
        section.flag("keep", true, "Whether recordings stay here after their upload is confirmed.");
    Some(Upload {
        bucket: bucket?,
        endpoint,
        region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        prefix: prefix.unwrap_or_default(),
        access_key,
        secret_key: secret_key.map(Secret::new),
        keep,
    })
}

fn webhooks(section: &mut Section<'_, '_>) -> Vec<Webhook> {
    let urls = section.parsed_list(
        "urls",
        "URLs, for example [\"https://example.org/recordings\"]",
        "Where to; [] for nobody.",
        |url| taken(url, Webhook::takes, "no URL of HTTP"),
    );
    let secret = section.parsed_or_off(
        "secret",
        "a text",
        "What messages are signed with (HMAC-SHA256).",
        text,
    );
    let secret = secret.map(Secret::new);
    urls.into_iter().map(|url| Webhook { url, secret: secret.clone() }).collect()
}

fn taken(text: &str, takes: fn(&str) -> bool, else_is: &str) -> Result<String, String> {
    if takes(text) { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is {else_is}")) }
}

fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.to_owned()) }
}
