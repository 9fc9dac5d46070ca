//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod graph;
pub(crate) mod help;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stages;
pub(crate) mod status;
pub(crate) mod tap;
pub(crate) mod test;
pub(crate) mod verify;

use crate::report::Unprinted;
use pipeline::{Diagnostics, Loaded};
use runtime::Halt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::Path;
use std::sync::Arc;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The command line is wrong.
    Usage(String),
    /// The file is wrong.
    File(Box<Diagnostics>),
    /// It failed while running.
    Running(String),
    /// It ran, and what it has to say has been printed.
    Said,
}

/// What is said of a look that never came back.
const PANICKED: &str = "asking it ended in a panic; this is a bug in weatherflow";

impl From<operators_core::Error> for Failed {
    fn from(error: operators_core::Error) -> Self {
        Self::Running(error.to_string())
    }
}

impl From<Unprinted> for Failed {
    fn from(Unprinted(error): Unprinted) -> Self {
        Self::Running(format!("cannot print: {error}"))
    }
}

/// Reads and checks a file; every command goes through here, so that all accept the same files.
fn load(file: &Path) -> Result<Loaded, Failed> {
    pipeline::load(file).map_err(|errors| Failed::File(Box::new(errors)))
}

/// The first Ctrl-C or SIGTERM stops what goes on in its own time; the second ends the process where it stands.
fn stop_on_signals(halt: &Arc<Halt>) -> Result<(), Failed> {
    let listen = || {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let halt = Arc::clone(halt);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut signals = signals.forever();
            if signals.next().is_some() {
                halt.stop();
            }
            if signals.next().is_some() {
                std::process::exit(1);
            }
        })
    };
    listen().map(drop).map_err(|error: std::io::Error| Failed::Running(format!("cannot listen for Ctrl-C: {error}")))
}
