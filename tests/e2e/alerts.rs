//! Something fails. The tests ask whether the right receivers are told about it, and whether they are told once.
//!
//! The messages of a receiver come in order. So a test shows by the next message that no other message came before it.

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::web::{Answer, Request, Web};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

mod agents;
mod blind;
mod clock;
mod commands;
mod delivery;
mod earlier;
mod mail;
mod storm;
mod story;

const HOOK: &str = "/hook";

/// Returns the rules and receivers of a collector whose webhook is the stack's web server. The options of `more`
/// replace the usual ones.
fn alerts(web: &Web, more: Value) -> Value {
    let mut alerts = json!({
        "rules": [{"name": "site down", "what": "down"}],
        "receivers": [{"name": "hook", "webhook": {"url": web.site(HOOK, Answer::status(204))}}],
        "group_wait": "0s",
    });
    if let (Some(alerts), Value::Object(more)) = (alerts.as_object_mut(), more) {
        alerts.extend(more);
    }
    alerts
}

/// Returns the requests that the hook of a web server got.
fn hooked(web: &Web) -> Vec<Request> {
    web.requests().into_iter().filter(|request| request.path == HOOK).collect()
}

/// Returns the messages that the hook got, as their status and the names in their alerts.
fn told(web: &Web) -> Result<Vec<(String, Vec<String>)>> {
    let read = |request: Request| -> Result<(String, Vec<String>)> {
        let body: Value = serde_json::from_slice(&request.body)?;
        let name = |alert: &Value| alert["name"].as_str().unwrap_or_default().to_owned();
        let mut names: Vec<String> = body["alerts"].as_array().context("alerts")?.iter().map(name).collect();
        names.sort();
        Ok((body["status"].as_str().unwrap_or_default().to_owned(), names))
    };
    hooked(web).into_iter().map(read).collect()
}

/// Waits until the hook got this number of messages, and returns them as `told` does.
#[track_caller]
fn await_told(web: &Web, count: usize, collectors: &[&Collector]) -> Vec<(String, Vec<String>)> {
    eventually("the hook is told", || {
        let told = told(web)?;
        let logs = || collectors.iter().map(|collector| collector.log()).collect::<String>();
        ensure!(told.len() >= count, "{told:?}\n{}", logs());
        Ok(told)
    })
}

fn firing(names: &[&str]) -> (String, Vec<String>) {
    ("firing".into(), names.iter().map(|name| (*name).to_owned()).collect())
}

fn resolved(name: &str) -> (String, Vec<String>) {
    ("resolved".into(), vec![name.into()])
}

/// Returns the first record of an agent that should check these monitors once a minute.
fn start(epoch: Uuid, monitors: &[String]) -> Value {
    let monitors: Vec<Value> = monitors.iter().map(|id| json!({"id": id, "interval_ms": 60_000})).collect();
    let mut start = report(epoch, 1, "start");
    start["monitors"] = json!(monitors);
    start
}

fn report(epoch: Uuid, seq: u64, event: &str) -> Value {
    json!({
        "v": 1, "kind": "agent", "epoch": epoch, "seq": seq, "agent": "forged", "event": event,
        "at": Timestamp::now(), "version": "1", "highest_seq": seq - 1, "pending": 0, "outbox_bytes": 0,
        "configuration": {"revision": "r", "faults": 0},
    })
}

fn check(epoch: Uuid, seq: u64, monitor: &str, checked_at: Timestamp, outcome: &str) -> Value {
    json!({
        "v": 1, "kind": "result", "epoch": epoch, "seq": seq, "agent": "forged", "monitor": monitor, "name": monitor,
        "url": "http://127.0.0.1:9/", "scheduled_at": checked_at, "checked_at": checked_at, "outcome": outcome,
        "error": "refused",
    })
}

/// Sends the records of one agent in order.
fn send(stack: &Stack, values: &[Value]) -> Result<()> {
    let values: Vec<Vec<u8>> = values.iter().map(|value| value.to_string().into_bytes()).collect();
    stack.topic.produce_all(values.iter().map(|value| (Some(&b"forged"[..]), Some(value.as_slice()))))
}

/// Sends the records that make the monitor with this name fail.
fn fail(stack: &Stack, name: &str) -> Result<()> {
    let (epoch, now) = (Uuid::new_v4(), Timestamp::now());
    let earlier = now - SignedDuration::from_secs(60);
    let checks = [check(epoch, 2, name, earlier, "timeout"), check(epoch, 3, name, now, "timeout")];
    send(stack, &[&[start(epoch, &[name.to_owned()])][..], &checks].concat())
}
