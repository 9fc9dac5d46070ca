//! `check`: the file alone.

use super::Failed;
use crate::report::say;
use std::path::Path;

pub(crate) fn check(file: &Path) -> Result<(), Failed> {
    let loaded = super::load(file)?;
    let flows = loaded.built.len();
    let plural = if flows == 1 { "" } else { "s" };
    say(format!("{}: pipeline {} with {flows} flow{plural} is fine", file.display(), loaded.pipeline.name));
    Ok(())
}
