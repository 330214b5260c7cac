//! A browser and its system in words, for a person who looks at their sessions or passkeys.
//!
//! It is a label and never decides anything, because a sender can put any text into the header.

use super::credential::Program;

/// Browser and system, as far as they are known by name.
pub fn program(user_agent: Option<&str>) -> Program {
    let text = user_agent.unwrap_or_default();
    let name = |names: &[(&str, &'static str)]| first_of(text, names).unwrap_or_default().to_owned();
    Program { browser: name(&BROWSERS), system: name(&SYSTEMS) }
}

/// "Firefox on Linux", or what can be told.
pub fn in_words(user_agent: Option<&str>) -> String {
    let Some(text) = user_agent.filter(|text| !text.is_empty()) else {
        return "Unknown browser".to_owned();
    };
    match (first_of(text, &BROWSERS), first_of(text, &SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        // A program: its first word is its name, by convention.
        (None, None) => text.split(['/', ' ']).next().unwrap_or(text).to_owned(),
    }
}

/// Order matters: almost every browser claims to be others as well.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

fn first_of(text: &str, names: &[(&str, &'static str)]) -> Option<&'static str> {
    names.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_browsers_have_names() {
        for (header, words) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
        ] {
            assert_eq!(in_words(Some(header)), words);
        }
        assert_eq!(in_words(None), "Unknown browser");
    }

    #[test]
    fn unknown_user_agents_have_no_name() {
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15";
        let known = program(Some(safari));
        assert_eq!((known.browser.as_str(), known.system.as_str()), ("Safari", "macOS"));
        assert!(program(Some("curl/8.5.0")).is_unknown() && program(None).is_unknown());
    }
}
