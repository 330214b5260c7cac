//! The file of a backup: frames of records, with a count and a sum that show that they are whole.
//!
//! The file has a line that names the format; frames, each a put or a delete; the number of frames;
//! and the SHA-256 of everything before. The frames are to be applied in their order: a backup is
//! made while the gateway works, and ends with the changes made meanwhile. What always holds: a
//! file that was cut, altered, lengthened, or written by another version is refused before any of
//! it is used.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::keys;
use crate::ports::Change;
use crate::ports::store::{KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// How every file begins; the number is the format's.
const HEAD: &[u8] = b"vestibule backup 1\n";
const END: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DIGEST_BYTES: usize = 32;
const TOO_EARLY: &str = "it ends too early";

/// Records that last for minutes, or open something. A backup has none of them, so a person who
/// finds one cannot sign in with it, and a restored store has no sessions and access tokens: those
/// revoked after the backup do not come back.
const LEFT_OUT: [&[u8]; 18] = [
    keys::SESSIONS,
    keys::SESSIONS_OF,
    keys::SESSIONS_REVISIONS,
    keys::ACCESS_TOKENS,
    keys::ACCESS_TOKENS_OF,
    keys::CEREMONIES,
    keys::CODES,
    keys::HAND_OFFS,
    keys::RETURN_TARGETS,
    keys::PROCESSES,
    keys::OUTBOX,
    keys::DISPATCHES,
    keys::SET_ASIDE,
    keys::PENDING_ADDRESSES,
    keys::DEVICE_LINKS,
    keys::DEVICE_LINKS_BY,
    keys::LAST_BACKUP,
    keys::BACKUP_MARK,
];

/// Whether a record with this key is in backups.
pub fn is_backed_up(key: &[u8]) -> bool {
    !LEFT_OUT.iter().any(|prefix| key.starts_with(prefix))
}

/// A summary of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The number of frames.
    pub records: u64,
    pub bytes: u64,
    pub sha256: [u8; DIGEST_BYTES],
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("this is not a backup of Vestibule, or one of a version that this one does not know")]
    Foreign,
    #[error("the backup is damaged: {0}")]
    Damaged(&'static str),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes frames and counts them.
#[derive(Default)]
pub struct Writer {
    digest: Sha256,
    records: u64,
    bytes: u64,
}

impl Writer {
    /// A writer, and the beginning of the file.
    pub fn begin() -> (Self, Vec<u8>) {
        let mut writer = Self::default();
        let head = writer.counted(HEAD.to_vec());
        (writer, head)
    }

    /// The frame of a record.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(key.len() + value.len() + 9);
        frame.push(PUT);
        push_sized(&mut frame, key);
        push_sized(&mut frame, value);
        self.records += 1;
        self.counted(frame)
    }

    /// The frame of a change.
    pub fn change(&mut self, change: &Change) -> Vec<u8> {
        match change {
            Change::Put { key, value } => self.put(key, value),
            Change::Delete { key } => {
                let mut frame = vec![DELETE];
                push_sized(&mut frame, key);
                self.records += 1;
                self.counted(frame)
            }
        }
    }

    /// The end of the file, and its summary.
    pub fn end(mut self) -> (Vec<u8>, Summary) {
        let mut frame = vec![END];
        frame.extend(self.records.to_be_bytes());
        let mut frame = self.counted(frame);
        let sha256: [u8; DIGEST_BYTES] = self.digest.finalize().into();
        frame.extend(sha256);
        let bytes = self.bytes + DIGEST_BYTES as u64;
        (frame, Summary { records: self.records, bytes, sha256 })
    }

    fn counted(&mut self, frame: Vec<u8>) -> Vec<u8> {
        self.digest.update(&frame);
        self.bytes += frame.len() as u64;
        frame
    }
}

fn push_sized(frame: &mut Vec<u8>, bytes: &[u8]) {
    // Keys and values are far below this limit in every engine.
    frame.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(bytes);
}

/// One frame of a backup.
pub enum Frame {
    Change(Change),
    End(Summary),
}

/// Reads frames one by one.
pub struct Reader<R> {
    from: R,
    digest: Sha256,
    records: u64,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of the file.
    pub fn open(from: R) -> Result<Self, ArchiveError> {
        let mut reader = Self { from, digest: Sha256::new(), records: 0, bytes: 0 };
        let mut head = [0; HEAD.len()];
        match reader.fill(&mut head) {
            Err(ArchiveError::Damaged(TOO_EARLY)) => return Err(ArchiveError::Foreign),
            other => other?,
        }
        if head == HEAD { Ok(reader) } else { Err(ArchiveError::Foreign) }
    }

    /// Reads the next frame. The sum of an end frame has been checked.
    pub fn read_frame(&mut self) -> Result<Frame, ArchiveError> {
        let mut tag = [0];
        self.fill(&mut tag)?;
        match tag {
            [PUT] => {
                let key = self.sized(KEY_BYTES_MAX)?;
                let value = self.sized(VALUE_BYTES_MAX)?;
                self.records += 1;
                Ok(Frame::Change(Change::Put { key, value }))
            }
            [DELETE] => {
                let key = self.sized(KEY_BYTES_MAX)?;
                self.records += 1;
                Ok(Frame::Change(Change::Delete { key }))
            }
            [END] => self.finish().map(Frame::End),
            _ => Err(ArchiveError::Damaged("it has a frame of an unknown kind")),
        }
    }

