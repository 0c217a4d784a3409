//! A record contains hostile text. The test asks whether this text can forge the output of commands.

use anyhow::{Context, Result};
use e2e::Stack;
use e2e::process::Finished;
use jiff::Timestamp;
use serde_json::Value;

use crate::forge::{Forge, produce};
use crate::truth::await_no_lag;

/// A hostile name. After a line break it has a text that looks like a total with nothing missing. After that it has
/// control characters that would hide the true total.
const FORGED: &str = "edge\r\ntotal  10  10  0  0  0  0\u{1b}[8m\u{9b}8m\u{202e}";
const SHOWN: &str = r"edge\r\ntotal  10  10  0  0  0  0\u{1b}[8m\u{9b}8m\u{202e}";

#[test]
fn what_looks_like_a_total_in_a_records_texts_is_printed_as_part_of_one_line() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let forge = Forge::new(FORGED);
    let json = serde_json::to_string(FORGED)?;
    let named = |record: Vec<u8>, of: &str| -> Result<Vec<u8>> {
        Ok(String::from_utf8(record)?.replace(of, &json).into_bytes())
    };
    let unknown = named(forge.result(4), "\"result\"")?;
    let failed = named(forge.result(2), "\"shop\"")?;
    let failed = String::from_utf8(failed)?.replace("\"success\"", "\"timeout\"");
    produce(&stack.topic, [forge.start(None), failed.into_bytes(), unknown, forge.stop(5)])?;
    await_no_lag(&stack, &collector);
    // The report gets an explicit end, because otherwise it leaves out such new results.
    let report =
        |more: &[&str]| collector.command(&[&["report", "--to", &Timestamp::now().to_string()], more].concat());

    let printed = report(&["--by-agent"])?;
    assert_eq!(printed.stdout.lines().count(), 7, "{printed:?}");
    assert!(printed.stdout.contains(SHOWN) && is_harmless(&printed.stdout), "{printed:?}");
    for (command, lines) in [(&["verify"][..], 4), (&["agents", "list"], 2), (&["rejected", "list"], 2)] {
        let printed = collector.command(command)?;
        assert_eq!(printed.stdout.lines().count(), lines, "{command:?} {printed:?}");
        assert!(printed.stdout.contains(SHOWN) && is_harmless(&printed.stdout), "{command:?} {printed:?}");
    }
    let verified = collector.command(&["verify"])?.stdout;
    let total = verified.lines().last().context("a total")?;
    assert_eq!(total.split_whitespace().collect::<Vec<_>>(), ["total", "5", "3", "0", "1", "0", "1"], "{verified}");
    let place = format!("{}/0/2", stack.topic.name());
    assert!(is_harmless(&collector.command(&["rejected", "show", &place])?.stdout));
    let retired = collector.command(&["agents", "retire", FORGED])?;
    assert!(retired.stdout.starts_with(&format!("nothing is due from {SHOWN} since ")), "{retired:?}");

    // In the JSON output the text is exactly as it was sent.
    let of_line = |printed: Finished| -> Result<Value> {
        Ok(serde_json::from_str(printed.stdout.lines().next().context("a line")?)?)
    };
    assert_eq!(of_line(collector.command(&["verify", "--format", "json"])?)?["agent"], FORGED);
    assert_eq!(of_line(report(&["--format", "json"])?)?["monitor"], FORGED);
    let csv = report(&["--format", "csv"])?.stdout;
    assert!(csv.contains(&format!("\n\"{FORGED}\",\"{FORGED}\",http")), "{csv:?}");
    Ok(())
}

/// Returns whether the text has no character that a terminal would obey, except the ends of lines.
fn is_harmless(printed: &str) -> bool {
    !printed.contains(|character: char| character.is_control() && character != '\n' || character == '\u{202e}')
}
