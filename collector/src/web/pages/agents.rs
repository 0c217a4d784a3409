//! The page of the agents. Silent agents stand first, and what an agent lost or could not do is said plainly.

use askama::Template;
use bytesize::ByteSize;
use jiff::{SignedDuration, Timestamp};

use super::frame::{Frame, Place};
use super::words::{When, ago, counted, grouped};
use crate::figures::agent::{AgentRow, Presence};
use crate::text::{cut, plain};
use crate::words::{shortly, to_seconds};

/// The largest length of a label, in characters.
const LABEL: usize = 60;

#[derive(Template)]
#[template(path = "agents.html")]
struct Page {
    frame: Frame,
    class: &'static str,
    says: String,
    rows: Vec<Row>,
}

/// The row of an agent.
struct Row {
    name: String,
    /// The class of the style and of the symbol.
    class: &'static str,
    word: &'static str,
    seen: Option<(When, String)>,
    version: String,
    labels: Vec<String>,
    monitors: String,
    pending: String,
    outbox: String,
    dropped: String,
    rejected: String,
    /// The troubles that a person should look into.
    troubles: Vec<String>,
}

/// Returns the page at a moment.
///
/// # Errors
/// Returns only errors of the template engine.
pub(super) fn render(agents: &[AgentRow], now: Timestamp) -> askama::Result<String> {
    let order = |it: &&AgentRow| match it.presence {
        Presence::Silent => 0,
        Presence::Running => 1,
        Presence::Stopped => 2,
        Presence::Retired => 3,
    };
    let mut sorted: Vec<&AgentRow> = agents.iter().collect();
    sorted.sort_by_key(order);
    let (class, says) = says(agents);
    let rows = sorted.into_iter().map(|it| row(it, now)).collect();
    Page { frame: Frame::new(Place::Agents, Some(now)), class, says, rows }.render()
}

fn says(agents: &[AgentRow]) -> (&'static str, String) {
    let count = |presence| agents.iter().filter(|it| it.presence == presence).count();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (silent, running) = (count(Presence::Silent), count(Presence::Running));
    let meant = number(silent + running);
    match (silent, running) {
        (0, 0) => ("unknown", "No agent runs, so nothing is monitored.".into()),
        (0, 1) => ("up", "The one agent reports.".into()),
        (0, _) => ("up", format!("All {} report.", counted(meant, "agent"))),
        (1, _) => ("down", format!("1 of {} is silent.", counted(meant, "agent"))),
        _ => ("down", format!("{} of {} are silent.", grouped(number(silent)), counted(meant, "agent"))),
    }
}

fn row(it: &AgentRow, now: Timestamp) -> Row {
    let (class, word) = match it.presence {
        Presence::Running => ("up", "Running"),
        Presence::Stopped => ("retired", "Stopped"),
        Presence::Silent => ("down", "Silent"),
        Presence::Retired => ("retired", "Retired"),
    };
    Row {
        name: plain(&it.name),
        class,
        word,
        seen: it.last_seen.map(|at| (When(at), ago(at, now))),
        version: it.version.as_deref().map_or_else(|| "–".into(), |version| cut(version, LABEL)),
        labels: it.labels.iter().map(|(name, value)| cut(&format!("{name}:{value}"), LABEL)).collect(),
        monitors: grouped(it.monitors),
        pending: grouped(it.pending),
        outbox: it
            .outbox_bytes
            .and_then(|bytes| u64::try_from(bytes).ok())
            .map_or_else(|| "–".into(), |bytes| ByteSize::b(bytes).display().iec().to_string()),
        dropped: grouped(it.dropped),
        rejected: grouped(it.rejected),
        troubles: troubles(it),
    }
}

fn troubles(it: &AgentRow) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(since) = it.retired_since {
        troubles.push(format!("gone since {}: nothing is due from it until it reports again", to_seconds(since)));
    }
    if it.doubled {
        troubles.push("two hosts report under this name: give each an agent.name of its own".into());
    }
    if it.dropped > 0 {
        troubles.push(format!("{} dropped: they will not arrive", counted(it.dropped, "record")));
    }
    if it.rejected > 0 {
        troubles.push(format!("{} set aside by the collector", counted(it.rejected, "record")));
    }
    if it.configuration_faults > 0 {
        troubles.push(
            format!("{} of its configuration skipped", counted(it.configuration_faults, "faulty entry"))
                .replace("entrys", "entries"),
        );
    }
    let behind = SignedDuration::from_micros(it.clock_behind_us);
    if !behind.is_zero() {
        let (way, when) = if behind.is_negative() { ("ahead", "later") } else { ("behind", "earlier") };
        troubles.push(format!(
            "its clock is at least {} {way}: its checks are dated {when} than they were made",
            shortly(behind.abs())
        ));
    }
    if it.clock_jumps > 0 {
        let by = SignedDuration::from_micros(it.last_jump_us);
        let way = if by.is_negative() { "back" } else { "ahead" };
        troubles.push(format!(
            "its clock jumped {}, the last time {} {way}",
            counted(it.clock_jumps, "time"),
            shortly(by.abs())
        ));
    }
    for (reason, slots) in it.missed.iter().filter(|(_, slots)| **slots > 0) {
        troubles.push(format!("{} missed: {}", counted(*slots, "slot"), cut(&reason.replace('_', " "), LABEL)));
    }
    troubles
}
