//! The `http.public` section: what anybody may see.

use std::collections::BTreeSet;

use settings::Section;
use wire::limits;

use crate::figures::overview::{Summary, Tags};

/// What anybody may see, under `/public`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Public {
    /// The page's title.
    pub title: String,
    /// Ids of monitors that are shown.
    pub monitors: BTreeSet<String>,
    /// Monitors that have all of these tags are shown as well; none when empty.
    pub tags: Tags,
}

/// Whether a text has a url in it, of whatever scheme agents check.
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
            section.fault("monitors", "is missing, and so is tags", "name what anybody may see, or leave `public` out");
        }
        public
    }

    /// How many are named by a url, as those are that have neither a name nor an id.
    pub fn named_by_url(&self) -> usize {
        self.monitors.iter().filter(|id| has_url(id)).count()
    }

    /// Whether anybody may see that monitor.
    pub fn shows(&self, monitor: &Summary) -> bool {
        let has = |(name, value): (&String, &String)| monitor.tags.get(name) == Some(value);
        self.monitors.contains(&monitor.id) || !self.tags.is_empty() && self.tags.iter().all(has)
    }
}
