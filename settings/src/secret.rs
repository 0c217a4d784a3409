//! Secrets: in the file, or better in a file of their own.

use std::fs;
use std::path::Path;

use secrecy::SecretString;
use serde_yaml::Value;

use crate::Section;
use crate::section::Wrong;

impl Section<'_> {
    /// The secret `key`, or the content of the file that `<key>_file` names without its trailing newline. The value
    /// is never shown, not even in a fault.
    pub fn secret(&mut self, key: &str) -> Option<SecretString> {
        let key_file = format!("{key}_file");
        if self.has(key) && self.has(&key_file) {
            self.fault(key, format!("stands beside {key_file}"), "keep one of the two");
        }
        let plain = self.convert(key, |value| match value {
            Value::String(text) if text.is_empty() => Err(Wrong::new("is empty", "give it a value, or leave it out")),
            Value::String(text) => Ok(SecretString::from(text.as_str())),
            _ => Err(Wrong::new("is no text", "put it in quotes")),
        });
        let filed = self
            .path(&key_file)
            .and_then(|path| read_secret(&path).map_err(|wrong| self.fault(&key_file, wrong.problem, wrong.mend)).ok());
        plain.or(filed)
    }
}

fn read_secret(path: &Path) -> Result<SecretString, Wrong> {
    let mut secret = fs::read_to_string(path).map_err(|error| {
        let mend = "name a text file that the daemon's user may read";
        Wrong::new(format!("{} can't be read: {error}", path.display()), mend)
    })?;
    if secret.ends_with('\n') {
        secret.pop();
        if secret.ends_with('\r') {
            secret.pop();
        }
    }
    if secret.is_empty() {
        return Err(Wrong::new(format!("{} is empty", path.display()), "write the secret into it"));
    }
    Ok(SecretString::from(secret))
}
