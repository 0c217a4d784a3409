//! The id and the name by which a monitor is shown.
//!
//! A monitor without a name has its url as its id and its name, and a url may hold a key of the site in its query.
//! Clients that may see everything may see the url. On public pages such a monitor has another id, which is a digest of
//! the real one and does not reveal it.

use std::sync::Once;

use openssl::sha::sha256;

use crate::config::has_url;
use crate::figures::overview::Summary;

/// An id and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// The id by which the pages of the monitor are asked for.
    pub(super) id: String,
    /// The name for people.
    pub(super) name: String,
}

impl Called {
    /// Returns the id and the name for clients that may see everything.
    pub(super) fn inside(monitor: &Summary) -> Called {
        Called { id: monitor.id.clone(), name: monitor.name.clone() }
    }

    /// Returns the id and the name for everyone. A url in either of them is not shown, neither the whole of it nor a
    /// part.
    pub(super) fn in_public(monitor: &Summary) -> Called {
        let Called { id, name } = Called::inside(monitor);
        let digest = || sha256(id.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match (has_url(&id), has_url(&name)) {
            (false, false) => Called { id, name },
            (true, false) => Called { id: digest(), name },
            (false, true) => Called { name: id.clone(), id },
            (true, true) => {
                say();
                Called { name: format!("Monitor {}", digest()), id: digest() }
            }
        }
    }
}

/// Logs once what to do about it. The message does not name the monitor, because its name would reveal the url.
fn say() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        log::warn!(
            "a monitor that `http.public` shows has neither a name nor an id: in public it is called by a number, so \
             that its url is not shown; give it a `name` in the agent's configuration"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::period::Period;
    use crate::web::fixture;

    fn in_public(id: &str, name: &str) -> [String; 2] {
        let one = fixture::overview(1, Period::Day).monitors.remove(0);
        let called = Called::in_public(&Summary { id: id.into(), name: name.into(), ..one });
        [called.id, called.name]
    }

    #[test]
    fn an_id_or_a_name_that_has_the_url_in_it_is_not_told_in_public() {
        let url = "https://shop.example/?key=hunter2";
        assert_eq!(in_public("shop", "The shop"), ["shop", "The shop"]);
        assert_eq!(in_public("shop", url), ["shop", "shop"]);
        for (id, name) in [(url, url), (&*format!("shop {url} cart"), "shop"), ("tcp://db.example:5432", "db")] {
            let [shown, called] = in_public(id, name);
            assert_eq!(shown.len(), 16, "{shown}");
            assert!(!format!("{shown} {called}").contains("example"), "{shown} {called}");
            assert_eq!(in_public(id, name)[0], shown, "a link to it holds");
        }
        assert_ne!(in_public(url, "a")[0], in_public(&format!("{url}1"), "a")[0]);
        assert!(in_public(url, url)[1].starts_with("Monitor "));
    }
}
