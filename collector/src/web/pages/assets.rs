//! Style, script and icon: built into the program, and named by what is in them, so that browsers keep them for good
//! and still see each new version at once.

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
    /// Its path with a word that changes with its text.
    pub(super) link: String,
}

impl Asset {
    fn new(path: &'static str, kind: &'static str, text: &'static str) -> Asset {
        let mut hasher = FnvHasher::default();
        hasher.write(text.as_bytes());
        Asset { path, kind, text, link: format!("{path}?{:016x}", hasher.finish()) }
    }

    #[cfg(test)]
    pub(super) fn write_below(&self, root: &std::path::Path) {
        let path = root.join(self.path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.text).unwrap();
    }
}

/// Style, script, icon.
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

/// Where they are had from.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    all().into_iter().fold(Router::new(), |routes, asset| {
        let headers = [(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
        routes.route(asset.path, get(move || async move { (headers, asset.text) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for asset in all() {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http:") && !text.contains("https:"), "{}", asset.path);
            assert!(!text.contains("@import") && !text.contains("url("), "{}", asset.path);
        }
    }
}
