//! Writes results as a table for people. It shows the verdict, in colour where the output is a terminal, and how long each phase
//! took. The reason of a failed check stands in a line below, where a long text has room on any screen.

use std::env;
use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;
use settings::terminal::{shown, write_line};
use wire::{CheckResult, Outcome, Phases};

/// Cells of a bar.
const BAR: u64 = 20;

/// From here on a certificate's end is worth a colour.
const SOON_DAYS: i64 = 14;

const PHASES: &str = "d looking up the name, c connecting, t TLS, w waiting for the first byte, b body";

/// Writes a line for each result, and what was counted.
pub(super) fn write(results: &[CheckResult], now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let table = table(results, now);
    writeln!(out, "{}", table.trim_fmt())?;
    for result in results {
        if let Some(error) = &result.error {
            writeln!(out)?;
            write_line(out, format_args!("{}: {error}", result.name))?;
        }
    }
    let good = results.iter().filter(|result| result.outcome == Outcome::Success).count();
    if results.iter().any(|result| !bar(&result.phases).is_empty()) {
        writeln!(out, "\nphases: {PHASES}")?;
    }
    writeln!(out, "\n{good} of {} succeeded", results.len())
}

fn table(results: &[CheckResult], now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        && let Some(width) = table.width()
    {
        table.set_width(width).force_no_tty();
    }
    let certificates = results.iter().any(|result| result.certificate.is_some());
    let columns = |cells: [Cell; 6]| {
        let shown = [true, true, true, true, true, certificates];
        cells.into_iter().zip(shown).filter(|(_, shown)| *shown).map(|(cell, _)| cell).collect::<Vec<_>>()
    };
    let titles = ["MONITOR", "OUTCOME", "CODE", "TIME", "PHASES", "CERTIFICATE"];
    table.set_header(columns(titles.map(Cell::new)));
    for result in results {
        table.add_row(columns(row(result, now)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for numbers in [2, 3] {
        if let Some(column) = table.column_mut(numbers) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(result: &CheckResult, now: Timestamp) -> [Cell; 6] {
    let verdict = match result.outcome {
        Outcome::Success => Color::Green,
        Outcome::TooSlow | Outcome::CertificateExpiring | Outcome::AgentError => Color::Yellow,
        _ => Color::Red,
    };
    [
        Cell::new(shown(&result.name)),
        Cell::new(result.outcome.as_str()).fg(verdict),
        Cell::new(result.status_code.map_or_else(|| "-".to_owned(), |code| code.to_string())),
        Cell::new(time(result.response_time_us.unwrap_or(0))),
        Cell::new(bar(&result.phases)),
        certificate(result, now),
    ]
}

fn time(micros: u64) -> String {
    match micros {
        0..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// Each phase's share of the time, as its letter.
fn bar(phases: &Phases) -> String {
    let phases =
        [('d', phases.dns), ('c', phases.connect), ('t', phases.tls), ('w', phases.first_byte), ('b', phases.body)];
    let total: u64 = phases.iter().filter_map(|(_, took)| *took).sum();
    let mut bar = String::new();
    let (mut until, mut drawn) = (0, 0);
    for (letter, took) in phases {
        until += took.unwrap_or(0);
        // The ends of phases are rounded, not their lengths, so that the bar is always of one length.
        let end = (until * BAR + total / 2).checked_div(total).unwrap_or(0);
        bar.extend((drawn..end).map(|_| letter));
        drawn = end;
    }
    bar
}

fn certificate(result: &CheckResult, now: Timestamp) -> Cell {
    let Some(certificate) = &result.certificate else { return Cell::new("") };
    let first = certificate.first_end.unwrap_or(certificate.not_after);
    let days = first.duration_since(now).as_hours().div_euclid(24);
    match days {
        ..0 => Cell::new("expired").fg(Color::Red),
        0..SOON_DAYS => Cell::new(format!("{days} days")).fg(Color::Yellow),
        _ => Cell::new(format!("{days} days")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn result(name: &str, outcome: Outcome) -> CheckResult {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let (outcome, url) = (outcome.as_str(), "http://a/");
        let flat = serde_json::json!({
            "monitor": name, "name": name, "url": url, "scheduled_at": now, "checked_at": now, "outcome": outcome,
            "response_time_us": 12_345,
        });
        serde_json::from_value(flat).unwrap()
    }

    fn written(results: &[CheckResult]) -> String {
        let mut out = Vec::new();
        write(results, Timestamp::from_second(1_000_000).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_monitor_has_a_line_with_what_is_known_of_it() {
        let mut good = result("shop", Outcome::Success);
        good.status_code = Some(200);
        good.phases = Phases { dns: None, connect: Some(100), tls: Some(300), first_byte: Some(500), body: Some(100) };
        let not_after = Timestamp::from_second(1_000_000).unwrap() + Duration::from_secs(86_400 * 12 + 3_600);
        good.certificate = Some(wire::Certificate {
            not_after,
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            first_end: None,
            fault: None,
            faults: Vec::new(),
        });
        let mut bad = result("näme", Outcome::ConnectionRefused);
        bad.error = Some("connecting to 127.0.0.1:1: refused".into());
        bad.response_time_us = Some(5_012_345);
        let table = written(&[good, bad]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            lines,
            [
                "MONITOR  OUTCOME             CODE     TIME  PHASES                CERTIFICATE",
                "shop     success              200  12.3 ms  ccttttttwwwwwwwwwwbb  12 days",
                "näme     connection_refused     -   5.01 s",
                "",
                "näme: connecting to 127.0.0.1:1: refused",
                "",
                "phases: d looking up the name, c connecting, t TLS, w waiting for the first byte, b body",
                "",
                "1 of 2 succeeded",
            ],
            "{table}"
        );
    }

    #[test]
    fn a_forged_sum_in_a_name_or_an_error_is_part_of_one_line() {
        let mut bad = result("a\r\n2 of 2 succeeded\u{1b}[8m", Outcome::ProtocolError);
        bad.error = Some("\u{202e}\n2 of 2 succeeded".into());
        let table = written(&[bad]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 6, "{table}");
        assert!(lines[1].starts_with(r"a\r\n2 of 2 succeeded\u{1b}[8m  protocol_error"), "{table}");
        assert_eq!(lines[3], r"a\r\n2 of 2 succeeded\u{1b}[8m: \u{202e}\n2 of 2 succeeded");
        assert_eq!(lines[5], "0 of 1 succeeded");
    }

    #[test]
    fn what_no_one_needs_is_left_out() {
        let table = written(&[result("shop", Outcome::Success)]);
        assert!(!table.contains("CERTIFICATE") && !table.contains("phases:"), "{table}");
        assert!(table.ends_with("\n1 of 1 succeeded\n"), "{table}");
    }

    #[test]
    fn a_bar_has_one_length_whatever_its_phases() {
        for phases in [[1, 1, 1], [1, 0, 0], [999, 1, 1], [7, 11, 13], [u64::from(u32::MAX), 5, 3]] {
            let phases =
                Phases { dns: Some(phases[0]), connect: Some(phases[1]), body: Some(phases[2]), ..Phases::default() };
            assert_eq!(bar(&phases).len() as u64, BAR, "{phases:?}");
        }
        assert_eq!(bar(&Phases::default()), "");
        assert_eq!(bar(&Phases { connect: Some(1), first_byte: Some(3), ..Phases::default() }), "cccccwwwwwwwwwwwwwww");
    }
}
