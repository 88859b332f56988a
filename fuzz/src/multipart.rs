//! Any body of several parts, behind its boundary and a line break: parts within bounds, or a
//! refusal that can be said in a header.

use bytes::Bytes;
use signaling_siprec::multipart::{PARTS_MAX, parts};

/// Runs one input.
pub fn run(input: &[u8]) {
    let at = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (boundary, body) = input.split_at(at);
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    match parts(&body, boundary) {
        Ok(parts) => {
            assert!(!parts.is_empty() && parts.len() <= PARTS_MAX);
            assert!(parts.iter().map(|part| part.content.len()).sum::<usize>() <= body.len());
        }
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status()));
            assert!(refusal.text().is_ascii() && !refusal.text().contains(['"', '\\']));
        }
    }
}
