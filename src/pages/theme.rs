//! The accent colour, made readable: whatever the operator chose, text in it keeps a contrast of
//! 4.5:1 (WCAG 2.2, success criterion 1.4.3), on our light and on our dark pages.

use crate::domain::colour::Colour;

/// Red, green, blue.
type Rgb = [u8; 3];

/// Contrast that text needs against its background.
const CONTRAST_MIN: f64 = 4.5;
/// The number of steps of a colour towards black or white.
const STEPS: u16 = 50;

/// How much of those steps a bright colour is paler than the pure one.
const PALER_STEPS: u16 = 15;

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];
/// The light page and the dark card of `page.css` under their strongest tint: the surfaces that
/// leave an accent the least contrast.
const LIGHT_SURFACE: Rgb = [0xdf, 0xe8, 0xe4];
const DARK_SURFACE: Rgb = [0x24, 0x30, 0x2b];
const DARK_INK: Rgb = [0x08, 0x14, 0x10];

/// The colour of buttons and links where the operator has chosen none.
pub const ACCENT: Colour = Colour([0x0b, 0x6b, 0x55]);

/// The stylesheet that carries an accent.
pub(super) fn stylesheet(Colour(accent): Colour) -> String {
    let light = readable(accent, LIGHT_SURFACE, BLACK);
    let dark = readable(accent, DARK_SURFACE, bright(accent));
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme: dark){{:root{{{}}}}}\n",
        declarations(light),
        declarations(dark)
    )
}

fn declarations(accent: Rgb) -> String {
    let on = if contrast(accent, WHITE) >= CONTRAST_MIN { WHITE } else { DARK_INK };
    format!("--accent:{};--on-accent:{}", Colour(accent), Colour(on))
}

/// The first colour on the way from `colour` to `end` that can be read on `surface`.
fn readable(colour: Rgb, surface: Rgb, end: Rgb) -> Rgb {
    (0..=STEPS)
        .map(|step| mix(colour, end, step))
        .find(|candidate| contrast(*candidate, surface) >= CONTRAST_MIN)
        .unwrap_or(if luminance(surface) < 0.5 { WHITE } else { BLACK })
}

/// The same hue at full brightness, a little paler: the target of a dark accent, so that it stays a
/// colour and does not fade to grey.
fn bright(colour: Rgb) -> Rgb {
    let brightest = colour.into_iter().max().unwrap_or(0);
    let full = match brightest {
        0 => WHITE,
        most => colour.map(|c| u8::try_from(u16::from(c) * 255 / u16::from(most)).unwrap_or(u8::MAX)),
    };
    mix(full, WHITE, PALER_STEPS)
}

fn mix(from: Rgb, to: Rgb, step: u16) -> Rgb {
    let channel = |from: u8, to: u8| {
        let sum = u16::from(from) * (STEPS - step) + u16::from(to) * step;
        u8::try_from(sum / STEPS).unwrap_or(u8::MAX)
    };
    let ([r, g, b], [to_r, to_g, to_b]) = (from, to);
    [channel(r, to_r), channel(g, to_g), channel(b, to_b)]
}

/// WCAG 2.2, "contrast ratio".
fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// WCAG 2.2, "relative luminance".
fn luminance(colour: Rgb) -> f64 {
    let [red, green, blue] = colour.map(|byte| {
        let value = f64::from(byte) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that others have published (WCAG 2.2, "contrast ratio").
    #[test]
    fn contrast_matches_published_values() {
        let colour = |text| Colour::parse(text).unwrap().0;
        for (one, other, expected) in [
            ("#000000", "#ffffff", 21.0),
            ("#ffffff", "#ffffff", 1.0),
            ("#767676", "#ffffff", 4.54),
            ("#777777", "#ffffff", 4.48),
            ("#ff0000", "#ffffff", 4.0),
            ("#0000ff", "#ffffff", 8.59),
        ] {
            let computed = contrast(colour(one), colour(other));
            assert!((computed - expected).abs() < 0.005, "{one} on {other}: {computed}");
        }
    }

    /// The colours that the stylesheet declares under this name, in the order of the text.
    fn declared(stylesheet: &str, name: &str) -> Vec<Rgb> {
        let declaration = format!("--{name}:");
        let values = stylesheet.split(&declaration).skip(1);
        values.map(|rest| Colour::parse(&rest[..7]).unwrap().0).collect()
    }

    #[test]
    fn any_accent_can_be_read_on_light_and_dark() {
        for text in ["#000000", "#ffffff", "#ffff00", "#0b6b55", "#808080", "#ff0000", "#1a1aff", "#FA8072"] {
            let stylesheet = stylesheet(Colour::parse(text).unwrap());
            let accents = declared(&stylesheet, "accent");
            let inks = declared(&stylesheet, "on-accent");
            assert_eq!((accents.len(), inks.len()), (2, 2), "{stylesheet}");
            for ((accent, ink), surface) in accents.into_iter().zip(inks).zip([LIGHT_SURFACE, DARK_SURFACE]) {
                assert!(contrast(accent, surface) >= 4.5, "{text}: {stylesheet}");
                assert!(contrast(accent, ink) >= 4.5, "text on {text}: {stylesheet}");
            }
        }
    }

    #[test]
    fn the_built_in_accent_is_readable_as_it_is() {
        assert!(stylesheet(ACCENT).starts_with(":root{--accent:#0b6b55;--on-accent:#ffffff}"));
    }
}
