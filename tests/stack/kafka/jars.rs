//! Kafka's jars: fetched once by Maven, checked against `jars.sha256`, and kept outside of the checkout.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::process::Process;

/// In full, so that Maven, when it can't have it, says why.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
const POM: &str = include_str!("pom.xml");
const SUMS: &str = include_str!("jars.sha256");
const FETCH_BOUND: Duration = Duration::from_secs(600);

/// The directory with the jars. Tests in other processes may want them at the same moment: one fetches, the others
/// wait. A directory with the final name is whole.
///
/// # Errors
/// When Java is missing, or the jars are neither there nor to be had: says what to do.
pub fn jars() -> Result<PathBuf> {
    need("java", "default-jre-headless")?;
    let cache = cache()?;
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("cannot lock the cache of Kafka's jars")?;
    // What the sums say is what is in there, so another list is another directory.
    let jars = cache.join(format!("kafka-{:016x}", fingerprint(SUMS)));
    if !jars.exists() {
        fetch(&cache, &jars).context("Kafka's jars are needed and are not to be had")?;
    }
    Ok(jars)
}

fn fetch(cache: &Path, jars: &Path) -> Result<()> {
    need("mvn", "maven")?;
    eprintln!("fetching Apache Kafka (43 MB, once) by Maven into {}", jars.display());
    let unfinished = tempfile::Builder::new().prefix("fetching-").tempdir_in(cache)?;
    let place = unfinished.path();
    fs::write(place.join("pom.xml"), POM)?;
    fs::write(place.join("jars.sha256"), SUMS)?;

    let mut maven = Command::new("mvn");
    maven.current_dir(place).args(["-B", "-q", "-ntp", "--strict-checksums", COPY]);
    maven.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]);
    let ended = Process::run("maven", maven, FETCH_BOUND)?;
    ensure!(
        ended.status.success(),
        "Maven could not fetch them (is its repository within reach? A mirror goes into ~/.m2/settings.xml; \
         {} names a broker that is there already): {}{}",
        super::EXISTING,
        ended.stdout,
        ended.stderr
    );
    let mut check = Command::new("sha256sum");
    check.current_dir(place.join("libs")).args(["--check", "--strict", "--quiet", "../jars.sha256"]);
    let ended = Process::run("sha256sum", check, FETCH_BOUND)?;
    ensure!(ended.status.success(), "they are not those of jars.sha256: {}{}", ended.stdout, ended.stderr);
    fs::rename(place.join("libs"), jars).context("cannot put them into their place")
}

fn need(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join(program).exists()) {
        bail!(
            "`{program}` is missing, which Kafka needs: install Debian's package `{package}`, or run the tests by \
             `./dev test`, which does"
        );
    }
    Ok(())
}

fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    Ok(caches
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for Kafka's jars")?
        .join("website-monitor"))
}

/// FNV-1a; it only has to tell one list from the next.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
