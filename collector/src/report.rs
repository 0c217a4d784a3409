//! Writes figures for people and for programs: as a table, as CSV, or as one JSON object a line.

use jiff::Timestamp;
use serde::Serialize;
use settings::terminal;

use crate::figures::counts::Bounds;
use crate::figures::{Answer, Figures, Outage, ResponseTimes};
use crate::words::{percent, shortly, to_seconds};

/// A monitor in JSON.
#[derive(Serialize)]
struct Object<'a> {
    since: Timestamp,
    until: Timestamp,
    as_of: Timestamp,
    monitor: &'a str,
    name: Option<&'a str>,
    url: Option<&'a str>,
    /// The agent. None stands for all agents that were asked for.
    agent: Option<&'a str>,
    uptime: Option<f64>,
    bounds: Option<Bounds>,
    checks: i64,
    success: i64,
    failed: i64,
    agent_errors: i64,
    coverage: Option<f64>,
    arrived: i64,
    due: i64,
    unseen: i64,
    downtime_seconds: f64,
    response_times: ResponseTimes,
    outages: &'a [Outage],
}

/// Writes one JSON object a line.
pub fn json(answer: &Answer) -> String {
    let Answer { window, as_of, ref figures } = *answer;
    let line = |of: &Figures| {
        let object = Object {
            since: window.since,
            until: window.until,
            as_of,
            monitor: &of.monitor,
            name: of.name.as_deref(),
            url: of.url.as_deref(),
            agent: of.agent.as_deref(),
            uptime: of.counts().uptime(),
            bounds: of.counts().bounds(),
            checks: of.checks,
            success: of.success,
            failed: of.counts().failed(),
            agent_errors: of.agent_errors,
            coverage: of.counts().coverage(),
            arrived: of.checks,
            due: of.due,
            unseen: of.unseen,
            downtime_seconds: of.downtime(as_of).as_secs_f64(),
            response_times: of.response_times,
            outages: &of.outages,
        };
        serde_json::json!(object).to_string() + "\n"
    };
    figures.iter().map(line).collect()
}

/// The names of the fields in CSV.
const HEAD: [&str; 26] = [
    "monitor",
    "name",
    "url",
    "agent",
    "uptime",
    "uptime_lower",
    "uptime_upper",
    "checks",
    "success",
    "failed",
    "agent_errors",
    "coverage",
    "arrived",
    "due",
    "unseen",
    "outages",
    "downtime_seconds",
    "answered",
    "mean_us",
    "p50_us",
    "p95_us",
    "p99_us",
    "max_us",
    "since",
    "until",
    "as_of",
];

/// Writes a line for each monitor, below the names of the fields. A field is empty when its value is not known.
pub fn csv(answer: &Answer) -> String {
    let Answer { window, as_of, ref figures } = *answer;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let mut write = |record: [String; HEAD.len()]| writer.write_record(record).expect("memory takes any record");
    write(HEAD.map(str::to_owned));
    for of in figures {
        let (times, counts) = (of.response_times, of.counts());
        let bounds = counts.bounds();
        let us = |us: Option<f64>| us.map(|us| format!("{us:.0}")).unwrap_or_default();
        let part = |part: Option<f64>| part.map(|part| format!("{part:.6}")).unwrap_or_default();
        write([
            no_formula(&of.monitor),
            no_formula(of.name.as_deref().unwrap_or_default()),
            no_formula(of.url.as_deref().unwrap_or_default()),
            no_formula(of.agent.as_deref().unwrap_or_default()),
            part(counts.uptime()),
            part(bounds.map(|bounds| bounds.lower)),
            part(bounds.map(|bounds| bounds.upper)),
            of.checks.to_string(),
            of.success.to_string(),
            counts.failed().to_string(),
            of.agent_errors.to_string(),
            part(counts.coverage()),
            of.checks.to_string(),
            of.due.to_string(),
            of.unseen.to_string(),
            of.outages.len().to_string(),
            format!("{:.3}", of.downtime(as_of).as_secs_f64()),
            times.answered.to_string(),
            us(times.mean_us),
            us(times.p50_us),
            us(times.p95_us),
            us(times.p99_us),
            times.max_us.map(|us| us.to_string()).unwrap_or_default(),
            window.since.to_string(),
            window.until.to_string(),
            as_of.to_string(),
        ]);
    }
    String::from_utf8(writer.into_inner().expect("memory takes any record")).expect("texts are UTF-8")
}

/// Returns a text that a spreadsheet does not take for a formula: a text that begins like a formula gets an apostrophe
/// before it (OWASP, "CSV injection").
fn no_formula(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.into() }
}

