//! Pictures of the status pages as a browser shows them: at a desk and on a phone, light and dark, small enough to stand
//! in a README.

mod fleet;
mod picture;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use argh::FromArgs;

use e2e::browser::{Browser, Screen};
use fleet::Fleet;

/// The most bytes of all pictures together.
const BOUND: usize = 300_000;

/// A screen's name, its width in pixels, and whether it is a phone's.
const SCREENS: [(&str, u32, bool); 2] = [("desk", 1280, false), ("phone", 375, true)];

/// Takes pictures of a collector's status pages.
#[derive(FromArgs)]
struct Arguments {
    /// where a collector answers, such as http://127.0.0.1:8080; where it isn't given, one shows a made-up fleet
    #[argh(option)]
    url: Option<String>,
    /// the directory for the pictures
    #[argh(option)]
    into: PathBuf,
    /// id of the monitor that is shown at length, encoded for an address; the first of the page where it isn't given
    #[argh(option)]
    monitor: Option<String>,
    /// how many pixels high pictures are
    #[argh(option, default = "600")]
    height: u32,
    /// the browser
    #[argh(option, default = "\"chromium\".into()")]
    browser: String,
}

fn main() -> ExitCode {
    match take(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "no pictures: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

fn take(arguments: &Arguments) -> Result<()> {
    let fleet = arguments.url.is_none().then(Fleet::start).transpose()?;
    let of_fleet = fleet.as_ref().map(Fleet::url).transpose()?;
    let base = arguments.url.clone().or(of_fleet).unwrap_or_default();
    let base = base.trim_end_matches('/');
    fs::create_dir_all(&arguments.into).with_context(|| format!("can't make {}", arguments.into.display()))?;
    let mut browser = Browser::start(&arguments.browser)?;
    let monitor = match &arguments.monitor {
        Some(id) => format!("/monitors/{id}"),
        None => {
            browser.open(&format!("{base}/"))?;
            browser.text_of("document.querySelector('a[href^=\"/monitors/\"]')?.getAttribute('href') ?? ''")?
        }
    };
    ensure!(!monitor.is_empty(), "{base}/ shows no monitor");
    let mut bytes = 0;
    for (name, path) in [("monitors", "/"), ("monitor", &*monitor), ("agents", "/agents"), ("public", "/public")] {
        for (screen, width, is_phone) in SCREENS {
            for scheme in ["light", "dark"] {
                browser.show(&Screen { width, height: arguments.height, is_phone, scheme })?;
                browser.open(&format!("{base}{path}"))?;
                let png = picture::small(&browser.picture()?)?;
                let file = arguments.into.join(format!("{name}-{screen}-{scheme}.png"));
                fs::write(&file, &png).with_context(|| format!("can't write {}", file.display()))?;
                writeln!(io::stdout(), "{} {} bytes", file.display(), png.len())?;
                bytes += png.len();
            }
        }
    }
    ensure!(bytes <= BOUND, "together they have {bytes} bytes; {BOUND} are the bound");
    Ok(())
}
