//! The variables of a command: those that are configured, and a few of the collector's own. A command does not get the
//! other variables of the collector, because some hold secrets (`DATABASE_URL`), and some would let a command speak in
//! the collector's name (`NOTIFY_SOCKET`).

use std::collections::BTreeMap;

use secrecy::SecretString;
use settings::Section;

/// The variables of the collector that a command gets, unless they are configured otherwise.
pub(super) const KEPT: [&str; 2] = ["PATH", "LANG"];

/// Reads the variables by name. `<name>_file` reads a value from a file.
pub(super) fn read(section: &mut Section<'_>) -> BTreeMap<String, SecretString> {
    let mut variables = BTreeMap::new();
    for key in section.names() {
        let name = key.strip_suffix("_file").unwrap_or(&key);
        // The value was already read together with the other key of the same variable.
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
