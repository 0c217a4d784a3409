//! Prometheus' blackbox_exporter, which probes when it is asked to.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use procfs::process::Process;

use crate::process;
use crate::site::{self, Site, Target};

/// The running exporter. Dropping it ends it.
pub(crate) struct Blackbox {
    port: u16,
    server: Child,
}

impl Blackbox {
    pub(crate) fn start(directory: &Path, site: &Site) -> Result<Blackbox> {
        let port = site::free_port()?;
        let config = directory.join("blackbox.yml");
        fs::write(
            &config,
            "modules:\n  page:\n    prober: http\n    timeout: 5s\n    http:\n      \
             fail_if_body_not_matches_regexp: [Welcome]\n",
        )?;
        let server = Command::new("prometheus-blackbox-exporter")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            // As the system's, which it reads once; a file of its configuration it would read for each probe.
            .env("SSL_CERT_FILE", &site.roots)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("prometheus-blackbox-exporter is missing")?;
        let blackbox = Blackbox { port, server };
        site::until_it_listens(port)?;
        Ok(blackbox)
    }

    /// CPU seconds of the exporter per 1,000 probes.
    pub(crate) fn cpu(&self, target: &Target) -> Result<f64> {
        let request = format!(
            "GET /probe?module=page&target={} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            target.url
        );
        let before = self.ticks()?;
        process::repeat(target.dear, || {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
            socket.write_all(request.as_bytes())?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            ensure!(answer.contains("\nprobe_success 1"), "{answer}");
            Ok(())
        })?;
        Ok(process::per_thousand(self.ticks()? - before, target.dear))
    }

    fn ticks(&self) -> Result<u64> {
        let stat = Process::new(i32::try_from(self.server.id())?)?.stat()?;
        Ok(stat.utime + stat.stime)
    }
}

impl Drop for Blackbox {
    fn drop(&mut self) {
        site::end(&mut self.server);
    }
}
