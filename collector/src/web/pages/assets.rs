//! Style, script and icon. They are built into the program and named by their content, so that browsers keep them for
//! good and still see each new version at once.

use std::hash::Hasher;
use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use fnv::FnvHasher;

/// A file that pages need.
pub(super) struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
    /// The path of the file with a word that changes with its text.
    pub(super) link: String,
}

impl Asset {
    fn new(path: &'static str, kind: &'static str, text: &'static str) -> Asset {
        let mut hasher = FnvHasher::default();
        hasher.write(text.as_bytes());
        Asset { path, kind, text, link: format!("{path}?{:016x}", hasher.finish()) }
    }
}

/// Returns the style, the script and the icon.
pub(super) fn all() -> [&'static Asset; 3] {
    static ALL: LazyLock<[Asset; 3]> = LazyLock::new(|| {
        [
            Asset::new("/assets/style.css", "text/css; charset=utf-8", include_str!("../../../assets/style.css")),
            Asset::new("/assets/live.js", "text/javascript; charset=utf-8", include_str!("../../../assets/live.js")),
            Asset::new("/assets/icon.svg", "image/svg+xml", include_str!("../../../assets/icon.svg")),
        ]
    });
    ALL.each_ref()
}

/// Returns the routes of the files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    all().into_iter().fold(Router::new(), |routes, asset| {
        let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
        routes.route(asset.path, get(move || async move { (headers, asset.text) }))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Returns the colours of the light scheme, then those of the dark one, by name.
    fn schemes() -> Vec<BTreeMap<&'static str, [f64; 3]>> {
        let part = |hex: &str, at: usize| match hex.len() {
            3 => f64::from(17 * u8::from_str_radix(&hex[at..=at], 16).unwrap()),
            _ => f64::from(u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()),
        };
        let colour = |line: &'static str| {
            let (name, hex) = line.trim().strip_prefix("--")?.split_once(": #")?;
            Some((name, [0, 1, 2].map(|at| part(hex, at))))
        };
        let scheme =
            |block: &'static str| block.split('}').next().unwrap_or_default().split(';').filter_map(colour).collect();
        all()[0].text.split(":root {").skip(1).map(scheme).collect()
    }

    /// Returns the contrast of two colours as WCAG 2 defines it.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let linear =
            |part: f64| if part <= 10.0 { part / 255.0 / 12.92 } else { ((part / 255.0 + 0.055) / 1.055).powf(2.4) };
        let light = |[r, g, b]: [f64; 3]| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05;
        let (one, other) = (light(one), light(other));
        (one / other).max(other / one)
    }

    #[test]
    fn words_and_shapes_stand_out_from_their_ground_in_the_light_and_the_dark() {
        let schemes = schemes();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let pair = |one: &str, other: &str, least: f64| {
                let contrast = contrast(scheme[one], scheme[other]);
                assert!(contrast >= least, "{one} on {other}: {contrast:.2}");
            };
            for word in ["text", "faint", "link", "up", "down", "partial", "unknown"] {
                pair(word, "ground", 4.5);
            }
            pair("faint", "soft", 4.5);
            pair("faint", "raised", 4.5);
            for shape in ["up-bar", "down-bar", "gap", "p50", "p95", "dns", "connect", "tls", "first-byte", "body"] {
                pair(shape, "ground", 3.0);
            }
        }
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for asset in all() {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:"), "{}", asset.path);
            assert!(!text.contains("@import") && !text.contains("url("), "{}", asset.path);
        }
    }
}
