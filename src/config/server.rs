//! `[server]` and `[server.tls]`: listeners and what concerns all connections.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::acme::acme;
use super::lengths::{Limits, duration};
use super::reader::Reader;
use super::route_files;
use super::section::Section;
use super::settings::{Server, Tls};
use super::value::{file, prefix_characters};
use crate::domain::policy::path::{self, Reading};
use crate::proxy::{CertificateFiles, ForwardedBy};

/// The ports that browsers and authorities ask, on every address of this machine.
const HTTP: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80);
const HTTPS: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 443);
const WORKERS_MAX: usize = 1_024;
const GRACE_PERIODS: Limits = Limits { min: Duration::ZERO, max: Duration::from_hours(1) };
/// `sun_path` on Linux has 108 bytes, and the socket is made under a slightly longer name.
const SOCKET_PATH_BYTES_MAX: usize = 96;

const LISTEN_REMEDY: &str = "write an address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";

/// Reads the one key that operator commands need.
pub(super) fn admin_socket_only(root: &Section<'_>) -> PathBuf {
    admin_socket(&root.table("server"))
}

/// Reads `[server]`.
pub(super) fn server(root: &Section<'_>, reader: &Reader<'_>) -> Server {
    let section = root.table("server");
    let listen = listeners(&section, "listen");
    let tls = tls(&section.table("tls"), reader);
    let has_acme = tls.as_ref().is_some_and(|tls| tls.acme.is_some());
    let default = if has_acme { HTTP } else { SocketAddr::from(([127, 0, 0, 1], 8080)) };
    let metrics_remedy = "write an address and a port, or \"\" for no metrics";
    let metrics = section.parsed("metrics_listen", metrics_remedy, |text| {
        if text.is_empty() { Ok(None) } else { address(text).map(Some) }
    });
    let server = Server {
        listen: listen.unwrap_or_else(|| vec![default]),
        metrics_listen: metrics.map_or(Some(SocketAddr::from(([127, 0, 0, 1], 9464))), |found| found.value),
        admin_socket: admin_socket(&section),
        prefix: prefix(&section),
        trusted_proxies: trusted_proxies(&section),
        forwarded_by: forwarded_by(&section),
        proxy_protocol: section.flag("proxy_protocol", false),
        workers: workers(&section),
        grace_period: duration(&section, reader, "grace_period", Duration::from_secs(5), GRACE_PERIODS),
        routes_directory: route_files::directory(&section, reader),
        tls,
    };
    one_address_each(&section, reader, &server);
    if server.proxy_protocol && server.trusted_proxies.is_empty() {
        let remedy = "name the proxies that send it in trusted_proxies, or write proxy_protocol = false";
        reader.mistake(&section.at("proxy_protocol"), "no proxy is trusted to send it", remedy);
    }
    section.close();
    server
}

fn listeners(section: &Section<'_>, key: &'static str) -> Option<Vec<SocketAddr>> {
    let found = section.parsed_list(key, LISTEN_REMEDY, address)?;
    Some(found.into_iter().map(|found| found.value).collect())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address with a port"))
}

fn admin_socket(section: &Section<'_>) -> PathBuf {
    let remedy = format!("write the path of a file, at most {SOCKET_PATH_BYTES_MAX} bytes long");
    let found = section.parsed("admin_socket", &remedy, |text| {
        if text.is_empty() || text.len() > SOCKET_PATH_BYTES_MAX {
            return Err("a Unix socket cannot have this path".to_owned());
        }
        Ok(PathBuf::from(text))
    });
    found.map_or_else(|| PathBuf::from("data/admin.sock"), |found| found.value)
}

fn prefix(section: &Section<'_>) -> String {
    let remedy = "write one or more segments, such as \"/auth\", without a slash at the end";
    let found = section.parsed("prefix", remedy, |text| {
        prefix_characters(text)?;
        let plain = path::read(text.as_bytes()) == Reading::Plain;
        let ok = plain && text.len() > 1 && !text.ends_with('/');
        if ok { Ok(text.to_owned()) } else { Err(format!("{text:?} cannot be the prefix")) }
    });
    found.map_or_else(|| "/auth".to_owned(), |found| found.value)
}

