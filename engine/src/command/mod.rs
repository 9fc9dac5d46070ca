//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stages;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod verify;

use crate::config::{self, Loaded};
use std::path::Path;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The command line or the file is wrong.
    Usage(String),
    /// It failed while running.
    Running(String),
    /// It ran, and what it has to say has been printed.
    Said,
}

/// What is said of a look that never came back.
const PANICKED: &str = "asking it ended in a panic; this is a bug in weatherflow";

/// Reads and checks a file; every command goes through here, so that all accept the same files.
fn load(file: &Path) -> Result<Loaded, Failed> {
    config::load(file).map_err(|errors| Failed::Usage(errors.render(console::colors_enabled_stderr())))
}