    fn finish(&mut self) -> Result<Summary, ArchiveError> {
        let mut count = [0; 8];
        self.fill(&mut count)?;
        if u64::from_be_bytes(count) != self.records {
            return Err(ArchiveError::Damaged("it has another number of records than it says"));
        }
        let sha256: [u8; DIGEST_BYTES] = self.digest.clone().finalize().into();
        let mut said = [0; DIGEST_BYTES];
        self.fill(&mut said)?;
        if said != sha256 {
            return Err(ArchiveError::Damaged("its checksum does not fit"));
        }
        if self.from.read(&mut [0])? != 0 {
            return Err(ArchiveError::Damaged("something follows its end"));
        }
        Ok(Summary { records: self.records, bytes: self.bytes, sha256 })
    }

    fn sized(&mut self, most: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > most {
            return Err(ArchiveError::Damaged("it has a record that is too long"));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), ArchiveError> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Damaged(TOO_EARLY),
            // The decrypting reader reports it so.
            io::ErrorKind::InvalidData => ArchiveError::Damaged("it was altered or cut"),
            _ => ArchiveError::Io(error),
        })?;
        self.digest.update(&*into);
        self.bytes += into.len() as u64;
        Ok(())
    }
}

/// Reads a whole file, and returns its summary.
pub fn verify(from: impl Read) -> Result<Summary, ArchiveError> {
    let mut reader = Reader::open(from)?;
    loop {
        if let Frame::End(summary) = reader.read_frame()? {
            return Ok(summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write_all(into: &mut impl Write, changes: &[Change]) -> io::Result<Summary> {
        let (mut writer, head) = Writer::begin();
        into.write_all(&head)?;
        for change in changes {
            into.write_all(&writer.change(change))?;
        }
        let (end, summary) = writer.end();
        into.write_all(&end)?;
        Ok(summary)
    }

    fn changes() -> Vec<Change> {
        let put = |n: u8| Change::Put { key: vec![b'u', n], value: vec![n; usize::from(n) * 7] };
        let mut changes: Vec<_> = (0..20).map(put).collect();
        changes.push(Change::Delete { key: b"u\x03".to_vec() });
        changes
    }

    fn read(bytes: &[u8]) -> Result<Vec<Change>, ArchiveError> {
        verify(bytes)?;
        let mut reader = Reader::open(bytes)?;
        let mut found = Vec::new();
        while let Frame::Change(change) = reader.read_frame()? {
            found.push(change);
        }
        Ok(found)
    }

    #[test]
    fn archive_roundtrips() {
        let mut file = Vec::new();
        let summary = write_all(&mut file, &changes()).unwrap();
        assert_eq!(verify(&*file).unwrap(), summary);
        assert_eq!((summary.records, summary.bytes), (21, file.len() as u64));
        assert_eq!(read(&file).unwrap(), changes());
    }

    /// A thousand damaged files: flipped bits, cuts, insertions. Each is refused whole, or is the
    /// same.
    #[test]
    fn d_09_a_damaged_file_is_refused_whole() {
        let mut file = Vec::new();
        write_all(&mut file, &changes()).unwrap();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut draw = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for round in 0..1_000 {
            let mut damaged = file.clone();
            let at = draw(file.len());
            match round % 4 {
                0 => damaged[at] ^= 1 << draw(8),
                1 => damaged.truncate(at),
                2 => damaged.insert(at, u8::try_from(draw(256)).unwrap()),
                _ => {
                    let end = (at + 1 + draw(16)).min(damaged.len());
                    damaged.drain(at..end);
                }
            }
            match read(&damaged) {
                Err(ArchiveError::Foreign | ArchiveError::Damaged(_)) => {}
                Ok(found) => assert_eq!((&damaged, found), (&file, changes()), "round {round}"),
                Err(ArchiveError::Io(error)) => panic!("{error}"),
            }
        }
        let mut longer = file.clone();
        longer.push(0);
        assert!(matches!(read(&longer), Err(ArchiveError::Damaged("something follows its end"))));
        assert!(matches!(read(b"vestibule backup 2\nxxxxxxxxxxxxxxxx"), Err(ArchiveError::Foreign)));
        assert!(matches!(read(b""), Err(ArchiveError::Foreign)));
    }

    #[test]
    fn backup_excludes_sessions_tokens_and_codes() {
        for key in [
            &b"session/x"[..],
            b"ceremony/x",
            b"code/x",
            b"hand-off/x",
            b"outbox/x",
            b"process/x",
            b"access-token/x",
        ] {
            assert!(!is_backed_up(key));
        }
        for key in [
            &b"user/x"[..],
            b"credential/x",
            b"username/x",
            b"invitation/x",
            b"setup/state",
            b"audit/x",
            b"ban/x",
        ] {
            assert!(is_backed_up(key));
        }
    }
}
