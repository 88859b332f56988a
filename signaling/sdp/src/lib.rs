//! signaling-sdp: not written yet.
