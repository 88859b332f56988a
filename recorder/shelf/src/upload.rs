//! Copies of finished recordings in S3-compatible storage.
//!
//! A file is uploaded when the storage, asked again, names its length and the same content as it
//! confirmed when it took it. The metadata file goes last: who finds it finds all.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use object_store::{ClientOptions, MultipartUpload, ObjectStoreExt, PutResult, RetryConfig};

use crate::config::{Failure, Upload};
use crate::document::{StoredFile, within};
use crate::mark::Object;

/// Longer files go in parts of this length; the storage wants at least 5 MiB.
const PART_BYTES: u64 = 8 << 20;

/// How long one request may take, beside the time for what it sends.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Octets in a second of a line that is slow, and not dead: what is sent may take as long as on that.
const LINE_BYTES_MIN: u64 = 8 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an upload failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The storage, or the way to it.
    Storage(object_store::Error),
    /// Our own disk.
    Disk(std::io::Error),
    /// The storage did not answer within this time.
    Slow(Duration),
    /// What the storage holds is not what it was given.
    Unconfirmed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(error) => write!(f, "storage: {error}"),
            Self::Disk(error) => write!(f, "disk: {error}"),
            Self::Slow(patience) => write!(f, "storage: no answer within {} s", patience.as_secs()),
            Self::Unconfirmed => f.write_str("the storage holds something else than it was given"),
        }
    }
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The storage.
pub(crate) struct Storage {
    store: AmazonS3,
    prefix: String,
}

impl Storage {
    pub(crate) fn new(upload: &Upload) -> Result<Self, Failure> {
        if upload.endpoint.as_deref().is_some_and(|url| !Upload::takes(url)) {
            return Err(Failure::Endpoint);
        }
        let plain = upload.endpoint.as_deref().is_some_and(|url| !url.starts_with("https://"));
        let options = ClientOptions::new()
            .with_allow_http(plain)
            .with_connect_timeout(CONNECT_TIMEOUT)
            // Of the whole request, however long: [`answered`] has one that grows with it.
            .with_timeout_disabled();
        // The shelf itself tries again, as long as it takes.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(options)
            .with_retry(retry)
            .with_region(&upload.region)
            .with_bucket_name(&upload.bucket);
        if let Some(endpoint) = &upload.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let (Some(key), Some(secret)) = (&upload.access_key, &upload.secret_key) {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret.reveal());
        }
        let store = builder.build().map_err(|_| Failure::Storage)?;
        Ok(Self { store, prefix: upload.prefix.trim_matches('/').to_owned() })
    }

    /// Uploads one file and has it confirmed.
    pub(crate) async fn put(&self, folder: &Path, file: &StoredFile) -> Result<Object, Trouble> {
        let place = ObjectPath::from(format!("{}/{}", self.prefix, file.name));
        let path = within(folder, &file.name).ok_or(std::io::ErrorKind::InvalidInput);
        let mut source = File::open(path.map_err(std::io::Error::from)?)?;
        let result = if file.bytes <= PART_BYTES {
            let part = read_part(&mut source)?;
            answered(patience(part.len()), self.store.put(&place, part.into())).await?
        } else {
            let mut upload = answered(patience(0), self.store.put_multipart(&place)).await?;
            let result = put_parts(upload.as_mut(), &mut source).await;
            if result.is_err() {
                // The storage need not keep half a file; where it cannot be told, it does.
                let _ = answered(patience(0), upload.abort()).await;
            }
            result?
        };
        let held = answered(patience(0), self.store.head(&place)).await?;
        let same = held.e_tag.is_none() || result.e_tag.is_none() || held.e_tag == result.e_tag;
        if held.size != file.bytes || !same {
            return Err(Trouble::Unconfirmed);
        }
        Ok(Object { name: file.name.clone(), bytes: file.bytes, etag: held.e_tag })
    }
}

async fn put_parts(
    upload: &mut dyn MultipartUpload,
    source: &mut File,
) -> Result<PutResult, Trouble> {
    loop {
        let part = read_part(source)?;
        if part.is_empty() {
            return answered(patience(0), upload.complete()).await;
        }
        answered(patience(part.len()), upload.put_part(part.into())).await?;
    }
}

/// How long a request may take that sends so many octets.
const fn patience(bytes: usize) -> Duration {
    REQUEST_TIMEOUT.saturating_add(Duration::from_secs(bytes as u64 / LINE_BYTES_MIN))
}

/// The answer to a request, if it comes in time.
async fn answered<T>(
    patience: Duration,
    request: impl Future<Output = object_store::Result<T>>,
) -> Result<T, Trouble> {
    let answer = tokio::time::timeout(patience, request).await;
    Ok(answer.map_err(|_| Trouble::Slow(patience))??)
}

fn read_part(source: &mut File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::new();
    source.take(PART_BYTES).read_to_end(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_time_for_every_part_and_a_dead_one_is_given_up() {
        assert_eq!(patience(0), REQUEST_TIMEOUT);
        // A part on a line of half a megabit a second that four recordings share.
        let seconds = PART_BYTES / (500_000 / 8 / 4);
        assert!(patience(PART_BYTES as usize) > Duration::from_secs(seconds));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let never = std::future::pending::<object_store::Result<()>>();
        let trouble = runtime.block_on(answered(Duration::ZERO, never)).unwrap_err();
        assert_eq!(trouble.to_string(), "storage: no answer within 0 s");
    }
}
