//! What becomes of finished recordings: they are listed, fetched, deleted, encrypted, uploaded,
//! announced to webhooks, and given up when they are old or too many.
//!
//! A recording is on the shelf once its metadata file `<name>.json` is there, which the writer
//! makes last. It is worked on once the writer says that the disk holds it: until then the writer's
//! journal may write its files once more after a crash. What was done to it since stands in a small
//! file beside it, `<name>.shelf`; what is still to be done follows from that and the configuration.
//! So the queue *is* the folder: it survives restarts, and a crash between two steps repeats a step
//! that may be repeated.
//!
//! All work is done by one thread with a runtime of its own, so that neither a disk nor a server
//! far away ever makes the control plane wait. No name that comes from outside becomes a path:
//! it is looked up among the names that were found in the folder.

mod catalogue;
mod config;
mod document;
mod encrypt;
mod mark;
mod outbox;
mod shelf;
mod status;
mod upload;
mod webhook;
mod work;

pub use config::{Encryption, Failure, Retry, Secret, ShelfConfig, Upload, Webhook};
pub use document::{Recording, StoredFile};
pub use shelf::{Announcement, Opened, Page, RECORDINGS_PER_PAGE_MAX, Refusal, Shelf};
pub use status::{Event, Status};
