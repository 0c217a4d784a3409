//! Tests with hostile names, urls, tags, agents and errors.

use super::page::Read;
use super::*;
use crate::figures::overview::Tags;

const TEXTS: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>&amp;",
    "a\0b\u{7}c\u{1b}[2J\u{fffe}",
    "\u{202e}evil\u{2066}\u{200f}",
    "שלום مرحبا",
    "javascript:alert(1)//../..",
];

fn hostile(text: &str) -> Detail {
    let mut detail = fixture::detail(23, Period::Day);
    let it = &mut detail.summary;
    (it.id, it.name, it.url) = (text.into(), text.into(), text.into());
    it.tags = Tags::from([(text.into(), text.into())]);
    for latest in &mut it.state.agents {
        (latest.agent, latest.outcome, latest.error) = (text.into(), Some(text.into()), Some(text.into()));
    }
    detail.agents.iter_mut().for_each(|side| side.agent = text.into());
    for incident in &mut detail.incidents {
        incident.failing.fill(text.into());
        incident.passing.fill(text.into());
        (incident.outcome, incident.error) = (text.into(), Some(text.into()));
    }
    detail.gaps.iter_mut().for_each(|gap| gap.agent = Some(text.into()));
    detail.late.iter_mut().for_each(|late| late.agent = text.into());
    for row in &mut detail.results {
        (row.agent, row.outcome) = (text.into(), text.into());
        (row.reason, row.peer, row.error) = (Some(text.into()), Some(text.into()), Some(text.into()));
    }
    detail
}

fn pages(text: &str) -> Vec<String> {
    let detail = hostile(text);
    let mut all = fixture::overview(3, Period::Day);
    all.monitors[1] = detail.summary.clone();
    let mut agents = fixture::agents();
    for agent in &mut agents {
        (agent.name, agent.version) = (text.into(), Some(text.into()));
        agent.labels = Tags::from([(text.into(), text.into())]);
        agent.missed = [(text.to_owned(), 7)].into();
    }
    let public = Public { title: text.into(), monitors: [text.to_owned()].into(), tags: Tags::new() };
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("q", text), ("tag", text), ("group", text)])
        .finish();
    vec![
        overview(&all, ""),
        overview(&all, &query),
        detail::render(&detail, None).unwrap(),
        agents::render(&agents, fixture::now()).unwrap(),
        public::render(&all, &public).unwrap(),
        public::render_detail(&detail, &public).unwrap(),
    ]
}

#[test]
fn text_of_strangers_is_text() {
    let elements = |page: &str| Read::new(page).all("*").map(|it| it.name().to_owned()).collect::<Vec<_>>();
    let harmless: Vec<Vec<String>> = pages("harmless").iter().map(|page| elements(page)).collect();
    for text in TEXTS {
        for (page, expected) in pages(text).iter().zip(&harmless) {
            if !page.contains("No monitor matches") {
                assert_eq!(&elements(page), expected, "{text:?}");
            }
            let acts = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200f}\u{fffe}".contains(c);
            assert!(!page.contains(acts), "{text:?}: {page}");
        }
    }
}

#[test]
fn letters_that_run_from_the_right_turn_nothing_beside_them() {
    let text = TEXTS[4];
    for page in pages(text) {
        for element in Read::new(&page).one("main").all("*") {
            let own = element.own_text();
            assert!(
                !own.contains(text) || element.is_within("bdi") || element.name() == "option",
                "<{}> {own}",
                element.name()
            );
        }
    }
}

#[test]
fn what_is_long_is_cut() {
    let mut all = fixture::overview(1, Period::Day);
    all.monitors[0].name = "long".repeat(2_560);
    all.monitors[0].url = "long".repeat(2_560);
    let page = overview(&all, "");
    assert!(page.len() < 10_000 && page.contains("longlon…"), "{page}");
}
