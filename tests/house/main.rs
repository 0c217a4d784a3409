//! Who may know whom, read from the code itself.
//!
//! Each program's folders stand in an order, from those that know nothing of the others to those that put the others together.
//! A folder names only folders that stand before it, and no two files name each other, but for a file and the files below it.

mod imports;
mod order;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use imports::{Import, imports};
use order::{Order, circles};

/// The folders of the collector. Those of one line do not know each other.
const COLLECTOR: Order = Order(&[
    &["address", "clock_skew", "position", "ranges", "text", "unavailable", "words"],
    &["batch", "figures"],
    &["notify"],
    &["config"],
    &["alerts", "health", "report"],
    &["consume", "store"],
    &["alerting", "verify", "web"],
    &["arguments", "periodic"],
    &["run"],
    &["commands"],
]);

/// The wings of the collector's store.
const STORE: Order = Order(&[
    &["db"],
    &["partitions", "summary_blocks"],
    &["ingest"],
    &["proof", "rejected", "retirement", "rollup"],
    &["queries"],
    &["alerts"],
    &["upkeep"],
]);

/// The folders of the agent.
const AGENT: Order = Order(&[
    &["clock", "durable_file"],
    &["config"],
    &["check", "outbox"],
    &["export", "publish", "report", "schedule"],
    &["arguments", "run"],
    &["commands"],
]);

/// The parts of the agent's checks.
const CHECK: Order =
    Order(&[&["outcome", "findings"], &["text"], &["net"], &["expect"], &["attempts", "dns", "http", "tcp"]]);

/// The layers of the agent's outbox.
const OUTBOX: Order =
    Order(&[&["entry"], &["disk"], &["intake"], &["shared"], &["commit"], &["delivery", "status"], &["recover"]]);

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn assert_ordered(root: &str, order: &Order) {
    let faults: BTreeSet<String> = imports(&source(root)).iter().filter_map(|import| order.fault(import)).collect();
    assert!(faults.is_empty(), "against the order of {root}:\n{}", Vec::from_iter(faults).join("\n"));
}

fn assert_without_circles(root: &str) {
    let found = circles(&imports(&source(root)));
    assert!(found.is_empty(), "files of {root} that name each other:\n{}", found.join("\n"));
}

#[test]
fn folders_of_the_collector_name_only_those_that_stand_before_them() {
    assert_ordered("collector/src", &COLLECTOR);
    assert_ordered("collector/src/store", &STORE);
}

#[test]
fn folders_of_the_agent_name_only_those_that_stand_before_them() {
    assert_ordered("agent/src", &AGENT);
    assert_ordered("agent/src/check", &CHECK);
    assert_ordered("agent/src/outbox", &OUTBOX);
}

#[test]
fn no_two_files_name_each_other() {
    for root in ["agent/src", "collector/src", "settings/src", "wire/src"] {
        assert_without_circles(root);
    }
}

#[test]
fn an_arrow_against_the_order_is_told_with_its_line() {
    let order = Order(&[&["low"], &["high"]]);
    let import = |from: &str, to: &str| Import {
        from: from.split('/').map(str::to_owned).collect(),
        to: to.split('/').map(str::to_owned).collect(),
        line: 7,
    };
    assert_eq!(order.fault(&import("high/part", "low")), None);
    let told = order.fault(&import("low/part", "high/other")).unwrap_or_default();
    assert_eq!(told, "low/part, line 7: names high/other, but high stands after low");
    let told = order.fault(&import("new", "low")).unwrap_or_default();
    assert_eq!(told, "new has no place in the order");
    let told = circles(&[import("low", "low/part"), import("low/part", "low"), import("a/b", "c"), import("c", "a/b")]);
    assert_eq!(told, ["a/b, c"]);
}
