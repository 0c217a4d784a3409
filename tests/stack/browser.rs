//! A Chromium without a window, spoken to by its DevTools protocol over two pipes: messages of JSON, each ended by NUL.
//! It ends when the pipes are closed, so with us.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the browser is made to look like.
pub struct Screen {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Whether it is a phone's.
    pub is_phone: bool,
    /// `light` or `dark`.
    pub scheme: &'static str,
}

/// A browser with one tab.
pub struct Browser {
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

const OPTIONS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
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
    /// A browser that runs.
    ///
    /// # Errors
    /// When the program doesn't run.
    pub fn start(program: &str) -> Result<Browser> {
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

    /// Looks like that from now on.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn show(&mut self, screen: &Screen) -> Result<()> {
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
    ///
    /// # Errors
    /// When no one answers, or with another status than 200.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let navigated = self.ask("Page.navigate", json!({"url": url}))?;
        if let Some(error) = navigated["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        self.loaded()?;
        let status = "String(performance.getEntriesByType('navigation')[0].responseStatus)";
        match &*self.text_of(status)? {
            "200" => Ok(()),
            status => bail!("{url} answers with status {status}"),
        }
    }

    /// What an expression of JavaScript says in the page.
    ///
    /// # Errors
    /// When it says no text.
    pub fn text_of(&mut self, expression: &str) -> Result<String> {
        let answer = self.ask("Runtime.evaluate", json!({"expression": expression}))?;
        answer["result"]["value"].as_str().map(Into::into).with_context(|| format!("{expression} says {answer}"))
    }

    /// The text of what a selector finds first.
    ///
    /// # Errors
    /// When it finds nothing.
    pub fn read(&mut self, selector: &str) -> Result<String> {
        self.text_of(&format!("document.querySelector({}).innerText", json!(selector)))
    }

    /// Clicks on what a selector finds first, and waits until the page that it leads to is there.
    ///
    /// # Errors
    /// When it finds nothing, or leads nowhere.
    pub fn follow(&mut self, selector: &str) -> Result<()> {
        let place = format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView(); const box = it.getBoundingClientRect(); \
             return `${{box.x + box.width / 2}} ${{box.y + box.height / 2}}`; }})()",
            json!(selector)
        );
        let place = self.text_of(&place)?;
        let (x, y) = place.split_once(' ').context("no place")?;
        let (x, y): (f64, f64) = (x.parse()?, y.parse()?);
        for event in ["mousePressed", "mouseReleased"] {
            let at = json!({"type": event, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", at)?;
        }
        self.loaded()
    }

    /// Presses a key, such as `Tab`.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn press(&mut self, key: &str, code: u32) -> Result<()> {
        for event in ["rawKeyDown", "char", "keyUp"] {
            let text = if key == "Enter" { "\r" } else { "" };
            let pressed = json!({"type": event, "key": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask("Input.dispatchKeyEvent", pressed)?;
        }
        Ok(())
    }

    /// Waits until the page that was asked for is there.
    ///
    /// # Errors
    /// When the browser ends.
    pub fn loaded(&mut self) -> Result<()> {
        self.until(|message| message["method"] == "Page.loadEventFired").map(drop)
    }

    /// What is to be seen, as PNG.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn picture(&mut self) -> Result<Vec<u8>> {
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
