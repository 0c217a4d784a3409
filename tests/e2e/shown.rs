//! The collector shows results over HTTP. The tests ask whether it shows what agents saw, whether only clients that may
//! see it get it, and whether the collector says when it is ready.

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::web::Answer;
use e2e::{Stack, eventually};
use serde_json::Value;

const LOGIN: &str = "Authorization: Bearer hunter2\r\n";
const UP: &str = "<script>alert(1)</script>";
const DOWN: &str = "a/b \"c\\d";

#[test]
fn what_agents_saw_is_shown_to_anyone_who_knows_the_token() -> Result<()> {
    let stack = Stack::start()?;
    let collector = listening(&stack)?;
    let up = stack.web.site("/up", Answer::ok(""));
    let down = stack.web.site("/down", Answer::status(503));
    let _agent = stack.agent().interval("200ms").monitor(UP, up).monitor(DOWN, down).start()?;

    for (name, verdict) in [(UP, "up"), (DOWN, "down")] {
        let path = format!("/api/v1/monitors/{}", encoded(name));
        eventually(verdict, || {
            let monitor = json(&collector.get_with(&path, LOGIN)?)?;
            ensure!(monitor["monitor"]["verdict"] == verdict && monitor["monitor"]["name"] == name, "{monitor}");
            Ok(())
        });
        let results = json(&collector.get_with(&format!("{path}/results?limit=5"), LOGIN)?)?;
        let outcome = if verdict == "up" { "success" } else { "status_mismatch" };
        assert_eq!(results["results"][0]["outcome"], outcome, "{results}");
    }
    let told = [
        "\nprobe_success{monitor=\"<script>alert(1)</script>\"} 1\n",
        "\nprobe_success{monitor=\"a/b \\\"c\\\\d\"} 0\n",
        "\nwebsite_monitor_verdict{monitor=\"a/b \\\"c\\\\d\",verdict=\"down\"} 1\n",
        "\nwebsite_monitor_consumer_lag{partition=",
        "\nwebsite_monitor_collector_reaches_kafka 1\n",
    ];
    eventually("metrics", || {
        let metrics = collector.get_with("/metrics", LOGIN)?;
        ensure!(told.iter().all(|line| metrics.contains(line)), "{metrics}");
        Ok(())
    });
    let page = collector.get_with("/", LOGIN)?;
    assert!(page.contains("&#60;script") || page.contains("&lt;script"), "{page}");
    assert!(!page.contains(UP), "{page}");

    for path in ["/", "/metrics", "/api/v1/monitors", "/agents"] {
        let refused = collector.get(path)?;
        assert!(refused.starts_with("HTTP/1.1 401 "), "{path}: {refused}");
    }
    assert!(!collector.log().contains("hunter2"), "{}", collector.log());
    Ok(())
}

#[test]
fn a_collector_is_ready_while_its_database_and_kafka_are_there() -> Result<()> {
    let stack = Stack::with().own_kafka().start()?;
    let collector = listening(&stack)?;
    let becomes = |status: &str, line: &str| {
        eventually(line, || {
            let answer = collector.get("/readyz")?;
            ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with(line), "{answer}");
            Ok(())
        });
    };
    becomes("200", "ready\n");
    stack.database.proxy.refuse();
    becomes("503", "waits for the database\n");
    let to_kafka = &stack.kafka.nodes()?[0].proxy;
    to_kafka.refuse();
    becomes("503", "waits for the database and Kafka\n");
    assert!(collector.get("/healthz")?.ends_with("alive\n"));
    stack.database.proxy.open()?;
    becomes("503", "waits for Kafka\n");
    to_kafka.open()?;
    becomes("200", "ready\n");
    Ok(())
}

fn listening(stack: &Stack) -> Result<Collector> {
    let collector = stack.collector().with_pages()?.set("http.token", "hunter2").start()?;
    eventually("it answers", || collector.get("/healthz"));
    Ok(collector)
}

fn json(answer: &str) -> Result<Value> {
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    serde_json::from_str(body).with_context(|| answer.to_owned())
}

fn encoded(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
