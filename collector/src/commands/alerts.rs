//! The commands `alerts list` and `alerts test`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;
use settings::terminal::{columns, write_line};
use uuid::Uuid;

use super::{FOUND, UNAVAILABLE, unavailable, with_config};
use crate::alerts::Alert;
use crate::arguments::{AlertsCommand, AlertsList, AlertsTest, Format};
use crate::config::Config;
use crate::notify::{Item, Message};
use crate::store::{AlertStore, Firing};

/// Executes one of these commands.
pub(super) fn execute(command: &AlertsCommand) -> anyhow::Result<ExitCode> {
    match command {
        AlertsCommand::List(of) => with_config(&of.config, |config| list(&config, of)),
        AlertsCommand::Test(of) => with_config(&of.config, |config| test(&config, of)),
    }
}

fn list(config: &Config, of: &AlertsList) -> anyhow::Result<ExitCode> {
    let Firing { as_of, alerts: firing } = match AlertStore::new(&config.database).firing() {
        Ok(firing) => firing,
        Err(error) => return unavailable(config, &error),
    };
    let mut stdout = stdout().lock();
    match of.format {
        Format::Json => firing.iter().try_for_each(|(rule, subject, alert)| {
            let mut object = json!(alert.details);
            object["rule"] = json!(rule);
            object["subject"] = json!(subject);
            object["since"] = json!(alert.since);
            object["told_at"] = json!(alert.told_at);
            object["silenced"] = json!(alert.silenced);
            object["judged_at"] = json!(alert.judged_at);
            writeln!(stdout, "{object}")
        })?,
        Format::Table if firing.is_empty() => writeln!(stdout, "nothing fires")?,
        Format::Table => {
            let row = |(rule, _, alert): &(String, String, Alert)| {
                let silenced = alert.silenced.as_deref().map(|reason| format!(" [silenced: {reason}]"));
                // The alert tells what held at that time: no running collector has a rule for it.
                let is_stale = alert.is_gone(as_of);
                let stale = is_stale.then(|| format!(" [no collector has looked since {}]", seconds(alert.judged_at)));
                let notes = [silenced, stale].into_iter().flatten().collect::<String>();
                let reason = format!("{}{notes}", alert.details.reason);
                vec![rule.clone(), alert.details.name.clone(), seconds(alert.since), reason]
            };
            let rows: Vec<Vec<String>> = firing.iter().map(row).collect();
            let lines = columns(&["rule", "of", "since", "reason"], 4, &rows);
            lines.iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
        }
    }
    Ok(if firing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn test(config: &Config, of: &AlertsTest) -> anyhow::Result<ExitCode> {
    let receivers = &config.alerts.receivers;
    anyhow::ensure!(!receivers.is_empty(), "there is no receiver; describe receivers under alerts.receivers");
    if let Some(unknown) = of.receiver.iter().find(|name| !receivers.iter().any(|known| known.name == **name)) {
        let known: Vec<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        anyhow::bail!("{unknown:?} is no receiver; write one of: {}", known.join(", "));
    }
    let mut code = ExitCode::SUCCESS;
    for receiver in receivers.iter().filter(|it| of.receiver.is_empty() || of.receiver.contains(&it.name)) {
        let addresses = receiver.channel.addresses();
        let each = if addresses.is_empty() { vec![None] } else { addresses.into_iter().map(Some).collect() };
        for address in each {
            let items = vec![Item::test(Timestamp::now(), config.http.url.as_deref())];
            let message = Message { id: Uuid::new_v4(), receiver: receiver.name.clone(), address, items };
            let whom = message.whom();
            match receiver.channel.send(&message) {
                Ok(()) => write_line(&mut stdout(), format_args!("{whom}: told"))?,
                Err(failure) => {
                    write_line(&mut stderr(), format_args!("{whom}: {failure}"))?;
                    code = ExitCode::from(UNAVAILABLE);
                }
            }
        }
    }
    Ok(code)
}
