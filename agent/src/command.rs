//! The commands beside `run`: each writes to the stream that it is given and returns the exit code.

pub mod check_config;
pub mod once;
pub mod outbox_export;
pub mod outbox_import;
pub mod outbox_status;

use std::str::FromStr;

/// Exit code: what the command looks for was found, such as a check that fails or an entry that is skipped.
pub const FOUND: u8 = 1;
/// Exit code: a part that is needed is not there.
pub const UNAVAILABLE: u8 = 69;
/// Exit code: another agent has the outbox.
pub const LOCKED: u8 = 75;
/// Exit code: the configuration, or what it names, is not one that can run; or the file is not one that can be imported.
pub const CONFIGURATION: u8 = 78;

/// How a command shows what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "table" => Ok(Format::Table),
            "json" => Ok(Format::Json),
            other => Err(format!("{other:?} is no format; use table or json")),
        }
    }
}
