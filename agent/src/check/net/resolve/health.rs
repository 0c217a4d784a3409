//! Whether this host's own name service answers at all.
//!
//! One name without an answer may be its domain's trouble: its name servers are down, or its zone is broken. Names of
//! several domains, one after the other with no answer to any in between, are not: then the look-ups themselves fail.

/// This many domains without an answer in a row are no one's but this host's trouble.
const ENOUGH: usize = 3;

/// The domains that got no answer since the last that did.
#[derive(Default)]
pub(super) struct Health {
    unanswered: Vec<String>,
}

impl Health {
    /// A name was answered, be it that it doesn't exist.
    pub(super) fn answered(&mut self, name: &str) {
        // Names without a dot, such as localhost, come from files.
        if domain(name).contains('.') {
            self.unanswered.clear();
        }
    }

    /// A name was not answered.
    pub(super) fn unanswered(&mut self, name: &str) {
        let domain = domain(name);
        if self.unanswered.len() < ENOUGH && !self.unanswered.iter().any(|known| known == domain) {
            self.unanswered.push(domain.to_owned());
        }
    }

    /// Whether the last few domains all went without an answer.
    pub(super) fn is_dead(&self) -> bool {
        self.unanswered.len() >= ENOUGH
    }
}

/// The last two labels: coarser than who owns a name, which errs towards blaming the site and not oneself.
fn domain(name: &str) -> &str {
    let name = name.trim_end_matches('.');
    name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| &name[dot + 1..])
}
