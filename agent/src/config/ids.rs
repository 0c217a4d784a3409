//! A unique id for each monitor, so that its history stays its own: `id`, else `name`, else `url`. Where that would
//! clash, all of those without an `id` take name, url and pattern together, whatever their order in the file, so that
//! moving an entry changes no id. An id that is in use stays: the monitor that had it keeps it, and the newcomer takes the
//! longer one, or is refused. An exact repeat is refused.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_yaml::Value;
use settings::Fault;
use url::Url;

use super::Monitor;
use super::known::Known;
use super::monitor::Draft;

/// Gives each draft its id; adds a fault for each that can't have one.
pub(super) fn assign(drafts: Vec<Draft>, known: &Known, faults: &mut Vec<Fault>) -> Vec<Monitor> {
    let drafts = without_repeats(drafts, faults);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for draft in &drafts {
        *counts.entry(plain(draft)).or_default() += 1;
    }
    let mut owners: HashMap<String, Place> = HashMap::new();
    let mut monitors = Vec::with_capacity(drafts.len());
    let kept: Vec<Option<String>> = drafts.iter().map(|draft| kept(draft, &drafts, known)).collect();
    let mut ranked: Vec<_> = drafts.into_iter().zip(kept).enumerate().collect();
    // An id that is in use stays. Then comes who says an `id`: it is theirs, whatever others would be called.
    ranked.sort_by_key(|(_, (draft, kept))| (kept.is_none(), draft.id.is_none()));
    for (position, (draft, kept)) in ranked {
        let id = match kept {
            Some(id) => id,
            None if draft.id.is_none() && counts[&plain(&draft)] > 1 => joined(&draft),
            None => plain(&draft),
        };
        if let Some(owner) = owners.get(&id) {
            faults.push(fault(
                &draft,
                format!("its id would be that of {}", owner.seen_from(&draft)),
                "give it an `id` of its own",
            ));
        } else if id.len() > wire::limits::MONITOR {
            faults.push(fault(&draft, "name, url and pattern are too long for an id", "give it an `id`"));
        } else {
            owners.insert(id.clone(), Place::of(&draft));
            monitors.push((position, draft.into_monitor(id)));
        }
    }
    monitors.sort_by_key(|(position, _)| *position);
    monitors.into_iter().map(|(_, monitor)| monitor).collect()
}

/// What the monitor of an entry would be called that can't be read as a whole.
pub(super) fn apparent(entry: &Value) -> Option<String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let url = || {
        let mut url = Url::parse(text("url")?).ok()?;
        // As far as a url has them, both can be taken away.
        url.set_password(None).ok()?;
        url.set_username("").ok()?;
        Some(url.into())
    };
    text("id").or_else(|| text("name")).map(String::from).or_else(url)
}

fn without_repeats(drafts: Vec<Draft>, faults: &mut Vec<Fault>) -> Vec<Draft> {
    let mut owners: HashMap<[Option<String>; 4], Place> = HashMap::new();
    let mut kept = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let identity = match &draft.id {
            Some(id) => [Some(id.clone()), None, None, None],
            None => [None, draft.name.clone(), Some(draft.url.to_string()), draft.pattern().map(String::from)],
        };
        match owners.get(&identity) {
            Some(owner) => {
                let problem = match draft.id {
                    Some(_) => format!("has the `id` of {}", owner.seen_from(&draft)),
                    None => format!("repeats {}", owner.seen_from(&draft)),
                };
                faults.push(fault(&draft, problem, "remove it, or give it an `id` of its own"));
            }
            None => {
                owners.insert(identity, Place::of(&draft));
                kept.push(draft);
            }
        }
    }
    kept
}

fn plain(draft: &Draft) -> String {
    draft.id.clone().or_else(|| draft.name.clone()).unwrap_or_else(|| draft.url.to_string())
}

fn joined(draft: &Draft) -> String {
    let parts = [draft.name.as_deref(), Some(draft.url.as_str()), draft.pattern()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// Which of its two ids a monitor without an `id` had last.
fn kept(draft: &Draft, drafts: &[Draft], known: &Known) -> Option<String> {
    let identity = |draft: &Draft| (draft.shown_name(), draft.url.clone(), draft.pattern().map(String::from));
    if draft.id.is_some() {
        return None;
    }
    let own = [plain(draft), joined(draft)];
    let had = known
        .ids_of(&draft.shown_name(), draft.url.as_str(), draft.pattern())
        .find(|id| own.iter().any(|own| own == id))?;
    // Or that is another one, which says so.
    let is_said = drafts.iter().any(|it| it.id.as_deref() == Some(had) && identity(it) == identity(draft));
    (!is_said).then(|| had.to_owned())
}

/// Where the entry stands that has an id already.
struct Place {
    file: PathBuf,
    entry: String,
}

impl Place {
    fn of(draft: &Draft) -> Place {
        Place { file: draft.file.clone(), entry: draft.entry.clone() }
    }

    fn seen_from(&self, draft: &Draft) -> String {
        match self.file == draft.file {
            true => self.entry.clone(),
            false => format!("{} in {}", self.entry, self.file.display()),
        }
    }
}

fn fault(draft: &Draft, problem: impl Into<String>, mend: &str) -> Fault {
    Fault {
        file: draft.file.clone(),
        line: None,
        entry: Some(draft.entry.clone()),
        option: None,
        problem: problem.into(),
        mend: mend.into(),
    }
}
