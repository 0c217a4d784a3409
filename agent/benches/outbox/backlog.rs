//! A backlog of 2,000,000 records, left by an agent that was killed: what it takes on disk and in memory, how long a start
//! takes, and how fast it drains.
//!
//! The child is this same program with [`TASK`] set, so that each phase has memory of its own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use procfs::process::Process;

use crate::load::Load;
use crate::ours::{self, Ours};
use crate::records::Records;
use crate::{directory, say};

/// The environment variable that makes this program the child: `fill <directory>` or `drain <directory>`.
pub(crate) const TASK: &str = "OUTBOX_BENCH_CHILD";
const BACKLOG: usize = 2_000_000;
/// What a publisher keeps in flight, and after how many acknowledgements it moves the cursor.
const READ: usize = 500;
const MIB: f64 = 1_048_576.0;

pub(crate) fn measure(records: &Records) {
    let directory = directory();
    let mut fill = start("fill", directory.path());
    let filled = hear(&mut fill);
    fill.kill().and_then(|()| fill.wait()).expect("the child can be killed");
    let waiting = disk_use(directory.path()) as f64;
    let payload = records.mean() * BACKLOG as f64;
    say(&format!("\n{BACKLOG} records wait ({:.0} MiB of payload), after a kill -9:", payload / MIB));
    say(&format!(
        "  on disk    {:.0} MiB, {:.0} bytes a record, {:.2} of the payload",
        waiting / MIB,
        waiting / BACKLOG as f64,
        waiting / payload
    ));
    say(&format!("  filling    {filled}"));
    let mut drain = start("drain", directory.path());
    for line in BufReader::new(drain.stdout.take().expect("a pipe")).lines() {
        say(&format!("  {}", line.expect("the child speaks text")));
    }
    assert!(drain.wait().expect("the child ends").success(), "the drain failed");
    say(&format!("  drained    {:.2} MiB on disk", disk_use(directory.path()) as f64 / MIB));
}

pub(crate) fn child(task: &str) {
    match task.split_once(' ') {
        Some(("fill", path)) => fill(Path::new(path)),
        Some(("drain", path)) => drain(Path::new(path)),
        _ => panic!("no such task: {task}"),
    }
}

fn fill(path: &Path) {
    let records = Records::new();
    let base = most_memory();
    let store = Ours::open(path);
    let began = Instant::now();
    Load::of(16, 64).run(&store, &records, |next| next < BACKLOG);
    let rate = BACKLOG as f64 / began.elapsed().as_secs_f64();
    say(&format!("{rate:.0} records/s, {:.0} MiB of memory above its base", most_memory() - base));
    // The end comes from outside: until then nothing is closed.
    io::stdin().read_line(&mut String::new()).expect("stdin is a pipe");
}

fn drain(path: &Path) {
    let base = most_memory();
    let began = Instant::now();
    let outbox = ours::open(path);
    let opened = began.elapsed();
    let committer = outbox.start("edge-1", |_| b"{}".to_vec()).expect("an epoch can begin");
    let started = began.elapsed();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    say(&format!(
        "start      {:.1} ms: open {:.1}, first record of its epoch {:.1}",
        ms(started),
        ms(opened),
        ms(started - opened)
    ));
    say(&format!("memory     {:.0} MiB at the start above a base of {base:.0}", most_memory() - base));
    let began = Instant::now();
    let (mut read, mut count) = (outbox.acknowledged(), 0);
    loop {
        let entries = outbox.read(read, READ, usize::MAX).expect("the disk can be read");
        let Some(last) = entries.last() else { break };
        (read, count) = (last.position, count + entries.len());
        outbox.acknowledge(read).and_then(|()| outbox.keep_cursor()).expect("the disk takes the cursor");
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    assert!(count >= BACKLOG, "{count} of {BACKLOG} were there");
    say(&format!("draining   {rate:.0} records/s, {READ} at a time"));
    say(&format!("memory     {:.0} MiB at most above its base", most_memory() - base));
    committer.stop();
}

/// The most memory that this process has had, in MiB.
fn most_memory() -> f64 {
    let status = Process::myself().and_then(|process| process.status()).expect("/proc is mounted");
    status.vmhwm.expect("a process has memory") as f64 / 1_024.0
}

fn start(task: &str, path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
    child.env(TASK, format!("{task} {}", path.display())).stdin(Stdio::piped()).stdout(Stdio::piped());
    child.spawn().expect("this program can be started")
}

fn hear(child: &mut Child) -> String {
    let mut line = String::new();
    let pipe = child.stdout.as_mut().expect("a pipe");
    BufReader::new(pipe).read_line(&mut line).expect("the child speaks text");
    line.trim_end().to_owned()
}

/// What a directory takes on disk, in bytes.
fn disk_use(path: &Path) -> u64 {
    let own = fs::symlink_metadata(path).map_or(0, |metadata| metadata.blocks() * 512);
    let Ok(entries) = fs::read_dir(path) else { return own };
    own + entries.flatten().map(|entry| disk_use(&entry.path())).sum::<u64>()
}
