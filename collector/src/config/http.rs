//! The `http` section: the address of the pages, the API and the metrics, and who may see them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use secrecy::SecretString;
use settings::{Hosts, Section, Tls, Wrong};

use super::Public;

/// The address at which the collector shows what was found, and who may see it. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Http {
    /// The address on which the collector listens; none when it listens nowhere.
    pub listen: Option<SocketAddr>,
    /// The url at which people find the pages, without a slash at its end.
    pub url: Option<String>,
    /// The certificate for encrypted connections.
    pub tls: Option<Tls>,
    /// The user and the password with which a browser may see everything.
    pub basic_auth: Option<BasicAuth>,
    /// The token with which a program may see everything: `Authorization: Bearer …`.
    pub token: Option<SecretString>,
    /// What everyone may see; none when they may see nothing.
    pub public: Option<Arc<Public>>,
    /// The largest number of monitors, and of agents, that have metrics.
    pub monitor_metrics: usize,
}

/// A user and a password.
#[derive(Clone, Debug)]
pub struct BasicAuth {
    /// The user, which has no `:`.
    pub username: String,
    /// The password, which may be any text.
    pub password: SecretString,
}

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

impl Http {
    pub(super) fn of(section: &mut Section<'_>) -> Http {
        let is_public = section.has("public");
        let public = section.section("public", |public| is_public.then(|| Public::of(public)));
        Http {
            listen: settings::listen(section, Some(LISTEN)),
            url: section.parse("url", own_url),
            tls: section.section("tls", Tls::of),
            basic_auth: BasicAuth::of(section),
            token: section.secret("token"),
            public: public.map(Arc::new),
            monitor_metrics: section.integer("monitor_metrics", 0..=100_000).unwrap_or(2_000),
        }
    }

    /// Returns whether every client that can connect can see everything, and clients on other machines may be able to
    /// connect.
    pub fn is_open(&self) -> bool {
        let is_reachable = self.listen.is_some_and(|address| !address.ip().to_canonical().is_loopback());
        is_reachable && !self.has_login()
    }

    /// Returns the host names by which clients may ask; none when they may use any name, because a login, or who can
    /// connect, decides.
    pub fn hosts(&self) -> Option<Hosts> {
        if self.has_login() { None } else { Hosts::of(self.listen, self.url.as_deref()) }
    }

    fn has_login(&self) -> bool {
        self.basic_auth.is_some() || self.token.is_some()
    }
}

fn own_url(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new(format!("{text:?} is no url of the web"), "write one such as https://status.example");
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    if is_web { Ok(text.trim_end_matches('/').to_owned()) } else { Err(wrong()) }
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

#[cfg(test)]
impl Http {
    /// Returns the section as a correct file gives it.
    pub(crate) fn of_text(text: &str) -> Http {
        super::tests::read(&format!("http: {text}")).unwrap_or_else(|faults| panic!("{faults}")).http
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read;

    #[test]
    fn only_this_machine_is_listened_to_unless_it_is_said() {
        let listen = |text: &str| Http::of_text(text).listen.map(|address| address.to_string());
        assert_eq!(listen("{}").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(listen("{listen: none}"), None);
        assert_eq!(listen("{listen: '[::]:9116'}").as_deref(), Some("[::]:9116"));
    }

    #[test]
    fn who_listens_beyond_this_machine_without_a_login_is_open() {
        let is_open = |text: &str| Http::of_text(text).is_open();
        assert!(is_open("{listen: '0.0.0.0:80'}") && is_open("{listen: '[::ffff:192.0.2.1]:80'}"));
        assert!(!is_open("{}") && !is_open("{listen: '[::1]:80'}") && !is_open("{listen: none}"));
        assert!(!is_open("{listen: '0.0.0.0:80', token: abc}"));
        assert!(!is_open("{listen: '0.0.0.0:80', basic_auth: {username: a, password: b}}"));
    }

    #[test]
    fn what_is_public_is_chosen_by_id_or_by_tags() {
        let public = Http::of_text("{public: {monitors: [a], tags: {public: 'yes'}, title: Shop}}").public.unwrap();
        assert_eq!((&*public.title, public.monitors.contains("a")), ("Shop", true));
        assert_eq!(Http::of_text("{}").public, None);
    }

    #[test]
    fn faults_name_option_and_mend_and_no_secret() {
        let faults = read(
            "http: {listen: here, url: status, basic_auth: {username: 'a:b', password: 'hunter2'}, token: hunter2, token_file: /no, \
             tls: {key_file: /no/key.pem}, public: {}, monitor_metrics: -1}",
        )
        .unwrap_err();
        for told in [
            "http.listen: \"here\" is no address to listen on",
            "http.url: \"status\" is no url of the web; write one such as https://status.example",
            "http.basic_auth.username: has a `:`",
            "http.token: stands beside token_file",
            "http.tls.certificate_file: stands without key_file",
            "http.tls.key_file: /no/key.pem can't be read",
            "http.public.monitors: is missing, and so is tags",
            "http.monitor_metrics: -1 is no whole number from 0 to 100000",
        ] {
            assert!(faults.contains(told), "{told}: {faults}");
        }
        assert!(!faults.contains("hunter2"), "{faults}");
        assert!(read("http: {basic_auth: {}}").unwrap_err().contains("http.basic_auth.username: is missing"));
        let shown = format!("{:?}", Http::of_text("{basic_auth: {username: a, password: hunter2}, token: hunter2}"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
