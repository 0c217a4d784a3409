//! A page as a browser reads it, or as a person who listens to it.

use roxmltree::{Document, Node, ParsingOptions};

/// A page, or a part of it.
pub(super) struct Read<'a> {
    /// The part of a page. The page is leaked, because a test is short and a part then needs no owner.
    part: Node<'a, 'a>,
}

impl Read<'static> {
    pub(super) fn new(page: &str) -> Read<'static> {
        let text: &'static str = Box::leak(page.to_owned().into_boxed_str());
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}: {page}"));
        Read { part: Box::leak(Box::new(document)).root_element() }
    }
}

impl<'a> Read<'a> {
    /// Returns all elements with that name, in order.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = Read<'a>> {
        let named = move |node: &Node<'a, 'a>| node.is_element() && (name == "*" || node.tag_name().name() == name);
        self.part.descendants().filter(named).map(|part| Read { part }).collect::<Vec<_>>().into_iter()
    }

    /// Returns the only element with that name.
    pub(super) fn one(&self, name: &str) -> Read<'a> {
        let all: Vec<Read<'a>> = self.all(name).collect();
        assert_eq!(all.len(), 1, "<{name}>");
        all.into_iter().next().unwrap()
    }

    pub(super) fn name(&self) -> &'a str {
        self.part.tag_name().name()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a str> {
        self.part.attribute(name)
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.part.attributes().map(|it| (it.name(), it.value()))
    }

    pub(super) fn class(&self) -> &'a str {
        self.attribute("class").unwrap_or_default()
    }

    /// Returns all text within, with single spaces. The texts of neighbouring cells and lines are separated.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for node in self.part.descendants() {
            match node.text() {
                Some(part) if node.is_text() => text.push_str(part),
                _ if node.is_element() && !["bdi", "a", "time", "strong"].contains(&node.tag_name().name()) => {
                    text.push(' ');
                }
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Returns the text that is in no element within.
    pub(super) fn own_text(&self) -> String {
        self.part.children().filter(Node::is_text).filter_map(|it| it.text()).collect()
    }

    /// Returns the paths of a class.
    pub(super) fn paths(&self, class: &str) -> Vec<&'a str> {
        self.all("path").filter(|it| it.class() == class).filter_map(|it| it.attribute("d")).collect()
    }

    /// Returns the links that begin with this text.
    pub(super) fn links(&self, begin: &str) -> Vec<&'a str> {
        self.all("a").filter_map(|it| it.attribute("href")).filter(|it| it.starts_with(begin)).collect()
    }

    pub(super) fn is_within(&self, name: &str) -> bool {
        self.part.ancestors().any(|it| it.tag_name().name() == name)
    }
}
