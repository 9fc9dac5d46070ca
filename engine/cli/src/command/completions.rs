//! `completions`: a script for a shell.

use super::Failed;
use crate::report::say;
use clap::Command;
use clap_complete::{Shell, generate};

/// The script that completes a command line.
pub(crate) fn completions(shell: Shell, mut command: Command) -> Result<(), Failed> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    Ok(say(String::from_utf8_lossy(&script))?)
}
