//! Describes a fault in a file, so that its reader can fix it without further information.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::terminal;

/// One fault: where it is, what is wrong, and what to do.
///
/// It is shown as one line: `agent.yaml:12: monitor 2 (shop): timeout: "fast" is no duration; write 30 (seconds) or
/// 1m30s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named by the user.
    pub file: PathBuf,
    /// The number of the line, from 1, where it is known.
    pub line: Option<usize>,
    /// The entry of a list, by position and name. It is `None` outside of entries.
    pub entry: Option<String>,
    /// The option, with its sections, such as `kafka.ssl.ca_file`.
    pub option: Option<String>,
    /// The text that says what is wrong. It never holds a secret.
    pub problem: String,
    /// The text that says what to do about it.
    pub mend: String,
}

impl Fault {
    /// Creates a fault of a whole file.
    pub fn of_file(file: &Path, problem: impl Into<String>, mend: impl Into<String>) -> Fault {
        Fault { file: file.into(), line: None, entry: None, option: None, problem: problem.into(), mend: mend.into() }
    }
}

/// What is wrong with a value, and what to do about it. The section adds the place of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The text that says what is wrong.
    pub problem: String,
    /// The text that says what to do about it.
    pub mend: String,
}

impl Wrong {
    /// Creates it from a problem and its fix.
    pub fn new(problem: impl Into<String>, mend: impl Into<String>) -> Wrong {
        Wrong { problem: problem.into(), mend: mend.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.file.display().to_string();
        if let Some(number) = self.line {
            write!(line, ":{number}")?;
        }
        line.push_str(": ");
        for place in [&self.entry, &self.option].into_iter().flatten() {
            line.push_str(place);
            line.push_str(": ");
        }
        line.push_str(&self.problem);
        line.push_str("; ");
        line.push_str(&self.mend);
        // A configured text may hold anything, and a fault goes to terminals and logs, so it must stay one line.
        f.write_str(&terminal::shown(&line))
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_whatever_was_configured() {
        let mut fault = Fault::of_file(Path::new("a.yaml"), "\"x\ny\x1b[2J\" is wrong", "correct it");
        fault.line = Some(7);
        fault.entry = Some("monitor 1 (a\tb)".into());
        fault.option = Some("url".into());
        assert_eq!(fault.to_string(), r#"a.yaml:7: monitor 1 (a\tb): url: "x\ny\u{1b}[2J" is wrong; correct it"#);
    }
}
