//! Text in a frame, for messages that must not be overlooked.

use std::fmt::Write as _;

/// The width that a line has at least, so that short texts make a frame too.
const WIDTH_MIN: usize = 60;

/// `lines` in a double frame. A long line makes a wide frame: a link must stay in one piece.
pub(crate) fn framed(lines: &[&str]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(WIDTH_MIN);
    let bar = "═".repeat(width + 4);
    let mut frame = format!("\n╔{bar}╗\n");
    for line in [""].iter().chain(lines).chain(&[""]) {
        let _ = writeln!(frame, "║  {line:width$}  ║");
    }
    let _ = writeln!(frame, "╚{bar}╝");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banner_does_not_break_a_link() {
        let link = format!("http://localhost:8080/auth/enroll#{}", "x".repeat(43));
        let text = framed(&["Zoë", &link]);
        let widths: Vec<_> = text.trim().lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, vec![link.len() + 6; 6], "{text}");
        assert!(text.contains(&format!("║  {link}  ║")));
    }
}
