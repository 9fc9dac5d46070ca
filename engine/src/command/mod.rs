//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod run;
pub(crate) mod verify;

use crate::cli::Failed;
use crate::config::{self, Loaded};
use std::io::IsTerminal;
use std::path::Path;

/// Reads and checks a file; every command goes through here, so that all accept the same files.
fn load(file: &Path) -> Result<Loaded, Failed> {
    config::load(file).map_err(|errors| Failed::Usage(errors.render(std::io::stderr().is_terminal())))
}
