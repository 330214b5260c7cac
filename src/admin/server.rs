//! The gateway's end of the operator's socket.

use std::fs::{DirBuilder, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::Operator;
use super::protocol::{Answer, REQUEST_BYTES_MAX, Request};

/// There are few operators.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection may take to send its line.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another gateway answers at {}: stop it first, or set another server.admin_socket", .0.display())]
    AlreadyRunning(PathBuf),
    #[error("{} is there already and is not a socket: move it away, or set another server.admin_socket", .0.display())]
    NotASocket(PathBuf),
    #[error("the admin socket {} cannot be opened: {error}", path.display())]
    Failed { path: PathBuf, error: io::Error },
}

/// An open socket; its file goes away with it.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Opens the socket at `path`. Removes a socket that no process answers on, and nothing else.
    /// Must be called within a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |error| BindError::Failed { path: path.to_path_buf(), error };
        clear(path)?;
        let listener = bind_privately(path).map_err(failed)?;
        Ok(Self { listener, path: path.to_path_buf() })
    }

    /// Answers requests until `shutdown` is ready.
    pub async fn serve(self, operator: Arc<dyn Operator>, shutdown: impl Future<Output = ()>) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let Some((stream, slot)) = accepted else { continue };
            let operator = Arc::clone(&operator);
            tokio::spawn(async move {
                if let Err(error) = answer(stream, operator.as_ref()).await {
                    tracing::debug!(%error, "an operator's connection ended early");
                }
                drop(slot);
            });
        }
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A leftover file does no harm, because the next start removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes a stale socket.
fn clear(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Failed { path: path.to_path_buf(), error };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_path_buf()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(BindError::AlreadyRunning(path.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Binds within a directory of our own and moves the socket out when its mode is set: at no moment
/// can another user reach it.
fn bind_privately(path: &Path) -> io::Result<UnixListener> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_directory().recursive(true).create(parent)?;
    let nursery = parent.join(format!(".v{}", std::process::id()));
    // A killed process with the same number may have left these behind.
    let _ = (std::fs::remove_file(nursery.join("s")), std::fs::remove_dir(&nursery));
    private_directory().create(&nursery)?;
    let bound = bind_within(&nursery, path);
    let removed = std::fs::remove_dir(&nursery);
    let listener = bound?;
    removed?;
    Ok(listener)
}

fn bind_within(nursery: &Path, path: &Path) -> io::Result<UnixListener> {
    let young = nursery.join("s");
    let listener = UnixListener::bind(&young)?;
    let moved = std::fs::set_permissions(&young, Permissions::from_mode(0o600))
        .and_then(|()| std::fs::rename(&young, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&young);
    }
    moved.map(|()| listener)
}

fn private_directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> Option<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "the admin socket cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn answer(stream: UnixStream, operator: &dyn Operator) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let line = tokio::time::timeout(REQUEST_TIMEOUT, read_line(reader)).await??;
    let answer = match line {
        Some(line) => match serde_json::from_slice::<Request>(&line) {
            Ok(request) => operator.handle(request).await,
            Err(error) => {
                Answer::Refused { reason: format!("the gateway does not understand this command: {error}") }
            }
        },
        None => Answer::Refused { reason: format!("a command has at most {REQUEST_BYTES_MAX} bytes") },
    };
    let mut reply = serde_json::to_vec(&answer)?;
    reply.push(b'\n');
    writer.write_all(&reply).await?;
    if answer == Answer::BackupFollows
        && let Err(error) = operator.back_up(&mut writer).await
    {
        // The command sees that the end is missing.
        tracing::error!(%error, "a backup was broken off");
    }
    // A backup has ended the stream already, and the client that has all of it may be gone.
    let _ = writer.shutdown().await;
    operator.answered(&answer);
    Ok(())
}

/// One line without its newline; `None` when it is too long.
async fn read_line(reader: impl tokio::io::AsyncRead + Unpin) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    BufReader::new(reader.take(REQUEST_BYTES_MAX + 1)).read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => Ok(Some(line)),
        _ if line.len() as u64 >= REQUEST_BYTES_MAX => Ok(None),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::oneshot;

    use tokio::io::AsyncWrite;

    use super::*;
    use crate::admin::client::{self, CallError};
    use crate::flows::administration::backup::BackupError;

    struct Echo;

    #[async_trait]
    impl Operator for Echo {
        async fn handle(&self, request: Request) -> Answer {
            match request {
                Request::KeyRotate { .. } => Answer::KeyRotated { key: 7 },
                other => Answer::Refused { reason: format!("{other:?}") },
            }
        }

        fn answered(&self, _: &Answer) {}

        async fn back_up(&self, _: &mut (dyn AsyncWrite + Send + Unpin)) -> Result<(), BackupError> {
            Ok(())
        }
    }

    async fn call(path: &Path, request: Request) -> Result<Answer, CallError> {
        let path = path.to_path_buf();
        tokio::task::spawn_blocking(move || client::call(&path, &request)).await.unwrap()
    }

    #[tokio::test]
    async fn a_request_gets_one_answer_and_the_socket_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/admin.sock");
        assert!(matches!(call(&path, Request::Health).await, Err(CallError::NotRunning(_))));

        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path().join("state")).unwrap().count(), 1);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(socket.serve(Arc::new(Echo), async { drop(stopped.await) }));

        assert_eq!(
            call(&path, Request::KeyRotate { burn: false }).await.unwrap(),
            Answer::KeyRotated { key: 7 }
        );
        let refused = call(&path, Request::UserDisable { user: "x".to_owned() }).await.unwrap();
        assert!(matches!(refused, Answer::Refused { .. }));
        let long = Request::UserDisable { user: "x".repeat(usize::try_from(REQUEST_BYTES_MAX).unwrap()) };
        assert!(matches!(call(&path, long).await.unwrap(), Answer::Refused { .. }));
        assert!(matches!(AdminSocket::bind(&path), Err(BindError::AlreadyRunning(_))));

        drop(stop);
        serving.await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn removes_a_stale_socket_and_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists() && AdminSocket::bind(&path).is_ok());

        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(BindError::NotASocket(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
