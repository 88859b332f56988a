//! media: not written yet.
