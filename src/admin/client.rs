//! The command line's end of the operator's socket. It blocks, because a command has nothing else
//! to do.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{ANSWER_BYTES_MAX, Answer, Request};

/// A gateway that takes longer than this is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a file with many users: each is a commit, and a slow disk takes its time.
const FILE_TIMEOUT: Duration = Duration::from_mins(15);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no gateway is running at {}", .0.display())]
    NotRunning(PathBuf),
    #[error("this user may not open {}: run the command as the gateway's user, for example with sudo", .0.display())]
    NotAllowed(PathBuf),
    #[error("the gateway at {} did not answer: {error}", path.display())]
    Broken { path: PathBuf, error: io::Error },
}

/// Asks the gateway behind `socket`.
pub fn call(socket: &Path, request: &Request) -> Result<Answer, CallError> {
    let path = socket.to_path_buf();
    exchange(connect(socket)?, request).map_err(|error| CallError::Broken { path, error })
}

fn connect(socket: &Path) -> Result<UnixStream, CallError> {
    let path = socket.to_path_buf();
    UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NotRunning(path),
        io::ErrorKind::PermissionDenied => CallError::NotAllowed(path),
        _ => CallError::Broken { path, error },
    })
}

/// A backup from the gateway behind `socket`: its answer, and, after [`Answer::BackupFollows`], the
/// bytes.
pub fn fetch_backup(socket: &Path) -> Result<(Answer, impl Read), CallError> {
    let path = socket.to_path_buf();
    let stream = connect(socket)?;
    begin_backup(stream).map_err(|error| CallError::Broken { path, error })
}

fn begin_backup(mut stream: UnixStream) -> io::Result<(Answer, BufReader<UnixStream>)> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut line = serde_json::to_vec(&Request::Backup)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reader = BufReader::new(stream);
    let mut answer = Vec::new();
    reader.by_ref().take(ANSWER_BYTES_MAX).read_until(b'\n', &mut answer)?;
    Ok((serde_json::from_slice(&answer)?, reader))
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Answer> {
    let is_file = matches!(request, Request::Apply { .. } | Request::Import { .. });
    let patience = if is_file { FILE_TIMEOUT } else { ANSWER_TIMEOUT };
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A gateway may answer before it has read the whole line; its answer counts.
    match stream.write_all(&line) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
