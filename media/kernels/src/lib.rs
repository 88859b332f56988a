//! media-kernels: not written yet.
