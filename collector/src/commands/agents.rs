//! The commands `agents list` and `agents retire`.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use jiff::Timestamp;
use serde_json::json;
use settings::terminal::{columns, write_line};

use super::{FOUND, unavailable, with_config};
use crate::arguments::{AgentsCommand, AgentsList, AgentsRetire, Format};
use crate::config::Config;
use crate::figures::agent::AgentRow;
use crate::figures::source::Source;
use crate::figures::word;
use crate::store;
use crate::store::{Reader, Retirement};
use crate::words::to_seconds;

/// Executes one of these commands.
pub(super) fn execute(command: &AgentsCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgentsCommand::List(of) => with_config(&of.config, |config| list(&config, of)),
        AgentsCommand::Retire(of) => with_config(&of.config, |config| retire(&config, of)),
    }
}

fn list(config: &Config, of: &AgentsList) -> anyhow::Result<ExitCode> {
    let agents = match Reader::new(&config.database).agents() {
        Ok(agents) => agents,
        Err(error) => return unavailable(config, &error),
    };
    let lines = match of.format {
        Format::Json => agents.iter().map(|agent| json!(agent).to_string()).collect(),
        Format::Table => table(&agents),
    };
    let mut stdout = stdout().lock();
    lines.iter().try_for_each(|line| writeln!(stdout, "{line}"))?;
    Ok(ExitCode::SUCCESS)
}

fn table(agents: &[AgentRow]) -> Vec<String> {
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "-".into(), |at| to_seconds(at).to_string());
    let row = |it: &AgentRow| {
        vec![
            it.name.clone(),
            if it.doubled { format!("{} (two hosts)", word(it.presence)) } else { word(it.presence) },
            it.version.clone().unwrap_or_else(|| "-".into()),
            moment(it.last_seen),
            moment(it.last_report),
            moment(it.retired_since),
            it.pending.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = agents.iter().map(row).collect();
    columns(&["agent", "state", "version", "last seen", "last report", "retired since", "pending"], 6, &rows)
}

fn retire(config: &Config, of: &AgentsRetire) -> anyhow::Result<ExitCode> {
    if let Some(since) = of.since.filter(|since| *since > Timestamp::now()) {
        anyhow::bail!("--since {since} is yet to come; say since when the agent is gone");
    }
    match store::retire(&config.database, &of.name, of.since) {
        Ok(Retirement::Since(since)) => {
            let told = "when it reports again, it is an agent again";
            write_line(&mut stdout(), format_args!("nothing is due from {} since {since}; {told}", of.name))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(Retirement::Unknown(known)) => {
            write_line(&mut stderr(), unknown(&of.name, &known))?;
            Ok(ExitCode::from(FOUND))
        }
        Err(error) => unavailable(config, &error),
    }
}

fn unknown(name: &str, known: &[String]) -> String {
    match settings::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("there is no agent {name:?}; did you mean {nearest:?}?"),
        None => format!("there is no agent {name:?}; `agents list` tells which there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::fixture;

    #[test]
    fn agents_are_listed_with_how_they_stand_and_since_when_one_is_gone() {
        let lines = table(&fixture::agents());
        assert!(lines[0].starts_with("agent") && lines[0].ends_with("pending"), "{lines:?}");
        let cells = |name: &str| -> Vec<&str> {
            lines.iter().find(|line| line.starts_with(name)).unwrap().split_whitespace().collect()
        };
        assert!(
            lines.iter().any(|line| line.starts_with("edge-oregon") && line.contains("running (two hosts)")),
            "{lines:?}"
        );
        let (stopped, gone) = (cells("edge-warsaw"), cells("edge-berlin"));
        assert_eq!((stopped[1], stopped[5], stopped[6]), ("stopped", "-", "12"), "{lines:?}");
        assert_eq!(
            (gone[1], gone[5]),
            ("retired", &*to_seconds(fixture::agents()[4].retired_since.unwrap()).to_string())
        );
    }

    #[test]
    fn a_forged_agent_in_a_name_is_part_of_one_line() {
        let forged = AgentRow { name: "a\nedge-9  running\u{9b}2J".into(), ..fixture::agents().remove(0) };
        let lines = table(&[forged]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with(r"a\nedge-9  running\u{9b}2J  "), "{lines:?}");
    }

    #[test]
    fn an_unknown_agent_is_told_with_the_one_that_may_be_meant() {
        let known = ["edge-1".to_owned(), "edge-2".to_owned()];
        assert_eq!(unknown("egde-2", &known), "there is no agent \"egde-2\"; did you mean \"edge-2\"?");
        assert!(
            unknown("\u{1b}other", &known)
                .ends_with("there is no agent \"\\u{1b}other\"; `agents list` tells which there are")
        );
    }
}
