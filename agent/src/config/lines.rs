//! The lines of faults. Faults know their file, entry and option; the file is looked at again only when there are any.

use std::collections::HashMap;
use std::path::PathBuf;

use settings::Fault;

/// Gives each fault the line that it stands in, where that can be told.
pub(super) fn add(faults: &mut [Fault]) {
    let mut texts: HashMap<PathBuf, String> = HashMap::new();
    for fault in faults.iter_mut().filter(|fault| fault.line.is_none()) {
        let text = texts
            .entry(fault.file.clone())
            // One that can't be read has no lines.
            .or_insert_with(|| std::fs::read_to_string(&fault.file).unwrap_or_default());
        fault.line = line(text, fault);
    }
}

fn line(text: &str, fault: &Fault) -> Option<usize> {
    let option = fault.option.as_deref();
    let Some(entry) = &fault.entry else { return settings::line(text, option?) };
    let position = super::monitor::position(entry)?.checked_sub(1)?;
    // Entries stand in `monitors`, or in an included file also by themselves.
    let ways = [format!("monitors.{position}"), position.to_string()];
    let way = ways.into_iter().find(|way| settings::line(text, way).is_some())?;
    match option {
        Some(option) => settings::line(text, &format!("{way}.{option}")),
        None => settings::line(text, &way),
    }
}
