//! What is checked: one nginx that serves a page of 1 KiB over http and, with two chains, over https.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// Debian's package ca-certificates makes it.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One address of the server, and how many checks of it a round takes of a cheap client and of a dear one.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    pub(crate) cheap: usize,
    pub(crate) dear: usize,
}

/// The running server. Dropping it ends it.
pub(crate) struct Site {
    /// The roots of both chains, in PEM, and those of the system.
    pub(crate) roots: PathBuf,
    targets: Vec<Target>,
    nginx: Child,
}

impl Site {
    pub(crate) fn start(directory: &Path) -> Result<Site> {
        let single = Authority::root(Nid::X9_62_PRIME256V1, "single")?;
        let root = Authority::root(Nid::SECP384R1, "root")?;
        let intermediate = root.intermediate(Nid::SECP384R1, "intermediate")?;
        let roots = directory.join("roots.pem");
        // As on any host, among some hundred others: some clients read them again each time.
        let others = fs::read(SYSTEM_ROOTS).with_context(|| format!("{SYSTEM_ROOTS} is missing"))?;
        fs::write(&roots, [others, single.certificate.to_pem()?, root.certificate.to_pem()?].concat())?;
        for (name, authority, sent) in
            [("single", &single, None), ("chain", &intermediate, Some(&intermediate.certificate))]
        {
            let (key, leaf) = authority.leaf()?;
            let above = sent.map(|above| above.to_pem()).transpose()?.unwrap_or_default();
            fs::write(directory.join(format!("{name}.pem")), [leaf.to_pem()?, above].concat())?;
            fs::write(directory.join(format!("{name}.key")), key.private_key_to_pem_pkcs8()?)?;
        }
        let root = directory.join("root");
        fs::create_dir(&root)?;
        fs::write(root.join("page"), format!("{:<1024}", "Welcome to the shop"))?;
        let ports = [free_port()?, free_port()?, free_port()?];
        let config = directory.join("nginx.conf");
        fs::write(&config, configuration(directory, ports))?;
        let nginx = Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
            .arg("-c")
            .arg(&config)
            .args(["-e", "stderr", "-p"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("nginx is missing")?;
        let target = |name, scheme, port, cheap, dear| Target {
            name,
            url: format!("{scheme}://127.0.0.1:{port}/page"),
            cheap,
            dear,
        };
        let targets = vec![
            target("http", "http", ports[0], 8_000, 1_000),
            target("https, a leaf under a P-256 CA", "https", ports[1], 4_000, 200),
            target("https, a leaf and a P-384 intermediate", "https", ports[2], 4_000, 200),
        ];
        let site = Site { roots, targets, nginx };
        ports.into_iter().try_for_each(until_it_listens)?;
        Ok(site)
    }

    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&mut self.nginx);
    }
}

/// Ends a server by SIGTERM, so that it ends those that it started.
pub(crate) fn end(server: &mut Child) {
    if let Some(id) = i32::try_from(server.id()).ok().and_then(rustix::process::Pid::from_raw) {
        rustix::process::kill_process(id, rustix::process::Signal::TERM).ok();
    }
    server.wait().ok();
}

/// A port that no one has at the moment.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits for a server.
pub(crate) fn until_it_listens(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            bail!("nothing listens on port {port}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn configuration(directory: &Path, [http, single, chain]: [u16; 3]) -> String {
    let directory = directory.display();
    let tls = |port, name| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {directory}/{name}.pem; \
             ssl_certificate_key {directory}/{name}.key; root {directory}/root; }}\n"
        )
    };
    format!(
        "daemon off; worker_processes 2; pid {directory}/nginx.pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_timeout 0; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;\n\
         client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;\n\
         uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;\n\
         server {{ listen 127.0.0.1:{http} backlog=4096; root {directory}/root; }}\n{}{}}}\n",
        tls(single, "single"),
        tls(chain, "chain"),
    )
}

struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

impl Authority {
    fn root(curve: Nid, name: &str) -> Result<Authority> {
        let key = key(curve)?;
        let certificate = certificate(name, &key, None, true)?;
        Ok(Authority { key, certificate })
    }

    fn intermediate(&self, curve: Nid, name: &str) -> Result<Authority> {
        let key = key(curve)?;
        let certificate = certificate(name, &key, Some(self), true)?;
        Ok(Authority { key, certificate })
    }

    fn leaf(&self) -> Result<(PKey<Private>, X509)> {
        let key = key(Nid::X9_62_PRIME256V1)?;
        let certificate = certificate("127.0.0.1", &key, Some(self), false)?;
        Ok((key, certificate))
    }
}

fn key(curve: Nid) -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(curve)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn certificate(name: &str, key: &PKey<Private>, issuer: Option<&Authority>, is_ca: bool) -> Result<X509> {
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", name)?;
    let subject = subject.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(120, openssl::bn::MsbOption::ONE, false)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name()))?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(30)?)?;
    builder.set_pubkey(key)?;
    if is_ca {
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    } else {
        let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None))?;
        builder.append_extension(names)?;
    }
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha384())?;
    Ok(builder.build())
}
