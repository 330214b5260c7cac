//! The sources of listening sockets: the service manager, which holds them while we are restarted,
//! the program that this process was before, or the system.
//!
//! What always holds: a socket that is handed over is used by the listener whose address it has;
//! no client is left waiting at a socket that no listener has.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// Sockets that were handed over and are not in use yet.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(SocketAddr, std::net::TcpListener)>);

impl Sockets {
    /// The sockets that another program has opened for us.
    pub fn handed_over(sockets: Vec<std::net::TcpListener>) -> io::Result<Self> {
        let with_address = |socket: std::net::TcpListener| {
            socket.set_nonblocking(true)?;
            Ok((socket.local_addr()?, socket))
        };
        sockets.into_iter().map(with_address).collect::<io::Result<_>>().map(Self)
    }

    /// The socket for `address`: a handed-over one, or a new one.
    pub async fn listen(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        match self.0.iter().position(|(held, _)| is_for(*held, address)) {
            Some(at) => TcpListener::from_std(self.0.swap_remove(at).1),
            None => TcpListener::bind(address).await,
        }
    }

    /// The addresses at which connections wait that no listener will take.
    pub fn unclaimed(&self) -> Vec<SocketAddr> {
        self.0.iter().map(|(address, _)| *address).collect()
    }
}

/// A socket for every IPv6 address of this machine is for every IPv4 address as well.
fn is_for(held: SocketAddr, wanted: SocketAddr) -> bool {
    let is_everywhere = held.ip().is_unspecified() && wanted.ip().is_unspecified();
    held.port() == wanted.port() && (held.ip() == wanted.ip() || is_everywhere && held.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_inherited_sockets_by_address() {
        let is_for = |held: &str, wanted: &str| is_for(held.parse().unwrap(), wanted.parse().unwrap());
        assert!(is_for("127.0.0.1:80", "127.0.0.1:80"));
        assert!(is_for("[::]:443", "0.0.0.0:443"));
        assert!(!is_for("0.0.0.0:443", "[::]:443"));
        assert!(!is_for("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!is_for("[::]:80", "127.0.0.1:80"));
    }

    #[tokio::test]
    async fn uses_inherited_sockets_and_opens_the_others() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let mut sockets = Sockets::handed_over(vec![held]).unwrap();
        assert_eq!(sockets.unclaimed(), [address]);
        let _other = sockets.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        // No other program could listen there.
        let taken = sockets.listen(address).await.unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(sockets.unclaimed().is_empty());
        assert!(sockets.listen(address).await.is_err());
    }
}
