//! recorder: not written yet.
