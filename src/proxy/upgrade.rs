//! The connection to an application for an upgrade, on which pingora sees the application's answer
//! a moment later.
//!
//! pingora 0.9.1 closes a WebSocket at once when the application's 101 overtakes the note that the
//! request, which has no body, is over (cloudflare/pingora#946): it takes the note for the end of
//! the upgraded connection. So a request for an upgrade has a connection of its own, and an answer
//! on it is not seen before pingora has looked for it twice: the first time the note is written,
//! the second time it is read.
//!
//! What does not live here: whether a route lets upgrades pass (`refusals.rs`), and how long they
//! stay (`streams.rs`). What always holds: bytes pass through unchanged, and none is held back for
//! longer than it takes to poll twice.

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
/// The number of writes after which this is done: a TLS handshake and the request take fewer.
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
        let socket = DelayedReads { stream: connected?, looks: 0, writes: 0 };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

/// A connection whose reads are held back at first.
#[derive(Debug)]
struct DelayedReads {
    stream: TcpStream,
    /// How many more looks have to be in vain.
    looks: u8,
    writes: u8,
}

impl AsyncRead for DelayedReads {
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

impl AsyncWrite for DelayedReads {
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

impl VirtualSocket for DelayedReads {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            // The time limits of the route end idle connections.
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn held() -> (DelayedReads, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (DelayedReads { stream, looks: 0, writes: 0 }, listener.accept().await.unwrap().0)
    }

    /// How often pingora looks in vain for an answer that has come.
    async fn in_vain(held: &mut DelayedReads) -> u8 {
        held.stream.readable().await.unwrap();
        let mut looks = 0;
        let mut byte = [0];
        while held.read(&mut byte).now_or_never().is_none() {
            looks += 1;
        }
        looks
    }

    #[tokio::test]
    async fn p_27_an_answer_is_held_back_after_each_of_the_first_writes() {
        let (mut held, mut application) = held().await;
        application.write_all(&[b'x'; 32]).await.unwrap();
        assert_eq!(in_vain(&mut held).await, 0, "nothing has been asked");
        for write in 1..=WRITES {
            held.write_all(b"x").await.unwrap();
            assert_eq!(in_vain(&mut held).await, LOOKS_IN_VAIN, "{write}");
            assert_eq!(in_vain(&mut held).await, 0, "{write}");
        }
        held.write_all(b"x").await.unwrap();
        assert_eq!(in_vain(&mut held).await, 0, "that was for the handshake alone");
    }

    #[tokio::test]
    async fn what_is_asked_of_the_connection_is_done() {
        let (mut held, mut application) = held().await;
        assert!(!held.stream.nodelay().unwrap());
        held.set_socket_option(VirtualSockOpt::NoDelay).unwrap();
        assert!(held.stream.nodelay().unwrap());
        held.shutdown().await.unwrap();
        let mut byte = [0];
        let end = tokio::time::timeout(std::time::Duration::from_secs(10), application.read(&mut byte));
        assert_eq!(end.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn an_application_that_takes_no_connections_is_said_to_refuse_them() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = SocketAddr::Inet(listener.local_addr().unwrap());
        assert!(Upgrades.connect(&address).await.is_ok());
        drop(listener);
        assert_eq!(*Upgrades.connect(&address).await.unwrap_err().etype(), ErrorType::ConnectRefused);
    }
}
