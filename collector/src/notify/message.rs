//! The messages to receivers: the same content as words for people and as JSON for programs.
//!
//! Names, urls and errors come from strangers. In the words each of them is one short line without anything that a
//! terminal or a mail program would obey. In JSON they are unchanged, but short, too.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::template::Template;
use crate::figures::looks::state::Verdict;
use crate::text;

/// The largest number of names in the summary line.
const MOST_NAMES: usize = 3;
/// The largest length of a name in the summary line, in characters.
const LONGEST_NAME: usize = 80;

/// How much a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The largest number of alerts that are told.
    alerts: usize,
    /// The largest length of a text that comes from a stranger, in characters.
    text: usize,
}

impl Size {
    /// The size of a usual message.
    pub const WHOLE: Size = Size { alerts: 50, text: 500 };
    /// The size for a receiver that refuses the usual message: about 1,000 characters.
    pub const SHORT: Size = Size { alerts: 3, text: 60 };
}

/// The kind of event that is told about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The alert began to fire.
    Firing,
    /// The alert still fires.
    Repeat,
    /// The alert is over.
    Resolved,
    /// There is no alert: a person wants to see whether messages arrive.
    Test,
}

/// What people are told about an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The name of the monitor or of the agent, or what is away.
    pub name: String,
    /// The monitor's url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The verdict on the monitor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What is at fault: `target`, `path` or `agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<String>,
    /// The reason.
    #[serde(default)]
    pub reason: String,
}

/// An alert as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The kind of event.
    pub kind: Kind,
    /// The rule's name.
    pub rule: String,
    /// What the rule is about: `down`, `slow`, …
    pub what: String,
    /// The monitor's id, the agent's name, or what is away.
    pub subject: String,
    /// The details about the monitor or the agent.
    #[serde(flatten)]
    pub details: Details,
    /// The moment since which the trouble lasts, or when it began if it is over.
    pub since: Timestamp,
    /// The moment when the event was found.
    pub at: Timestamp,
    /// The url at which people find more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// A message: what one receiver gets at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id of the message, by which a receiver can recognise a message that it already got.
    pub id: Uuid,
    /// The name of the receiver.
    pub receiver: String,
    /// The address for which the message is, when the receiver has addresses. Each address gets a message of its own.
    pub address: Option<String>,
    /// The alerts that the message tells.
    pub items: Vec<Item>,
}

impl Kind {
    fn heading(self) -> &'static str {
        match self {
            Kind::Firing => "FIRING",
            Kind::Repeat => "STILL FIRING",
            Kind::Resolved => "RESOLVED",
            Kind::Test => "TEST",
        }
    }
}

impl Item {
    /// Returns the item of a message by which a person tests whether messages arrive.
    pub fn test(at: Timestamp, page: Option<&str>) -> Item {
        let reason = "this message only shows that messages arrive; nothing is wrong".into();
        Item {
            kind: Kind::Test,
            rule: "test".into(),
            what: "test".into(),
            subject: "test".into(),
            details: Details { name: "test".into(), reason, ..Details::default() },
            since: at,
            at,
            page: page.map(str::to_owned),
        }
    }

