//! An order of folders, and circles of files.

use std::collections::BTreeSet;

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::imports::Import;

/// Folders from the lowest to the highest.
pub(super) struct Order(pub(super) &'static [&'static [&'static str]]);

impl Order {
    fn place(&self, folder: &str) -> Option<usize> {
        self.0.iter().position(|line| line.contains(&folder))
    }

    /// What is wrong with an import.
    pub(super) fn fault(&self, import: &Import) -> Option<String> {
        // The head of a crate or of a folder may name all that is in it.
        let (from, to) = (import.from.first()?, import.to.first()?);
        let unplaced = |folder: &String| format!("{folder} has no place in the order");
        let Some(below) = self.place(from) else { return Some(unplaced(from)) };
        let Some(above) = self.place(to) else { return Some(unplaced(to)) };
        if from == to || above < below {
            return None;
        }
        let (file, named, line) = (import.from.join("/"), import.to.join("/"), import.line);
        Some(format!(
            "{file}, line {line}: names {named}, but {to} stands {} {from}",
            if above > below { "after" } else { "beside" }
        ))
    }
}

/// Files that name each other by whatever way, each list once. A file and the files below it may do so.
pub(super) fn circles(imports: &[Import]) -> Vec<String> {
    let mut graph: DiGraphMap<&str, ()> = DiGraphMap::new();
    let names: Vec<(String, String)> = imports.iter().map(|it| (it.from.join("/"), it.to.join("/"))).collect();
    for (import, (from, to)) in imports.iter().zip(&names) {
        if !import.from.starts_with(&import.to) && !import.to.starts_with(&import.from) {
            graph.add_edge(from.as_str(), to.as_str(), ());
        }
    }
    let circles = tarjan_scc(&graph).into_iter().filter(|files| files.len() > 1);
    let lists: BTreeSet<String> = circles
        .map(|mut files| {
            files.sort_unstable();
            files.join(", ")
        })
        .collect();
    lists.into_iter().collect()
}
