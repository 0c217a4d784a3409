//! The outbox under kills, power cuts and at its bound: what it answered for must be there.
//!
//! ```text
//!  test ── starts ──▶ child: appends, reads, acknowledges   ── tells what it was answered ──▶ history
//!    └──── kill -9, or the power of the file system cut ──▶ ✗                                   │
//!    └── starts ──▶ child: opens what is left ── tells what is there ──────────────────▶ compared with it
//! ```
//! The child is this same program: the ignored test [`the_child_of_the_others`] when [`child::TASK`] is set. A usual run
//! does a few cycles; with `TORTURE=full` it does as many as `./dev torture` promises.

mod bound;
mod child;
mod device;
mod history;
mod kill;
mod power;
mod process;
mod record;

use std::io::{self, Write};
use std::path::PathBuf;

#[test]
#[ignore = "the others start it"]
fn the_child_of_the_others() {
    child::main();
}

/// Whether this is the long run.
fn is_full() -> bool {
    std::env::var("TORTURE").is_ok_and(|how| how == "full")
}

/// Says a result even when the test passes.
fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("stderr is open");
}

/// A new directory on a real disk, which the directory for temporary files need not be.
fn directory() -> tempfile::TempDir {
    let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    tempfile::Builder::new().prefix("torture-").tempdir_in(parent).expect("a directory can be made")
}
