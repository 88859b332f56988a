//! engine-driver: not written yet.
