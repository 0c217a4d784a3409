//! Tests the test environment itself: the servers and helpers on which the other tests rely.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::eventually;
use e2e::kafka::Kafka;
use e2e::postgres::Postgres;
use e2e::process::Process;
use e2e::proxy::Proxy;
use e2e::web::{Answer, Web};

#[test]
fn kafka_gives_back_what_it_was_given() -> Result<()> {
    let topic = Kafka::shared()?.topic(3)?;
    topic.produce_all([(Some(&b"a"[..]), Some(&b"1"[..])), (None, None), (Some(b"a"), Some(b"2"))])?;

    let messages = topic.messages()?;

    let of_a: Vec<_> = messages.iter().filter(|message| message.key.as_deref() == Some(b"a")).collect();
    assert_eq!(of_a.iter().map(|message| message.value.as_deref()).collect::<Vec<_>>(), [Some(&b"1"[..]), Some(b"2")]);
    assert_eq!((messages.len(), topic.len()?, topic.lag("nobody")?), (3, 3, 3));
    topic.rewind("nobody")?;
    assert_eq!(topic.committed("nobody")?, [0, 0, 0]);
    Ok(())
}

#[test]
fn kafka_keeps_its_messages_over_a_stop_and_a_kill() -> Result<()> {
    let kafka = Arc::new(Kafka::start_own(1)?);
    let topic = kafka.topic(1)?;
    topic.produce(None, Some(b"before"))?;
    kafka.stop()?;
    kafka.start()?;
    topic.produce(None, Some(b"between"))?;
    kafka.kill()?;
    kafka.start()?;
    eventually("both messages are there", || {
        let count = topic.messages()?.len();
        ensure!(count == 2, "{count} messages");
        Ok(())
    });
    Ok(())
}

#[test]
fn postgres_keeps_its_rows_over_a_stop_and_a_kill() -> Result<()> {
    let postgres = Arc::new(Postgres::start_own()?);
    let database = postgres.database()?;
    database.execute("create table t (n int); insert into t values (1)")?;
    postgres.stop()?;
    assert!(database.count("t").is_err());
    postgres.start()?;
    database.execute("insert into t values (2)")?;
    postgres.kill()?;
    eventually("the other processes let go", || postgres.start());
    assert_eq!(database.rows::<serde_json::Value>("select * from t order by n")?.len(), 2);
    Ok(())
}

#[test]
fn tests_do_not_see_each_others_databases() -> Result<()> {
    let (one, other) = (Postgres::shared()?.database()?, Postgres::shared()?.database()?);
    one.execute("create table t (n int)")?;
    assert!(other.count("t").is_err());
    Ok(())
}

#[test]
fn a_proxy_cuts_hangs_refuses_and_opens_again() -> Result<()> {
    let web = Web::start()?;
    web.site("/", Answer::ok("here"));
    let proxy = Proxy::start("127.0.0.1", web.port())?;
    let ask = || -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port()))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.ends_with("here"), "cut off: {answer}");
        Ok(answer)
    };
    let patient = || eventually("an answer", ask);
    patient();

    proxy.hang()?;
    assert!(TcpStream::connect(("127.0.0.1", proxy.port())).is_ok());
    let asked = web.total();
    assert!(ask().is_err());
    assert_eq!(web.total(), asked);
    proxy.open()?;
    patient();

    let mut open = TcpStream::connect(("127.0.0.1", proxy.port()))?;
    proxy.refuse();
    assert!(TcpStream::connect(("127.0.0.1", proxy.port())).is_err());
    assert!(matches!(open.read(&mut [0]), Ok(0) | Err(_)));
    proxy.open()?;
    patient();
    Ok(())
}

#[test]
fn a_web_server_knows_what_it_was_asked() -> Result<()> {
    let web = Web::start()?;
    web.site("/slow", Answer::status(500).after(Duration::from_millis(1)));
    let mut stream = TcpStream::connect(("127.0.0.1", web.port()))?;
    stream.write_all(b"GET /slow?x=1 HTTP/1.1\r\nHost: Here\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    web.await_idle();
    let request = &web.requests()[0];
    assert_eq!((request.path.as_str(), request.headers["host"].as_str()), ("/slow?x=1", "Here"));
    Ok(())
}

#[test]
fn a_process_ends_with_the_one_that_started_it() -> Result<()> {
    if let Ok(file) = std::env::var("STACK_TEST_CHILD") {
        // This process is the test process that will be killed.
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let at = e2e::directory::directory("sleep")?;
        let process = std::thread::spawn(move || Process::start("sleep", &at, sleep)).join().expect("no panic")?;
        process.pause();
        std::fs::write(file, process.id().to_string())?;
        std::thread::park();
        return Ok(());
    }
    let file = e2e::directory::directory("pid")?.join("pid");
    let mut ourselves = Command::new(std::env::current_exe()?);
    ourselves.arg("a_process_ends_with_the_one_that_started_it").env("STACK_TEST_CHILD", &file);
    let at = e2e::directory::directory("ourselves")?;
    let tests = Process::start("ourselves", &at, ourselves)?;
    let sleeper: u32 = eventually("the process runs", || Ok(std::fs::read_to_string(&file)?.parse()?));
    assert!(is_alive(sleeper));

    tests.kill();

    eventually("the process has ended", || {
        ensure!(!is_alive(sleeper), "it runs");
        Ok(())
    });
    Ok(())
}

fn is_alive(pid: u32) -> bool {
    // A process that has ended is a zombie until its parent has waited for it. It does not count as alive.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
