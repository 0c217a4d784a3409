//! Does each check become exactly one row?

use anyhow::{Result, ensure};
use e2e::web::Answer;
use e2e::{Stack, eventually};

#[test]
fn every_request_that_a_site_saw_has_exactly_one_row() -> Result<()> {
    let stack = Stack::start()?;
    let good = stack.web.site("/good", Answer::ok("Welcome to the shop"));
    let broken = stack.web.site("/broken", Answer::status(500));
    let collector = stack.collector().start()?;
    let agent =
        stack.agent().interval("200ms").monitor("good", &good).pattern("Welcome").monitor("broken", &broken).start()?;
    eventually("some checks have been made", || {
        let total = stack.web.total();
        ensure!(total >= 20, "{total} requests");
        Ok(())
    });

    assert_eq!(agent.stop()?.code(), Some(0));
    stack.await_arrival(&agent, &collector);

    assert_eq!(stack.rows(&good)?, stack.web.count("/good"));
    assert_eq!(stack.rows(&broken)?, stack.web.count("/broken"));
    let verification = collector.verify()?;
    assert_eq!((verification.code, verification.total.missing), (Some(0), 0), "{verification:?}");
    Ok(())
}
