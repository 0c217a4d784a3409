//! The url of a monitor: of a scheme that can be checked, allowed by `url_regex`, and without user and password,
//! which become the basic authentication. No fault shows a text that may hold a password.

use percent_encoding::percent_decode_str;
use regex::bytes::Regex;
use secrecy::SecretString;
use settings::Wrong;
use url::Url;

use super::BasicAuth;

pub(super) fn parse(text: &str, url_regex: Option<&Regex>) -> Result<(Url, Option<BasicAuth>), Wrong> {
    let shown = if text.contains('@') { String::new() } else { format!("{text:?} ") };
    let mut url = Url::parse(text)
        .map_err(|error| Wrong::new(format!("{shown}is no url: {error}"), "write it whole: https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        let problem = format!("{shown}begins with neither http:// nor https://");
        return Err(Wrong::new(problem, "begin it with one of them"));
    }
    let basic_auth = take_basic_auth(&mut url)?;
    let plain = if basic_auth.is_some() { url.as_str() } else { text.trim() };
    if let Some(regex) = url_regex.filter(|regex| !regex.is_match(plain.as_bytes())) {
        let problem = format!("{plain:?} does not match url_regex `{}`", regex.as_str());
        return Err(Wrong::new(problem, "correct the url, or widen url_regex"));
    }
    if url.as_str().len() > wire::limits::URL {
        let problem = format!("has {} bytes", url.as_str().len());
        return Err(Wrong::new(problem, format!("keep it within {}", wire::limits::URL)));
    }
    Ok((url, basic_auth))
}

fn take_basic_auth(url: &mut Url) -> Result<Option<BasicAuth>, Wrong> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(String::from)
            .map_err(|_| Wrong::new("has a user or password that is not UTF-8", "write it as percent-encoded UTF-8"))
    };
    let (user, password) = (decode(url.username())?, decode(url.password().unwrap_or_default())?);
    if user.contains(':') {
        return Err(Wrong::new("has a `:` in its user", "basic authentication has no way to send it: choose another"));
    }
    let removed = url.set_username("").and_then(|()| url.set_password(None));
    removed.map_err(|()| Wrong::new("has a user but no host", "write it whole: https://user:password@host/path"))?;
    Ok(Some(BasicAuth { user, password: SecretString::from(password) }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::pattern;

    fn fault(text: &str, url_regex: Option<&str>) -> String {
        let regex = url_regex.map(|regex| pattern::compile(regex).unwrap());
        let wrong = parse(text, regex.as_ref()).unwrap_err();
        format!("{}; {}", wrong.problem, wrong.mend)
    }

    #[test]
    fn user_and_password_leave_the_url() {
        let (url, auth) = parse("https://us%40er:p%C3%A4ss%3Aword@shop.example/a?b=c", None).unwrap();
        let auth = auth.unwrap();
        assert_eq!(url.as_str(), "https://shop.example/a?b=c");
        assert_eq!((auth.user.as_str(), auth.password.expose_secret()), ("us@er", "päss:word"));
        assert_eq!(format!("{auth:?}"), "BasicAuth(hidden)");
    }

    #[test]
    fn a_token_in_the_place_of_the_user_counts() {
        let (url, auth) = parse("https://t0ken@shop.example/", None).unwrap();
        assert_eq!((url.as_str(), auth.unwrap().user.as_str()), ("https://shop.example/", "t0ken"));
    }

    #[test]
    fn no_fault_shows_a_password() {
        for text in
            ["https://u:s3cret@", "ftp://u:s3cret@h/", "u:s3cret@h", "https://u:s3cret%FF@h/", "https://a%3Ab:s3cret@h"]
        {
            assert!(!fault(text, None).contains("s3cret"), "{}", fault(text, None));
        }
        let told = fault("https://u:s3cret@shop.example/", Some("^https://bank"));
        assert!(!told.contains("s3cret") && told.contains("https://shop.example/"), "{told}");
    }

    #[test]
    fn url_regex_sees_the_url_as_it_was_written() {
        let regex = pattern::compile("^https://shop.example$").unwrap();
        assert!(parse("https://shop.example", Some(&regex)).is_ok());
        assert!(parse("https://shop.example/", Some(&regex)).is_err());
    }
}
