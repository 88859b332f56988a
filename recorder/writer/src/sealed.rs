//! A recording's file that was encrypted at rest (age, version 1): without the private key, which
//! is not here, it cannot be compared with its metadata. How long it must be can be told.

use std::io;

use crate::storage::{Reading, Storage};

/// How the names of encrypted files end.
pub(crate) const ENCRYPTED: &str = ".age";

/// What an encrypted file begins with.
const VERSION: &[u8] = b"age-encryption.org/v1\n";

/// The header has a line or two for each who can read it: this is room for hundreds.
const HEADER_BYTES_MAX: u64 = 1 << 16;

/// The sound is sealed in pieces of so many octets, each with a seal.
const PIECE_BYTES: u64 = 1 << 16;
const SEAL_BYTES: u64 = 16;
const NONCE_BYTES: u64 = 16;

/// Whether this is an encrypted file of so many octets, as far as its length tells.
pub(crate) fn holds<S: Storage>(storage: &S, file: &S::File, plain: u64) -> io::Result<bool> {
    let bytes = storage.length(file)?;
    let mut start = Vec::new();
    let read_to = bytes.min(HEADER_BYTES_MAX);
    io::Read::read_to_end(&mut Reading::new(storage, file, read_to), &mut start)?;
    let pieces = plain.div_ceil(PIECE_BYTES).max(1);
    let sealed = NONCE_BYTES + plain + pieces * SEAL_BYTES;
    Ok(header_bytes(&start).is_some_and(|header| header + sealed == bytes))
}

/// How long the header is: its last line begins with three dashes.
fn header_bytes(start: &[u8]) -> Option<u64> {
    start.starts_with(VERSION).then_some(())?;
    let last = start.windows(5).position(|five| five == b"\n--- ")? + 1;
    let length = start.get(last..)?.iter().position(|&byte| byte == b'\n')? + 1;
    Some((last + length) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::write_one;
    use crate::testing::Memory;

    fn held(bytes: &[u8], plain: u64) -> bool {
        let mut memory = Memory::default();
        let file = memory.create("a.wav.age").unwrap();
        write_one(&mut memory, &file, 0, bytes).unwrap();
        holds(&memory, &file, plain).unwrap()
    }

    /// As age itself writes it.
    fn sealed(plain: usize) -> Vec<u8> {
        let recipient = age::x25519::Identity::generate().to_public();
        let recipients = [&recipient as &dyn age::Recipient];
        let encryptor = age::Encryptor::with_recipients(recipients.into_iter()).unwrap();
        let mut out = Vec::new();
        let mut writer = encryptor.wrap_output(&mut out).unwrap();
        io::Write::write_all(&mut writer, &vec![7; plain]).unwrap();
        writer.finish().unwrap();
        out
    }

    #[test]
    fn an_encrypted_file_is_as_long_as_its_sound_needs() {
        for plain in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let whole = sealed(plain);
            assert!(held(&whole, plain as u64), "{plain}");
            assert!(!held(&whole[..whole.len() - 1], plain as u64), "{plain}, cut");
            assert!(!held(&whole, plain as u64 + 1), "{plain}, another length");
        }
    }

    #[test]
    fn what_is_no_encrypted_file_holds_nothing() {
        for bytes in [&[0; 100][..], &sealed(0)[..30], b"age-encryption.org/v1\n", b""] {
            assert!(!held(bytes, 0));
        }
    }
}
