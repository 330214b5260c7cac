//! A route's settings for headers that clients send: which are taken off beyond the built-in
//! families, and which of those are let through.
//!
//! What always holds: headers that the gateway writes itself can never be let through from outside.

/// Beginnings of names that only the gateway writes, as an application may read them.
const ALWAYS_OURS: [&str; 4] = ["x-forwarded-", "x-vestibule-", "forwarded", "x-request-id"];

/// One name, or all that begin with the same letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPattern {
    /// Lower case.
    name: String,
    is_beginning: bool,
}

/// The headers that a route adds to the removed families, and those that it takes out of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderRules {
    pub strip: Vec<HeaderPattern>,
    pub pass: Vec<HeaderPattern>,
}

impl HeaderRules {
    /// Whether the route removes a header of this name (lower case).
    pub fn strips(&self, name: &str) -> bool {
        self.strip.iter().any(|pattern| pattern.covers(name))
    }

    /// Whether the route lets a header of this name (lower case) through.
    pub fn passes(&self, name: &str) -> bool {
        self.pass.iter().any(|pattern| pattern.covers(name)) && !is_always_ours(name)
    }
}

impl HeaderPattern {
    /// Reads `X-Legacy-User`, or `X-Legacy-*`. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, is_beginning) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(fits) {
            return Err(format!("{text:?} is not a header name, nor the beginning of one with a final *"));
        }
        Ok(Self { name: name.to_ascii_lowercase(), is_beginning })
    }

    /// Reads one for headers that are let through.
    pub fn parse_passed(text: &str) -> Result<Self, String> {
        let pattern = Self::parse(text)?;
        let folded = folded(&pattern.name);
        let reaches = |ours: &&&str| {
            folded.starts_with(**ours) || (pattern.is_beginning && ours.starts_with(folded.as_str()))
        };
        match ALWAYS_OURS.iter().find(reaches) {
            Some(ours) => Err(format!("{text:?} reaches headers that the gateway writes itself ({ours})")),
            None => Ok(pattern),
        }
    }

    fn covers(&self, name: &str) -> bool {
        if self.is_beginning { name.starts_with(&self.name) } else { name == self.name }
    }
}

fn is_always_ours(name: &str) -> bool {
    let folded = folded(name);
    ALWAYS_OURS.iter().any(|ours| folded.starts_with(ours))
}

/// As CGI reads it: every other character is a hyphen.
pub fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_11_a_pattern_is_a_name_or_the_beginning_of_one() {
        let strip =
            vec![HeaderPattern::parse("X-Legacy-*").unwrap(), HeaderPattern::parse("X_User").unwrap()];
        let rules = HeaderRules { strip, pass: Vec::new() };
        for (name, stripped) in
            [("x-legacy-user", true), ("x_user", true), ("x_users", false), ("accept", false)]
        {
            assert_eq!(rules.strips(name), stripped, "{name}");
        }
        for wrong in ["", "*", "X User", "X-*-Y", "é"] {
            assert!(HeaderPattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn f_11_pass_headers_cannot_name_our_headers() {
        for wrong in [
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-*",
            "X-Forwarded-*",
            "X-Vestibule-Assertion",
            "Forwarded",
        ] {
            assert!(HeaderPattern::parse_passed(wrong).is_err(), "{wrong}");
        }
        let pass = vec![HeaderPattern::parse_passed("X-Auth-Token").unwrap()];
        let rules = HeaderRules { strip: Vec::new(), pass };
        assert!(rules.passes("x-auth-token") && !rules.passes("x-auth-user"));
        // A pattern that the configuration would refuse lets none of them through either.
        let rules = HeaderRules { strip: Vec::new(), pass: vec![HeaderPattern::parse("X*").unwrap()] };
        assert!(rules.passes("x-auth-token"));
        for ours in ["x-forwarded-for", "x_forwarded_for", "x-vestibule-assertion"] {
            assert!(!rules.passes(ours), "{ours}");
        }
    }
}
