//! A Docker engine of the test's own: its socket, its images and its volumes are in a directory of this run.
//!
//! No registry is asked for an image. What the images are built upon is a Debian of debootstrap's, without what Debian's
//! own slim image leaves out, and with the programs that the packages have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::directory::directory;
use e2e::eventually::within;
use e2e::process::{Finished, Process, Signal};

use crate::debian::{debian, run};
use crate::packages;

/// Debian's, beside its engine: other clients may lack what builds.
const CLIENT: &str = "/usr/bin/docker";
const BASE: &str = "base";
const PROGRAMS: &str = "programs";

const BOUND: Duration = Duration::from_secs(600);

/// A running engine. It ends when dropped, and with it all of its containers.
pub(crate) struct Engine {
    directory: PathBuf,
    daemon: Process,
}

impl Engine {
    /// A new one, without an image.
    pub(crate) fn start() -> Result<Engine> {
        let directory = directory("docker")?;
        // Its mounts are its own, and end with it.
        let mut command = ground::privately("exec dockerd \"$@\"").map_err(anyhow::Error::msg)?;
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--host"]).arg(socket(&directory));
        for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(option).arg(directory.join(name));
        }
        let daemon = Process::start_with("dockerd", &directory, command, Signal::TERM)?;
        let engine = Engine { directory, daemon };
        within(BOUND, "the engine answers", || {
            ensure!(engine.daemon.is_running(), "{}", engine.daemon.tail());
            engine.ok(&["version"])
        })?;
        Ok(engine)
    }

    /// Runs a command of the client that has to succeed; what it wrote to stdout.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.run(arguments)?.stdout.trim().to_owned())
    }

    /// The same; all that it wrote.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(CLIENT);
        command.env("DOCKER_BUILDKIT", "1").arg("--host").arg(socket(&self.directory)).args(arguments);
        let ended = Process::run("docker", command, BOUND)?;
        ensure!(ended.status.success(), "docker {arguments:?}: {}{}", ended.stdout, ended.stderr);
        Ok(ended)
    }

    /// Builds the images of both programs, under the names of the programs.
    pub(crate) fn build(&self) -> Result<()> {
        self.import(&debian("image", &[])?, BASE)?;
        let tree = directory("programs")?;
        fs::create_dir(tree.join("programs"))?;
        for name in ["agent", "collector"] {
            packages::program(name, &tree.join(format!("programs/website-monitor-{name}")))?;
        }
        self.import(&tree, PROGRAMS)?;
        let (base, programs) = (format!("BASE={BASE}"), format!("PROGRAMS={PROGRAMS}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
        let source = source.to_str().context("a path that is no text")?;
        let file = format!("{source}/packaging/Dockerfile");
        for name in ["agent", "collector"] {
            let tag = format!("website-monitor-{name}");
            let options = ["build", "--network", "host", "--build-arg", &base, "--build-arg", &programs];
            self.ok(&[&options[..], &["-f", &file, "--target", name, "-t", &tag, source]].concat())?;
        }
        Ok(())
    }

    /// Bytes of an image.
    pub(crate) fn size(&self, image: &str) -> Result<u64> {
        Ok(self.ok(&["image", "inspect", "--format", "{{.Size}}", image])?.parse()?)
    }

    /// Bytes of what the images are built upon.
    pub(crate) fn size_of_base(&self) -> Result<u64> {
        self.size(BASE)
    }

    fn import(&self, tree: &Path, tag: &str) -> Result<()> {
        let archive = self.directory.join("archive.tar");
        let left_out =
            ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "dev"];
        let left_out = left_out.map(|path| format!("--exclude=./{path}/*"));
        let mut options: Vec<&str> = left_out.iter().map(String::as_str).collect();
        let (tree, file) = (tree.to_string_lossy(), archive.to_string_lossy());
        options.extend(["-C", &tree, "-cf", &file, "."]);
        run("tar", &options, [])?;
        self.ok(&["import", &file, tag])?;
        Ok(fs::remove_file(archive)?)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.daemon.terminate(BOUND) {
            eprintln!("the engine: {error:#}");
        }
    }
}

fn socket(directory: &Path) -> String {
    format!("unix://{}/socket", directory.display())
}
