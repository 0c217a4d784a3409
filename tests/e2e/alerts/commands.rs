//! The command `alerts test` sends a message before anything fails. The tests ask whether receivers get it.

use std::fs;

use anyhow::Result;
use e2e::Stack;
use e2e::certificates::Authority;
use e2e::mail::Mail;
use e2e::web::{Answer, Web};
use serde_json::{Value, json};

#[test]
fn a_test_message_reaches_each_receiver_and_the_exit_code_says_whether() -> Result<()> {
    let (stack, mail) = (Stack::start()?, Mail::start()?);
    let authority = Authority::new("alerts")?;
    let secured = Web::start_secured(&authority)?;
    let hook = json!({"url": secured.site("/hook", Answer::ok("")), "ca_file": authority.ca_file()});
    let stranger = json!({"url": secured.url("/stranger/s3cret")});
    let directory = e2e::directory::directory("told")?;
    let file = directory.join("told.json");
    let command = json!({"argv": ["/bin/sh", "-c", format!("cat > '{}'", file.display())]});
    let email = json!({
        "host": "127.0.0.1", "port": mail.port(), "tls": "none", "from": "m@example.org", "to": "ops@example.org",
    });
    let receivers = json!([
        {"name": "hook", "webhook": hook}, {"name": "mail", "email": email}, {"name": "page", "command": command},
        {"name": "stranger", "webhook": stranger},
    ]);
    let collector = stack.collector().set("alerts", json!({"receivers": receivers})).build()?;

    let some = ["hook", "mail", "page"].map(|name| ["--receiver", name]).concat();
    let ended = collector.command(&[&["alerts", "test"], &some[..]].concat())?;
    assert_eq!(
        (ended.code(), ended.stdout.as_str()),
        (Some(0), "hook: told\nmail (ops@example.org): told\npage: told\n"),
        "{}",
        ended.stderr
    );
    let body: Value = serde_json::from_slice(&secured.requests()[0].body)?;
    assert_eq!(body["status"], "test");
    assert_eq!(mail.letters()[0].header("Subject").as_deref(), Some("TEST: test: test"));
    let told: Value = serde_json::from_slice(&fs::read(file)?)?;
    assert_eq!(told["receiver"], "page");

    let ended = collector.command(&["alerts", "test"])?;
    assert_eq!(ended.code(), Some(69));
    assert!(ended.stderr.contains("stranger: ") && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
    assert_eq!(secured.count("/stranger/s3cret"), 0, "it proved nothing, and was told nothing");

    let ended = collector.command(&["alerts", "test", "--receiver", "nobody"])?;
    assert_eq!(ended.code(), Some(1));
    assert!(
        ended.stderr.contains("\"nobody\" is no receiver; write one of: hook, mail, page, stranger"),
        "{}",
        ended.stderr
    );
    Ok(())
}
