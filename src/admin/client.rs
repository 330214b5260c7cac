//! The command line's end of the operator's socket. Blocking: a command has nothing else to do.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{ANSWER_BYTES_MAX, Answer, Request};

/// A gateway that takes longer than this is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

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
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::NotRunning(path.clone()),
        io::ErrorKind::PermissionDenied => CallError::NotAllowed(path.clone()),
        _ => CallError::Broken { path: path.clone(), error },
    })?;
    exchange(stream, request).map_err(|error| CallError::Broken { path, error })
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Answer> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A gateway that has read enough answers without reading on; its answer is what counts.
    match stream.write_all(&line) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
