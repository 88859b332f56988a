//! signaling-transport: not written yet.
