//! How many connections there may be, in all and from one address.
//!
//! What always holds: whoever holds a [`Pass`] is counted, and nobody else is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Limits;

/// Bounds how many connections there are, in all and from one address.
pub(super) struct Gate {
    room: Arc<Semaphore>,
    per_address_max: usize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Why a connection was not taken.
pub(super) enum Full {
    Address,
    System(std::io::Error),
}

/// The right to be connected, given back when dropped.
pub(super) struct Pass {
    gate: Arc<Gate>,
    source: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            room: Arc::new(Semaphore::new(limits.connections_max)),
            per_address_max: limits.connections_per_address_max,
            by_address: Mutex::default(),
        }
    }

    /// Accepts when there is room; until then clients wait in the backlog.
    pub(super) async fn accept(
        self: &Arc<Self>,
        socket: &TcpListener,
    ) -> Result<(TcpStream, SocketAddr, Pass), Full> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|e| Full::System(std::io::Error::other(e)))?;
        let (stream, peer) = socket.accept().await.map_err(Full::System)?;
        let source = source(peer.ip());
        self.enter(source)?;
        Ok((stream, peer, Pass { gate: Arc::clone(self), source, _room: room }))
    }

    fn enter(&self, source: IpAddr) -> Result<(), Full> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_address.entry(source).or_insert(0);
        if *open >= self.per_address_max {
            return Err(Full::Address);
        }
        *open += 1;
        Ok(())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut by_address = self.gate.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_address.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&self.source);
            }
        }
    }
}

/// Whom a connection is counted for: an IPv4 address, or the /64 that one IPv6 site has.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_17_one_address_cannot_take_all_connections() {
        let limits = Limits { connections_max: 10, connections_per_address_max: 2, ..Limits::default() };
        let gate = Arc::new(Gate::new(limits));
        let room = Arc::clone(&gate.room);
        let enter = |address: &str| {
            let source = source(address.parse().unwrap());
            let entered = gate.enter(source);
            entered.map(|()| Pass {
                gate: Arc::clone(&gate),
                source,
                _room: Arc::clone(&room).try_acquire_owned().unwrap(),
            })
        };
        let first = enter("192.0.2.1").ok().unwrap();
        let _second = enter("::ffff:192.0.2.1").ok().unwrap();
        assert!(enter("192.0.2.1").is_err());
        assert!(enter("192.0.2.2").is_ok());
        drop(first);
        assert!(enter("192.0.2.1").is_ok());
        let _six = (enter("2001:db8::1").ok().unwrap(), enter("2001:db8::2").ok().unwrap());
        assert!(enter("2001:db8::3").is_err());
        assert!(enter("2001:db8:0:1::1").is_ok());
    }
}
