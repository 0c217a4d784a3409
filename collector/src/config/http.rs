//! The `http` section: where pages, API and metrics are, and who may see them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use secrecy::SecretString;
use settings::{Section, Tls, Wrong};

use super::Public;

/// Where what was found is shown, and to whom. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Http {
    /// None: nowhere.
    pub listen: Option<SocketAddr>,
    /// The certificate, for encrypted connections.
    pub tls: Option<Tls>,
    /// Who may see all of it, by a browser.
    pub basic_auth: Option<BasicAuth>,
    /// Who may see all of it, by a program: `Authorization: Bearer …`.
    pub token: Option<SecretString>,
    /// What anybody may see; none: nothing.
    pub public: Option<Arc<Public>>,
    /// Metrics are told of so many monitors, and of so many agents, at most.
    pub monitor_metrics: usize,
}

/// A user and a password.
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// Without a `:`.
    pub username: String,
    /// Any text.
    pub password: SecretString,
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Http {
    pub(super) fn of(section: &mut Section<'_>) -> Http {
        let is_public = section.has("public");
        let public = section.section("public", |public| is_public.then(|| Public::of(public)));
        Http {
            listen: settings::listen(section, Some(LISTEN)),
            tls: section.section("tls", Tls::of),
            basic_auth: BasicAuth::of(section),
            token: section.secret("token"),
            public: public.map(Arc::new),
            monitor_metrics: section.integer("monitor_metrics", 0..=100_000).unwrap_or(2_000),
        }
    }

    /// Whether whoever can connect can see everything, and that may be more than this machine.
    pub fn is_open(&self) -> bool {
        let is_reachable = self.listen.is_some_and(|address| !address.ip().to_canonical().is_loopback());
        is_reachable && self.basic_auth.is_none() && self.token.is_none()
    }
}

impl BasicAuth {
    fn of(http: &mut Section<'_>) -> Option<BasicAuth> {
        let is_wanted = http.has("basic_auth");
        http.section("basic_auth", |section| {
            if is_wanted {
                section.require("username", "name the user");
                if !section.has("password_file") {
                    section.require("password", "give password_file (or password)");
                }
            }
            let username = section.parse("username", |username| match username.contains(':') {
                true => Err(Wrong::new("has a `:`", "basic authentication has no way to send it: choose another")),
                false => Ok(username.to_owned()),
            });
            let password = section.secret("password");
            Some(BasicAuth { username: username?, password: password? })
        })
    }
}
