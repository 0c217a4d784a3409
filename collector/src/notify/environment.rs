//! The variables of a command: those that are configured, and few of the collector's own. All others of the collector
//! stay its own, since some hold secrets (`DATABASE_URL`), and some would let a command speak for it (`NOTIFY_SOCKET`).

use std::collections::BTreeMap;

use secrecy::SecretString;
use settings::Section;

/// What a command has of the collector's own variables, unless it is configured otherwise.
pub(super) const KEPT: [&str; 2] = ["PATH", "LANG"];

/// Variables by name; `<name>_file` reads a value from a file.
pub(super) fn read(section: &mut Section<'_>) -> BTreeMap<String, SecretString> {
    let mut variables = BTreeMap::new();
    for key in section.names() {
        let name = key.strip_suffix("_file").unwrap_or(&key);
        // It was read with the other of the two.
        if !section.has(&key) {
            continue;
        }
        let value = section.secret(name);
        if !is_name(name) {
            section.fault(&key, "is no name of a variable", "write letters, digits and _, with no digit in front");
        } else if let Some(value) = value {
            variables.insert(name.to_owned(), value);
        }
    }
    variables
}

fn is_name(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_of_name) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}
