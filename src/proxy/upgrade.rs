//! The connection to an application for an upgrade, on which the application's answer is heard a moment later.
//!
//! pingora 0.9.1 closes a WebSocket at once when the application's 101 overtakes the note that the request, which
//! has no body, is over (cloudflare/pingora#946): it takes the note for the end of what was upgraded. So a
//! request for an upgrade has a connection of its own, and an answer on it is not seen before pingora has
//! looked for it twice: the first time the note is written, the second time it is read.
//!
//! What does not live here: whether a route lets upgrades pass (`refusals.rs`), and how long they stay
//! (`streams.rs`). What always holds: bytes pass through unchanged, and none is held back for longer than it takes
//! to poll twice.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How often pingora looks for an answer in vain.
const LOOKS_IN_VAIN: u8 = 2;
/// After how many writes that goes on: a TLS handshake and the request take fewer.
const WRITES: u8 = 8;

/// Connects for upgrades.
#[derive(Debug)]
pub(super) struct Upgrades;

#[async_trait]
impl Connect for Upgrades {
    async fn connect(&self, address: &SocketAddr) -> pingora::Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Err(
                Error::explain(ErrorType::ConnectError, "an upstream has a network address").into_up()
            );
        };
        let connected = TcpStream::connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    ErrorType::ConnectNoRoute
                }
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting for an upgrade", error).into_up()
        });
        let socket = Held { stream: connected?, looks: 0, writes: 0 };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

/// A connection that begins to hear only after a while.
#[derive(Debug)]
struct Held {
    stream: TcpStream,
    /// How often it has still to be looked at in vain.
    looks: u8,
    writes: u8,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.looks > 0 {
            self.looks -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.writes < WRITES {
            self.writes += 1;
            self.looks = LOOKS_IN_VAIN;
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl VirtualSocket for Held {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            // The time limits of the route end what nobody speaks on.
            _ => Ok(()),
        }
    }
}
