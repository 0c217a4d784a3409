//! JSON by HTTP. Whatever is no 2xx is a failure; redirects are not followed, since what is sent is for one receiver
//! alone. No proxy of the environment is used.

use std::fs;

use http::Request;
use http::header::{CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::Failure;
use crate::alerts::message::Message;
use crate::config::alerts::Webhook;

pub(super) fn send(webhook: &Webhook, message: &Message) -> Result<(), Failure> {
    let body = webhook.template.as_ref().map_or_else(|| message.json(), |template| message.filled(template));
    let mut request = Request::post(webhook.url.expose_secret())
        .body(body.to_string())
        .map_err(|_| Failure::new("no request can be made of its url"))?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(webhook.headers.clone());
    if let Ok(id) = HeaderValue::from_str(&message.id.to_string()) {
        headers.insert("idempotency-key", id);
    }
    let response = agent(webhook)?.run(request).map_err(|error| Failure::new(told(webhook, &error)))?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(Failure::new(format!("it answered {status}"))),
    }
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

/// What went wrong, without the url, which mostly is a secret.
fn told(webhook: &Webhook, error: &ureq::Error) -> String {
    let url = webhook.url.expose_secret();
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "no request can be made of its url".into(),
        error => error.to_string().replace(url, "***"),
    }
}
