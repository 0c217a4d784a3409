//! The tests ask whether a topic that the programs make deletes by age, whether a compacted topic is warned of and not
//! read, and whether the marker of a transaction does not count as a message.

use anyhow::{Result, ensure};
use e2e::web::Answer;
use e2e::{Stack, eventually};

use crate::truth::RESULTS;

#[test]
fn a_topic_that_is_made_deletes_by_age_whatever_the_brokers_default_is() -> Result<()> {
    let stack = Stack::start()?;
    for by_the_agent in [true, false] {
        stack.topic.delete()?;
        let site = stack.web.site("/", Answer::ok(""));
        let (_agent, _collector);
        let log: &dyn Fn() -> String = if by_the_agent {
            _agent = stack.agent().monitor("site", site).start()?;
            &|| _agent.log()
        } else {
            _collector = stack.collector().start()?;
            &|| _collector.log()
        };
        eventually("the topic is made", || {
            ensure!(log().contains("retention_days=7"), log());
            Ok(())
        });
        eventually("it is there", || {
            let set = ["cleanup.policy", "retention.ms"].map(|name| stack.topic.configuration(name));
            let [policy, retention] = [set[0].as_ref(), set[1].as_ref()].map(|set| set.ok().cloned().flatten());
            ensure!(policy.as_deref() == Some("delete") && retention.as_deref() == Some("604800000"), "{set:?}");
            Ok(())
        });
    }
    Ok(())
}

#[test]
fn a_compacted_topic_is_warned_of_and_not_read_until_it_keeps_results() -> Result<()> {
    let stack = Stack::start()?;
    stack.topic.configure("cleanup.policy", "compact")?;
    let collector = stack.collector().start()?;
    let agent = stack.agent().interval("200ms").monitor("site", stack.web.site("/", Answer::ok(""))).start()?;
    for log in [&(|| collector.log()) as &dyn Fn() -> String, &|| agent.log()] {
        eventually("the reason is told", || {
            ensure!(log().contains("is compacted") && log().contains("set its cleanup.policy to delete"), log());
            Ok(())
        });
    }
    assert!(collector.is_running());
    stack.topic.configure("cleanup.policy", "delete")?;
    eventually("results are stored", || {
        let rows = stack.database.count(RESULTS)?;
        ensure!(rows > 0, collector.log());
        Ok(())
    });
    Ok(())
}

#[test]
fn the_marker_of_a_transaction_is_nothing_that_is_left_to_read() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().with_pages()?.start()?;
    let message: &[u8] = b"{}";
    stack.topic.transact([(0, message), (1, message)])?;
    eventually("all is read, and told so", || {
        let metrics = collector.get("/metrics")?;
        let rejected = stack.database.count("website_monitor.rejected")?;
        ensure!(
            rejected == 2 && metrics.contains("\nwebsite_monitor_collector_lag_messages 0\n"),
            "{rejected} {metrics}"
        );
        Ok(())
    });
    Ok(())
}
