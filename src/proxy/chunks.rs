//! The chunks of an HTTP/1 request's body, as the client sent them.
//!
//! pingora's parser takes a size line without a single digit for the last one, and a line feed for
//! a part of a chunk's extension. A proxy before us that reads those otherwise sees the body end
//! elsewhere. What always holds: only the lines between the chunks are looked at, and a body with
//! an odd line stays odd.

use pingora::ErrorType;

/// pingora's name for a chunk of a request body whose size, end or extension is wrong; it does not
/// export it.
pub(super) const INVALID_CHUNK: ErrorType = ErrorType::Custom("InvalidChunk");

/// The state of reading one body.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chunks {
    part: Part,
    /// The size of the chunk whose size line this is, then how much of it is still to come.
    left: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    BeforeSize,
    Size,
    Extension,
    AfterSize,
    Data,
    AfterData,
    AfterDataAndReturn,
    /// The last size line has come. Trailers follow, which pingora reads and drops.
    Over,
    Ambiguous,
}

impl Chunks {
    /// Looks at the bytes that come next.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = match self.part {
                Part::Over | Part::Ambiguous => return,
                Part::Data => self.pass(rest),
                _ => {
                    self.part = self.step(*byte);
                    after
                }
            };
        }
    }

    /// Whether its end could be found in two places.
    pub(super) fn are_ambiguous(self) -> bool {
        self.part == Part::Ambiguous
    }

    fn step(&mut self, byte: u8) -> Part {
        match (self.part, byte) {
            (Part::BeforeSize | Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.grow(byte),
            (Part::Size | Part::Extension, b'\r') => Part::AfterSize,
            (Part::Size, b';' | b' ' | b'\t') | (Part::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                Part::Extension
            }
            (Part::AfterSize, b'\n') if self.left == 0 => Part::Over,
            (Part::AfterSize, b'\n') => Part::Data,
            (Part::AfterData, b'\r') => Part::AfterDataAndReturn,
            (Part::AfterDataAndReturn, b'\n') => Part::BeforeSize,
            _ => Part::Ambiguous,
        }
    }

    fn grow(&mut self, digit: u8) -> Part {
        let digit = char::from(digit).to_digit(16).map(u64::from);
        // Before the first digit, `left` is 0.
        match digit.and_then(|digit| self.left.checked_mul(16)?.checked_add(digit)) {
            Some(size) => {
                self.left = size;
                Part::Size
            }
            None => Part::Ambiguous,
        }
    }

    fn pass<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.left = self.left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
        if self.left == 0 {
            self.part = Part::AfterData;
        }
        bytes.get(here..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(bytes: &[u8]) -> Chunks {
        let mut whole = Chunks::default();
        whole.see(bytes);
        // The result is the same however the bytes are cut into pieces.
        let mut in_pieces = Chunks::default();
        bytes.chunks(1).for_each(|piece| in_pieces.see(piece));
        assert_eq!(format!("{whole:?}"), format!("{in_pieces:?}"));
        whole
    }

    #[test]
    fn f_27_accepts_ordinary_chunks() {
        for ordinary in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "3;a=\"b\u{e9}\"\r\n\r\n\0\r\n00 \r\nX: y\r\n\r\n",
            "A \r\n0123456789\r\n1\t;\r\n\n\r\n0;x\r\n\r\n",
            "00000000000000000003\r\nabc\r\n0\r\n",
        ] {
            assert_eq!(seen(ordinary.as_bytes()).part, Part::Over, "{ordinary:?}");
        }
        assert_eq!(seen(b"ffffffffffffffff\r\nabc").part, Part::Data);
        assert!(!seen(b"").are_ambiguous());
    }

    #[test]
    fn f_27_flags_ambiguous_chunks() {
        for odd in [
            "\r\n\r\n",
            ";x\r\n",
            " 3\r\nabc",
            "+3\r\nabc",
            "0x3\r\nabc",
            "3\nabc",
            "3\rabc",
            "3;\nx\r\nabc",
            "3;\0\r\nabc",
            "3\r\nabcd",
            "3\r\nabc\n0",
            "3\r\nabc\r0",
            "3\r\nabc\r\n\r\n",
            "10000000000000000\r\nabc",
        ] {
            assert!(seen(odd.as_bytes()).are_ambiguous(), "{odd:?}");
        }
    }
}