/// Writes a table for people, with the outages below it.
pub fn table(answer: &Answer) -> String {
    let Answer { window, as_of, ref figures } = *answer;
    let dash = || "-".to_owned();
    let seconds = |us: Option<f64>| us.map_or_else(dash, |us| format!("{:.3}", us / 1e6));
    let percent = |part: Option<f64>| part.map_or_else(dash, percent);
    let row = |of: &Figures| {
        let (times, counts) = (of.response_times, of.counts());
        let bounds = counts.bounds();
        vec![
            of.monitor.clone(),
            of.agent.clone().unwrap_or_else(|| "all".into()),
            percent(counts.uptime()),
            percent(bounds.map(|bounds| bounds.lower)),
            percent(bounds.map(|bounds| bounds.upper)),
            percent(counts.coverage()),
            of.checks.to_string(),
            counts.failed().to_string(),
            of.outages.len().to_string(),
            shortly(of.downtime(as_of)),
            seconds(times.p50_us),
            seconds(times.p95_us),
            seconds(times.p99_us),
            times.max_us.map_or_else(dash, |us| format!("{}.{:03}", us / 1_000_000, us / 1_000 % 1_000)),
        ]
    };
    let heads = [
        "monitor", "agent", "uptime", "at least", "at most", "coverage", "checks", "failed", "outages", "down", "p50",
        "p95", "p99", "max",
    ];
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    let mut lines = vec![format!("from {} to {}", to_seconds(window.since), to_seconds(window.until)), String::new()];
    lines.extend(terminal::columns(&heads, 2, &rows));
    let outages: Vec<Vec<String>> = figures
        .iter()
        .flat_map(|of| of.outages.iter().map(move |outage| outage_row(&of.monitor, outage, as_of)))
        .collect();
    if !outages.is_empty() {
        let heads = ["outage of", "agent", "from", "to", "down", "failures", "reason"];
        lines.push(String::new());
        lines.extend(terminal::columns(&heads, 7, &outages));
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn outage_row(monitor: &str, outage: &Outage, as_of: Timestamp) -> Vec<String> {
    let mut reason = outage.outcome.clone();
    if let Some(code) = outage.status_code {
        reason.push_str(&format!(" {code}"));
    }
    if let Some(error) = &outage.error {
        reason.push_str(": ");
        reason.push_str(error);
    }
    vec![
        monitor.to_owned(),
        outage.agent.clone(),
        to_seconds(outage.began).to_string(),
        match outage.ended {
            None => "-".into(),
            Some(ended) if outage.is_end_known => to_seconds(ended).to_string(),
            Some(ended) => format!("{} (last look)", to_seconds(ended)),
        },
        shortly(outage.ended.unwrap_or(as_of).duration_since(outage.began)),
        outage.failures.to_string(),
        reason,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Window;

    fn answer(figures: Vec<Figures>) -> Answer {
        let as_of = "2026-11-25T00:00:00Z".parse().unwrap();
        Answer { window: Window { since: "2026-11-24T00:00:00Z".parse().unwrap(), until: as_of }, as_of, figures }
    }

    fn shop() -> Figures {
        Figures {
            monitor: "shop, \"new\"".into(),
            name: Some("shop".into()),
            url: Some("http://127.0.0.1/".into()),
            checks: 1_000_000,
            success: 999_999,
            due: 1_000_050,
            unseen: 50,
            response_times: ResponseTimes {
                answered: 1,
                p50_us: Some(1_500.4),
                max_us: Some(2_003_999),
                ..Default::default()
            },
            outages: vec![Outage {
                agent: "edge\u{1b}".into(),
                began: "2026-11-24T10:00:00.5Z".parse().unwrap(),
                ended: None,
                is_end_known: true,
                failures: 1,
                outcome: "status_mismatch".into(),
                status_code: Some(503),
                error: Some("not\nfine".into()),
            }],
            ..Figures::default()
        }
    }

    #[test]
    fn a_table_tells_the_outages_below_and_obeys_no_control_characters() {
        let shown = table(&answer(vec![shop()]));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "from 2026-11-24T00:00:00Z to 2026-11-25T00:00:00Z");
        assert!(
            lines[3].contains("99.999%") && lines[3].contains("99.995%") && lines[3].contains("13h 59m"),
            "{shown}"
        );
        assert!(lines[3].contains("0.002") && lines[3].contains("2.003"), "{shown}");
        assert!(lines[6].contains("2026-11-24T10:00:00Z  -"), "{shown}");
        assert!(lines[6].ends_with("status_mismatch 503: not\\nfine") && lines[6].contains("edge\\u{1b}"), "{shown}");
    }

    #[test]
    fn csv_quotes_what_needs_it_and_leaves_empty_what_is_not_known() {
        let shown = csv(&answer(vec![shop()]));
        let line = shown.lines().nth(1).unwrap();
        assert_eq!(
            line,
            "\"shop, \"\"new\"\"\",shop,http://127.0.0.1/,,0.999999,0.999949,0.999999,1000000,999999,1,0,0.999950,1000000,1000050,\
             50,1,50399.500,1,,1500,,,2003999,2026-11-24T00:00:00Z,2026-11-25T00:00:00Z,\
             2026-11-25T00:00:00Z"
        );
        assert_eq!(shown.lines().next().unwrap().split(',').count(), 26);
    }

    #[test]
    fn a_name_that_looks_like_a_formula_is_a_text_in_csv() {
        let name = Some("=HYPERLINK(\"http://a.test\")".into());
        let shown = csv(&answer(vec![Figures { monitor: "-1".into(), name, agent: Some("a-b".into()), ..shop() }]));
        let line = shown.lines().nth(1).unwrap();
        let expected = "'-1,\"'=HYPERLINK(\"\"http://a.test\"\")\",http://127.0.0.1/,a-b,";
        assert!(line.starts_with(expected), "{line}");
    }

    #[test]
    fn json_has_an_object_a_line_and_null_for_what_is_not_known() {
        let shown =
            json(&answer(vec![shop(), Figures { monitor: "unseen".into(), due: 7, unseen: 7, ..Figures::default() }]));
        let objects: Vec<serde_json::Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&objects[0]["coverage"], &objects[0]["outages"][0]["ended"]),
            (&(1_000_000.0 / 1_000_050.0).into(), &serde_json::Value::Null)
        );
        assert_eq!((&objects[1]["uptime"], &objects[1]["coverage"]), (&serde_json::Value::Null, &0.0.into()));
        assert_eq!(objects[1]["bounds"], serde_json::json!({"lower": 0.0, "upper": 1.0}));
    }
}
