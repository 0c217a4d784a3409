//! What each file of a folder names of the others, by `use` lines and by paths in its text. Tests are left out: they may
//! name everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree};

/// A module names another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The module that names, from the folder on.
    pub(super) from: Vec<String>,
    /// The module that is named.
    pub(super) to: Vec<String>,
    /// The line of the file.
    pub(super) line: usize,
}

/// All imports between the files of a crate's folder `src`, or of a folder below it.
pub(super) fn imports(root: &Path) -> Vec<Import> {
    let mut files = Vec::new();
    find(root, &mut Vec::new(), &mut files);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(module, _)| module.clone()).collect();
    // What a path begins with that is written from the crate's root.
    let text = root.to_string_lossy();
    let inner = text.split_once("/src/").map_or(vec![], |(_, inner)| inner.split('/').map(str::to_owned).collect());
    let mut found = Vec::new();
    for (module, text) in &files {
        let file = syn::parse_file(text).expect("the code can be read");
        let mut reader = Reader { module, modules: &modules, inner: &inner, found: &mut found };
        reader.visit_file(&file);
    }
    found
}

fn find(folder: &Path, above: &mut Vec<String>, files: &mut Vec<(Vec<String>, String)>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if matches!(name.as_str(), "tests" | "testing" | "fixture" | "main") {
            continue;
        }
        let is_root = name == "lib" && above.is_empty();
        if !is_root {
            above.push(name);
        }
        if path.is_dir() {
            find(&path, above, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push((above.clone(), fs::read_to_string(&path).expect("the file can be read")));
        }
        if !is_root {
            above.pop();
        }
    }
}

struct Reader<'a> {
    module: &'a [String],
    modules: &'a BTreeSet<Vec<String>>,
    inner: &'a [String],
    found: &'a mut Vec<Import>,
}

impl Reader<'_> {
    fn names(&mut self, path: &[String], line: usize) {
        let mut named: Vec<String> = match path.first().map(String::as_str) {
            Some("crate") => match path[1..].strip_prefix(self.inner) {
                Some(rest) => rest.to_vec(),
                None => return,
            },
            Some("super" | "self") => {
                let up = path.iter().filter(|part| *part == "super").count();
                let Some(depth) = self.module.len().checked_sub(up) else { return };
                let rest = path.iter().filter(|part| *part != "super" && *part != "self").cloned();
                self.module[..depth].iter().cloned().chain(rest).collect()
            }
            Some(_) => self.module.iter().chain(path).cloned().collect(),
            None => return,
        };
        while !named.is_empty() && !self.modules.contains(&named) {
            named.pop();
        }
        if !named.is_empty() && !self.module.is_empty() && named != self.module {
            self.found.push(Import { from: self.module.to_vec(), to: named, line });
        }
    }

    fn names_all(&mut self, tree: &UseTree, above: &mut Vec<String>, line: usize) {
        match tree {
            UseTree::Path(path) => {
                above.push(path.ident.to_string());
                self.names_all(&path.tree, above, line);
                above.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.names_all(item, above, line)),
            UseTree::Name(name) => self.names(&[above.as_slice(), &[name.ident.to_string()]].concat(), line),
            UseTree::Rename(name) => self.names(&[above.as_slice(), &[name.ident.to_string()]].concat(), line),
            UseTree::Glob(_) => self.names(above, line),
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    };
    attributes.iter().any(is_test)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.names_all(&item.tree, &mut Vec::new(), item.span().start().line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if matches!(parts[0].as_str(), "crate" | "super") {
            self.names(&parts, path.span().start().line);
        }
        visit::visit_path(self, path);
    }
}
