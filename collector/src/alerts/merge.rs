//! Combines a message that still waits with items that come later.
//!
//! For each alert the message tells only the latest event, compared with what the receiver knows. An alert that begins
//! and ends while the message waits is never told. An alert that ends and begins again while the message waits still
//! fires.

use crate::notify::{Item, Kind};

/// Adds new items to the waiting items. Nothing was told about the waiting items yet.
pub(crate) fn merge(waiting: Vec<Item>, more: Vec<Item>) -> Vec<Item> {
    let mut all = waiting;
    for item in more {
        let is_of_same = |other: &Item| other.rule == item.rule && other.subject == item.subject;
        let before = all.iter().position(is_of_same).map(|place| all.remove(place).kind);
        let kind = match (before, item.kind) {
            (Some(Kind::Firing), Kind::Resolved) => continue,
            (Some(Kind::Firing), Kind::Repeat) => Kind::Firing,
            // The receiver was not told that the alert ended, so the alert is told as a repetition.
            (Some(Kind::Resolved), Kind::Firing) => Kind::Repeat,
            (_, kind) => kind,
        };
        all.push(Item { kind, ..item });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::Kind::{Firing, Repeat, Resolved};
    use super::*;

    fn item(subject: &str, kind: Kind) -> Item {
        Item { kind, subject: subject.into(), ..Item::test("2026-11-24T10:00:00Z".parse().unwrap(), None) }
    }

    /// Returns what is told about an alert when these events happen while a message waits.
    fn told(kinds: &[Kind]) -> Vec<Kind> {
        let all = kinds.iter().fold(Vec::new(), |waiting, kind| merge(waiting, vec![item("a", *kind)]));
        all.iter().map(|item| item.kind).collect()
    }

    #[test]
    fn what_begins_and_ends_while_a_message_waits_is_never_told() {
        assert_eq!(told(&[Firing, Resolved]), []);
        assert_eq!(told(&[Firing, Repeat, Resolved]), []);
        assert_eq!(told(&[Firing, Resolved, Firing]), [Firing]);
    }

    #[test]
    fn the_end_of_what_was_told_before_stays() {
        assert_eq!(told(&[Resolved]), [Resolved]);
        assert_eq!(told(&[Repeat, Resolved]), [Resolved]);
        assert_eq!(told(&[Resolved, Firing]), [Repeat]);
        assert_eq!(told(&[Resolved, Firing, Resolved]), [Resolved]);
    }

    #[test]
    fn others_stay_as_they_are() {
        let all = merge(vec![item("a", Firing), item("b", Firing)], vec![item("a", Resolved), item("c", Resolved)]);
        let of: Vec<_> = all.iter().map(|item| (item.subject.as_str(), item.kind)).collect();
        assert_eq!(of, [("b", Firing), ("c", Resolved)]);
        let other = Item { rule: "other".into(), ..item("a", Resolved) };
        assert_eq!(merge(vec![item("a", Firing)], vec![other]).len(), 2);
    }
}
