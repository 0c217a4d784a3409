//! The clock of an agent is set back, so earlier successes are dated later than new failures. The test asks whether the
//! failures are still told.

use anyhow::{Result, ensure};
use e2e::{Stack, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{alerts, await_told, check, firing, hooked, report, start};

#[test]
fn what_fails_after_a_clock_was_set_back_is_told_with_its_true_time() -> Result<()> {
    let stack = Stack::start()?;
    let (producer, collector) =
        (stack.topic.producer()?, stack.collector().set("alerts", alerts(&stack.web, json!({}))).start()?);
    let send = |record: &Value, sent: Timestamp| producer.produce_at(0, sent, record.to_string().as_bytes());
    let (before, after) = (Uuid::new_v4(), Uuid::new_v4());
    let now = Timestamp::now();
    send(&start(before, &["shop".into()]), now)?;
    send(&check(before, 2, "shop", now, "success"), now)?;

    let behind = || Timestamp::now() - SignedDuration::from_mins(10);
    let of_then = |mut record: Value| {
        record["at"] = json!(behind());
        record
    };
    send(&of_then(start(after, &["shop".into()])), behind())?;
    // A check that was under way when the clock was set back is dated by the time of its begin.
    send(&check(after, 2, "shop", now, "success"), behind())?;
    for (seq, seconds) in [(3, 60), (4, 0)] {
        send(&check(after, seq, "shop", behind() - SignedDuration::from_secs(seconds), "timeout"), behind())?;
    }
    let mut seq = 4;
    eventually("the clock is known to be behind", || {
        seq += 1;
        send(&of_then(report(after, seq, "periodic")), behind())?;
        let known = stack.database.count("website_monitor.agents where clock_behind_us > 500000000")?;
        ensure!(known == 1, "{}", collector.log());
        Ok(())
    });
    assert_eq!(await_told(&stack.web, 1, &[&collector]), [firing(&["shop"])]);
    let body: Value = serde_json::from_slice(&hooked(&stack.web)[0].body)?;
    let since: Timestamp = serde_json::from_value(body["alerts"][0]["since"].clone())?;
    assert!(since > now - SignedDuration::from_mins(2), "{body}");
    Ok(())
}
