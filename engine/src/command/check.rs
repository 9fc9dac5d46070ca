//! `check`: the file alone.

use super::Failed;
use crate::report::{counted, say};
use std::path::Path;

pub(crate) fn check(file: &Path) -> Result<(), Failed> {
    let loaded = super::load(file)?;
    let flows = counted(loaded.built.len() as u64, "flow");
    say(format!("{}: pipeline {} with {flows} is fine", file.display(), loaded.pipeline.name));
    Ok(())
}
