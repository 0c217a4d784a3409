//! The commands `rejected list`, `rejected show` and `rejected replay`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use settings::terminal::{columns, write_line};

use super::{FOUND, unavailable, with_config};
use crate::arguments::{Format, RejectedCommand, RejectedList, RejectedReplay, RejectedShow};
use crate::config::Config;
use crate::store::{RejectedMessage, Store, Wanted};

/// Executes one of these commands.
pub(super) fn execute(command: &RejectedCommand) -> anyhow::Result<ExitCode> {
    match command {
        RejectedCommand::List(of) => with_config(&of.config, |config| list(&config, of)),
        RejectedCommand::Show(of) => with_config(&of.config, |config| show(&config, of)),
        RejectedCommand::Replay(of) => with_config(&of.config, |config| replay(&config, of)),
    }
}

fn list(config: &Config, of: &RejectedList) -> anyhow::Result<ExitCode> {
    let wanted = Wanted { reason: of.reason.clone(), ..Wanted::default() };
    let messages = match Store::new(&config.database, config.retention).rejected(&wanted, of.limit) {
        Ok(messages) => messages,
        Err(error) => return unavailable(config, &error),
    };
    let mut stdout = stdout().lock();
    match of.format {
        Format::Json => messages.iter().try_for_each(|message| writeln!(stdout, "{}", json(message, false)))?,
        Format::Table => {
            let row = |it: &RejectedMessage| {
                let received_at = it.received_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                vec![it.place().to_string(), received_at, it.reason.clone(), it.detail.clone()]
            };
            let rows: Vec<Vec<String>> = messages.iter().map(row).collect();
            let lines = columns(&["message", "received at", "reason", "detail"], 4, &rows);
            lines.iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(config: &Config, of: &RejectedShow) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(!of.places.is_empty(), "which message? write topic/partition/offset, as `rejected list` does");
    let wanted = Wanted { places: of.places.clone(), reason: None };
    let messages = match Store::new(&config.database, config.retention).rejected(&wanted, u32::MAX) {
        Ok(messages) => messages,
        Err(error) => return unavailable(config, &error),
    };
    let mut stdout = stdout().lock();
    for message in &messages {
        match of.format {
            Format::Json => writeln!(stdout, "{}", json(message, true))?,
            Format::Table => {
                let mut row = |head: &str, text: &str| write_line(&mut stdout, format_args!("{head:<8}  {text}"));
                row("message", &message.place().to_string())?;
                row("received", &message.received_at.to_string())?;
                row("reason", &format!("{}: {}", message.reason, message.detail))?;
                row("key", &bytes(message.key.as_deref()))?;
                row("value", &bytes(message.value.as_deref()))?;
                writeln!(stdout)?;
            }
        }
    }
    let mut code = ExitCode::SUCCESS;
    for place in of.places.iter().filter(|place| !messages.iter().any(|message| message.place() == **place)) {
        write_line(&mut stderr(), format_args!("{place}: no such message was set aside"))?;
        code = ExitCode::from(FOUND);
    }
    Ok(code)
}

fn replay(config: &Config, of: &RejectedReplay) -> anyhow::Result<ExitCode> {
    let says_which = of.all || of.reason.is_some() || !of.places.is_empty();
    anyhow::ensure!(says_which, "which messages? write --all, --reason, or topic/partition/offset");
    anyhow::ensure!(!of.all || of.places.is_empty(), "--all and places exclude each other; keep one of the two");
    let wanted = Wanted { places: of.places.clone(), reason: of.reason.clone() };
    match Store::new(&config.database, config.retention).replay(&wanted) {
        Ok(replayed) => {
            let mut stdout = stdout().lock();
            for (place, why) in &replayed.kept {
                write_line(&mut stdout, format_args!("{place} stays aside: {why}"))?;
            }
            writeln!(stdout, "stored {}, still aside {}", replayed.stored, replayed.kept.len())?;
            Ok(if replayed.kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
        }
        Err(error) => unavailable(config, &error),
    }
}

/// Returns bytes as text, or as hexadecimal digits where they are not UTF-8.
fn bytes(bytes: Option<&[u8]>) -> String {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => "(none)".into(),
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => format!("(hex) {}", hex(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a message as JSON. With `whole`, it has `key` and `value` where they are text, and always as hexadecimal
/// digits.
fn json(it: &RejectedMessage, whole: bool) -> serde_json::Value {
    let mut object = serde_json::json!({
        "topic": it.topic,
        "partition": it.partition,
        "offset": it.offset,
        "received_at": it.received_at,
        "reason": it.reason,
        "detail": it.detail,
    });
    if whole {
        for (name, bytes) in [("key", &it.key), ("value", &it.value)] {
            object[name] = serde_json::json!(bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()));
            object[format!("{name}_hex")] = serde_json::json!(bytes.as_deref().map(hex));
        }
    }
    object
}
