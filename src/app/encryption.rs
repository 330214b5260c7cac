//! Backups that only the holder of a key can read: files of the format age-encryption.org/v1.
//!
//! What does not live here: the content of a backup (`app/backups.rs`), and reading recipients
//! (`config/backup.rs`).
//!
//! What always holds: a file is written and read as a stream, a piece of 64 KiB at a time, each of
//! which is authenticated before anything of it is used; a file that was cut or altered is an
//! error, never shorter data. Whether a file is encrypted is seen at its beginning; a key for a
//! plain file, or no key for an encrypted file, is refused. A file does not show who made it: any
//! program that knows a recipient can encrypt to it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use age::secrecy::SecretString;
use age::stream::{StreamReader, StreamWriter};
use age::{DecryptError, Decryptor, Encryptor, IdentityFile, scrypt};

use crate::config::Recipient;

/// How an encrypted file begins.
const HEAD: &[u8] = b"age-encryption.org/v1\n";
/// The longest file with a passphrase, or with identities, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key is not usable, or not the right one.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "it is encrypted: name the key with --identity FILE, or its passphrase with --passphrase-file FILE"
    )]
    Needed,
    #[error("it is encrypted with a passphrase: name it with --passphrase-file FILE")]
    PassphraseNeeded,
    #[error("it is encrypted to a key: name that key with --identity FILE")]
    IdentityNeeded,
    #[error("it is not encrypted: leave out --identity and --passphrase-file, if it is the file you mean")]
    NotNeeded,
    #[error("it is encrypted, and not with this key")]
    Wrong,
    #[error("it is encrypted, and it is damaged, or of a version that this one does not know")]
    Damaged,
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    #[error("{0} has no key in it: a line begins with AGE-SECRET-KEY-1")]
    NoIdentity(String),
    #[error("{0} has no passphrase in it")]
    NoPassphrase(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// For whom a backup is written.
#[derive(Clone, Default)]
pub enum Sealing {
    /// In the clear: for every reader of the file.
    #[default]
    Open,
    /// For each of these. Never empty.
    Recipients(Vec<Recipient>),
    Passphrase(SecretString),
}

impl Sealing {
    /// For these recipients; in the clear where there are none.
    pub fn to(recipients: Vec<Recipient>) -> Self {
        if recipients.is_empty() { Self::Open } else { Self::Recipients(recipients) }
    }

    /// With the passphrase in this file.
    pub fn with_passphrase_in(file: &Path) -> Result<Self, KeyError> {
        passphrase(file).map(Self::Passphrase)
    }

    /// A writer `into` a file.
    pub fn begin<W: Write>(&self, into: W) -> io::Result<Sealed<W>> {
        let encryptor = match self {
            Self::Open => return Ok(Sealed::Open(BufWriter::new(into))),
            Self::Recipients(recipients) => {
                let recipients = recipients.iter().map(|it| it as &dyn age::Recipient);
                Encryptor::with_recipients(recipients).map_err(io::Error::other)?
            }
            Self::Passphrase(passphrase) => Encryptor::with_user_passphrase(passphrase.clone()),
        };
        Ok(Sealed::Encrypted(encryptor.wrap_output(BufWriter::new(into))?))
    }
}

/// A file that is being written. It is whole after [`Self::finish`].
pub enum Sealed<W: Write> {
    Open(BufWriter<W>),
    Encrypted(StreamWriter<BufWriter<W>>),
}

impl<W: Write> Sealed<W> {
    /// Writes the end.
    pub fn finish(self) -> io::Result<()> {
        let mut inner = match self {
            Self::Open(inner) => inner,
            Self::Encrypted(stream) => stream.finish()?,
        };
        inner.flush()
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(inner) => inner.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(inner) => inner.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// The key that opens an encrypted file.
pub enum Key {
    None,
    Identities(Vec<Box<dyn age::Identity + Send + Sync>>),
    Passphrase(SecretString),
}

impl Key {
    /// The identities in a file as `age-keygen` writes it.
    pub fn in_identity_file(file: &Path) -> Result<Self, KeyError> {
        let name = || file.display().to_string();
        let text = content(file)?;
        let none = |_| KeyError::NoIdentity(name());
        let read = IdentityFile::from_buffer(text.as_bytes()).map_err(none)?;
        let identities = read.into_identities().map_err(|_| KeyError::NoIdentity(name()))?;
        if identities.is_empty() {
            Err(KeyError::NoIdentity(name()))
        } else {
            Ok(Self::Identities(identities))
        }
    }

    /// The passphrase in a file.
    pub fn in_passphrase_file(file: &Path) -> Result<Self, KeyError> {
        passphrase(file).map(Self::Passphrase)
    }

    /// Opens `file`, encrypted or not.
    pub fn open(&self, file: &Path) -> Result<Opened, KeyError> {
        let is_encrypted = begins_encrypted(file)?;
        let from = BufReader::new(File::open(file)?);
        if !is_encrypted {
            return if matches!(self, Self::None) {
                Ok(Opened::Plain(from))
            } else {
                Err(KeyError::NotNeeded)
            };
        }
        let decryptor = Decryptor::new_buffered(from).map_err(in_our_words)?;
        let opened = match (self, decryptor.is_scrypt()) {
            (Self::None, _) => return Err(KeyError::Needed),
            (Self::Identities(_), true) => return Err(KeyError::PassphraseNeeded),
            (Self::Passphrase(_), false) => return Err(KeyError::IdentityNeeded),
            (Self::Identities(identities), false) => {
                decryptor.decrypt(identities.iter().map(|it| it.as_ref() as &dyn age::Identity))
            }
            (Self::Passphrase(passphrase), true) => {
                let identity = scrypt::Identity::new(passphrase.clone());
                decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
            }
        };
        opened.map(|stream| Opened::Encrypted(Box::new(BufReader::new(stream)))).map_err(in_our_words)
    }
}

/// The content of a file that may be encrypted.
pub enum Opened {
    Plain(BufReader<File>),
    Encrypted(Box<BufReader<StreamReader<BufReader<File>>>>),
}

impl Read for Opened {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(from) => from.read(into),
            // The encrypted data has an end of its own, so a file without it was cut.
            Self::Encrypted(stream) => stream.read(into).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(io::ErrorKind::InvalidData, error),
                _ => error,
            }),
        }
    }
}

fn begins_encrypted(file: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(HEAD.len());
    File::open(file)?.take(HEAD.len() as u64).read_to_end(&mut head)?;
    Ok(head == HEAD)
}

fn in_our_words(error: DecryptError) -> KeyError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            KeyError::Wrong
        }
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        _ => KeyError::Damaged,
    }
}

fn content(file: &Path) -> Result<String, KeyError> {
    let unreadable = |error| KeyError::Unreadable(file.display().to_string(), error);
    let mut text = String::new();
    let from = File::open(file).map_err(unreadable)?;
    from.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// The first line, as editors and `echo` end it.
fn passphrase(file: &Path) -> Result<SecretString, KeyError> {
    let mut text = content(file)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() || text.contains('\n') {
        return Err(KeyError::NoPassphrase(file.display().to_string()));
    }
    Ok(SecretString::from(text))
}
