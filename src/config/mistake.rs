//! Mistakes in the configuration, and how they are told.
//!
//! What always holds: a mistake names the key, says what is wrong and what to do about it. All
//! mistakes are reported together, in the order of the file.

use std::fmt;
use std::path::PathBuf;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// A file that the configuration leads to; `None`: the configuration itself.
    pub file: Option<PathBuf>,
    /// The dotted key, such as `server.listen`, or the environment variable.
    pub key: String,
    /// The line in the file, counted from 1; `None` if it is not in the file.
    pub line: Option<usize>,
    /// The fault.
    pub problem: String,
    /// The advice.
    pub remedy: String,
}

/// Every mistake of one configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    pub list: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report("the configuration"))
    }
}

impl Mistakes {
    /// Every mistake, and their number in the part called `whole`.
    pub fn report(&self, whole: &str) -> String {
        let each = self.list.iter().map(|mistake| {
            let file = mistake.file.as_ref().or(self.file.as_ref());
            let place = match (file, mistake.line) {
                (Some(file), Some(line)) => format!("{}:{line}: {}", file.display(), mistake.key),
                _ => mistake.key.clone(),
            };
            format!("{place}\n    {}\n    -> {}\n\n", mistake.problem, mistake.remedy)
        });
        let text: String = each.collect();
        let count = self.list.len();
        let mistakes = if count == 1 { "mistake" } else { "mistakes" };
        format!("{text}{count} {mistakes} in {whole}.")
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_says_where_what_and_what_to_do() {
        let mistakes = Mistakes {
            file: Some(PathBuf::from("config.toml")),
            list: vec![
                Mistake {
                    file: None,
                    key: "server.listn".to_owned(),
                    line: Some(3),
                    problem: "there is no such key".to_owned(),
                    remedy: "did you mean \"listen\"?".to_owned(),
                },
                Mistake {
                    file: None,
                    key: "VESTIBULE_X".to_owned(),
                    line: None,
                    problem: "there is no such setting".to_owned(),
                    remedy: "remove it".to_owned(),
                },
            ],
        };
        assert_eq!(
            mistakes.to_string(),
            "config.toml:3: server.listn\n    there is no such key\n    -> did you mean \"listen\"?\n\n\
             VESTIBULE_X\n    there is no such setting\n    -> remove it\n\n\
             2 mistakes in the configuration."
        );
    }
}
