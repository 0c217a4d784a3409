//! Tests of whole pages of a made-up fleet, which are read back as XML.

mod hostile;
mod page;
mod reach;
mod served;

use std::collections::BTreeSet;

use super::*;
use crate::figures::counts::Counts;
use crate::figures::overview::{Bar, Overview, Summary};
use crate::web::fixture;
use page::Read;

/// The number of monitors of the page that has to stay small.
const MANY: usize = 1_000;

fn overview(all: &Overview, query: &str) -> String {
    overview::render(all, &Filter::of(query)).unwrap()
}

fn public() -> Public {
    let tags = [("team".to_owned(), "shop".to_owned())].into();
    Public { title: "How the shop is".into(), monitors: BTreeSet::new(), tags }
}

/// Returns one of each page.
fn each() -> Vec<(&'static str, String)> {
    let all = fixture::overview(250, Period::Month);
    let older = Older { before: fixture::now(), results: fixture::results(fixture::now()) };
    let empty = Overview { monitors: vec![], ..all.clone() };
    vec![
        ("/", overview(&all, "period=30d&group=team&page=2")),
        ("/?q=x", overview(&all, "q=%22x%22&retired=1&state=up&tag=a:b")),
        ("/ of nothing", overview(&empty, "")),
        ("/monitors/down", detail::render(&fixture::detail(7, Period::Day), None).unwrap()),
        ("/monitors/unknown", detail::render(&fixture::detail(41, Period::Quarter), Some(&older)).unwrap()),
        ("/agents", agents::render(&fixture::agents(), fixture::now()).unwrap()),
        ("/agents of no one", agents::render(&[], fixture::now()).unwrap()),
        ("/public", public::render(&all, &public()).unwrap()),
        ("/public/monitors/a", public::render_detail(&fixture::detail(23, Period::Month), &public()).unwrap()),
        ("503", error::render(Place::Elsewhere, "The database can't be read", "It is tried again.", true).unwrap()),
    ]
}

/// Returns a monitor that is up, and whose bars all have these counts.
fn seen(counts: Counts) -> Summary {
    let mut monitor = fixture::overview(1, Period::Day).monitors.remove(0);
    monitor.counts = Counts::default();
    for bar in &mut monitor.bars {
        *bar = Bar { counts, ..*bar };
        monitor.counts += counts;
    }
    monitor
}

fn only(monitor: Summary) -> Overview {
    Overview { monitors: vec![monitor], ..fixture::overview(0, Period::Day) }
}

#[test]
fn a_thousand_monitors_over_ninety_days_are_a_small_page() {
    let mut all = fixture::overview(MANY, Period::Quarter);
    let page = overview(&all, "period=90d");
    assert!(page.len() < 150_000, "{} bytes", page.len());
    for monitor in &mut all.monitors {
        for (n, bar) in (0..).zip(&mut monitor.bars) {
            bar.counts = Counts { checks: 4_100, success: 3_900 - n, agent_errors: 7, unseen: 300 + n };
        }
    }
    let page = overview(&all, "period=90d");
    assert!(page.len() < 300_000, "{} bytes where no bar is whole", page.len());
}

#[test]
fn time_that_no_one_saw_is_drawn_as_a_gap_and_is_no_uptime() {
    let page = overview(&only(seen(Counts { unseen: 60, ..Counts::default() })), "");
    let read = Read::new(&page);
    let row = read.one("tbody");
    assert_eq!(row.paths("w").len() + row.paths("s").len(), 0, "{page}");
    assert_eq!(row.paths("g").len(), 1);
    assert!(row.text().contains("unknown nothing was seen 0.000%"), "{}", row.text());
}