    fn words(&self, size: Size) -> String {
        let line = |text: &str| text::cut(text, size.text);
        let Details { name, url, verdict, blame, reason } = &self.details;
        let mut words = format!("{}: {}: {}", self.kind.heading(), line(&self.rule), line(name));
        let mut add = |before: &str, text: &str| words.push_str(&format!("{before}{}", line(text)));
        if let Some(url) = url {
            add(" ", url);
        }
        add("\n    ", reason);
        let seen = verdict.and_then(|verdict| json!(verdict).as_str().map(str::to_owned));
        add("\n    since ", &self.since.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        for (title, word) in [("; it is ", &seen), ("; at fault: ", blame)] {
            if let Some(word) = word {
                add(title, word);
            }
        }
        // A url that is cut is of no use, so a url that is too long is left out.
        if let Some(page) = self.page.as_ref().filter(|page| page.len() <= 4 * size.text) {
            words.push_str(&format!("\n    {}", text::plain(page)));
        }
        words.push('\n');
        words
    }

    fn json(&self, size: Size) -> Value {
        let mut item = json!(self);
        for name in ["subject", "name", "url", "reason"] {
            if let Some(text) = item[name].as_str() {
                item[name] = first(text, size.text).into();
            }
        }
        item
    }
}

/// Returns the name of a receiver, with one of its addresses in parentheses if there is one.
pub(crate) fn whom(receiver: &str, address: Option<&str>) -> String {
    address.map_or_else(|| receiver.to_owned(), |address| format!("{receiver} ({address})"))
}

impl Message {
    /// Returns the receiver of the message in words for people.
    pub fn whom(&self) -> String {
        whom(&self.receiver, self.address.as_deref())
    }

    fn count(&self, kinds: &[Kind]) -> usize {
        self.items.iter().filter(|item| kinds.contains(&item.kind)).count()
    }

    /// Returns the number of alerts that fire, and the number of those that are over.
    fn counts(&self) -> (usize, usize) {
        (self.count(&[Kind::Firing, Kind::Repeat]), self.count(&[Kind::Resolved]))
    }

    /// Returns the message as one line.
    pub fn summary(&self) -> String {
        if let [item] = &self.items[..] {
            let name = text::cut(&item.details.name, LONGEST_NAME);
            return format!("{}: {}: {name}", item.kind.heading(), text::cut(&item.rule, LONGEST_NAME));
        }
        let (firing, resolved) = self.counts();
        let parts = [(firing, "FIRING"), (resolved, "RESOLVED")];
        let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let names = self.items.iter().take(MOST_NAMES).map(|item| text::cut(&item.details.name, LONGEST_NAME));
        let mut summary = format!("{}: {}", parts.collect::<Vec<_>>().join(", "), names.collect::<Vec<_>>().join(", "));
        if let more @ 1.. = self.items.len().saturating_sub(MOST_NAMES) {
            summary += &format!(" and {more} more");
        }
        summary
    }

    /// Returns the message in words.
    pub fn text(&self, size: Size) -> String {
        let mut text: String = self.items.iter().take(size.alerts).map(|item| item.words(size)).collect();
        if let more @ 1.. = self.items.len().saturating_sub(size.alerts) {
            text.push_str(&format!("and {more} more\n"));
        }
        text
    }

    /// Returns the message in one word: `firing` when any alert fires.
    fn status(&self) -> &'static str {
        match (self.counts(), self.count(&[Kind::Test])) {
            ((0, 0), 1..) => "test",
            ((0, _), _) => "resolved",
            _ => "firing",
        }
    }

    /// Returns the message as JSON for programs.
    pub fn json(&self, size: Size) -> Value {
        let (firing, resolved) = self.counts();
        json!({
            "id": self.id,
            "receiver": self.receiver,
            "status": self.status(),
            "summary": self.summary(),
            "text": self.text(size),
            "firing": firing,
            "resolved": resolved,
            "alerts": self.items.iter().take(size.alerts).map(|item| item.json(size)).collect::<Vec<_>>(),
            "more": self.items.len().saturating_sub(size.alerts),
        })
    }

    /// Returns the message in the form of a template. The details of an alert are filled in only when the message has
    /// exactly one alert.
    pub fn filled(&self, template: &Template, size: Size) -> Value {
        let (firing, resolved) = self.counts();
        let only = |of: fn(&Item) -> String| match &self.items[..] {
            [item] => text::cut(&of(item), size.text),
            _ => String::new(),
        };
        template.filled(|place| match place {
            "id" => self.id.to_string(),
            "receiver" => self.receiver.clone(),
            "status" => self.status().into(),
            "summary" => self.summary(),
            "text" => self.text(size),
            "firing" => firing.to_string(),
            "resolved" => resolved.to_string(),
            "url" => self.items.first().and_then(|item| item.page.clone()).unwrap_or_default(),
            "rule" => only(|item| item.rule.clone()),
            "subject" => only(|item| item.subject.clone()),
            "reason" => only(|item| item.details.reason.clone()),
            "since" => only(|item| item.since.to_string()),
            _ => String::new(),
        })
    }
}

