//! Java with Kafka's classes.
//!
//! Most of what a broker's start costs is that Java reads and checks the classes. They are kept in an archive beside
//! the jars ("class data sharing"), which takes a start from 5.8 to 3.5 seconds of a CPU, measured.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::jars::jars;

/// How a program of Kafka's is called.
#[derive(Clone)]
pub(super) struct Java {
    jars: PathBuf,
    archive: Archive,
}

#[derive(Clone)]
enum Archive {
    Used(PathBuf),
    /// A program that ends in order writes the archive of what it loaded.
    Made(PathBuf),
}

impl Java {
    /// Java as tests use it. Where the archive is missing, or is another Java's, a broker is run once to make it.
    ///
    /// # Errors
    /// When Java or the jars are neither there nor to be had, or the broker does not run.
    pub(super) fn ready(run_once: impl FnOnce(&Java) -> Result<()>) -> Result<Java> {
        let jars = jars()?;
        let lock = File::create(jars.with_extension("lock"))?;
        lock.lock().context("cannot lock the archive of Kafka's classes")?;
        let (archive, made_by) = (jars.with_extension("jsa"), jars.with_extension("java"));
        let version = version()?;
        // Its maker is written after the archive itself: where that file is right, the archive is whole.
        if fs::read(&made_by).ok().as_ref() != Some(&version) {
            fs::remove_file(&made_by).or_else(unless_missing)?;
            fs::remove_file(&archive).or_else(unless_missing)?;
            run_once(&Java { jars: jars.clone(), archive: Archive::Made(archive.clone()) })?;
            ensure!(archive.exists(), "Java made no archive of Kafka's classes at {}", archive.display());
            fs::write(&made_by, version)?;
        }
        Ok(Java { jars, archive: Archive::Used(archive) })
    }

    /// Kafka's server, or one of its tools, in a directory.
    pub(super) fn program(&self, class: &str, directory: &Path) -> Command {
        let mut java = Command::new("java");
        java.current_dir(directory);
        // A broker that lives for minutes doesn't earn what the second compiler costs.
        java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx384m"]);
        // What it unpacks goes away with its directory, also when it is killed.
        java.arg("-XX:-UsePerfData").arg(format!("-Djava.io.tmpdir={}", directory.display()));
        match &self.archive {
            Archive::Used(archive) => java.arg(format!("-XX:SharedArchiveFile={}", archive.display())),
            Archive::Made(archive) => java.arg(format!("-XX:ArchiveClassesAtExit={}", archive.display())),
        };
        java.arg("-cp").arg(self.jars.join("*")).arg(class);
        java
    }
}

/// All that Java tells about itself: an archive serves only the Java that made it.
fn version() -> Result<Vec<u8>> {
    let told = Command::new("java").arg("-version").output().context("cannot start java")?;
    ensure!(told.status.success(), "java -version: {}", String::from_utf8_lossy(&told.stderr));
    Ok(told.stderr)
}

fn unless_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
