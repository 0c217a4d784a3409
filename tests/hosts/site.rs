//! A site with TLS that lets in only who shows its authority's certificate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::directory::directory;
use e2e::ports::free_port;
use e2e::process::Process;

/// Its name.
pub(crate) const NAME: &str = "shop.example";

const BOUND: Duration = Duration::from_secs(60);

pub(crate) struct Site {
    files: PathBuf,
    port: u16,
    _server: Process,
}

impl Site {
    /// OpenSSL's own server, with certificates of an authority of its own.
    pub(crate) fn start() -> Result<Site> {
        let (files, port) = (directory("site")?, free_port()?);
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
        let authority = ["req", "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&files, &[&authority[..], &ec].concat())?;
        for (name, subject, usage) in [("site", NAME, "serverAuth"), ("client", "edge-1", "clientAuth")] {
            let (key, request, certificate) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
            let subject_argument = format!("/CN={subject}");
            let ask = ["req", "-subj", &subject_argument, "-keyout", &key, "-out", &request];
            openssl(&files, &[&ask[..], &ec[..5]].concat())?;
            fs::write(files.join("extensions"), format!("subjectAltName=DNS:{subject}\nextendedKeyUsage={usage}\n"))?;
            openssl(
                &files,
                &[
                    "x509",
                    "-req",
                    "-in",
                    &request,
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-CAcreateserial",
                    "-days",
                    "30",
                    "-extfile",
                    "extensions",
                    "-out",
                    &certificate,
                ],
            )?;
        }
        let mut server = Command::new("openssl");
        server.current_dir(&files).args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-www", "-quiet"]);
        server.args([
            "-cert",
            "site.pem",
            "-key",
            "site.key",
            "-CAfile",
            "ca.pem",
            "-Verify",
            "1",
            "-verify_return_error",
        ]);
        let server = Process::start("openssl", &files, server)?;
        Ok(Site { files, port, _server: server })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{NAME}:{}/", self.port)
    }

    /// One of `ca.pem`, `client.pem`, `client.key`.
    pub(crate) fn file(&self, name: &str) -> Result<Vec<u8>> {
        Ok(fs::read(self.files.join(name))?)
    }
}

fn openssl(directory: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("openssl");
    command.current_dir(directory).args(arguments);
    let ended = Process::run("openssl", command, BOUND)?;
    ensure!(ended.status.success(), "openssl {arguments:?}: {}", ended.stderr);
    Ok(())
}
