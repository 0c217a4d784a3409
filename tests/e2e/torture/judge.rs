//! What was asked against what is stored, run by run.
//!
//! Each answer has the number of its request in its status line, and each row has that phrase. A monitor never overlaps
//! itself, and the outbox takes its results in order. So the rows of a url are those of its first requests, one for
//! each, and only the last ones before a kill may be without: their results were not durable yet, or there were none.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::{Context, Result, ensure};
use e2e::Stack;
use serde::Deserialize;

use super::life::Life;
use crate::truth::rows;

#[derive(Default)]
pub(super) struct Judgement {
    /// Requests with a row of their own.
    pub(super) matched: u64,
    /// Requests whose result was not durable when the agent was killed.
    not_durable: usize,
    /// The most of them of one url.
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

/// In how many places of the topic something was sent again, and how many records were.
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
        // The messages of an agent lie in one partition, in the order of their sending.
        let was_again = again.insert(agent, is_again).unwrap_or(false);
        places += usize::from(is_again && !was_again);
    }
    Ok((places, records))
}
