//! A real browser opens the status pages. The tests ask whether a reader finds what fails, why it fails, and which
//! agent is silent.

use anyhow::{Context, Result, ensure};
use e2e::browser::{Browser, Screen};
use e2e::collector::Collector;
use e2e::web::Answer;
use e2e::{Stack, eventually};

const CHROMIUM: &str = "chromium";
const TAB: u32 = 9;
const ENTER: u32 = 13;

fn listening(stack: &Stack) -> Result<(Collector, String)> {
    let collector = stack.collector().with_pages()?.start()?;
    let url = format!("http://{}", collector.listens()?);
    Ok((collector, url))
}

/// Opens a page again and again until it has the wanted text, because a page shows a snapshot that is some seconds old.
fn await_text(browser: &mut Browser, url: &str, wanted: &str) {
    eventually(&format!("{url} says {wanted:?}"), || {
        browser.open(url)?;
        let text = browser.read("main")?;
        ensure!(text.contains(wanted), "{text}");
        Ok(())
    });
}

#[test]
fn a_monitor_that_fails_is_found_on_top_and_its_page_says_why_and_who_says_so() -> Result<()> {
    let stack = Stack::start()?;
    let (_collector, url) = listening(&stack)?;
    let fine = stack.web.site("/fine", Answer::ok("Welcome"));
    let broken = stack.web.site("/broken", Answer::status(503));
    let agent = stack.agent().interval("1s").monitor("all is well <b>", fine).monitor("checkout", broken).start()?;

    let mut browser = Browser::start(CHROMIUM)?;
    for (width, is_phone) in [(1280, false), (375, true)] {
        browser.show(&Screen { width, height: 800, is_phone, scheme: "dark" })?;
        await_text(&mut browser, &url, "all is well <b>");
        eventually("what fails is on top", || {
            browser.open(&url)?;
            let first = browser.read("table.monitors tbody tr")?;
            ensure!(first.contains("checkout") && first.to_lowercase().contains("down"), "{first}");
            Ok(())
        });

        browser.follow("table.monitors tbody tr a[href^='/monitors/']")?;

        assert_eq!(browser.read("h1")?, "checkout");
        let says = browser.read("main")?;
        ensure!(says.contains("503") && says.contains("status mismatch"), "{says}");
        let wide = browser.text_of("String(document.documentElement.scrollWidth - window.innerWidth)")?;
        ensure!(wide.parse::<f64>()? <= 0.0, "the page is {wide} pixels wider than its screen of {width}");
    }
    ensure!(agent.is_running(), "{}", agent.log());
    Ok(())
}

#[test]
fn a_silent_agent_stands_first_among_the_agents_and_a_monitor_that_only_it_looked_at_is_not_fine() -> Result<()> {
    let stack = Stack::start()?;
    let (collector, url) = listening(&stack)?;
    let site = stack.web.site("/", Answer::ok("Welcome"));
    let talking = stack.agent().name("talking").interval("1s").monitor("shop", &site).start()?;
    let silent = stack.agent().name("silent").interval("1s").monitor("far away", &site).start()?;
    let mut browser = Browser::start(CHROMIUM)?;
    await_text(&mut browser, &url, "far away");
    await_text(&mut browser, &url, "shop");

    silent.kill();
    // The times are moved back, as if it were four minutes later.
    let its = "where agent_id = (select agent_id from website_monitor.agents where name = 'silent')";
    stack.database.execute(&format!(
        "select website_monitor.make_results_partition((now() - interval '1 day')::date);
         update website_monitor.agents set last_seen = last_seen - interval '4 minutes' {its};
         update website_monitor.results set checked_at = checked_at - interval '4 minutes'
         where epoch_id in (select epoch_id from website_monitor.epochs {its})"
    ))?;
    eventually("it is told of the silent agent's monitor that nothing is known", || {
        browser.open(&url)?;
        let first = browser.read("table.monitors tbody tr")?;
        ensure!(first.contains("far away") && first.to_lowercase().contains("unknown"), "{first}\n{}", collector.log());
        Ok(())
    });

    browser.follow("nav a[href='/agents']")?;

    eventually("the silent agent is told of first", || {
        browser.open(&format!("{url}/agents"))?;
        let (state, name) = (browser.read("table.agents tbody td.state")?, browser.read("table.agents tbody th")?);
        ensure!(state.to_lowercase().contains("silent") && name.contains("silent"), "{state} {name}");
        Ok(())
    });
    ensure!(talking.is_running(), "{}", talking.log());
    Ok(())
}

#[test]
fn pages_are_read_with_the_keyboard_alone() -> Result<()> {
    let stack = Stack::start()?;
    let (_collector, url) = listening(&stack)?;
    let site = stack.web.site("/", Answer::ok("Welcome"));
    let _agent = stack.agent().interval("1s").monitor("shop", &site).start()?;
    let mut browser = Browser::start(CHROMIUM)?;
    await_text(&mut browser, &url, "shop");

    browser.press("Tab", TAB)?;
    let focused = browser.text_of("document.activeElement.innerText")?;
    assert_eq!(focused, "Skip to content");
    browser.press("Enter", ENTER)?;
    let reached = (0..30).find_map(|_| {
        browser.press("Tab", TAB).ok()?;
        let link = browser.text_of("document.activeElement.getAttribute('href') ?? ''").ok()?;
        link.starts_with("/monitors/").then_some(link)
    });
    let link = reached.context("no monitor can be reached")?;
    browser.press("Enter", ENTER)?;
    browser.loaded()?;
    assert_eq!(browser.text_of("location.pathname")?, link);
    assert_eq!(browser.read("h1")?, "shop");
    Ok(())
}
