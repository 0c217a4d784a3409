//! The filter of the overview: reads it from the query of an address, and writes it as a query.

use std::str::FromStr;

use form_urlencoded::{Serializer, parse};

use crate::figures::looks::state::Verdict;
use crate::figures::overview::Summary;
use crate::figures::period::Period;

/// Which monitors are shown, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::web) struct Filter {
    /// A text that the name, the id or the url contains.
    pub(in crate::web) text: String,
    /// The tag of the monitors, as `name:value` or only the name. When it is empty, monitors with any tags are shown.
    pub(in crate::web) tag: String,
    pub(in crate::web) verdict: Option<Verdict>,
    /// The tag by whose values monitors are grouped. When it is empty, they are not grouped.
    pub(in crate::web) group: String,
    pub(in crate::web) period: Period,
    /// Whether monitors are shown that no agent is to look at any more.
    pub(in crate::web) retired: bool,
    /// The number of the page, from 1.
    pub(in crate::web) page: usize,
}

/// Each verdict with its word in addresses and its words for people.
pub(in crate::web) const VERDICTS: [(Verdict, &str, &str); 4] = [
    (Verdict::Down, "down", "Down"),
    (Verdict::Partial, "partial", "Partly down"),
    (Verdict::Unknown, "unknown", "Unknown"),
    (Verdict::Up, "up", "Up"),
];

/// Returns the word of a verdict in addresses, which styles and symbols use, too, and its words for people.
pub(in crate::web) fn named(verdict: Verdict) -> (&'static str, &'static str) {
    VERDICTS.iter().find(|(known, ..)| *known == verdict).map_or(("", ""), |&(_, class, word)| (class, word))
}

/// Each period with its word in addresses and its words for people.
pub(in crate::web) const PERIODS: [(Period, &str, &str); 3] =
    [(Period::Day, "24h", "24 hours"), (Period::Month, "30d", "30 days"), (Period::Quarter, "90d", "90 days")];

/// Returns the period that an address' query names, or the default one when it names none.
pub(in crate::web) fn period(query: &str) -> Period {
    let word = parse(query.as_bytes()).find(|(name, _)| name == "period").map(|(_, word)| word);
    let found = PERIODS.iter().find(|(_, known, _)| word.as_deref() == Some(known));
    found.map(|(period, ..)| *period).unwrap_or_default()
}

/// Returns the word of a period in addresses.
pub(in crate::web) fn word(period: Period) -> &'static str {
    PERIODS.iter().find(|(known, ..)| *known == period).map_or("", |(_, word, _)| word)
}

/// Returns a query that contains nothing but the period.
pub(in crate::web) fn period_link(of: Period) -> String {
    if of == Period::default() { String::new() } else { format!("?period={}", word(of)) }
}

impl Filter {
    /// Reads the filter from an address' query. Unknown parts are ignored, so that an address never fails.
    pub(in crate::web) fn of(query: &str) -> Filter {
        let mut filter = Filter { period: period(query), page: 1, ..Filter::default() };
        for (name, value) in parse(query.as_bytes()) {
            let value = value.trim();
            match &*name {
                "q" => filter.text = value.to_owned(),
                "tag" => filter.tag = value.to_owned(),
                "state" => {
                    filter.verdict = VERDICTS.iter().find(|(_, word, _)| *word == value).map(|(verdict, ..)| *verdict);
                }
                "group" => filter.group = value.to_owned(),
                "retired" => filter.retired = value == "1",
                "page" => filter.page = usize::from_str(value).unwrap_or(1).max(1),
                _ => {}
            }
        }
        filter
    }

    /// Returns the filter as an address' query. Defaults are left out.
    pub(in crate::web) fn link(&self) -> String {
        let page = self.page.to_string();
        let verdict = self.verdict.map_or("", |verdict| named(verdict).0);
        let pairs = [
            ("q", &*self.text),
            ("tag", &self.tag),
            ("state", verdict),
            ("group", &self.group),
            ("period", if self.period == Period::default() { "" } else { word(self.period) }),
            ("retired", if self.retired { "1" } else { "" }),
            ("page", if self.page <= 1 { "" } else { &page }),
        ];
        let mut query = Serializer::for_suffix(String::from("?"), 1);
        query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
        query.finish()
    }

    /// Returns whether the filter selects only a part of the monitors.
    pub(in crate::web) fn is_narrow(&self) -> bool {
        !self.text.is_empty() || !self.tag.is_empty() || self.verdict.is_some()
    }

    /// Returns whether the filter selects a monitor.
    pub(in crate::web) fn takes(&self, monitor: &Summary) -> bool {
        let text = self.text.to_lowercase();
        let has_text = |of: &str| of.to_lowercase().contains(&text);
        let (tag, value) = match self.tag.split_once(':') {
            Some((tag, value)) => (tag, Some(value)),
            None => (&*self.tag, None),
        };
        let is_tagged = || monitor.tags.get(tag).is_some_and(|it| value.is_none_or(|value| it == value));
        (self.retired || !monitor.is_retired)
            && self.verdict.is_none_or(|verdict| verdict == monitor.state.verdict && !monitor.is_retired)
            && (tag.is_empty() || is_tagged())
            && (text.is_empty() || has_text(&monitor.name) || has_text(&monitor.id) || has_text(&monitor.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::fixture;

    #[test]
    fn an_address_says_what_the_filter_is_and_the_filter_the_address() {
        let query = "?q=%22a%22+%26b&tag=team%3Aweb&state=partial&group=team&period=90d&retired=1&page=7";
        let filter = Filter::of(&query[1..]);
        assert_eq!(filter.link(), query);
        assert_eq!((&*filter.text, filter.verdict, filter.page), ("\"a\" &b", Some(Verdict::Partial), 7));
        assert_eq!(Filter::of("").link(), "?");
    }

    #[test]
    fn an_address_that_says_nothing_is_the_whole() {
        for query in ["state=fine&page=-1&period=1y&retired=no&x", "%ff%00=&&&=", "page=99999999999999999999999"] {
            assert_eq!(Filter::of(query), Filter { page: 1, ..Filter::default() }, "{query}");
        }
    }

    #[test]
    fn monitors_are_found_by_text_tag_and_state_and_retired_ones_only_when_asked_for() {
        let all = fixture::overview(40, Period::Day);
        let found = |query: &str| all.monitors.iter().filter(|it| Filter::of(query).takes(it)).count();
        let retired = all.monitors.iter().filter(|it| it.is_retired).count();
        assert!(retired > 0 && found("") == all.monitors.len() - retired && found("retired=1") == all.monitors.len());
        let of_web = all.monitors.iter().filter(|it| !it.is_retired && it.tags["team"] == "web").count();
        assert!(of_web > 0 && found("tag=team:web") == of_web && found("tag=team:") == 0 && found("tag=nothing") == 0);
        assert_eq!(found("tag=team"), found(""));
        let name = all.monitors[0].name.to_uppercase();
        assert_eq!(found(&format!("q={name}&retired=1")), 1);
        let by_state: usize = VERDICTS.iter().map(|(_, word, _)| found(&format!("state={word}&retired=1"))).sum();
        assert_eq!(by_state, found(""));
    }
}
