//! The sites that the demo checks: one for each way that a check may end.

use std::time::Duration;

use anyhow::Result;
use e2e::agent::AgentSetup;
use e2e::ports::free_port;
use e2e::web::{Answer, Web};
use jiff::Timestamp;

pub(crate) struct Sites {
    web: Web,
    refused: String,
}

impl Sites {
    pub(crate) const NAMES: [&str; 5] = ["good", "slow", "wrong", "broken", "refused"];

    pub(crate) fn start() -> Result<Sites> {
        let web = Web::start()?;
        web.site("/good", Answer::ok("Welcome to the shop"));
        web.site("/slow", Answer::ok("Welcome at last").after(Duration::from_millis(400)));
        web.site("/wrong", Answer::ok("This domain is for sale"));
        web.site("/broken", Answer::status(500));
        Ok(Sites { web, refused: format!("http://127.0.0.1:{}/", free_port()?) })
    }

    /// Adds them all to an agent's configuration.
    pub(crate) fn monitors(&self, agent: AgentSetup) -> AgentSetup {
        agent
            .monitor("good", self.url("/good"))
            .pattern("Welcome")
            .monitor("slow", self.url("/slow"))
            .pattern("Welcome")
            .monitor("wrong", self.url("/wrong"))
            .pattern("Welcome")
            .monitor("broken", self.url("/broken"))
            .monitor("refused", &self.refused)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.web.url(path)
    }

    /// How many requests a site has seen; none where no one listens.
    pub(crate) fn seen(&self, name: &str) -> Option<u64> {
        (name != "refused").then(|| self.web.count(&format!("/{name}")))
    }

    pub(crate) fn requests(&self) -> u64 {
        self.web.total()
    }

    /// How many requests are being answered, or were a moment ago.
    pub(crate) fn under_way(&self, moment: Duration) -> u64 {
        let now = Timestamp::now();
        let recent = |at: Timestamp| now.duration_since(at).unsigned_abs() < moment;
        self.web.requests().iter().filter(|request| request.served_at.is_none_or(recent)).count() as u64
    }
}
