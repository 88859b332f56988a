//! Any recording metadata: a value that is written and read back as the same, and that can be
//! taken as an update of itself, or a refusal that can be said in a header.

use signaling_siprec::{read, write};

/// Runs one input.
pub fn run(document: &[u8]) {
    match read(document) {
        Ok(metadata) => {
            let mut known = metadata.clone();
            known.update(metadata.clone()).expect("within bounds already");
            for stream in &metadata.streams {
                let senders = metadata.senders(&stream.label).count();
                assert_eq!(metadata.sender(&stream.label).is_some(), senders == 1);
            }
            // Escapes make a document longer, and control characters are not written.
            let written = write(&metadata);
            if let Ok(again) = read(written.as_bytes()) {
                assert_eq!(write(&again), written);
            }
        }
        Err(refusal) => {
            assert!((400..500).contains(&refusal.status()));
            assert!(refusal.text().is_ascii() && !refusal.text().contains(['"', '\\']));
        }
    }
}
