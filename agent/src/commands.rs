//! Runs each command, and gives its exit code.
//!
//! Each command except `run` writes to the stream that it is given and returns the exit code.

pub mod check_config;
pub mod once;
pub mod outbox_export;
pub mod outbox_import;
pub mod outbox_status;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::{Arguments, Command, OutboxSubcommand};
use crate::config::{self, Config};
use crate::outbox::{self, OpenError};
use crate::run::{RunError, run};

/// Exit code: what the command looks for was found, such as a check that fails or an entry that is skipped.
pub const FOUND: u8 = 1;
/// Exit code: a part that is needed is not there.
pub const UNAVAILABLE: u8 = 69;
/// Exit code: another agent has the outbox.
pub const LOCKED: u8 = 75;
/// Exit code: the configuration, or what it names, is not one that can run; or the file is not one that can be imported.
pub const CONFIGURATION: u8 = 78;

/// Does what the command line says; with which code it ends.
pub fn execute(arguments: Arguments) -> ExitCode {
    let out = &mut io::stdout().lock();
    let done = match arguments.command {
        Command::Run(run) => run_agent(&run.config),
        Command::CheckConfig(check) => check_config::run(&check.config, check.format, out),
        Command::ConfigSchema(_) => writeln!(out, "{:#}", config::schema()).map(|()| 0),
        Command::Once(once) => {
            return with_config(&once.config, |config| once::run(&config, &once.monitors, once.format, out));
        }
        Command::Outbox(outbox) => match outbox.command {
            OutboxSubcommand::Status(status) => {
                return with_config(&status.config, |config| outbox_status::run(&config, status.format, out));
            }
            OutboxSubcommand::Export(export) => {
                return with_config(&export.config, |config| outbox_export::run(&config, &export.file, out));
            }
            OutboxSubcommand::Import(import) => {
                return with_config(&import.config, |config| outbox_import::run(&config, &import.file, out));
            }
        },
        Command::Version(_) => writeln!(out, "website-monitor-agent {}", env!("CARGO_PKG_VERSION")).map(|()| 0),
    };
    exit_code(done)
}

/// Runs a command on a configuration; one that is refused says everything that is wrong with it.
fn with_config(path: &Path, command: impl FnOnce(Config) -> io::Result<u8>) -> ExitCode {
    match load(path) {
        Some(config) => exit_code(command(config)),
        None => ExitCode::from(CONFIGURATION),
    }
}

/// The configuration, if it is one that can run.
fn load(path: &Path) -> Option<Config> {
    match Config::load(path) {
        Ok(config) => {
            config.log.init();
            Some(config)
        }
        Err(refused) => {
            settings::Log::default().init();
            for fault in refused.faults {
                log::error!("{fault}");
            }
            log::error!("the configuration is refused; `website-monitor-agent check-config` shows it whole");
            None
        }
    }
}

fn exit_code(done: io::Result<u8>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        // Anyone who read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(UNAVAILABLE)
        }
    }
}

/// Of many checking threads few run at a time: heaps of their own take memory and save nothing that can be measured.
const HEAPS: i32 = 2;

/// What a running agent is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Read the configuration again.
    hangup: Signal,
}

impl Signals {
    fn take(runtime: &Runtime) -> io::Result<Signals> {
        let _context = runtime.enter();
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

fn run_agent(file: &Path) -> io::Result<u8> {
    settings::give_back_pieces_from(outbox::LARGE);
    settings::share_heaps(HEAPS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything else, so that a stop is clean and a reload harmless from the first moment on.
    let mut signals = Signals::take(&runtime)?;
    let Some(config) = load(file) else { return Ok(CONFIGURATION) };
    let Signals { terminate, interrupt, hangup } = &mut signals;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let reload = async || {
        hangup.recv().await;
    };
    let ran = runtime.block_on(run(config, stop, reload));
    // A thread that hangs in a disk or a resolver must not hold up the end.
    runtime.shutdown_background();
    let Err(error) = ran else { return Ok(0) };
    log::error!("{error}");
    Ok(match error {
        RunError::Outbox(OpenError::Locked { .. }) => LOCKED,
        RunError::Outbox(OpenError::LaterVersion { .. }) | RunError::Kafka(_) => CONFIGURATION,
        RunError::Outbox(OpenError::Io { source, .. })
            if matches!(
                source.kind(),
                // Of a directory that exists, the last one says that it is something else. Rights may be given while the
                // agent is tried again.
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists
            ) =>
        {
            CONFIGURATION
        }
        _ => UNAVAILABLE,
    })
}
