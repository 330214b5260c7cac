//! The accent colour, made readable: whatever the operator chose, text in it keeps a contrast of
//! 4.5:1 (WCAG 2.2, success criterion 1.4.3), on our light and on our dark pages.

/// A colour as three bytes: red, green, blue.
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

/// The operator's colour for buttons and links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent(Rgb);

/// The text is not a colour of the form `#1a2b3c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written as # and six hexadecimal digits, for example #0b6b55")]
pub struct MalformedColour;

impl Default for Accent {
    fn default() -> Self {
        Self([0x0b, 0x6b, 0x55])
    }
}

impl Accent {
    /// Reads `#rrggbb` and nothing else: an accepted colour is written into a stylesheet.
    pub fn parse(text: &str) -> Result<Self, MalformedColour> {
        let digits =
            text.strip_prefix('#').filter(|d| d.len() == 6 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).ok_or(MalformedColour)?;
        let [_, red, green, blue] = value.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    /// The stylesheet that carries it.
    pub(super) fn stylesheet(self) -> String {
        let light = readable(self.0, LIGHT_SURFACE, BLACK);
        let dark = readable(self.0, DARK_SURFACE, bright(self.0));
        format!(
            ":root{{{}}}\n@media (prefers-color-scheme: dark){{:root{{{}}}}}\n",
            declarations(light),
            declarations(dark)
        )
    }
}

fn declarations(accent: Rgb) -> String {
    let on = if contrast(accent, WHITE) >= CONTRAST_MIN { WHITE } else { DARK_INK };
    format!("--accent:{};--on-accent:{}", hex(accent), hex(on))
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
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
        let colour = |text| Accent::parse(text).unwrap().0;
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
        values.map(|rest| Accent::parse(&rest[..7]).unwrap().0).collect()
    }

    #[test]
    fn any_accent_can_be_read_on_light_and_dark() {
        for text in ["#000000", "#ffffff", "#ffff00", "#0b6b55", "#808080", "#ff0000", "#1a1aff", "#FA8072"] {
            let stylesheet = Accent::parse(text).unwrap().stylesheet();
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
    fn nothing_but_a_colour_reaches_the_stylesheet() {
        for wrong in ["", "red", "#fff", "#12345", "#1234567", "#12345g", "#+12345", "#000;}*{", "＃123456"]
        {
            assert_eq!(Accent::parse(wrong), Err(MalformedColour), "{wrong}");
        }
        assert!(Accent::default().stylesheet().starts_with(":root{--accent:#0b6b55;--on-accent:#ffffff}"));
    }
}
