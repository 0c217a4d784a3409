//! How things stand, for the screen.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Deserialize;

use crate::Demo;
use crate::screen::Picture;
use crate::sites::Sites;

/// Where people find the results.
pub(crate) const VIEW: &str = "website_monitor.website_status";

#[derive(Clone, Debug, Default, Deserialize)]
struct Site {
    name: String,
    rows: u64,
    status: Option<String>,
    milliseconds: Option<f64>,
}

pub(crate) fn look(demo: &Demo) -> Result<Picture> {
    let stored = stored(demo);
    // Its first moments have no outbox yet.
    let waiting = demo.agent.outbox_status().map_or_else(
        |_| "no outbox yet".into(),
        |status| format!("{} waiting in the outbox ({} KiB)", status.pending, status.bytes / 1024),
    );
    let rows: u64 = stored.values().map(|site| site.rows).sum();
    let requests = demo.sites.requests();
    let mut table = vec![
        String::new(),
        format!("  {:<10}{:>14}{:>12}{:>10}  last status", "site", "requests seen", "rows", "last ms"),
    ];
    for name in Sites::NAMES {
        let site = stored.get(name).cloned().unwrap_or_default();
        let seen = demo.sites.seen(name).map_or("-".into(), |seen| seen.to_string());
        let milliseconds = site.milliseconds.map_or("-".into(), |time| format!("{time:.1}"));
        let status = site.status.unwrap_or_default();
        table.push(format!("  {name:<10}{seen:>14}{:>12}{milliseconds:>10}  {status}", site.rows));
    }
    table.push(format!("  {rows} rows in PostgreSQL, {waiting}"));
    Ok(Picture { table, line: format!("{requests} requests seen by the sites, {rows} rows, {waiting}") })
}

/// Nothing before the collector has made its tables.
fn stored(demo: &Demo) -> BTreeMap<String, Site> {
    let query = format!(
        "select distinct on (name) name, count(*) over (partition by name) as rows, \
         concat_ws(' ', status_code, reason, case when not has_pattern then '(pattern not found)' end) as status, \
         1000 * response_time as milliseconds \
         from {VIEW} order by name, checked_at desc"
    );
    let sites: Vec<Site> = demo.database.rows(&query).unwrap_or_default();
    sites.into_iter().map(|site| (site.name.clone(), site)).collect()
}
