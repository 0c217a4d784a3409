//! Names are given ids, as the product's file of this name has it in SQL. Each statement is committed on its own, before
//! the transaction of the batch begins.

use std::collections::BTreeMap;

use uuid::Uuid;
use wire::Content;

use super::batch_plan::NewResult;
use super::ledger_cache::{Epoch, LedgerCache, Monitor, definition};
use super::tables::{EpochRow, MonitorRow, Tables, id, place, row};
use crate::batch::Entry;
use crate::rules::{Rule, Rules};

/// Makes sure that the memory has every epoch that these entries name.
pub(super) fn learn_epochs(tables: &mut Tables, cache: &mut LedgerCache, entries: &[Entry<'_>], rules: Rules) {
    let mut wanted: BTreeMap<Uuid, (usize, &str)> = BTreeMap::new();
    for entry in entries {
        for_each_epoch(entry, |epoch, agent| {
            if cache.epoch_id(&epoch).is_none() {
                let before = wanted.len();
                wanted.entry(epoch).or_insert((before, agent));
            }
        });
    }
    let mut sorted: Vec<(&str, usize, Uuid)> =
        wanted.iter().map(|(epoch, (before, agent))| (*agent, *before, *epoch)).collect();
    sorted.sort_unstable();
    for (agent, _, epoch) in sorted {
        if tables.epoch(epoch).is_none() {
            let agent_id = (!rules.has(Rule::Name)).then(|| tables.agent_id(agent));
            tables.epochs.push(EpochRow { epoch, agent_id, ..EpochRow::default() });
        }
        let found = tables.epochs.iter().position(|row| row.epoch == epoch);
        cache.learn_epochs(found.map(|found| {
            let accounted = tables.epochs[found].accounted.clone();
            (epoch, Epoch { id: id(found), is_named: true, accounted })
        }));
    }
    if rules.has(Rule::Name) {
        entries.iter().for_each(|entry| take_own_word(tables, cache, entry));
    }
}

/// An epoch is the agent's that its first own record names.
fn take_own_word(tables: &mut Tables, cache: &LedgerCache, entry: &Entry<'_>) {
    let Ok(record) = entry.decoded() else { return };
    let Some(known) = cache.epoch_id(&record.epoch) else { return };
    if tables.epochs.get(row(known)).is_some_and(|epoch| epoch.agent_id.is_none()) {
        let agent_id = tables.agent_id(&record.agent);
        tables.epochs[row(known)].agent_id = Some(agent_id);
    }
}

/// Lists the epochs that an entry names. These are the ones of which it declares numbers dropped, the one before, and last
/// its own.
fn for_each_epoch<'a>(entry: &'a Entry<'_>, mut each: impl FnMut(Uuid, &'a str)) {
    let Ok(record) = entry.decoded() else { return };
    match &record.content {
        Content::Result(_) => {}
        Content::Dropped(dropped) => dropped.ranges.iter().for_each(|range| each(range.epoch, &record.agent)),
        Content::Agent(report) => report.previous.iter().for_each(|before| each(before.epoch, &record.agent)),
    }
    each(record.epoch, &record.agent);
}

/// Finds the ids of the monitors that these results name, one for each result.
pub(super) fn monitor_ids(tables: &mut Tables, cache: &mut LedgerCache, results: &[NewResult<'_>]) -> Vec<usize> {
    let mut key = Vec::new();
    let id_of = |new_result: &NewResult<'_>| {
        definition(new_result.result, &mut key);
        if let Some(known) = cache.monitor(&key) {
            return row(known.id);
        }
        let make = || MonitorRow {
            definition: key.clone(),
            id: new_result.result.monitor.to_string(),
            url: new_result.result.url.to_string(),
        };
        let found = place(&mut tables.monitors, |row| row.definition == key, make);
        cache.learn_monitor(key.clone(), Monitor { id: id(found), hash: Uuid::nil() });
        found
    };
    results.iter().map(id_of).collect()
}
