//! Any octets as what a crash has left of a recording: a commit of the journal, one whose checksum
//! is right, an account, metadata, and each container. What comes out names no file outside of
//! the folder, and claims no more than there is.

use std::io::Cursor;

use recorder::journal::{ALIGNMENT, HEADER_BYTES, Header, Operation, is_harmless};
use recorder::{Account, Format, Metadata};

/// Runs one input.
pub fn run(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk()
        && let Ok(header) = Header::read(header)
    {
        check(&header, &bytes[HEADER_BYTES..]);
    }
    let sealed = sealed(bytes);
    let header = sealed.first_chunk().map(Header::read);
    let Some(Ok(header)) = header else { panic!("a header with a right checksum is one") };
    check(&header, bytes);
    for length in [0, 100, u64::MAX] {
        if let Some(account) = Account::read(bytes, |_| length) {
            assert!(account.kept.iter().zip(&account.files).all(|(kept, _)| kept.bytes <= length));
            let _ = Metadata::of(&account, &[]).to_json();
        }
    }
    let _ = Metadata::from_json(bytes);
    for format in Format::ALL {
        if let Ok(found) = recorder::whole(format, &mut Cursor::new(bytes)) {
            assert!(found.bytes <= bytes.len() as u64);
        }
    }
}

fn check(header: &Header, body: &[u8]) {
    assert_eq!(header.commit_bytes() % ALIGNMENT, 0);
    let Ok(operations) = header.operations(body) else { return };
    for operation in operations {
        match operation {
            Operation::Name { name, .. } => assert!(is_harmless(name)),
            Operation::Write { offset, bytes, .. } => {
                assert!(offset.checked_add(bytes.len() as u64).is_some());
            }
            Operation::Finish { .. } | Operation::Remove { .. } | Operation::Void { .. } => {}
        }
    }
}

/// The octets as the operations of a commit.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut header = b"mmjrnl01".to_vec();
    header.extend(1_u64.to_le_bytes());
    header.extend((body.len() as u32).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header);
    hasher.update(body);
    header.extend(hasher.finalize().to_le_bytes());
    header.resize(HEADER_BYTES, 0);
    header
}
