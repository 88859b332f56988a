//! Encryption at rest, with age (X25519 recipients). A file is encrypted when it is complete: while
//! a recording goes on, its files are plain. The plain file goes once the encrypted one is on the disk.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::Path;

use age::x25519::Recipient;

use crate::config::{Encryption, Failure};
use crate::document::{Document, ENCRYPTED, within};
use crate::mark::{gone, sync_folder_of};

/// Encrypts to the recipients of the configuration.
pub(crate) struct Encrypter {
    recipients: Vec<Recipient>,
}

impl Encrypter {
    pub(crate) fn new(encryption: &Encryption) -> Result<Self, Failure> {
        if encryption.recipients.is_empty() {
            return Err(Failure::Recipient(0));
        }
        let recipients = encryption.recipients.iter().enumerate();
        let recipients = recipients
            .map(|(index, key)| key.parse().map_err(|_| Failure::Recipient(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { recipients })
    }

    /// Encrypts all files of a recording but its metadata. May be repeated.
    pub(crate) fn encrypt(&self, folder: &Path, name: &str) -> io::Result<()> {
        let document = Document::read(folder, name)?;
        for file in document.content().iter().filter(|file| !file.name.ends_with(ENCRYPTED)) {
            let plain = within(folder, &file.name).ok_or(io::ErrorKind::InvalidInput)?;
            let sealed = within(folder, &format!("{}{ENCRYPTED}", file.name));
            self.encrypt_file(&plain, &sealed.ok_or(io::ErrorKind::InvalidInput)?)?;
        }
        Ok(())
    }

    fn encrypt_file(&self, plain: &Path, sealed: &Path) -> io::Result<()> {
        let part = sealed.with_extension("age.part");
        let recipients = self.recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut reader = BufReader::with_capacity(1 << 16, File::open(plain)?);
        let mut writer = encryptor.wrap_output(BufWriter::new(File::create(&part)?))?;
        io::copy(&mut reader, &mut writer)?;
        let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&part, sealed)?;
        sync_folder_of(sealed)?;
        gone(fs::remove_file(plain))?;
        sync_folder_of(plain)
    }
}
