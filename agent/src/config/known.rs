//! The monitors that ran last, by which an id that is in use stays: a history must not change its name because another
//! file brings a monitor of the same name.
//!
//! A running agent keeps them in its outbox's directory, so a restart and `check-config` know them, too.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::{fmt, fs, io};

use serde::{Deserialize, Serialize};

use super::Monitor;
use crate::durable_file::write_durably;

/// The file in the outbox's directory.
const FILE: &str = "MONITORS";

/// The monitors that ran last; none on the first start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Known(Vec<Entry>);

/// What a monitor is known again by, and its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    id: String,
    name: String,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
}

/// How the ids of a configuration differ from those that ran last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// They were not there.
    pub new: Vec<String>,
    /// What is checked is the same, by its url and pattern, under another id: the one before, and the one now.
    pub changed: Vec<(String, String)>,
    /// They are no longer there.
    pub gone: Vec<String>,
}

impl Known {
    /// These monitors.
    pub fn of<'a>(monitors: impl IntoIterator<Item = &'a Monitor>) -> Known {
        Known(monitors.into_iter().map(Entry::of).collect())
    }

    /// Those that the directory of an outbox tells; none when it does not tell any.
    pub(super) fn read(outbox: &Path) -> Option<Known> {
        serde_json::from_slice(&fs::read(outbox.join(FILE)).ok()?).ok()
    }

    /// Has the directory of an outbox tell them from now on. Only who has the outbox open may do that.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(&self, outbox: &Path) -> io::Result<()> {
        write_durably(outbox, FILE, &serde_json::to_vec(self)?)
    }

    /// The ids that monitors of this name, url and pattern had.
    pub(super) fn ids_of(&self, name: &str, url: &str, pattern: Option<&str>) -> impl Iterator<Item = &str> {
        let is_it = move |it: &&Entry| it.name == name && it.url == url && it.pattern.as_deref() == pattern;
        self.0.iter().filter(is_it).map(|it| it.id.as_str())
    }

    /// How monitors differ; not at all on the first start. Those whose entries were skipped are not gone.
    pub(super) fn changes(&self, monitors: &[Monitor], skipped: &HashSet<String>) -> Changes {
        if self.0.is_empty() {
            return Changes::default();
        }
        let now = Known::of(monitors);
        let nothing = HashSet::new();
        let (mut new, mut gone) = (now.without(self, &nothing), self.without(&now, skipped));
        let mut changed = Vec::new();
        for (target, from) in &gone.clone() {
            // Of several with one target it can't be told which one became which.
            if let ([from], Some([to])) = (from.as_slice(), new.get(target).map(Vec::as_slice)) {
                changed.push((from.clone(), to.clone()));
                new.remove(target);
                gone.remove(target);
            }
        }
        let ids = |of: BTreeMap<Target, Vec<String>>| of.into_values().flatten().collect::<BTreeSet<_>>();
        Changes { new: ids(new).into_iter().collect(), changed, gone: ids(gone).into_iter().collect() }
    }

    /// Those whose ids are neither these nor another one's, by what they check.
    fn without(&self, other: &Known, ids: &HashSet<String>) -> BTreeMap<Target, Vec<String>> {
        let others: BTreeSet<&str> = other.0.iter().map(|it| it.id.as_str()).collect();
        let mut by_target: BTreeMap<Target, Vec<String>> = BTreeMap::new();
        for it in self.0.iter().filter(|it| !others.contains(it.id.as_str()) && !ids.contains(&it.id)) {
            by_target.entry((it.url.clone(), it.pattern.clone())).or_default().push(it.id.clone());
        }
        by_target
    }
}

/// A url and a pattern.
type Target = (String, Option<String>);

impl Entry {
    fn of(monitor: &Monitor) -> Entry {
        Entry {
            id: monitor.id.clone(),
            name: monitor.name.clone(),
            url: monitor.url.to_string(),
            pattern: monitor.pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
        }
    }
}

