//! Mistakes in the configuration, and how they are told.
//!
//! What always holds: a mistake names the key, says what is wrong and what to do about it. All
//! mistakes are reported together, in the order of the file.

use std::fmt;
use std::path::PathBuf;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The dotted key, such as `server.listen`, or the environment variable.
    pub key: String,
    /// Where it is in the file, counted from 1; `None` for what is not in the file.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
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
        for mistake in &self.list {
            match (&self.file, mistake.line) {
                (Some(file), Some(line)) => writeln!(f, "{}:{line}: {}", file.display(), mistake.key)?,
                _ => writeln!(f, "{}", mistake.key)?,
            }
            writeln!(f, "    {}", mistake.problem)?;
            writeln!(f, "    -> {}", mistake.remedy)?;
            writeln!(f)?;
        }
        match self.list.len() {
            1 => f.write_str("1 mistake in the configuration."),
            count => write!(f, "{count} mistakes in the configuration."),
        }
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
                    key: "server.listn".to_owned(),
                    line: Some(3),
                    problem: "there is no such key".to_owned(),
                    remedy: "did you mean \"listen\"?".to_owned(),
                },
                Mistake {
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
