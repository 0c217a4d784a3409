//! A Chromium without a window, spoken to by its DevTools protocol over two pipes: messages of JSON, each ended by NUL.
//! It ends when the pipes are closed, so with us.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the browser is made to look like.
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_phone: bool,
    /// `light` or `dark`.
    pub(crate) scheme: &'static str,
}

pub(crate) struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// The number of the latest command.
    latest: u64,
    /// Of the one tab.
    session: Option<String>,
    // Lives as long as the browser.
    _profile: TempDir,
}

const OPTIONS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "--no-startup-window",
];

impl Browser {
    pub(crate) fn start(program: &str) -> Result<Browser> {
        let profile = TempDir::new()?;
        // The browser reads its third descriptor and writes to its fourth.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null", "sh", program]).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("can't start a shell")?;
        let input = child.stdin.take().context("has no stdin")?;
        let output = BufReader::new(child.stdout.take().context("has no stdout")?);
        let mut browser = Browser { child, input, output, latest: 0, session: None, _profile: profile };
        let target = browser
            .ask("Target.createTarget", json!({"url": "about:blank"}))
            .with_context(|| format!("{program} doesn't run: install chromium, or name another browser of its kind"))?;
        let attached =
            browser.ask("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}))?;
        browser.session = attached["sessionId"].as_str().map(Into::into);
        browser.ask("Page.enable", json!({}))?;
        Ok(browser)
    }

    pub(crate) fn show(&mut self, screen: &Screen) -> Result<()> {
        let Screen { width, height, is_phone, scheme } = screen;
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}),
        )?;
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}))?;
        Ok(())
    }

    /// Opens an address and waits until all of it is there.
    pub(crate) fn open(&mut self, url: &str) -> Result<()> {
        let navigated = self.ask("Page.navigate", json!({"url": url}))?;
        if let Some(error) = navigated["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        self.until(|message| message["method"] == "Page.loadEventFired")?;
        let status = "String(performance.getEntriesByType('navigation')[0].responseStatus)";
        match &*self.text_of(status)? {
            "200" => Ok(()),
            status => bail!("{url} answers with status {status}"),
        }
    }

    /// What an expression of JavaScript says in the page.
    pub(crate) fn text_of(&mut self, expression: &str) -> Result<String> {
        let answer = self.ask("Runtime.evaluate", json!({"expression": expression}))?;
        answer["result"]["value"].as_str().map(Into::into).with_context(|| format!("{expression} says {answer}"))
    }

    /// What is to be seen, as PNG.
    pub(crate) fn picture(&mut self) -> Result<Vec<u8>> {
        let answer = self.ask("Page.captureScreenshot", json!({"format": "png"}))?;
        let data = answer["data"].as_str().context("there is no picture")?;
        Ok(openssl::base64::decode_block(data)?)
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.latest += 1;
        let id = self.latest;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes())?;
        let mut answer = self.until(|message| message["id"] == id)?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer["result"].take()),
        }
    }

    /// The next message of a kind; others are not heeded.
    fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let mut message = Vec::new();
            self.output.read_until(0, &mut message)?;
            if message.pop() != Some(0) {
                bail!("the browser has ended");
            }
            let message: Value = serde_json::from_slice(&message)?;
            if is_it(&message) {
                return Ok(message);
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