#[test]
fn nothing_is_a_hundred_percent_of_which_a_part_was_not_seen() {
    for counts in [
        Counts { checks: 59, success: 59, agent_errors: 0, unseen: 1 },
        Counts { checks: 60, success: 59, agent_errors: 1, unseen: 0 },
        Counts { checks: 0, success: 0, agent_errors: 0, unseen: 60 },
    ] {
        let page = overview(&only(seen(counts)), "");
        let row = Read::new(&page).one("tbody").text();
        assert!(!row.contains("100.000%") || counts.unseen == 0 && row.matches("100.000%").count() == 1, "{row}");
        assert!(!row.starts_with("100"), "{row}");
    }
    let whole = overview(&only(seen(Counts { checks: 60, success: 60, ..Counts::default() })), "");
    assert_eq!(Read::new(&whole).one("tbody").text().matches("100.000%").count(), 2);
}

#[test]
fn each_monitor_stands_on_one_page_the_worst_first_and_below_its_group() {
    let all = fixture::overview(430, Period::Day);
    for group in ["", "&group=team", "&group=nothing"] {
        let mut links = Vec::new();
        for number in 1..=5 {
            let page = overview(&all, &format!("retired=1&page={number}{group}"));
            links.extend(Read::new(&page).links("/monitors/"));
        }
        assert_eq!((links.len(), links.iter().collect::<BTreeSet<_>>().len()), (430, 430), "{group}");
    }
    let page = overview(&all, "");
    let states: Vec<String> =
        Read::new(&page).all("td").filter(|it| it.class() == "state").map(|it| it.text()).collect();
    let mut sorted = states.clone();
    sorted.sort_by_key(|state| ["Down", "Partly down", "Unknown", "Up"].iter().position(|it| it == state));
    assert_eq!((states.len(), &states), (100, &sorted));
    let grouped = overview(&all, "group=team");
    let heads: Vec<String> =
        Read::new(&grouped).all("tr").filter(|it| it.class() == "group").map(|it| it.text()).collect();
    assert_eq!(heads[0], "payments 3 down, 83 up");
}

#[test]
fn a_sentence_says_how_things_are_and_no_one_is_well_whom_no_one_sees() {
    let says = |count| {
        let page = overview(&fixture::overview(count, Period::Day), "");
        Read::new(&page).all("p").find(|it| it.class() == "says").unwrap().text()
    };
    assert_eq!(
        says(MANY),
        "5 of 990 monitors are down, 5 fail from some places, the state of 10 is unknown, 970 are up."
    );
    assert_eq!(says(60), "1 of 59 monitors is down, 1 fails from some places, the state of 2 is unknown, 55 are up.");
    assert_eq!((says(5), says(1)), ("All 5 monitors are up.".into(), "The one monitor is up.".into()));
    assert_eq!(says(0), "No agent is to look at any monitor.");
}

