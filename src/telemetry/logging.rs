//! Log lines: where they go, what they look like, and what they may hold.
//!
//! Lines go to standard error, as text on a terminal and as JSON otherwise. What always holds: a
//! line is one line, whatever a client sent (control characters are written as `\u00XX`); the
//! audit log is written at every level; other libraries never log below `info`, where some of
//! them write headers.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// Sends all log lines of this process to standard error. To be called once, at start.
///
/// `level` is a level, or a list of levels with targets as the configuration reads it.
pub fn start(level: &str, format: Format) -> Result<(), String> {
    let json = match format {
        Format::Auto => !io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    subscriber(level, json, io::stderr)?.try_init().map_err(|error| error.to_string())
}

/// A subscriber that writes whole, escaped lines to `writer`.
pub(super) fn subscriber<W>(
    level: &str,
    json: bool,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(directives(level)).map_err(|error| error.to_string())?;
    // There are no colours, because escape sequences are escaped.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Escaping(writer));
    Ok(if json { Box::new(builder.json().flatten_event(true).finish()) } else { Box::new(builder.finish()) })
}

/// The filter for a configured level. A bare level is for our own lines; other libraries log
/// warnings.
fn directives(level: &str) -> String {
    let mut directives = vec!["warn".to_owned()];
    for directive in level.split(',') {
        directives.push(match directive.split_once('=') {
            None if matches!(directive, "off" | "error") => format!("{directive},vestibule={directive}"),
            None => format!("vestibule={directive}"),
            Some((target, level)) if is_ours(target) => format!("{target}={level}"),
            Some((target, "debug" | "trace")) => format!("{target}=info"),
            Some((target, level)) => format!("{target}={level}"),
        });
    }
    directives.push(format!("{}=info", super::audit::TARGET));
    directives.join(",")
}

fn is_ours(target: &str) -> bool {
    target == "vestibule" || target.starts_with("vestibule::")
}

/// Wraps a writer of lines so that control characters cannot get out.
struct Escaping<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Escaping<W> {
    type Writer = EscapingWriter<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapingWriter(self.0.make_writer())
    }
}

struct EscapingWriter<W>(W);

impl<W: Write> Write for EscapingWriter<W> {
    /// Takes one whole line, which is how the subscriber writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.0.write_all(one_line(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `text` with its control characters written as `\u00XX` (which JSON reads back), except for the
/// newline at its end.
fn one_line(text: &str) -> String {
    use std::fmt::Write as _;
    let (body, end) = text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n"));
    let mut line = String::with_capacity(text.len());
    for c in body.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line.push_str(end);
    line
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// The lines that were logged.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `log` writes at `level`.
    pub(in crate::telemetry) fn captured(level: &str, json: bool, log: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(level, json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        captured.text()
    }

    #[test]
    fn s_22_control_bytes_come_out_escaped_and_a_line_is_one_line() {
        let hostile = "a\r\nERROR forged\x1b[31m\x00\u{85}\u{2028}b";
        for json in [false, true] {
            let text = captured("info", json, || {
                tracing::info!(target: "vestibule", path = %hostile, agent = hostile, "{hostile}");
            });
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(text.ends_with('\n') && !text.trim_end().chars().any(char::is_control), "{text:?}");
            if json {
                let line: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(line["agent"], hostile);
            }
        }
    }

    #[track_caller]
    fn check(level: &str, expected: &[&str]) {
        let text = captured(level, false, || {
            tracing::debug!(target: "vestibule::proxy", "our-debug");
            tracing::info!(target: "vestibule", "our-info");
            tracing::error!(target: "vestibule", "our-error");
            tracing::debug!(target: "h2", "their-debug");
            tracing::info!(target: "h2", "their-info");
            tracing::warn!(target: "h2", "their-warn");
            tracing::info!(target: "audit", "audited");
        });
        let seen: Vec<_> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(seen, expected, "{level}");
    }

    #[test]
    fn levels_are_ours_and_the_audit_log_is_always_written() {
        check("info", &["our-info", "our-error", "their-warn", "audited"]);
        check("debug", &["our-debug", "our-info", "our-error", "their-warn", "audited"]);
        check("off", &["audited"]);
        check("error", &["our-error", "audited"]);
        check("warn,vestibule::proxy=debug", &["our-debug", "our-error", "their-warn", "audited"]);
        check("info,h2=trace", &["our-info", "our-error", "their-info", "their-warn", "audited"]);
    }
}
