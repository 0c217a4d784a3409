//! The program `website-monitor-collector`: it reads the command line and executes its command.

use std::process::ExitCode;

use collector::arguments::Arguments;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> anyhow::Result<ExitCode> {
    settings::keep_openssl_at_exit();
    collector::commands::execute(&argh::from_env::<Arguments>(), stop())
}

/// Waits for SIGTERM or SIGINT.
async fn stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        log::error!("signals can't be received: only SIGKILL ends this process");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
