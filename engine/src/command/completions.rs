//! `completions`: a script for a shell.

use super::Failed;
use crate::report::say;
use clap_complete::{Shell, generate};

pub(crate) fn completions(shell: Shell) -> Result<(), Failed> {
    let mut command = crate::cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    say(String::from_utf8_lossy(&script));
    Ok(())
}
