//! The PROXY protocol (of `HAProxy`, versions 1 and 2): a trusted proxy that passes bytes on first
//! says which client they are from.
//!
//! What always holds: only a trusted proxy is believed, and where it has to send a preface, a
//! connection without one is closed; no byte beyond the preface is read here; its length and its
//! time are bounded.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// How long the preface may take to come.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The beginning of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The beginning of version 1.
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1.
const LINE_BYTES_MAX: usize = 107;
/// The most bytes of version 2 after its first sixteen: addresses, and further facts.
const REST_BYTES_MAX: usize = 2_048;

/// Why a proxy is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrefaceError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it does not begin with the PROXY protocol")]
    Missing,
    #[error("the PROXY protocol is malformed")]
    Malformed,
    #[error("the PROXY protocol has not come in time")]
    Timeout,
}

/// The client of this connection: the proxy itself where it says so, for its health checks.
pub(super) async fn read(socket: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, PrefaceError> {
    let words = tokio::time::timeout(TIMEOUT, words(socket)).await;
    let words = words.map_err(|_| PrefaceError::Timeout)??;
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (header, length) = ProxyHeader::parse(&words, config).map_err(|_| PrefaceError::Malformed)?;
    if length != words.len() {
        return Err(PrefaceError::Malformed);
    }
    let source = header.proxied_address().map(|address| address.source);
    Ok(source.map_or(peer, |source| SocketAddr::new(source.ip().to_canonical(), source.port())))
}

/// Reads the preface, and not a byte more.
async fn words(socket: &mut TcpStream) -> Result<Vec<u8>, PrefaceError> {
    let mut words = vec![0; SIGNATURE.len()];
    socket.read_exact(&mut words).await?;
    if words == SIGNATURE {
        let mut rest = [0; 4];
        socket.read_exact(&mut rest).await?;
        let [_, _, high, low] = rest;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > REST_BYTES_MAX {
            return Err(PrefaceError::Malformed);
        }
        words.extend(rest);
        let begun = words.len();
        words.resize(begun + length, 0);
        socket.read_exact(words.get_mut(begun..).unwrap_or_default()).await?;
        Ok(words)
    } else if words.starts_with(WORD) {
        line(socket, words).await
    } else {
        Err(PrefaceError::Missing)
    }
}

async fn line(socket: &mut TcpStream, mut words: Vec<u8>) -> Result<Vec<u8>, PrefaceError> {
    while !words.ends_with(b"\n") {
        let mut seen = [0; LINE_BYTES_MAX];
        let room = LINE_BYTES_MAX.saturating_sub(words.len());
        let seen = seen.get_mut(..room).unwrap_or_default();
        if seen.is_empty() {
            return Err(PrefaceError::Malformed);
        }
        let count = socket.peek(seen).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let seen = seen.get_mut(..count).unwrap_or_default();
        let end = seen.iter().position(|byte| *byte == b'\n').map_or(count, |at| at + 1);
        let taken = seen.get_mut(..end).unwrap_or_default();
        socket.read_exact(taken).await?;
        words.extend_from_slice(taken);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// The result for `sent`, which comes in pieces of this size, and the bytes that are left.
    async fn told(sent: &[u8], piece: usize) -> (Result<SocketAddr, PrefaceError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, peer) = listener.accept().await.unwrap();
        let sent = sent.to_vec();
        let writing = tokio::spawn(async move {
            proxy.set_nodelay(true).unwrap();
            for piece in sent.chunks(piece) {
                proxy.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            proxy.shutdown().await.unwrap();
        });
        let read = read(&mut socket, peer).await;
        writing.await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
        (read.map(|it| if it == peer { SocketAddr::from(([0, 0, 0, 0], 0)) } else { it }), rest)
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, addresses].concat()
    }

    #[tokio::test]
    async fn p_04_reads_the_preface_and_keeps_the_rest() {
        let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x11, 0x22, 0, 80];
        let v6: Vec<u8> = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 9, 0, 80]].concat();
        let with_more = [&v4[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        // The bytes after the addresses are not looked at.
        let with_nonsense = [&v4[..], &[0x04, 0xff, 0xff, 1]].concat();
        let longest = [&v4[..], &vec![0; REST_BYTES_MAX - v4.len()]].concat();
        for (words, source) in [
            (b"PROXY TCP4 203.0.113.7 10.0.0.1 4386 80\r\n".to_vec(), "203.0.113.7:4386"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 9 80\r\n".to_vec(), "[2001:db8::7]:9"),
            (b"PROXY UNKNOWN\r\n".to_vec(), "0.0.0.0:0"),
            (version_2(0x21, 0x11, &v4), "203.0.113.7:4386"),
            (version_2(0x21, 0x21, &v6), "[2001:db8::7]:9"),
            (version_2(0x21, 0x11, &with_more), "203.0.113.7:4386"),
            (version_2(0x21, 0x11, &with_nonsense), "203.0.113.7:4386"),
            (version_2(0x21, 0x11, &longest), "203.0.113.7:4386"),
            (version_2(0x20, 0x00, &[]), "0.0.0.0:0"),
        ] {
            for piece in [1, 7, 4096] {
                let sent = [&words[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
                let (read, rest) = told(&sent, piece).await;
                assert_eq!(read.unwrap(), source.parse().unwrap(), "{piece}");
                assert_eq!(rest, b"GET / HTTP/1.1\r\n\r\n", "{piece}");
            }
        }
    }

    #[tokio::test]
    async fn p_04_refuses_malformed_prefaces() {
        let long = [&b"PROXY TCP4 203.0.113.7 10.0.0.1 4386 80"[..], &[b' '; 100]].concat();
        for sent in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.7",
            b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n",
            b"PROXY TCP9 203.0.113.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 203.0.113.7 10.0.0.1 1 2\n",
            b"",
            &long,
            &version_2(0x21, 0x11, &[1, 2, 3]),
            &version_2(0x31, 0x11, &[0; 12]),
            &version_2(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
            &version_2(0x21, 0x11, &[0; 12])[..20],
        ] {
            assert!(told(sent, 4096).await.0.is_err(), "{sent:?}");
        }
    }
}
