//! `include`: more files with monitors, by globs relative to the file. Each is a list of monitors, or a mapping with
//! `monitors`. A pattern with wildcards may match nothing; a plain name may not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_yaml::Value;
use settings::{Fault, Section};

/// The files that the patterns match, each once, in the order of the patterns and then of their names.
pub(super) fn files(root: &mut Section<'_>) -> Vec<PathBuf> {
    let directory = root.file().parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for pattern in root.text_items("include").unwrap_or_default() {
        match matches(&directory, &pattern) {
            Ok(found) if found.is_empty() && !pattern.contains(['*', '?', '[']) => {
                root.fault("include", format!("{pattern:?} is no file"), "name a file that exists, or use a wildcard");
            }
            Ok(found) => files.extend(found.into_iter().filter(|file| seen.insert(file.clone()))),
            Err(problem) => root.fault("include", problem, "write a path such as monitors.d/*.yaml"),
        }
    }
    files
}

fn matches(directory: &str, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = Path::new(&glob::Pattern::escape(directory)).join(pattern);
    let found = glob::glob(&whole.to_string_lossy()).map_err(|error| format!("{pattern:?}: {}", error.msg))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|error| format!("{pattern:?}: {error}"))?;
        if !file.is_dir() {
            files.push(file);
        }
    }
    Ok(files)
}

/// The entries of an included file.
pub(super) fn entries(file: &Path, faults: &mut Vec<Fault>) -> Vec<Value> {
    match settings::read(file) {
        Ok(Value::Sequence(entries)) => entries,
        Ok(value) => {
            let (entries, wrong) = Section::read(file, None, value, |section| section.list("monitors"));
            faults.extend(wrong);
            entries.unwrap_or_default()
        }
        Err(fault) => {
            faults.push(*fault);
            Vec::new()
        }
    }
}
