//! Something to see where no collector is named: one that reads the tables of a made-up fleet.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::collector::{Collector, CollectorSetup};
use e2e::ports::free_port;
use e2e::postgres::{Database, Postgres};
use e2e::{scene, within};
use serde_json::json;

const BOUND: Duration = Duration::from_secs(300);
/// Days of which there are summaries by the hour.
const BY_HOUR: u32 = 2;

/// A collector over the fleet's tables, for as long as it is kept. It has no Kafka, which pages don't need.
pub(crate) struct Fleet {
    collector: Collector,
    // Goes before its server.
    _database: Database,
    _postgres: Arc<Postgres>,
}

impl Fleet {
    pub(crate) fn start() -> Result<Fleet> {
        let postgres = Arc::new(Postgres::start_own()?);
        let database = postgres.database()?;
        let nobody = format!("127.0.0.1:{}", free_port()?);
        let collector = CollectorSetup::new(&nobody, "nothing", "pictures", &database)
            .set("http.listen", format!("127.0.0.1:{}", free_port()?))
            .set("http.public", json!({"title": "How our sites are", "tags": {"team": "web"}}))
            .build()?;
        ensure!(collector.command(&["migrate"])?.code() == Some(0), "{}", collector.log());
        scene::make(&database, BY_HOUR)?;
        collector.start()?;
        within(BOUND, "what is over is summed up, and pages are served", || {
            scene::is_ready(&database).with_context(|| collector.log())?;
            collector.get("/agents").map(drop)
        })?;
        Ok(Fleet { collector, _database: database, _postgres: postgres })
    }

    pub(crate) fn url(&self) -> Result<String> {
        Ok(format!("http://{}", self.collector.listens()?))
    }
}
