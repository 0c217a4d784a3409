//! Compares the requests that the agents sent with the rows that are stored, run by run.
//!
//! Each answer has the number of its request in its status line, and each row has this text. The checks of a monitor
//! never overlap, and the outbox takes their results in order. So the rows of a url belong to its first requests, one
//! row to each. Only the last requests before a kill may have no row: their results were not durable yet, or did not
//! exist yet.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use serde::Deserialize;

use super::life::Life;
use crate::truth::rows;

#[derive(Default)]
pub(super) struct Judgement {
    /// The number of requests that have their own row.
    pub(super) matched: u64,
    /// The number of requests whose result was not durable when the agent was killed.
    not_durable: usize,
    /// The largest number of requests of one url whose result was not durable.
    most_of_one: usize,
}

impl Judgement {
    pub(super) fn of(stack: &Stack, lives: &[Life<'_>]) -> Result<Judgement> {
        let mut asked: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, request) in stack.web.requests().into_iter().enumerate() {
            asked.entry(stack.web.url(&request.path)).or_default().push(number);
        }
        let mut stored: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for row in rows(stack)? {
            let number = row.reason.as_deref().and_then(|phrase| phrase.parse().ok());
            stored.entry(row.url.clone()).or_default().push(number.with_context(|| format!("of no request: {row:?}"))?);
        }
        let mut judgement = Judgement::default();
        for (path, was_killed) in lives.iter().flat_map(Life::paths) {
            let url = stack.web.url(&path);
            let requests = asked.remove(&url).unwrap_or_default();
            let mut rows = stored.remove(&url).unwrap_or_default();
            rows.sort_unstable();
            ensure!(requests.starts_with(&rows), "lost or twice: {path}, requests {requests:?}, rows of {rows:?}");
            let without = requests.len() - rows.len();
            ensure!(without == 0 || was_killed, "{path}: {without} are lost, and nothing was killed");
            judgement.matched += rows.len() as u64;
            judgement.not_durable += without;
            judgement.most_of_one = judgement.most_of_one.max(without);
        }
        ensure!(asked.is_empty() && stored.is_empty(), "no one's: {:?} {:?}", asked.keys(), stored.keys());
        Ok(judgement)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Judgement { matched, not_durable, most_of_one } = self;
        write!(
            f,
            "{matched} requests have one row each, {not_durable} were not durable when their agent was killed (at most \
             {most_of_one} of a url)"
        )
    }
}

/// Returns the number of places in the topic where records were sent again, and the number of these records.
pub(super) fn sent_again(stack: &Stack) -> Result<(usize, u64)> {
    #[derive(Deserialize)]
    struct Number {
        epoch: String,
        seq: u64,
        agent: String,
    }
    let (mut seen, mut again) = (HashSet::new(), BTreeMap::new());
    let (mut places, mut records) = (0, 0);
    for message in stack.topic.messages()? {
        let Number { epoch, seq, agent } = serde_json::from_slice(&message.value.context("an empty message")?)?;
        let is_again = !seen.insert((epoch, seq));
        records += u64::from(is_again);
        // The messages of an agent are in one partition, in the order in which they were sent.
        let was_again = again.insert(agent, is_again).unwrap_or(false);
        places += usize::from(is_again && !was_again);
    }
    Ok((places, records))
}
