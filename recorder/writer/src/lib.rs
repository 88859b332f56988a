//! recorder-writer: not written yet.
