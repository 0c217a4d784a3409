//! What an HTTP request says: method, headers, body, and who asks. Headers, body and credentials may be secrets, so
//! none of their values is ever shown.

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, header::AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use settings::{Section, Wrong};

/// An HTTP request, but for its url.
#[derive(Clone, Default)]
pub struct Request {
    /// GET unless configured.
    pub method: Method,
    /// What is said besides what every request says.
    pub headers: HeaderMap,
    /// Sent with methods that take one.
    pub body: Option<SecretString>,
    /// Who asks.
    pub authorization: Option<HeaderValue>,
}

impl PartialEq for Request {
    fn eq(&self, other: &Request) -> bool {
        let body = |request: &Request| request.body.as_ref().map(|body| body.expose_secret().to_owned());
        self.method == other.method
            && self.headers == other.headers
            && body(self) == body(other)
            && self.authorization == other.authorization
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        let (body, authorization) = (self.body.is_some(), self.authorization.is_some());
        write!(f, "Request({} headers: {names:?}, body: {body}, authorization: {authorization})", self.method)
    }
}

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
const MOST_BODY: usize = 1024 * 1024;

/// What an entry or `defaults` says of the request.
#[derive(Clone, Default)]
pub(in crate::config) struct RequestOptions {
    pub(in crate::config) method: Option<Method>,
    headers: HeaderMap,
    body: Option<SecretString>,
    authorization: Option<HeaderValue>,
}

impl RequestOptions {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> RequestOptions {
        let method = section.parse("method", method);
        let headers = section.headers("headers");
        let body = section.secret("body");
        if let Some(bytes) = body.as_ref().map(|body| body.expose_secret().len()).filter(|bytes| *bytes > MOST_BODY) {
            section.fault("body", format!("has {bytes} bytes"), format!("keep it within {MOST_BODY}"));
        }
        let authorization = read_authorization(section, headers.contains_key(AUTHORIZATION));
        RequestOptions { method, headers, body, authorization }
    }

    /// The options that stand here, for kinds of monitors that have no use for them.
    pub(in crate::config) fn given(&self) -> impl Iterator<Item = &'static str> {
        let is_basic = |value: &HeaderValue| value.as_bytes().starts_with(b"Basic ");
        let authorization =
            if self.authorization.as_ref().is_some_and(is_basic) { "basic_auth" } else { "bearer_token" };
        let given = [
            (self.method.is_some(), "method"),
            (!self.headers.is_empty(), "headers"),
            (self.body.is_some(), "body"),
            (self.authorization.is_some(), authorization),
        ];
        given.into_iter().filter_map(|(given, name)| given.then_some(name))
    }

    /// The request of an entry. `credentials` are those of its url.
    pub(in crate::config) fn over(
        self,
        defaults: &RequestOptions,
        credentials: Option<HeaderValue>,
        section: &mut Section<'_>,
    ) -> Request {
        let method = self.method.or_else(|| defaults.method.clone()).unwrap_or_default();
        if self.body.is_some() && !takes_body(&method) {
            section.fault("body", format!("can't be sent with the method {method}"), "write `method: POST`");
        }
        if credentials.is_some() && (self.authorization.is_some() || self.headers.contains_key(AUTHORIZATION)) {
            section.fault("url", "holds a user beside another authorization", "keep one of the two");
        }
        let mut headers = defaults.headers.clone();
        // An entry that says itself who asks doesn't also say what the defaults say, in whichever way.
        if self.authorization.is_some() || credentials.is_some() {
            headers.remove(AUTHORIZATION);
        }
        let has_header = self.headers.contains_key(AUTHORIZATION);
        for (name, value) in self.headers {
            if let Some(name) = name {
                headers.insert(name, value);
            }
        }
        let own = credentials.or(self.authorization);
        let authorization = own.or_else(|| defaults.authorization.clone().filter(|_| !has_header));
        let body = self.body.or_else(|| defaults.body.clone()).filter(|_| takes_body(&method));
        Request { method, headers, body, authorization }
    }
}

fn takes_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

fn method(text: &str) -> Result<Method, Wrong> {
    METHODS.into_iter().find(|method| method.as_str() == text).ok_or_else(|| {
        let known: Vec<String> = METHODS.iter().map(Method::to_string).collect();
        Wrong::new(format!("{text:?} is not known"), format!("write one of: {}", known.join(", ")))
    })
}

fn read_authorization(section: &mut Section<'_>, has_header: bool) -> Option<HeaderValue> {
    let has_basic = section.has("basic_auth");
    let has_bearer = section.has("bearer_token") || section.has("bearer_token_file");
    if usize::from(has_basic) + usize::from(has_bearer) + usize::from(has_header) > 1 {
        let problem = "stands beside another authorization";
        let option = if has_basic { "basic_auth" } else { "bearer_token" };
        section.fault(option, problem, "keep one of basic_auth, bearer_token and the header Authorization");
    }
    let basic = section.section("basic_auth", |basic| {
        if has_basic {
            basic.require("username", "name the user");
            if !basic.has("password_file") {
                basic.require("password", "give password_file (or password)");
            }
        }
        let (username, password) = (basic.text("username"), basic.secret("password"));
        let value = basic_authorization(&username?, password?.expose_secret());
        value.map_err(|wrong| basic.fault("username", wrong.problem, wrong.mend)).ok()
    });
    let bearer = section.secret("bearer_token").and_then(|token| {
        let value = settings::header_value(&format!("Bearer {}", token.expose_secret()));
        let value = value.and_then(|value| match value.to_str() {
            Ok(_) => Ok(value),
            Err(_) => Err(Wrong::new("holds a character that is not ASCII", "correct it")),
        });
        value.map_err(|wrong| section.fault("bearer_token", wrong.problem, wrong.mend)).ok()
    });
    basic.or(bearer)
}

/// The header of basic authentication.
pub(in crate::config) fn basic_authorization(user: &str, password: &str) -> Result<HeaderValue, Wrong> {
    if user.contains(':') {
        return Err(Wrong::new("has a `:` in its user", "basic authentication has no way to send it: choose another"));
    }
    let pair = format!("{user}:{password}");
    settings::header_value(&format!("Basic {}", openssl::base64::encode_block(pair.as_bytes())))
}
