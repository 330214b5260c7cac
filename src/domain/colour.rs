//! A colour in sRGB, as operators write it and stylesheets take it.

use std::fmt;

/// Red, green and blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour(pub [u8; 3]);

/// The text is not a colour of the form `#1a2b3c`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a colour")]
pub struct MalformedColour(String);

impl Colour {
    /// Reads `#rrggbb` and nothing else: an accepted colour is written into a stylesheet.
    pub fn parse(text: &str) -> Result<Self, MalformedColour> {
        let wrong = || MalformedColour(text.to_owned());
        let digits = text.strip_prefix('#').ok_or_else(wrong)?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let [_, rgb @ ..] = u32::from_str_radix(digits, 16).map_err(|_| wrong())?.to_be_bytes();
        Ok(Self(rgb))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_six_digits_is_a_colour() {
        assert_eq!(Colour::parse("#0a1bFF").unwrap().to_string(), "#0a1bff");
        for wrong in [
            "",
            "red",
            "0a1bff",
            "#fff",
            "#12345",
            "#1234567",
            "#12345g",
            "#+12345",
            "#000;}*{",
            "＃123456",
            "#00000é",
        ] {
            assert!(Colour::parse(wrong).is_err(), "{wrong}");
        }
    }
}
