//! The same messages are read again. The test asks whether anything changes.

use anyhow::Result;
use e2e::Stack;
use e2e::web::Answer;

use crate::truth::{assert_each_request_has_one_row, assert_verified, await_no_lag, await_requests, rows, settle};

#[test]
fn the_whole_topic_replayed_into_a_new_consumer_group_changes_no_row() -> Result<()> {
    let stack = Stack::start()?;
    let collector = stack.collector().start()?;
    let agent = stack
        .agent()
        .interval("100ms")
        .monitor("one", stack.web.site("/one", Answer::ok("")))
        .monitor("other", stack.web.site("/other", Answer::status(500)))
        .start()?;
    await_requests(&stack, 40);
    settle(&stack, &agent, &collector)?;
    let (before, verified) = (rows(&stack)?, assert_verified(&collector)?);
    assert!(before.len() >= 40);

    // A second collector runs beside the first one, as when a person tries a new group by mistake.
    stack.read_again()?;
    let newcomer = stack.collector().group("newcomers").start()?;
    assert_eq!(stack.topic.lag(&newcomer.group)?, stack.topic.len()?, "the group is not new");
    await_no_lag(&stack, &newcomer);
    assert_eq!(rows(&stack)?, before);

    // Then the offsets of the first group are set back to the begin of the topic, and the group reads the topic again.
    assert_eq!(collector.stop()?.code(), Some(0));
    assert_eq!(newcomer.stop()?.code(), Some(0));
    stack.topic.rewind(&collector.group)?;
    stack.read_again()?;
    assert_eq!(stack.topic.lag(&collector.group)?, stack.topic.len()?, "the offsets are not back");
    collector.start()?;
    await_no_lag(&stack, &collector);

    assert_eq!(rows(&stack)?, before);
    assert_each_request_has_one_row(&stack)?;
    assert_eq!(assert_verified(&collector)?.total.stored, verified.total.stored);
    Ok(())
}
