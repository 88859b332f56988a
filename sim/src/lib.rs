//! sim: not written yet.
