//! Reads a file as a YAML value.

use std::fs;
use std::path::Path;

use serde_yaml::Value;

use crate::Fault;

/// Reads a YAML file. Aliases and merge keys (`<<`) are resolved. An empty file is `Value::Null`.
///
/// # Errors
/// Returns a [`Fault`] that names the file and, where YAML knows it, the line.
pub fn read(path: &Path) -> Result<Value, Box<Fault>> {
    let bytes = fs::read(path).map_err(|error| {
        Fault::of_file(path, format!("can't be read: {error}"), "name a file that exists and may be read")
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        let fault = Fault::of_file(path, format!("line {line} is not UTF-8"), "save the file as UTF-8");
        Fault { line: Some(line), ..fault }
    })?;
    let wrong = |error: serde_yaml::Error| {
        let told = error.to_string();
        let mend = match told.contains("duplicate entry") {
            true => "give it once",
            false => "correct the indentation, quotes or brackets there",
        };
        let line = error.location().map(|location| location.line());
        Box::new(Fault { line, ..Fault::of_file(path, format!("is not YAML: {told}"), mend) })
    };
    // Some editors put this mark before UTF-8. The parser would take it for a document of its own.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut value: Value = serde_yaml::from_str(text).map_err(wrong)?;
    value.apply_merge().map_err(wrong)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> Result<Value, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.yaml");
        fs::write(&path, text).unwrap();
        read(&path).map_err(|fault| fault.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_file_that_is_absent_is_named() {
        let fault = read(Path::new("/nonexistent/agent.yaml")).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "/nonexistent/agent.yaml: can't be read: No such file or directory (os error 2); \
             name a file that exists and may be read"
        );
    }

    #[test]
    fn wrong_yaml_is_told_with_its_line() {
        let fault = read_text(b"interval: 5\nmonitors: [\n").unwrap_err();
        assert!(fault.starts_with("agent.yaml:3: is not YAML: "), "{fault}");
        assert!(fault.contains("line 3"), "{fault}");
    }

    #[test]
    fn an_option_given_twice_is_refused() {
        let fault = read_text(b"interval: 5\ninterval: 6\n").unwrap_err();
        assert!(fault.contains("duplicate entry with key \"interval\""), "{fault}");
    }

    #[test]
    fn a_line_in_another_charset_is_told() {
        let fault = read_text(b"interval: 5\nname: caf\xe9\n").unwrap_err();
        assert_eq!(fault, "agent.yaml:2: line 2 is not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_file() {
        assert_eq!(read_text("\u{feff}interval: 5\r\n".as_bytes()).unwrap()["interval"], 5);
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let value = read_text(b"base: &base {timeout: 3}\nshop: {<<: *base, url: x}\n").unwrap();
        assert_eq!(value["shop"]["timeout"], 3);
    }
}
