//! Tests of the badges.

use super::*;
use crate::figures::counts::Counts;

#[tokio::test]
async fn a_badge_says_how_a_monitor_is_or_how_much_it_was_up() {
    let all = fixture::overview(FLEET, Period::Day).monitors;
    let server = Server::new(Tables::default(), "{}").await;
    for monitor in all.iter().filter(|monitor| !monitor.is_retired) {
        let badge = server.get(&format!("/badge/{}.svg", monitor.id), &[]).await;
        assert!(badge.head.contains("content-type: image/svg+xml"), "{badge:?}");
        let title = title(&badge.body);
        let words = ["up", "partly down", "down", "unknown"].map(|word| format!("{}: {word}", monitor.name));
        assert!(words.contains(&title), "{title}");
    }
    for period in ["24h", "30d", "90d"] {
        let badge = server.get(&format!("/badge/{}.svg?period={period}", all[0].id), &[]).await;
        assert!(title(&badge.body).ends_with('%'), "{badge:?}");
    }
    for query in ["?period=1y", "?perriod=24h", "?period=24h&period=30d"] {
        assert_eq!(server.get(&format!("/badge/{}.svg{query}", all[0].id), &[]).await.status, 400, "{query}");
    }
    for file in ["absent.svg", &all[0].id, ".svg", "%ff.svg"] {
        assert!([400, 404].contains(&server.get(&format!("/badge/{file}"), &[]).await.status), "{file}");
    }
}

#[tokio::test]
async fn a_badge_is_of_a_colour_only_where_that_is_certain_whatever_was_not_seen() {
    for (counts, said, colour) in [
        ([100, 100, 0, 0], "100.000%", "#2c7a3f"),
        ([100, 97, 0, 0], "97.000%", "#8a5a00"),
        ([1_000, 1_000, 0, 5], "≥ 99.502%", "#2c7a3f"),
        ([10, 10, 0, 90], "≥ 10.000%", "#5f6368"),
        ([100, 20, 0, 10], "≥ 18.181%", "#b3261e"),
        ([0, 0, 0, 100], "unknown", "#5f6368"),
        ([0, 0, 0, 0], "–", "#5f6368"),
    ] {
        let [checks, success, agent_errors, unseen] = counts;
        let mut tables = Tables::with("odd", "odd");
        tables.more[0].counts = Counts { checks, success, agent_errors, unseen };
        let badge = Server::new(tables, "{}").await.get("/badge/odd.svg?period=24h", &[]).await.body;
        assert_eq!(title(&badge), format!("odd: {said}"));
        assert!(badge.contains(&format!("fill=\"{colour}\"")), "{said}: {badge}");
    }
}

/// Returns the title of an SVG that is well-formed.
pub(super) fn title(svg: &str) -> String {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    let is_known =
        |node: roxmltree::Node<'_, '_>| ["svg", "title", "rect", "path", "g", "text"].contains(&node.tag_name().name());
    assert!(document.descendants().filter(roxmltree::Node::is_element).all(is_known), "{svg}");
    let title = document.descendants().find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
    title.and_then(|title| title.text()).unwrap_or_default().to_owned()
}