/// Returns the text unchanged, but cut to this number of characters.
fn first(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: usize, kind: Kind) -> Item {
        let details = Details {
            name: format!("monitor {n}"),
            url: Some("https://shop.example/".into()),
            blame: Some("target".into()),
            reason: "timeout".into(),
            ..Details::default()
        };
        Item { details, kind, ..Item::test("2026-11-24T10:00:00Z".parse().unwrap(), Some("https://status.example")) }
    }

    fn message(items: Vec<Item>) -> Message {
        Message { id: Uuid::nil(), receiver: "ops".into(), address: None, items }
    }

    #[test]
    fn a_thousand_alerts_are_one_message_that_names_fifty() {
        let message = message((1..=1_000).map(|n| item(n, Kind::Firing)).collect());
        assert_eq!(message.summary(), "1000 FIRING: monitor 1, monitor 2, monitor 3 and 997 more");
        assert!(message.text(Size::WHOLE).ends_with("\nand 950 more\n"), "{}", message.text(Size::WHOLE));
        let json = message.json(Size::WHOLE);
        assert_eq!((json["alerts"].as_array().unwrap().len(), &json["more"]), (50, &950.into()));
        assert_eq!((&json["status"], &json["firing"]), (&"firing".into(), &1_000.into()));
    }

    #[test]
    fn a_short_message_counts_all_and_is_short_whatever_it_tells_of() {
        let mut items: Vec<Item> = (1..=50).map(|n| item(n, Kind::Firing)).collect();
        for item in &mut items {
            (item.details.name, item.details.reason, item.rule) = ("n".repeat(900), "r".repeat(900), "u".repeat(100));
        }
        let message = message(items);
        let text = message.text(Size::SHORT);
        assert!(text.chars().count() < 1_300 && text.ends_with("\nand 47 more\n"), "{text}");
        let json = message.json(Size::SHORT);
        assert_eq!((&json["firing"], &json["more"]), (&50.into(), &47.into()));
        assert!(json.to_string().len() < 5_000, "{json}");
    }

    #[test]
    fn a_recovery_says_what_was_wrong() {
        let message = message(vec![item(1, Kind::Resolved)]);
        assert_eq!(message.summary(), "RESOLVED: test: monitor 1");
        assert_eq!(
            message.text(Size::WHOLE),
            "RESOLVED: test: monitor 1 https://shop.example/\n    timeout\n    since 2026-11-24 10:00:00 UTC; \
             at fault: target\n    https://status.example\n"
        );
        assert_eq!(message.json(Size::WHOLE)["status"], "resolved");
    }

    #[test]
    fn hostile_names_are_of_one_line_and_short() {
        let hostile = format!("a\r\nBcc: all@example.org\u{0}\u{202e}<script>\u{1b}[2J{}", "x".repeat(10_240));
        let mut item = item(1, Kind::Firing);
        (item.details.name, item.details.reason) = (hostile.clone(), hostile.clone());
        (item.subject, item.details.url) = (hostile.clone(), Some(hostile));
        let message = message(vec![item]);
        let summary = message.summary();
        assert!(summary.len() < 300 && !summary.contains(|c: char| c.is_control() || c == '\u{202e}'), "{summary:?}");
        let text = message.text(Size::WHOLE);
        assert_eq!((text.lines().count(), text.contains("\r")), (4, false), "{text:?}");
        assert!(text.len() < 3_000);
        let json: Value = serde_json::from_str(&message.json(Size::WHOLE).to_string()).unwrap();
        assert!(json["alerts"][0]["name"].as_str().unwrap().starts_with("a\r\nBcc: all@example.org\0"));
        assert!(json.to_string().len() < 10_000);
    }
}
