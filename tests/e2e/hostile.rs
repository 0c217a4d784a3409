//! Messages arrive that no real agent would send. The tests ask whether each of them is handled as it should be, and
//! whether the good messages around it are stored once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anyhow::{Context, Result};
use e2e::Stack;
use e2e::collector::Verdict;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use uuid::Uuid;

use crate::forge::{Forge, produce};
use crate::truth::{assert_no_number_twice, assert_verified, await_no_lag, rows};
use class::{Class, End};

mod class;
mod fields;
mod wholes;

#[derive(Debug, Deserialize)]
struct Rejected {
    offset: usize,
    reason: String,
    detail: String,
    bytes: Option<usize>,
}

/// The value of a message.
type Bytes = Option<Vec<u8>>;

/// Sends the messages of each class: a start, a good result, the bad messages, a good result, and a stop. Returns the
/// length of the value of each message.
fn send(stack: &Stack, classes: &[Class]) -> Result<Vec<Option<usize>>> {
    let key = || Some(b"forged".to_vec());
    let mut messages: Vec<(Option<Vec<u8>>, Bytes)> = Vec::new();
    for class in classes {
        messages.push((key(), Some(class.forge.start(None))));
        messages.push((key(), Some(class.forge.result(2))));
        messages.extend(class.messages.iter().map(|bad| (bad.key.clone(), bad.value.clone())));
        messages.push((key(), Some(class.forge.result(class.next))));
        messages.push((key(), Some(class.forge.stop(class.next + 1))));
    }
    stack.topic.produce_all(messages.iter().map(|(key, value)| (key.as_deref(), value.as_deref())))?;
    Ok(messages.into_iter().map(|(_, value)| value.map(|value| value.len())).collect())
}

/// Compares what was stored of a class with what was expected, and returns the differences. The messages of the class
/// begin at the offset `begin`.
fn problems(
    class: &Class,
    begin: usize,
    bytes: &[Option<usize>],
    aside: &BTreeMap<usize, Rejected>,
    rows: &BTreeMap<String, Vec<u64>>,
    verdicts: &[Verdict],
) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut numbers, mut rejected, mut noted) = (vec![2, class.next], 0, 2);
    for (offset, bad) in (begin + 2..).zip(&class.messages) {
        let found = aside.get(&offset);
        match &bad.end {
            End::Stored => {
                let value = bad.value.as_deref().unwrap_or_default();
                numbers.extend(wire::Record::decode(Some(value)).map(|record| record.seq));
            }
            End::Noted => noted += 1,
            End::Known => {}
            End::Aside(..) => rejected += 1,
            End::Nameless(..) => {}
        }
        match (&bad.end, found) {
            (End::Aside(reason, detail) | End::Nameless(reason, detail), Some(found)) => {
                if found.reason != *reason || !found.detail.contains(detail) || found.bytes != bytes[offset] {
                    problems.push(format!("{found:?} is not {:?}", bad.end));
                }
            }
            (End::Stored | End::Noted | End::Known, None) => {}
            (end, found) => problems.push(format!("{found:?} is not {end:?}")),
        }
    }
    let epoch = class.forge.epoch.to_string();
    numbers.sort_unstable();
    let found = rows.get(&epoch).cloned().unwrap_or_default();
    if found != numbers {
        problems.push(format!("rows {found:?} are not {numbers:?}"));
    }
    let issued = class.next + 1 + class.beyond;
    let expected = (issued, numbers.len() as u64 + noted, class.dropped, rejected, 0, 0);
    match verdicts.iter().find(|verdict| verdict.epoch == epoch) {
        Some(it) if (it.issued, it.stored, it.dropped, it.rejected, it.pending, it.missing) == expected => {}
        other => problems.push(format!("{other:?} is not {expected:?}")),
    }
    problems
}

#[test]
fn each_class_of_bad_messages_comes_to_its_end_and_its_good_neighbours_are_stored_once() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let classes: Vec<Class> = wholes::all().into_iter().chain(fields::all()).collect();
    let bytes = send(&stack, &classes)?;
    await_no_lag(&stack, &collector);

    let aside = || -> Result<Vec<Rejected>> {
        stack
            .database
            .rows("select \"offset\", reason, detail, length(value) as bytes from website_monitor.rejected order by 1")
    };
    let by_offset: BTreeMap<usize, Rejected> = aside()?.into_iter().map(|it| (it.offset, it)).collect();
    let mut by_epoch: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let all = rows(&stack)?;
    all.iter().for_each(|row| by_epoch.entry(row.epoch.clone()).or_default().push(row.seq));
    let verification = collector.verify()?;
    let (mut begin, mut wrong) = (0, String::new());
    for class in &classes {
        for problem in problems(class, begin, &bytes, &by_offset, &by_epoch, &verification.epochs) {
            wrong += &format!("{}: {problem}\n", class.name);
        }
        begin += class.messages.len() + 4;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(verification.code, Some(0));
    let names: BTreeSet<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names.len(), classes.len(), "two classes have one name");
    let process = procfs::process::Process::new(collector.id().context("the collector has ended")?.try_into()?)?;
    let most = process.status()?.vmhwm.context("Linux tells")?;
    writeln!(
        io::stderr(),
        "{} classes, {} messages, {} set aside, {} rows; VmHWM of the collector {} MiB",
        classes.len(),
        bytes.len(),
        by_offset.len(),
        all.len(),
        most / 1_024
    )?;

    // All messages are read again, and nothing changes.
    collector.stop()?;
    stack.topic.rewind(&collector.group)?;
    stack.read_again()?;
    collector.start()?;
    await_no_lag(&stack, &collector);
    assert_eq!(aside()?.len(), by_offset.len());
    assert_eq!(rows(&stack)?, all);
    Ok(())
}

#[test]
fn of_two_results_with_the_same_number_the_first_is_kept() -> Result<()> {
    let stack = Stack::with().partitions(1).start()?;
    let collector = stack.collector().start()?;
    let forge = Forge::new("edge-1");
    let later = Timestamp::now() + 1.hour();
    // The second result with the same number comes in the same batch, and it comes again in a later batch.
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
