//! What is wrong in a file, said so that its reader can mend it without another look elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

/// One fault: where it is, what is wrong, and what to do.
///
/// Shown as one line: `agent.yaml: monitor 2 (shop): timeout: "fast" is no duration; write 30 (seconds) or 1m30s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The entry of a list, by position and name; `None` outside of entries.
    pub entry: Option<String>,
    /// The option, with its sections: `kafka.ssl.ca_file`.
    pub option: Option<String>,
    /// What is wrong. Never holds a secret.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

impl Fault {
    /// A fault of a whole file.
    pub fn of_file(file: &Path, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
        Fault { file: file.into(), entry: None, option: None, problem: problem.into(), mend: mend.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        for place in [&self.entry, &self.option].into_iter().flatten() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.mend)
    }
}

impl std::error::Error for Fault {}
