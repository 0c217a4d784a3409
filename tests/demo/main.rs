//! The whole path at work in about a minute: checks go on while Kafka is away, an agent is killed, the topic is
//! replayed, and each result is in the table once.

mod broker;
mod ending;
mod screen;
mod sites;
mod view;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use argh::FromArgs;
use e2e::agent::{Agent, AgentSetup};
use e2e::collector::{Collector, CollectorSetup};
use e2e::eventually::within;
use e2e::kafka::Topic;
use e2e::ports::free_port;
use e2e::postgres::{Database, Postgres};

use broker::Broker;
use ending::Seen;
use screen::Screen;
use sites::Sites;

const TOPIC: &str = "website-monitor";
const PARTITIONS: i32 = 4;
const BOUND: Duration = Duration::from_secs(60);

/// Shows website-monitor at work on real servers, and ends by itself.
#[derive(FromArgs)]
struct Arguments {
    /// leave everything running until Ctrl-C
    #[argh(switch)]
    keep: bool,
    /// use librdkafka's built-in broker in place of Apache Kafka: needs no Java
    #[argh(switch)]
    embedded: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = argh::from_env();
    match show(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(io::stderr(), "the demo ended early: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// All that runs.
struct Demo {
    agent: Agent,
    collector: Collector,
    topic: Topic,
    sites: Sites,
    database: Database,
    broker: Broker,
    /// Where the collectors show their pages, one after the other.
    pages: String,
}

fn show(arguments: &Arguments) -> Result<bool> {
    let mut screen = Screen::new();
    let mut demo = Demo::start(&mut screen, arguments.embedded)?;

    screen.say("Checks run every second; each result goes through the outbox and Kafka into PostgreSQL.")?;
    screen.say(&format!("The status page: http://{}/", demo.pages))?;
    demo.watch(&mut screen, 6)?;

    screen.say("Kafka is taken away. Checks go on, and their results wait in the agent's outbox.")?;
    demo.broker.take_away()?;
    demo.watch(&mut screen, 12)?;

    screen.say("Kafka comes back, and the outbox drains.")?;
    demo.broker.give_back()?;
    demo.watch_until(&mut screen, "the outbox is empty", |demo| {
        let pending = demo.agent.outbox_status()?.pending;
        ensure!(pending == 0, "{pending} results wait");
        Ok(())
    })?;

    screen.say("The agent is killed with -9 and started again.")?;
    let under_way = demo.kill_agent();
    demo.agent.start()?;
    demo.watch(&mut screen, 4)?;

    screen.say("The agent is stopped, and what is on its way arrives.")?;
    demo.agent.stop()?;
    demo.arrive(&mut screen)?;

    screen.say("The database forgets how far it had read, and the whole topic is read once more.")?;
    let rows = demo.rows()?;
    demo.collector.stop()?;
    demo.database.execute("delete from website_monitor.positions")?;
    demo.collector = collector(&demo.broker, &demo.database, "replay", &demo.pages)?;
    demo.arrive(&mut screen)?;
    screen.clear()?;

    let verification = demo.collector.verify()?;
    screen.say("\nwebsite-monitor-collector verify:")?;
    screen.say(demo.collector.verify_table()?.trim_end())?;
    let seen = Seen {
        rows,
        rows_after_replay: demo.rows()?,
        numbers: demo.database.count("(select distinct epoch_id, seq from website_monitor.results) numbers")?,
        replayed: demo.topic.len()?,
        requests: demo.sites.requests(),
        requests_stored: demo.database.count(&format!("{} where status_code is not null", view::VIEW))?,
        under_way,
        verification,
    };
    screen.say(&format!("\n{seen}"))?;
    if arguments.keep {
        demo.keep(&mut screen)?;
    }
    Ok(seen.is_well())
}

impl Demo {
    fn start(screen: &mut Screen, embedded: bool) -> Result<Demo> {
        let sites = Sites::start()?;
        screen.say("Starting PostgreSQL and Kafka …")?;
        let postgres = thread::spawn(Postgres::start_own);
        let broker = Broker::start(screen, embedded)?;
        let postgres = Arc::new(postgres.join().map_err(|_| anyhow!("PostgreSQL's thread has ended"))??);
        let database = postgres.database_named("website_monitor")?;
        let topic = Topic::at(&broker.address(), TOPIC, PARTITIONS);
        let pages = format!("127.0.0.1:{}", free_port()?);
        let collector = collector(&broker, &database, "website-monitor-collector", &pages)?;
        let setup = AgentSetup::new(&broker.address(), TOPIC).name("demo").set("kafka.partitions", PARTITIONS);
        let agent = sites.monitors(setup.set("kafka.create_topic", broker.creates_topics())).start()?;
        Ok(Demo { agent, collector, topic, sites, database, broker, pages })
    }

    /// Shows rows arriving for this many seconds.
    fn watch(&self, screen: &mut Screen, seconds: u64) -> Result<()> {
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        while std::time::Instant::now() < end {
            screen.show(&view::look(self)?)?;
            thread::sleep(Duration::from_millis(250));
        }
        Ok(())
    }

    fn watch_until(&self, screen: &mut Screen, what: &str, done: impl Fn(&Demo) -> Result<()>) -> Result<()> {
        within(BOUND, what, || {
            screen.show(&view::look(self)?)?;
            done(self)
        })
        .with_context(|| format!("the logs are in {}", self.agent.directory().display()))
    }

    /// Waits until the running collector has committed the whole topic.
    fn arrive(&self, screen: &mut Screen) -> Result<()> {
        self.watch_until(screen, "the collector has read the whole topic", |demo| {
            let lag = demo.topic.lag(&demo.collector.group)?;
            ensure!(lag == 0, "{lag} messages are still to be read");
            Ok(())
        })
    }

    /// Kills the agent, and says how many requests it had just asked, whose results are lost with it. A moment of
    /// rest makes that none.
    fn kill_agent(&self) -> u64 {
        within(Duration::from_secs(10), "no check is under way", || {
            ensure!(self.sites.under_way(Duration::from_millis(100)) == 0, "a check is under way");
            Ok(())
        })
        .ok();
        self.agent.kill();
        self.sites.under_way(Duration::from_millis(100))
    }

    fn rows(&self) -> Result<u64> {
        self.database.count(view::VIEW)
    }

    /// Starts what was stopped, says where everything is, and waits for Ctrl-C.
    fn keep(&self, screen: &mut Screen) -> Result<()> {
        self.agent.start()?;
        let server = &self.database.server;
        let password_file = self.collector.directory().join("pgpass");
        std::fs::write(&password_file, format!("*:*:*:*:{}\n", self.database.password()))?;
        std::fs::set_permissions(&password_file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        screen.say(&format!(
            "\nEverything keeps running until Ctrl-C.\n\
             pages      http://{}/\n\
             rows       PGPASSFILE={} psql -h 127.0.0.1 -p {} -U {} {} \\\n           \
             -c 'select * from {} order by checked_at desc limit 20'\n\
             agent      {}\n\
             collector  {}\n\
             kafka      {} (topic {TOPIC})\n\
             sites      {}",
            self.pages,
            password_file.display(),
            server.port(),
            self.database.user(),
            self.database.name(),
            view::VIEW,
            self.agent.config().display(),
            self.collector.config().display(),
            self.broker.address(),
            self.sites.url("/")
        ))?;
        loop {
            thread::park();
        }
    }
}

fn collector(broker: &Broker, database: &Database, group: &str, pages: &str) -> Result<Collector> {
    let create = broker.creates_topics();
    let setup = CollectorSetup::new(&broker.address(), TOPIC, group, database);
    setup.set("kafka.create_topic", create).set("http.listen", pages).start()
}
