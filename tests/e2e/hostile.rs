//! What does a message do that no agent of ours has sent?

use anyhow::{Context, Result};
use e2e::Stack;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use uuid::Uuid;

use crate::forge::{Forge, produce};
use crate::truth::{assert_no_number_twice, assert_verified, await_no_lag, rows};

#[derive(Debug, Deserialize)]
struct Rejected {
    reason: String,
    detail: String,
    bytes: Option<usize>,
}

#[test]
fn bad_messages_are_set_aside_whole_with_their_reason_and_their_good_neighbours_are_stored_once() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let forge = Forge::new("edge-1");
    // Every second number is a bad one's.
    let bent = |seq: u64, from: &str, to: &str| {
        let good = String::from_utf8(forge.result(seq)).expect("records are text");
        assert!(good.contains(from), "{good}");
        good.replacen(from, to, 1).into_bytes()
    };
    let huge = format!("\"name\":\"{}\"", "x".repeat(900_000));
    let now = Timestamp::now();
    let of_a_number = [
        (bent(2, "\"v\":1", "\"v\":2"), "unknown_version", "`v`: 2"),
        (bent(4, "\"kind\":\"result\"", "\"kind\":\"riddle\""), "unknown_kind", "riddle"),
        (bent(6, "\"status_code\":200", "\"status_code\":\"many\""), "bad_field", "`status_code`"),
        (bent(8, "\"outcome\":\"success\"", "\"outcome\":\"maybe\""), "unknown_outcome", "`outcome`"),
        (bent(10, "\"name\":\"shop\"", &huge), "bad_field", "`name`"),
        (bent(12, "\"name\":\"shop\"", "\"name\":\"a\\u0000b\""), "bad_field", "NUL"),
        (bent(14, "\"monitor\":\"shop\",", ""), "bad_field", "monitor"),
        (forge.result_at(16, now + (24 * 400).hours()), "in_the_future", "`checked_at`"),
        (forge.result_at(18, now - (24 * 400).hours()), "too_old", "`checked_at`"),
        (forge.dropped(20, 9, 3), "bad_field", "`ranges.last`"),
    ];
    let of_none = [
        (None, "no_value", "no value"),
        (Some(b"\xff\x00\xfe".to_vec()), "not_json", "not JSON"),
        (Some(b"".to_vec()), "not_json", "not JSON"),
        (Some("[".repeat(100_000).into_bytes()), "not_json", "not JSON"),
        (Some(b"{}".to_vec()), "bad_field", "epoch"),
        (Some(bent(22, "\"seq\":22", "\"seq\":0")), "bad_field", "`seq`"),
        (Some(bent(22, "\"seq\":22", "\"seq\":-1")), "bad_field", "`seq`"),
        (Some(bent(22, "\"seq\":22", "\"seq\":18446744073709551615")), "bad_field", "`seq`"),
        (Some(bent(22, "\"agent\":\"edge-1\"", "\"agent\":\"\"")), "bad_field", "`agent`"),
    ];
    let expected: Vec<_> = of_a_number
        .iter()
        .map(|(value, reason, detail)| (Some(value.len()), *reason, *detail))
        .chain(of_none.iter().map(|(value, reason, detail)| (value.as_ref().map(Vec::len), *reason, *detail)))
        .collect();

    produce(&stack.topic, [forge.start(None)])?;
    for (index, (bad, ..)) in of_a_number.iter().enumerate() {
        produce(&stack.topic, [bad.clone(), forge.result(2 * index as u64 + 3)])?;
    }
    for (bad, ..) in &of_none {
        stack.topic.produce(None, bad.as_deref())?;
    }
    let goods = of_a_number.len() as u64;
    let last = 2 * goods + 2;
    produce(&stack.topic, [forge.stop(last)])?;
    await_no_lag(&stack, &collector);

    let rejected: Vec<Rejected> = stack.database.rows(
        "select reason, detail, length(value) as bytes from website_monitor.rejected order by partition, \"offset\"",
    )?;
    assert_eq!(rejected.len(), expected.len(), "{rejected:#?}");
    for (rejected, (bytes, reason, detail)) in rejected.iter().zip(&expected) {
        assert_eq!((rejected.bytes, rejected.reason.as_str()), (*bytes, *reason), "{rejected:?}");
        assert!(rejected.detail.contains(detail), "{rejected:?} does not say {detail}");
    }
    let stored: Vec<u64> = rows(&stack)?.iter().map(|row| row.seq).collect();
    assert_eq!(stored, (1..=goods).map(|index| 2 * index + 1).collect::<Vec<_>>());
    let verification = assert_verified(&collector)?;
    let total = &verification.total;
    assert_eq!((total.issued, total.rejected, total.stored), (last, goods, goods + 2), "{verification:#?}");
    assert_eq!((total.pending, total.dropped), (0, 0), "{verification:#?}");

    // Once more, and nothing changes.
    collector.stop()?;
    stack.topic.rewind(&collector.group)?;
    collector.start()?;
    await_no_lag(&stack, &collector);
    assert_eq!(stack.database.count("website_monitor.rejected")?, expected.len() as u64);
    assert_eq!(rows(&stack)?.len() as u64, goods);
    Ok(())
}

#[test]
fn of_two_results_with_the_same_number_the_first_is_kept() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let forge = Forge::new("edge-1");
    let later = Timestamp::now() + 1.hour();
    // In one batch, and in a later one.
    produce(&stack.topic, [forge.start(None), forge.result(2), forge.result_at(2, later), forge.result(3)])?;
    await_no_lag(&stack, &collector);
    let before = rows(&stack)?;
    produce(&stack.topic, [forge.result_at(2, later), forge.result_at(3, later), forge.stop(4)])?;
    await_no_lag(&stack, &collector);

    assert_eq!(before.iter().map(|row| row.seq).collect::<Vec<_>>(), [2, 3]);
    assert!(before.iter().all(|row| row.began_us < later.as_microsecond()), "{before:#?}");
    assert_eq!(rows(&stack)?, before);
    assert_no_number_twice(&stack)?;
    assert_eq!(assert_verified(&collector)?.total.stored, 4);
    Ok(())
}

#[test]
fn what_is_in_a_result_is_text_whatever_it_looks_like() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let forge = Forge::new("edge-1");
    let name = "\"'; drop table website_monitor.results; --\\.\t\\N\n{}$1%s\u{202e}💥";
    let json = serde_json::to_string(name)?;
    let good = String::from_utf8(forge.result(2)).context("records are text")?;
    let hostile = good.replace("\"shop\"", &json).replace("\"OK\"", &json);
    produce(&stack.topic, [forge.start(None), hostile.into_bytes(), forge.stop(3)])?;
    await_no_lag(&stack, &collector);

    let rows = rows(&stack)?;
    let texts: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.reason.as_deref())).collect();
    assert_eq!(texts, [(name, Some(name))]);
    assert_verified(&collector)?;
    Ok(())
}

#[test]
fn an_agents_name_is_its_own_matter_and_its_epochs_tell_two_of_one_name_apart() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let (one, other) = (Forge::new("same"), Forge::new("same"));
    produce(&stack.topic, [one.start(None), other.start(None), one.result(2), other.result(2)])?;
    produce(&stack.topic, [one.stop(3), other.stop(3)])?;
    await_no_lag(&stack, &collector);

    let epochs: Vec<Uuid> = rows(&stack)?.iter().map(|row| row.epoch.parse()).collect::<Result<_, _>>()?;
    let mut expected = [one.epoch, other.epoch];
    expected.sort();
    assert_eq!(epochs, expected);
    assert_verified(&collector)?;
    Ok(())
}
