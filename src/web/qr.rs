//! A QR code as SVG: black on white whatever the theme, because cameras need that.
//!
//! What does not live here: the links themselves.
//!
//! What always holds: a code has the margin that readers need.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The white margin that readers need, in modules (ISO/IEC 18004, 6.3.8).
const QUIET_ZONE: usize = 4;

/// `text` as a picture that scales. `None` if it is too long for a QR code.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut dark = String::new();
    for (at, _) in code.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        // Writing to a string cannot fail.
        let _ = write!(dark, "M{} {}h1v1h-1z", at % width + QUIET_ZONE, at / width + QUIET_ZONE);
    }
    let side = width + 2 * QUIET_ZONE;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}h-{side}z\"/><path fill=\"#000\" d=\"{dark}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How many pixels a module is wide.
    const SCALE: usize = 4;

    /// Draws the squares of the path, as a browser would, and reads the picture as a camera would.
    fn read(svg: &str) -> String {
        let side: usize = between(svg, "viewBox=\"0 0 ", " ").parse().unwrap();
        let path = between(svg, "fill=\"#000\" d=\"", "\"");
        let squares: BTreeSet<(usize, usize)> = path
            .split('M')
            .skip(1)
            .map(|square| {
                let (x, y) = square.strip_suffix("h1v1h-1z").unwrap().split_once(' ').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        let is_dark = |x: usize, y: usize| squares.contains(&(x / SCALE, y / SCALE));
        let pixels = side * SCALE;
        let mut picture =
            rqrr::PreparedImage::prepare_from_greyscale(
                pixels,
                pixels,
                |x, y| if is_dark(x, y) { 0 } else { 255 },
            );
        let [grid] = &picture.detect_grids()[..] else { panic!("not one QR code") };
        grid.decode().unwrap().1
    }

    fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
        text.split_once(before).unwrap().1.split_once(after).unwrap().0
    }

    #[test]
    fn qr_code_decodes_to_its_text() {
        for link in [
            "https://auth.example.com/auth/device#01ABCXYZ",
            "http://localhost:8080/a/rather/long/prefix/that/an/operator/chose/device#ZZZZZZZZ",
        ] {
            assert_eq!(read(&svg(link).unwrap()), link);
        }
    }

    #[test]
    fn refuses_texts_too_long_for_a_qr_code() {
        assert!(svg(&"x".repeat(4_000)).is_none());
    }
}