fn trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    let remedy = "write networks such as \"10.0.0.0/8\", or single addresses such as \"127.0.0.1\"";
    let found = section.parsed_list("trusted_proxies", remedy, |text| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse().map(|ip: IpAddr| IpNet::from(ip)));
        let network = network.map_err(|_| format!("{text:?} is not a network"))?;
        if network.addr() != network.network() {
            return Err(format!("{text:?} is an address within a network; write {}", network.trunc()));
        }
        if network.prefix_len() == 0 {
            return Err("every client could forge its address and scheme".to_owned());
        }
        Ok(network)
    });
    found.into_iter().flatten().map(|found| found.value).collect()
}

fn forwarded_by(section: &Section<'_>) -> ForwardedBy {
    let remedy = "write \"x-forwarded-for\" or \"forwarded\"";
    let found = section.parsed("forwarded_header", remedy, |text| match text {
        "x-forwarded-for" => Ok(ForwardedBy::XForwarded),
        "forwarded" => Ok(ForwardedBy::Forwarded),
        _ => Err(format!("unknown value {text:?} for forwarded_header")),
    });
    found.map_or_else(ForwardedBy::default, |found| found.value)
}

fn workers(section: &Section<'_>) -> usize {
    match section.number("workers", 0, WORKERS_MAX) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

fn tls(section: &Section<'_>, reader: &Reader<'_>) -> Option<Tls> {
    let acme = acme(section, reader);
    let listen = listeners(section, "listen");
    let listen = listen.unwrap_or_else(|| if acme.is_some() { vec![HTTPS] } else { Vec::new() });
    let pairs = section.tables("certificate");
    let mut certificates: Vec<_> = certificate(section, reader).into_iter().collect();
    for pair in &pairs {
        match certificate(pair, reader) {
            Some(certificate) => certificates.push(certificate),
            None if pair.has("cert") || pair.has("key") => {}
            None => reader.mistake(&pair.at("cert"), "cert and key are missing", "write both"),
        }
        pair.close();
    }
    section.close();
    let certified = section.has("cert") || section.has("key") || !pairs.is_empty();
    match (section.has("listen"), certified) {
        (true, false) if acme.is_none() => {
            let remedy = "write cert = \"...\" and key = \"...\", or [server.tls.acme] to have one issued";
            reader.mistake(&section.at("listen"), "TLS has no certificate", remedy);
        }
        (false, true) if acme.is_none() => {
            let remedy = "write listen = [\"0.0.0.0:443\"] in [server.tls]";
            reader.mistake(&section.at("cert"), "TLS has no address to listen on", remedy);
        }
        _ => {}
    }
    if acme.is_some() && listen.is_empty() {
        let remedy = "write listen = [\"[::]:443\"], or leave the key out";
        reader.mistake(&section.at("listen"), "there is no listener for the certificates", remedy);
    }
    let complete = !listen.is_empty() && (acme.is_some() || !certificates.is_empty());
    complete.then_some(Tls { listen, certificates, acme })
}

fn certificate(section: &Section<'_>, reader: &Reader<'_>) -> Option<CertificateFiles> {
    let remedy = "write the path of a PEM file that the gateway can read";
    let read = |key| section.parsed(key, remedy, |text| file(reader.on_disk(text)));
    match (read("cert"), read("key")) {
        (Some(cert), Some(key)) => Some(CertificateFiles::given(cert.value, key.value)),
        (cert, key) => {
            if cert.is_some() && key.is_none() && !section.has("key") {
                reader.mistake(
                    &section.at("cert"),
                    "the certificate has no key",
                    "write key = \"...\" beside it",
                );
            } else if key.is_some() && cert.is_none() && !section.has("cert") {
                reader.mistake(
                    &section.at("key"),
                    "the key has no certificate",
                    "write cert = \"...\" beside it",
                );
            }
            None
        }
    }
}

fn one_address_each(section: &Section<'_>, reader: &Reader<'_>, server: &Server) {
    if section.is_empty_list("listen") && server.tls.is_none() {
        reader.mistake(&section.at("listen"), "there is no address to listen on", LISTEN_REMEDY);
    }
    let mut seen = BTreeSet::new();
    for address in server.listening().filter(|address| address.port() != 0) {
        if !seen.insert(address) {
            let problem = format!("two listeners have the address {address}");
            reader.mistake(&section.at("listen"), problem, "give each listener an address of its own");
        }
    }
}
