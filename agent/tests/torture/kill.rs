//! kill -9 at any moment: while opening, appending, reading, acknowledging, rolling, freeing, dropping at the bound.

use crate::history::{End, History};
use crate::process::{Moment, Running};
use crate::{directory, is_full, say};

/// Cycles of one outbox.
const LIFE: u64 = 250;

#[test]
fn a_kill_loses_nothing_that_was_answered_for() {
    let cycles = if is_full() { 1_000 } else { 30 };
    let directory = directory();
    let mut outbox = directory.path().to_owned();
    let mut history = History::default();
    for cycle in 0..cycles {
        if cycle % LIFE == 0 {
            history = history.restarted();
            outbox = directory.path().join(format!("outbox-{cycle}"));
        }
        let (told, late) = Running::start("work", cycle, &outbox).until(Moment::any(cycle), || {});
        history.learn(&told, End::Kill);
        history.learn(&late, End::Kill);
        // Not after each: looking leaves every chunk well closed, and the next start would have less to mend.
        if cycle % 3 == 2 || (cycle + 1) % LIFE == 0 || cycle + 1 == cycles {
            let found = Running::start("list", cycle, &outbox).join();
            history.compare(&found, End::Kill);
        }
    }
    say(&format!(
        "kill -9: {cycles} cycles, {} records answered for, {} delivered, {} declared dropped, 0 lost",
        history.kept, history.sent, history.declared
    ));
}
