//! mixer: not written yet.
