//! Expected status codes: `404`, `200-399`.

use serde_yaml::Value;
use settings::Wrong;

const CODES: std::ops::RangeInclusive<u16> = 100..=wire::limits::STATUS_CODE;

/// One code or one range, both ends included.
pub(in crate::config) fn range(value: &Value) -> Result<(u16, u16), Wrong> {
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| CODES.contains(code));
    let range = match value {
        Value::Number(number) => code(&number.to_string()).map(|code| (code, code)),
        Value::String(text) => match text.split_once('-') {
            Some((first, last)) => code(first).zip(code(last)).filter(|(first, last)| first <= last),
            None => code(text).map(|code| (code, code)),
        },
        _ => None,
    };
    range.ok_or_else(|| {
        let problem = format!("{} is no status code and no range of them", settings::shown(value));
        Wrong::new(problem, "write 404 or 200-399")
    })
}

/// Whether an answer with this code leads to another address, as browsers have it.
pub(crate) fn is_redirect(code: u16) -> bool {
    matches!(code, 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(u16, u16)> {
        range(&serde_yaml::from_str(text).unwrap()).ok()
    }

    #[test]
    fn codes_and_ranges_are_read() {
        assert_eq!(read("404"), Some((404, 404)));
        assert_eq!(read("'404'"), Some((404, 404)));
        assert_eq!(read("200-399"), Some((200, 399)));
        assert_eq!(read("100 - 999"), Some((100, 999)));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["99", "1000", "399-200", "2xx", "200-", "-5", "[200]", "200.5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
