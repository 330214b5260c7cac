//! How single values are written: lengths of time, sizes, addresses of upstreams.
//!
//! Each function reads one spelling and says what is wrong with any other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::domain::policy::path;
use crate::domain::policy::route::{Upstream, UpstreamScheme};

/// Reads a whole number and a unit: `500ms`, `5s`, `15m`, `12h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a length of time");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or_else(wrong)
}

/// Reads a whole number and a unit: `512KiB`, `64MiB`, `1GiB`, or `B`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size");
    let (number, unit) = split_unit(text).ok_or_else(wrong)?;
    let bytes_per_unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(bytes_per_unit).ok_or_else(wrong)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// Reads `http://host:port` or `https://host:port`, and nothing after it.
pub(super) fn upstream(text: &str) -> Result<Upstream, String> {
    let url = Url::parse(text).map_err(|e| format!("{text:?} is not a URL: {e}"))?;
    let scheme = match url.scheme() {
        "http" => UpstreamScheme::Http,
        "https" => UpstreamScheme::Https,
        other => return Err(format!("unsupported scheme {other:?}; write http or https")),
    };
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() || text.ends_with('/') {
        return Err(format!("{text:?} has more than a scheme, a host and a port"));
    }
    let host = match url.host() {
        Some(url::Host::Domain(name)) => name.to_owned(),
        Some(url::Host::Ipv4(address)) => address.to_string(),
        Some(url::Host::Ipv6(address)) => address.to_string(),
        None => return Err(format!("{text:?} names no host")),
    };
    let port = url.port_or_known_default().filter(|port| *port != 0);
    Ok(Upstream { scheme, host, port: port.ok_or_else(|| format!("{text:?} names no port"))? })
}

/// Reads a log level (`off`, `error`, `warn`, `info`, `debug`, `trace`), or several separated by
/// commas where all but one are `target=level`.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',') {
        let (target, level) = directive.split_once('=').unwrap_or(("vestibule", directive));
        let target_ok = !target.is_empty()
            && target.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'));
        if !target_ok || !LEVELS.contains(&level) {
            return Err(format!("{directive:?} is not a log level"));
        }
    }
    Ok(text.to_owned())
}

/// The path of a file that can be read.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => Ok(path.to_path_buf()),
        Ok(_) => Err(format!("{text:?} is not a file")),
        Err(e) => Err(format!("{text:?} cannot be read: {e}")),
    }
}

/// Any other character has a second spelling, under which a request would pass the prefix by.
pub(super) fn prefix_characters(text: &str) -> Result<(), String> {
    match path::unfit_for_prefix(text) {
        None => Ok(()),
        Some(odd) => {
            Err(format!("{text:?} has {odd:?}: only A-Z, a-z, 0-9 and - . _ ~ may stand between its slashes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, millis) in
            [("500ms", 500), ("5s", 5_000), ("12h", 43_200_000), ("7d", 604_800_000), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in
            ["", "5", "s", "-5s", "1.5h", "5 weeks", "5S", "99999999999999999999s", "999999999999999999d"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1 GiB", 1 << 30), ("512KiB", 512 << 10), ("7B", 7)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "64", "64MB", "MiB", "64mib", "99999999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_upstream_is_an_origin() {
        let read = |text| upstream(text).map(|u| (u.scheme, u.host, u.port));
        assert_eq!(read("http://127.0.0.1:9000"), Ok((UpstreamScheme::Http, "127.0.0.1".to_owned(), 9000)));
        assert_eq!(read("https://app.internal"), Ok((UpstreamScheme::Https, "app.internal".to_owned(), 443)));
        assert_eq!(read("http://[::1]:9000"), Ok((UpstreamScheme::Http, "::1".to_owned(), 9000)));
        for wrong in
            ["127.0.0.1:9000", "http://", "http://a/b", "http://a/", "http://u@a", "ftp://a", "http://a:0"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_level_is_a_word_or_a_list_of_targets() {
        for right in ["info", "off", "info,vestibule::proxy=debug", "warn,pingora_core=trace"] {
            assert!(log_level(right).is_ok(), "{right}");
        }
        for wrong in ["", "verbose", "info,", "INFO", "=debug", "a b=debug"] {
            assert!(log_level(wrong).is_err(), "{wrong}");
        }
    }
}
