//! The test asks whether passwords reach the site that they are for, and whether they are shown nowhere else.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::agent::AgentSetup;
use e2e::directory::directory;
use e2e::eventually;
use e2e::ports::free_port;
use e2e::web::{Answer, Web};
use serde_json::json;

/// A part of every secret of this test.
const SECRET: &str = "s3cret";

/// The forms in which a secret could appear elsewhere: the plain text, and the text within the base64 of a basic
/// authentication, which depends on the place where the secret begins.
const SHAPES: [&str; 4] = [SECRET, "czNjcmV0", "MzY3JldA", "zM2NyZX"];

#[test]
fn secrets_reach_their_site_and_are_shown_nowhere_else() -> Result<()> {
    let (web, other) = (Web::start()?, Web::start()?);
    let place = directory("secrets")?;
    let file = |name: &str| -> Result<String> {
        let path = place.join(name);
        fs::write(&path, format!("{SECRET}-in-{name}\n"))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let away = Answer::status(302).header("Location", &other.site("/away", Answer::ok("away")));
    let with_user = web.site("/user", Answer::ok("hello")).replace("http://", &format!("http://me:{SECRET}-url@"));
    let refused = format!("http://me:{SECRET}-refused@127.0.0.1:{}/", free_port()?);
    let agent = AgentSetup::new(&format!("127.0.0.1:{}", free_port()?), "topic")
        .set("log.level", "trace")
        .monitor("user in the url", with_user)
        .monitor("no one there", refused)
        .monitor("header", web.site("/header", Answer::status(503)))
        .option("headers", json!({"X-Key": format!("{SECRET}-header"), "X-Other_file": file("header")?}))
        .monitor("body", web.site("/body", Answer::ok("hello")))
        .option("method", "POST")
        .option("body_file", file("body")?)
        .pattern("not there")
        .monitor("login", web.site("/login", Answer::ok("hello")))
        .option("basic_auth", json!({"username": "me", "password_file": file("password")?}))
        .monitor("token", web.site("/token", away))
        .option("bearer_token", format!("{SECRET}-token"))
        .monitor("port", format!("tcp://127.0.0.1:{}", web.port()))
        .option("send", format!("GET /port HTTP/1.1\r\nX: {SECRET}-send\r\n\r\n"))
        .option("send_first", true)
        .pattern("no such thing")
        .option("timeout", "500ms")
        .monitor("no good url", format!("gopher://me:{SECRET}-bad@host/"))
        .monitor("no good header", web.url("/bad"))
        .option("headers", json!({"Connection": format!("{SECRET}-connection"), "X": format!("{SECRET}\n")}))
        .monitor("no good login", web.url("/bad"))
        .option("basic_auth", json!({"username": "me", "password": [format!("{SECRET}-list")]}))
        .build()?;

    let mut shown = Vec::new();
    for arguments in [&["once"][..], &["once", "--format", "json"], &["check-config"]] {
        let ended = agent.command(arguments)?;
        assert_eq!(ended.code(), Some(1), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        shown.extend([(arguments.join(" "), ended.stdout), (arguments.join(" "), ended.stderr)]);
    }
    agent.start()?;
    let process = agent.id().context("it runs")?;
    let seen = web.total();
    eventually("it checks", || {
        ensure!(web.total() > seen + 10, "{}", agent.log());
        Ok(())
    });
    for name in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{process}/{name}"))?;
        shown.push((name.into(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    agent.stop()?;
    shown.push(("the log".into(), agent.log()));
    let exported = place.join("exported");
    let ended = agent.command(&["outbox", "export", &exported.to_string_lossy()])?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    shown.push(("the results".into(), String::from_utf8_lossy(&fs::read(&exported)?).into_owned()));
    for request in other.requests() {
        shown.push(("another site".into(), format!("{request:?}")));
    }

    for (place, text) in &shown {
        for shape in SHAPES {
            let line = text.lines().find(|line| line.contains(shape));
            assert_eq!(line, None, "{place} shows a secret");
        }
    }
    assert!(other.total() > 0, "no one was led to the other site");
    let sent = format!("{:?}", web.requests());
    for secret in ["header", "in-header", "token"] {
        assert!(sent.contains(&format!("{SECRET}-{secret}")), "{secret} did not arrive: {sent}");
    }
    Ok(())
}
