//! The bytes of an HTTP/1 request's head, as the client sent them.
//!
//! pingora's parser is lenient: it takes bare line feeds, escapes a space in the target, cuts a
//! fragment off, and keeps none of it where we could see. An application or a proxy before us that
//! reads such bytes otherwise sees another request than the gateway decided on. So the bytes are
//! looked at on their way to the parser ([`super::watched`]), and admission refuses an odd head.
//!
//! What always holds: only leniency is undone here. The parser still decides what a request says,
//! and refuses on its own a head that it cannot read.

/// The state of reading one head.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head {
    part: Part,
    last: u8,
    line_is_empty: bool,
    /// How much of this line is the beginning of [`TRANSFER_ENCODING`].
    name_length: usize,
    is_chunked: bool,
    is_ambiguous: bool,
}

const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
/// The line is another field's, or its name is over.
const NOT_OURS: usize = usize::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    /// Nothing has come yet, or empty lines, which clients may send before a request (RFC 9112,
    /// section 2.2).
    #[default]
    Before,
    Method,
    Target,
    Version,
    Fields,
    /// The following bytes are a body, or those of an upgraded connection.
    Over,
}

impl Head {
    /// Looks at the bytes that come next, and returns those that do not belong to the head.
    pub(super) fn see<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while self.part != Part::Over
            && let Some((byte, after)) = rest.split_first()
        {
            self.step(*byte);
            self.last = *byte;
            rest = if self.name_length == NOT_OURS { skip(*byte, after) } else { after };
        }
        rest
    }

    /// Whether a byte of the request has come.
    pub(super) fn has_begun(self) -> bool {
        self.part != Part::Before
    }

    /// Whether the head could be read in two ways.
    pub(super) fn is_ambiguous(self) -> bool {
        self.is_ambiguous
    }

    /// Whether the head is over and a body in chunks follows. Admission refuses every transfer
    /// coding but `chunked`.
    pub(super) fn is_before_chunks(self) -> bool {
        self.part == Part::Over && self.is_chunked
    }

    fn step(&mut self, byte: u8) {
        // A line ends with CR and LF, and neither stands alone.
        self.is_ambiguous |= (byte == b'\n') != (self.last == b'\r');
        match (self.part, byte) {
            (_, b'\n') => self.end_line(),
            (_, b'\r') => {}
            (Part::Before, _) => self.part = Part::Method,
            (Part::Method, b' ') => self.part = Part::Target,
            (Part::Target, b' ') => self.part = Part::Version,
            // No white space, no control characters, and no fragment.
            (Part::Target, 0..=b' ' | b'#' | 0x7f) | (Part::Version, b' ' | b'\t') => {
                self.is_ambiguous = true;
            }
            (Part::Fields, _) => self.read_name(byte),
            (Part::Method | Part::Target | Part::Version | Part::Over, _) => {}
        }
    }

    fn read_name(&mut self, byte: u8) {
        self.line_is_empty = false;
        let expected = TRANSFER_ENCODING.get(self.name_length);
        self.name_length =
            if expected == Some(&byte.to_ascii_lowercase()) { self.name_length + 1 } else { NOT_OURS };
        self.is_chunked |= self.name_length == TRANSFER_ENCODING.len();
    }

    fn end_line(&mut self) {
        self.part = match self.part {
            Part::Before => Part::Before,
            Part::Fields if self.line_is_empty => Part::Over,
            _ => Part::Fields,
        };
        self.line_is_empty = true;
        self.name_length = 0;
    }
}

/// Skips the rest of the bytes within a line.
fn skip(byte: u8, after: &[u8]) -> &[u8] {
    if matches!(byte, b'\r' | b'\n') {
        return after;
    }
    let end = memchr::memchr2(b'\r', b'\n', after).unwrap_or(after.len());
    after.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Head {
        let mut whole = Head::default();
        let _ = whole.see(bytes);
        // The result is the same however the bytes are cut into pieces.
        let mut in_pieces = Head::default();
        for piece in bytes.chunks(1) {
            let _ = in_pieces.see(piece);
        }
        let told = |head: Head| (head.part, head.is_ambiguous, head.is_chunked);
        assert_eq!(told(whole), told(in_pieces));
        whole
    }

    #[test]
    fn f_27_accepts_ordinary_heads() {
        for ordinary in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nGET /a%20b?c=d HTTP/1.1\r\nHost: a\r\nX: b  c # d\r\n\r\n",
            "OPTIONS * HTTP/1.0\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\n\r\n",
        ] {
            let seen = head(ordinary.as_bytes());
            assert_eq!((seen.part, seen.is_ambiguous), (Part::Over, false), "{ordinary:?}");
        }
    }

    #[test]
    fn f_27_flags_ambiguous_heads() {
        for odd in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET /a b HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET /  HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1 \r\n\r\n",
            "GET /\tb HTTP/1.1\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\n\r\n",
            "GET /\0 HTTP/1.1\r\n\r\n",
            "GET /a#b HTTP/1.1\r\n\r\n",
            "GET # HTTP/1.1\r\n\r\n",
        ] {
            let seen = head(odd.as_bytes());
            assert_eq!((seen.part, seen.is_ambiguous), (Part::Over, true), "{odd:?}");
        }
    }

    #[test]
    fn f_27_a_body_is_not_looked_at() {
        let mut seen = head(b"POST / HTTP/1.1\r\n\r\n");
        assert_eq!(seen.see(b"a\nb\n\n # \r"), b"a\nb\n\n # \r");
        assert!(!seen.is_ambiguous());
        assert_eq!(Head::default().see(b"POST / HTTP/1.1\r\nX: y\r\n\r\nbody"), b"body");
    }

    #[test]
    fn f_27_a_body_in_chunks_is_announced() {
        for (chunked, field) in [
            (true, "Transfer-Encoding: chunked"),
            (true, "X: y\r\ntransfer-encoding:chunked\r\nX: y"),
            (false, "X: transfer-encoding: chunked"),
            (false, "Transfer-Encodin: chunked"),
            (false, "TE: chunked"),
            (false, "X-Transfer-Encoding: chunked"),
        ] {
            let mut seen = head(format!("POST /transfer-encoding: HTTP/1.1\r\n{field}\r\n").as_bytes());
            assert!(!seen.is_before_chunks(), "{field}: its head is not over");
            let _ = seen.see(b"\r\n");
            assert_eq!(seen.is_before_chunks(), chunked, "{field}");
        }
    }

    #[test]
    fn f_27_a_head_begins_with_its_first_byte() {
        assert!(!head(b"").has_begun());
        assert!(!head(b"\r\n").has_begun());
        assert!(head(b"G").has_begun());
    }
}