#[test]
fn a_monitor_at_length_says_who_saw_what_and_whose_fault_it_was() {
    let page = detail::render(&fixture::detail(7, Period::Day), None).unwrap();
    let text = Read::new(&page).one("main").text();
    for said in [
        "Down since 2026-11-27 11:10:03Z (2h): status mismatch 503: expected a status of 200 to 299, got 503",
        "3 of 3 agents see it fail, last looked at 2026-11-27 13:09",
        "goes on 2h the site: all 3 agents saw it (edge-frankfurt, edge-oregon and edge-singapore)",
        "3m the path: edge-oregon failed, edge-frankfurt and edge-singapore passed",
        "1h not monitored 60 checks not seen",
        "1h edge-frankfurt spoiled its checks 60 checks spoiled",
        "2026-11-27 05:00:00Z 2026-11-27 09:10:03Z edge-singapore 1,260",
        "Service Unavailable: expected a status",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn what_was_so_when_the_window_began_may_have_begun_before() {
    let mut detail = fixture::detail(7, Period::Day);
    detail.incidents[0].began = detail.window.since + jiff::SignedDuration::from_mins(1);
    let page = detail::render(&detail, None).unwrap();
    let text = Read::new(&page).one("main").text();
    assert!(text.contains("Down since 2026-11-26 14:01:00Z or before (23h 9m)"), "{text}");
}

#[test]
fn no_failure_was_seen_only_where_none_was_counted() {
    for (success, said) in [(2_000, "No failure was seen"), (1_990, "Failures are known only in sums")] {
        let counts = Counts { checks: 2_000, success, ..Counts::default() };
        let detail = Detail { summary: seen(counts), incidents: vec![], ..fixture::detail(1, Period::Quarter) };
        for page in [detail::render(&detail, None), public::render_detail(&detail, &public())] {
            let text = Read::new(&page.unwrap()).one("main").text();
            assert!(text.contains(&format!("Incidents {said}")), "{said}: {text}");
        }
    }
}

#[test]
fn results_are_paged_by_their_time_and_the_period_is_kept() {
    let mut detail = fixture::detail(7, Period::Month);
    let last = detail.results[Detail::MOST - 1].checked_at;
    let page = detail::render(&detail, None).unwrap();
    let older = format!("/monitors/payments-login-007?period=30d&before={last}#results");
    assert_eq!(Read::new(&page).links("/monitors/payments-login-007?period=30d&before="), [older]);
    let few = Older { before: last, results: detail.results[..3].to_vec() };
    let page = detail::render(&detail, Some(&few)).unwrap();
    let read = Read::new(&page);
    assert_eq!(read.links("/monitors/payments-login-007?period=30d#results").len(), 1);
    assert!(read.links("/monitors/payments-login-007?period=30d&before=").is_empty());
    // The results of one moment go to the next page together.
    detail.results[Detail::MOST].checked_at = last;
    let page = detail::render(&detail, None).unwrap();
    let older = format!("period=30d&before={}#results", detail.results[Detail::MOST - 2].checked_at);
    assert!(Read::new(&page).links("/monitors/payments-login-007?").iter().any(|link| link.ends_with(&older)));
}

#[test]
fn silent_agents_stand_first_and_troubles_are_said() {
    let page = agents::render(&fixture::agents(), fixture::now()).unwrap();
    let rows: Vec<String> = Read::new(&page).one("tbody").all("tr").map(|it| it.text()).collect();
    assert!(rows[0].starts_with("Silent edge-singapore region:singapore 1h 35m ago"), "{}", rows[0]);
    assert!(rows[3].starts_with("Stopped edge-warsaw"), "{}", rows[3]);
    assert!(rows[4].starts_with("Retired edge-berlin") && rows[4].contains("gone since"), "{}", rows[4]);
    for said in [
        "500 records dropped",
        "2 faulty entries",
        "its clock is at least 5m behind: its checks are dated earlier",
        "jumped 1 time, the last time 1h back",
        "1,204 slots missed",
    ] {
        assert!(rows[2].contains(said), "{said}: {}", rows[2]);
    }
    assert!(Read::new(&page).one("main").text().starts_with("Agents 1 of 3 agents is silent."));
}

#[test]
fn what_anybody_may_see_tells_neither_agents_nor_addresses_nor_errors_nor_other_monitors() {
    let all = fixture::overview(250, Period::Month);
    let page = public::render(&all, &public()).unwrap();
    let one = public::render_detail(&fixture::detail(7, Period::Month), &public()).unwrap();
    for told in ["edge-", "example", "503", "status", "192.0.2.7", "team:", "payments", "zone"] {
        let page = if told == "status" { page.replace("role=\"status\"", "") } else { page.clone() };
        assert!(!page.contains(told), "{told}: {page}");
    }
    for told in ["edge-", "example", "503", "mismatch", "192.0.2.7", "team:", "agent"] {
        assert!(!one.contains(told), "{told}: {one}");
    }
    let shown = Read::new(&page).links("/public/monitors/");
    assert_eq!(shown.len(), all.monitors.iter().filter(|it| it.tags["team"] == "shop" && !it.is_retired).count());
    let text = Read::new(&one).one("main").text();
    assert!(text.contains("goes on 2h it was down") && text.contains("3m it failed from some places"), "{text}");
}