impl Changes {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// One difference a line.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let new = self.new.iter().map(|id| format!("new: {id}"));
        let changed =
            self.changed.iter().map(|(from, to)| format!("changed: {from} is {to} now; its history stays {from}'s"));
        let gone = self.gone.iter().map(|id| format!("gone: {id}"));
        f.write_str(&new.chain(changed).chain(gone).collect::<Vec<_>>().join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    /// An agent's files, its outbox's directory, and what ran last in it.
    struct Host(tempfile::TempDir);

    impl Host {
        fn new() -> Host {
            Host(tempfile::tempdir().unwrap())
        }

        fn write(&self, file: &str, entries: &str) {
            let head = match file {
                "agent.yaml" => "interval: 5\noutbox: {path: .}\ninclude: ['*.d.yaml']\nmonitors:\n",
                _ => "",
            };
            fs::write(self.0.path().join(file), format!("{head}{entries}")).unwrap();
        }

        /// The ids, what was told of them, and the faults.
        fn load(&self) -> (Vec<String>, String, Vec<String>) {
            let config = Config::load(&self.0.path().join("agent.yaml")).unwrap();
            let ids = config.monitors.iter().map(|monitor| monitor.id.clone()).collect();
            (ids, config.changes.to_string(), config.faults.iter().map(|fault| fault.problem.clone()).collect())
        }

        fn run(&self) {
            let config = Config::load(&self.0.path().join("agent.yaml")).unwrap();
            Known::of(&config.monitors).keep(self.0.path()).unwrap();
        }
    }

    fn plain(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    const SHOP: &str = "- {name: shop, url: 'http://a/'}\n";
    const OTHER: &str = "- {name: shop, url: 'http://b/'}\n";

    #[test]
    fn an_id_in_use_stays_when_another_file_brings_the_same_name_and_when_that_goes_again() {
        let host = Host::new();
        host.write("agent.yaml", SHOP);
        assert_eq!(host.load(), (plain(&["shop"]), String::new(), vec![]), "nothing ran before");
        host.run();
        host.write("more.d.yaml", OTHER);
        assert_eq!(host.load(), (plain(&["shop", "shop http://b/"]), "new: shop http://b/".into(), vec![]));
        host.run();
        assert_eq!(host.load(), (plain(&["shop", "shop http://b/"]), String::new(), vec![]));
        host.write("agent.yaml", "- {name: bank, url: 'http://c/'}\n");
        let told = "new: bank\ngone: shop".to_owned();
        assert_eq!(host.load(), (plain(&["bank", "shop http://b/"]), told, vec![]), "the other keeps the longer one");
    }

    #[test]
    fn of_two_that_are_new_neither_has_the_name_alone() {
        let host = Host::new();
        host.write("agent.yaml", &format!("{SHOP}{OTHER}"));
        assert_eq!(host.load().0, ["shop http://a/", "shop http://b/"]);
    }

    #[test]
    fn a_newcomer_that_asks_for_an_id_in_use_is_refused() {
        let host = Host::new();
        host.write("agent.yaml", SHOP);
        host.run();
        host.write("more.d.yaml", "- {id: shop, url: 'http://b/'}\n");
        let (ids, _, faults) = host.load();
        assert_eq!(ids, ["shop"]);
        assert!(faults[0].starts_with("its id would be that of monitor 1 (shop) in "), "{faults:?}");
        host.write("agent.yaml", "- {id: shop, name: shop, url: 'http://a/'}\n");
        host.write("more.d.yaml", "[]");
        assert_eq!(host.load(), (plain(&["shop"]), String::new(), vec![]), "who has it may say so");
    }

    #[test]
    fn an_id_that_changes_though_the_target_does_not_is_told_with_both_ids() {
        let host = Host::new();
        host.write("agent.yaml", SHOP);
        host.run();
        host.write("agent.yaml", "- {id: store, name: shop, url: 'http://a/'}\n");
        let told = "changed: shop is store now; its history stays shop's".to_owned();
        assert_eq!(host.load(), (plain(&["store"]), told, vec![]));
        host.write("agent.yaml", "- {name: shop, url: nonsense}\n");
        assert_eq!(host.load().1, "", "an entry that is skipped is not gone");
    }

    #[test]
    fn a_list_that_can_not_be_read_is_none() {
        let host = Host::new();
        host.write("agent.yaml", SHOP);
        fs::write(host.0.path().join(FILE), "[{").unwrap();
        assert_eq!(host.load(), (plain(&["shop"]), String::new(), vec![]));
    }
}
