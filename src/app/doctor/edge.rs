//! Checks over the network: names, listeners, applications, the mail server.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::{Finding, Running, hosts};
use crate::app::mail;
use crate::config::{self, Settings};
use crate::domain::policy::route::{HostPattern, Route, Upstream};

/// How long one question may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// An address of the documentation (RFC 5737). Nothing is sent there: the system only says which of
/// its own addresses it would use.
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

pub(super) async fn examine(settings: &Settings, running: &Running) -> Vec<Finding> {
    let mut findings = Vec::new();
    for host in hosts(settings) {
        // The configuration does not have the names below a wildcard.
        if let HostPattern::Exact(host) = host {
            findings.push(name(&host).await);
        }
    }
    for address in listeners(settings) {
        findings.push(match running {
            Running::Yes { .. } => answers(address).await,
            Running::No => is_free(address).await,
        });
    }
    let ours = own_address().await;
    for route in settings.routes.all() {
        for upstream in &route.upstreams {
            findings.extend(application(route, upstream, ours).await);
        }
    }
    findings.extend(mail(settings).await);
    findings
}

async fn name(host: &str) -> Finding {
    const ABOUT: &str = "name";
    if config::is_localhost(host) {
        return Finding::fine(ABOUT, format!("{host} is this machine, for browsers on it"));
    }
    match timeout(QUESTION_TIMEOUT, lookup_host((host, 0))).await {
        Ok(Ok(found)) => {
            let found: BTreeSet<String> = found.map(|address| address.ip().to_string()).collect();
            let list: Vec<String> = found.into_iter().collect();
            Finding::fine(ABOUT, format!("{host} leads to {}", list.join(", ")))
        }
        _ => Finding::problem(
            ABOUT,
            format!("{host} has no address"),
            "add an A or AAAA record for it that leads to this machine, or to the proxy in front",
        ),
    }
}

fn listeners(settings: &Settings) -> impl Iterator<Item = SocketAddr> {
    let tls = settings.server.tls.iter().flat_map(|tls| &tls.listen);
    settings.server.listen.iter().chain(tls).copied().filter(|address| address.port() != 0)
}

/// Whether a program takes connections there.
async fn answers(address: SocketAddr) -> Finding {
    const ABOUT: &str = "listener";
    match timeout(QUESTION_TIMEOUT, TcpStream::connect(reachable(address))).await {
        Ok(Ok(_)) => Finding::fine(ABOUT, format!("the gateway accepts connections on {address}")),
        _ => Finding::problem(
            ABOUT,
            format!("nothing accepts connections on {address}, although a gateway runs"),
            "restart the gateway: it was started with another configuration",
        ),
    }
}

async fn is_free(address: SocketAddr) -> Finding {
    const ABOUT: &str = "listener";
    let Err(error) = TcpListener::bind(address).await else {
        return Finding::fine(ABOUT, format!("{address} is free for the gateway, which does not run"));
    };
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "stop the program that listens there, or choose another address",
        ErrorKind::PermissionDenied => "run this as root, or give the gateway CAP_NET_BIND_SERVICE",
        _ => "name an address of this machine in server.listen",
    };
    Finding::problem(ABOUT, format!("the gateway could not listen on {address}: {error}"), remedy)
}

/// The address at which this machine reaches a listener on every address.
const fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The address of this machine that others see; `None` where it has none.
async fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(ELSEWHERE).await.ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

async fn application(route: &Route, upstream: &Upstream, ours: Option<IpAddr>) -> Vec<Finding> {
    const ABOUT: &str = "application";
    let (host, port) = (upstream.host.as_str(), upstream.port);
    let place = format!("{host}:{port}");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut findings = vec![match timeout(route.timeouts.connect, TcpStream::connect((bare, port))).await {
        Ok(Ok(_)) => Finding::fine(ABOUT, format!("{:?} accepts connections at {place}", route.name)),
        Ok(Err(error)) => unanswered(&route.name, &place, &error.to_string()),
        Err(_) => unanswered(&route.name, &place, "it does not answer in time"),
    }];
    findings.extend(reachable_around_gateway(route, bare, port, ours).await);
    findings
}

fn unanswered(route: &str, place: &str, why: &str) -> Finding {
    Finding::problem(
        "application",
        format!("{route:?} cannot be reached at {place}: {why}"),
        "start it, or correct the route's `upstream`",
    )
}

/// Whether other machines reach the application without the gateway, and could forge identity
/// headers.
async fn reachable_around_gateway(
    route: &Route,
    host: &str,
    port: u16,
    ours: Option<IpAddr>,
) -> Option<Finding> {
    let reach = |place: String| {
        Finding::warning(
            "application",
            format!("{:?} also accepts connections at {place}, around the gateway", route.name),
            "make it listen on 127.0.0.1, or close the port to others; an application that cannot must \
             check X-Vestibule-Assertion (docs/headers.md)",
        )
    };
    let found = timeout(QUESTION_TIMEOUT, lookup_host((host, port))).await.ok()?.ok()?;
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    if let Some(public) = found.iter().find(|address| is_public(**address)) {
        return Some(reach(format!("{public}:{port}")));
    }
    let ours = ours.filter(|_| found.iter().all(IpAddr::is_loopback))?;
    let open = timeout(QUESTION_TIMEOUT, TcpStream::connect((ours, port))).await;
    open.is_ok_and(|open| open.is_ok()).then(|| reach(format!("{ours}:{port}")))
}

/// Whether anonymous clients can reach this address, as far as an address tells (RFC 1918, RFC
/// 4193, RFC 6598).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            let is_ours = ip.is_unique_local() || ip.is_unicast_link_local();
            !(is_ours || ip.is_loopback() || ip.is_unspecified())
        }
    }
}

async fn mail(settings: &Settings) -> Option<Finding> {
    const ABOUT: &str = "mail";
    let mail = settings.mail.as_ref()?;
    let place = format!("{}:{}", mail.host, mail.port);
    let remedy = "correct [mail]; messages wait until the server takes them (docs/mail.md)";
    let smtp = match mail::smtp(settings) {
        Ok(smtp) => smtp?,
        Err(error) => return Some(Finding::problem(ABOUT, error.to_string(), remedy)),
    };
    Some(match smtp.greet().await {
        Ok(()) => Finding::fine(ABOUT, format!("the mail server at {place} accepts the gateway")),
        Err(why) => Finding::problem(
            ABOUT,
            format!("the mail server at {place} does not accept the gateway: {why}"),
            remedy,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_public_addresses() {
        for (address, public) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.18.0.5", false),
            ("192.168.1.5", false),
            ("169.254.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("203.0.113.7", true),
            ("::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::ffff:10.0.0.1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
