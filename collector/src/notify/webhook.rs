//! Tells a receiver by posting JSON over HTTP. Every status outside of 2xx is a failure. Redirects are not followed,
//! because the message is only for one receiver. No proxy of the environment is used.
//!
//! A status of 4xx says that the same request will be refused again, except 408 and 429, which postpone it. When the
//! reason lies in the message, it is mostly its length. Therefore the message is sent once more in a shorter form. If
//! that is refused as well, it is refused for good, and later messages, such as the one about the recovery, do not wait
//! for it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};
use settings::Section;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::message::{Message, Size};
use super::template::Template;
use super::{Failure, TIMEOUT, TIMEOUTS};

/// A url to which JSON is posted.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The url, which is mostly a secret.
    pub url: SecretString,
    /// The headers that are sent in addition to the collector's own. They are secrets, too.
    pub headers: HeaderMap,
    /// The template that replaces the collector's own JSON.
    pub template: Option<Template>,
    /// The longest time that sending may take.
    pub timeout: Duration,
    /// The file of the authorities that sign the server's certificate; the system's authorities when absent.
    pub ca_file: Option<PathBuf>,
}

impl Webhook {
    pub(super) fn of(section: &mut Section<'_>) -> Webhook {
        if !section.has("url_file") {
            section.require("url", "write where JSON is to be posted to, or give url_file");
        }
        let url = section.secret("url").unwrap_or_default();
        // The fault is told without the url, because the url mostly holds a secret.
        let is_url = |text: &str| {
            let uri = text.parse::<Uri>().ok();
            uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
        };
        if !url.expose_secret().is_empty() && !is_url(url.expose_secret()) {
            section.fault("url", "is no url of the web", "write one that begins with https:// or http://");
        }
        if section.has("most_characters") && !section.has("template") {
            section.fault("most_characters", "stands without template", "write a template, or leave it out");
        }
        let template = section.convert("template", Template::new);
        let most_characters = section.integer("most_characters", 100..=1_000_000);
        Webhook {
            url,
            headers: section.headers("headers"),
            template: template.map(|template| template.within(most_characters)),
            timeout: section.duration("timeout", TIMEOUTS).unwrap_or(TIMEOUT),
            ca_file: section.readable("ca_file"),
        }
    }
}

pub(super) fn send(webhook: &Webhook, message: &Message) -> Result<(), Failure> {
    let agent = agent(webhook)?;
    let of = |size: Size| match &webhook.template {
        None => message.json(size).to_string(),
        Some(template) => message.filled(template, size).to_string(),
    };
    let (whole, short) = (of(Size::WHOLE), of(Size::SHORT));
    match post(&agent, webhook, message, &whole) {
        Err(refused) if refused.is_for_good && short.len() < whole.len() => {
            post(&agent, webhook, message, &short)
                .map_err(|failure| Failure { text: format!("{failure}, and {refused} to a longer form"), ..failure })?;
            log::warn!(receiver = message.receiver.as_str(), message:% = message.id, error:% = refused;
                "a receiver took a message only in a shorter form: set `most_characters`, or write a shorter template");
            Ok(())
        }
        outcome => outcome,
    }
}

fn post(agent: &ureq::Agent, webhook: &Webhook, message: &Message, body: &str) -> Result<(), Failure> {
    let mut request = Request::post(webhook.url.expose_secret())
        .body(body)
        .map_err(|_| Failure::new("no request can be made of its url"))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(webhook.headers.clone());
    if let Ok(id) = HeaderValue::from_str(&message.id.to_string()) {
        headers.insert("idempotency-key", id);
    }
    let response = agent.run(request).map_err(|error| Failure::new(told(webhook, &error)))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure { text: format!("it answered {status}"), is_for_good: is_for_good(status) }),
    }
}

fn is_for_good(status: StatusCode) -> bool {
    status.is_client_error() && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

fn agent(webhook: &Webhook) -> Result<ureq::Agent, Failure> {
    let roots = match &webhook.ca_file {
        None => RootCerts::PlatformVerifier,
        Some(file) => {
            let wrong = |problem: &str| Failure::new(format!("ca_file {}: {problem}", file.display()));
            let pem = fs::read(file).map_err(|error| wrong(&error.to_string()))?;
            let certificates = parse_pem(&pem).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            let certificates: Vec<Certificate<'static>> = certificates.collect();
            if certificates.is_empty() {
                return Err(wrong("holds no certificate"));
            }
            certificates.into()
        }
    };
    let tls = TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build();
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_global(Some(webhook.timeout))
        .user_agent(concat!("website-monitor-collector/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

/// Returns what went wrong, without the url, which is mostly a secret.
fn told(webhook: &Webhook, error: &ureq::Error) -> String {
    let url = webhook.url.expose_secret();
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "no request can be made of its url".into(),
        error => error.to_string().replace(url, "***"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_for_good_is_told_from_what_is_put_off() {
        let of = |status: u16| is_for_good(StatusCode::from_u16(status).unwrap());
        assert!([400, 401, 403, 404, 410, 413, 422].into_iter().all(of));
        assert!(![301, 308, 408, 429, 500, 502, 503].into_iter().any(of));
    }
}
