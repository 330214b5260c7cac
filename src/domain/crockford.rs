//! Crockford's base 32: secrets as people copy them by hand. No letter looks like a digit, and there is no U.

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Five bits a character, from the front; whole characters only.
pub(super) fn write(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            let index = usize::try_from((bits >> held) & 31).unwrap_or(0);
            text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'0')));
        }
        bits &= (1 << held) - 1;
    }
    text
}

/// Reads what a user typed, if it has `length` characters: any case, spaces and hyphens, `O` for `0`, `I` and
/// `L` for `1`.
pub(super) fn read(text: &str, length: usize) -> Option<String> {
    let mut read = String::with_capacity(length);
    for character in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
        let symbol = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        if !symbol.is_ascii() || !ALPHABET.contains(&(symbol as u8)) || read.len() == length {
            return None;
        }
        read.push(symbol);
    }
    (read.len() == length).then_some(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_known_encodings() {
        assert_eq!(write(&[0, 0x44, 0x32, 0x14, 0xc7]), "01234567");
        assert_eq!(write(&[0xff; 5]), "ZZZZZZZZ");
        assert_eq!(write(&[]), "");
    }

    proptest! {
        #[test]
        fn base32_roundtrips(bytes in any::<[u8; 10]>()) {
            let text = write(&bytes);
            prop_assert_eq!(text.len(), 16);
            prop_assert_eq!(read(&text.to_lowercase(), 16), Some(text.clone()));
            prop_assert_eq!(read(&text, 15), None);
            prop_assert_eq!(read(&text, 17), None);
        }
    }
}
