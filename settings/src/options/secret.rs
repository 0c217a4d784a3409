//! Reads secrets, which are in the configuration file, or better in a file of their own.

use std::fs;
use std::path::Path;

use secrecy::SecretString;
use serde_yaml::Value;

use super::fault::Wrong;
use super::schema::kinds;
use crate::Section;

impl Section<'_> {
    /// Reads the secret `key`, or the content of the file that `<key>_file` names, without its trailing newline. The
    /// value is never shown, also not in a fault.
    pub fn secret(&mut self, key: &str) -> Option<SecretString> {
        let key_file = format!("{key}_file");
        if self.has(key) && self.has(&key_file) {
            self.fault(key, format!("stands beside {key_file}"), "keep one of the two");
        }
        let plain = self.convert_kind(
            key,
            || kinds::text(None),
            |value| match value {
                Value::String(text) if text.is_empty() => {
                    Err(Wrong::new("is empty", "give it a value, or leave it out"))
                }
                Value::String(text) => Ok(SecretString::from(text.as_str())),
                _ => Err(Wrong::new("is no text", "put it in quotes")),
            },
        );
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(content: Option<&str>, text: &str) -> (Option<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        if let Some(content) = content {
            fs::write(dir.path().join("secret.txt"), content).unwrap();
        }
        let file = dir.path().join("agent.yaml");
        let (secret, faults) =
            Section::read(&file, None, serde_yaml::from_str(text).unwrap(), |section| section.secret("password"));
        let shown = |fault: &crate::Fault| fault.to_string().replace(&format!("{}/", dir.path().display()), "");
        (secret.map(|secret| secret.expose_secret().into()), faults.iter().map(shown).collect())
    }

    #[test]
    fn one_trailing_newline_of_a_secret_file_is_no_part_of_it() {
        for (content, secret) in [("a b\n", "a b"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a")] {
            let read = read(Some(content), "password_file: secret.txt");
            assert_eq!(read, (Some(secret.into()), vec![]), "{content:?}");
        }
    }

    #[test]
    fn a_secret_may_stand_in_the_file_itself_or_nowhere() {
        assert_eq!(read(None, "password: abc"), (Some("abc".into()), vec![]));
        assert_eq!(read(None, "{}"), (None, vec![]));
    }

    #[test]
    fn a_secret_file_that_is_absent_or_empty_is_a_fault() {
        let (secret, faults) = read(None, "password_file: secret.txt");
        assert_eq!(secret, None);
        assert_eq!(
            faults,
            ["agent.yaml: password_file: secret.txt can't be read: No such file or directory (os error 2); \
              name a text file that the daemon's user may read"]
        );
        let (_, faults) = read(Some("\n"), "password_file: secret.txt");
        assert_eq!(faults, ["agent.yaml: password_file: secret.txt is empty; write the secret into it"]);
    }

    #[test]
    fn a_fault_never_shows_a_secret() {
        for text in ["password: 12345", "password: [12345]", "password: '${12345}'", "password: '12345${'"] {
            let (secret, faults) = read(None, text);
            assert_eq!((secret, faults.len()), (None, 1), "{text}");
            assert!(!faults[0].contains("12345"), "{}", faults[0]);
        }
    }
}
