//! A bare socket and OpenSSL: the least that a check over a fresh connection can take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use openssl::ssl::{SslConnector, SslMethod};
use url::Url;

use crate::process;
use crate::site::{Site, Target};

pub(crate) const TASK: &str = "floor";

pub(crate) fn command(site: &Site, target: &Target) -> Result<Command> {
    let mut command = process::myself(TASK)?;
    command.env("URL", &target.url).env("ROOTS", &site.roots).env("CHECKS", target.cheap.to_string());
    Ok(command)
}

pub(crate) fn child() -> Result<()> {
    let url = Url::parse(&std::env::var("URL")?)?;
    let address = url.socket_addrs(|| None)?[0];
    let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", url.path());
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    builder.set_ca_file(std::env::var("ROOTS")?)?;
    builder.set_groups_list("X25519:P-256")?;
    let connector = builder.build();
    process::repeat(std::env::var("CHECKS")?.parse()?, || {
        let mut socket = TcpStream::connect(address)?;
        let mut answer = Vec::with_capacity(4_096);
        if url.scheme() == "https" {
            let mut stream = connector.connect("127.0.0.1", socket)?;
            stream.write_all(request.as_bytes())?;
            stream.read_to_end(&mut answer).context("the answer")?;
        } else {
            socket.write_all(request.as_bytes())?;
            socket.read_to_end(&mut answer)?;
        }
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    })
}
