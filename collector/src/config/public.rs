//! The `http.public` section: what everyone may see.

use std::collections::BTreeSet;

use settings::Section;
use wire::limits;

use crate::figures::overview::{Summary, Tags};

/// What everyone may see, under `/public`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// The title of the page.
    pub title: String,
    /// The ids of the monitors that are shown.
    pub monitors: BTreeSet<String>,
    /// Monitors that have all of these tags are shown as well. When it is empty, it adds no monitor.
    pub tags: Tags,
}

/// Returns whether a text has a url in it, of any scheme that agents check.
pub(crate) fn has_url(text: &str) -> bool {
    text.contains("://")
}

impl Public {
    pub(super) fn of(section: &mut Section<'_>) -> Public {
        let public = Public {
            title: section.text_within("title", limits::NAME).unwrap_or_else(|| "Status".into()),
            monitors: section.text_items("monitors").unwrap_or_default().into_iter().collect(),
            tags: section.texts("tags", limits::ENTRIES, limits::TEXT),
        };
        if public.monitors.is_empty() && public.tags.is_empty() {
            section.fault(
                "monitors",
                "is missing, and so is tags",
                "name what everyone may see, or leave `public` out",
            );
        }
        public
    }

    /// Returns how many monitors are named by a url. A monitor that has neither a name nor an id is named so.
    pub fn named_by_url(&self) -> usize {
        self.monitors.iter().filter(|id| has_url(id)).count()
    }

    /// Returns whether everyone may see that monitor.
    pub fn shows(&self, monitor: &Summary) -> bool {
        let has = |(name, value): (&String, &String)| monitor.tags.get(name) == Some(value);
        self.monitors.contains(&monitor.id) || !self.tags.is_empty() && self.tags.iter().all(has)
    }
}
