//! What the shelf tells: numbers, and what happened.

use recorder::Expiry;

/// Numbers since the shelf was opened, and of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Finished recordings that are here.
    pub recordings: u64,
    /// What they take.
    pub bytes: u64,
    /// Of them, those that are still to be encrypted or uploaded.
    pub waiting: u64,
    /// Encrypted.
    pub encrypted: u64,
    /// Uploaded and confirmed.
    pub uploaded: u64,
    /// Attempts to encrypt or upload that failed.
    pub failures: u64,
    /// Given up by the rule of retention.
    pub expired: u64,
    /// Deleted because somebody asked.
    pub deleted: u64,
    /// Messages to webhooks that were taken.
    pub announced: u64,
    /// Messages to webhooks that were given up: the queue was full, or nobody took them in time.
    pub unannounced: u64,
    /// Events that nobody asked for in time.
    pub events_lost: u64,
}

/// What happened to a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its files are encrypted, and the plain ones are gone.
    Encrypted {
        /// Whose.
        name: String,
    },
    /// Its upload is confirmed.
    Uploaded {
        /// Whose.
        name: String,
    },
    /// Encrypting or uploading it failed; it will be tried again.
    Failed {
        /// Whose.
        name: String,
        /// How often in a row.
        failures: u32,
    },
    /// It was given up.
    Expired {
        /// Which.
        name: String,
        /// Why.
        cause: Expiry,
    },
    /// It was deleted because somebody asked.
    Deleted {
        /// Which.
        name: String,
    },
}
