//! The `http` section: where a daemon is asked how it fares.

use std::net::SocketAddr;

use crate::{Section, Wrong};

/// Where to listen; none, which is the default, means nowhere.
pub fn listen(http: &mut Section<'_>) -> Option<SocketAddr> {
    http.parse("listen", address).flatten()
}

fn address(text: &str) -> Result<Option<SocketAddr>, Wrong> {
    let mend = "write address:port, such as 127.0.0.1:9115, or none";
    let wrong = |_| Wrong::new(format!("{text:?} is no address to listen on"), mend);
    if text == "none" { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}
