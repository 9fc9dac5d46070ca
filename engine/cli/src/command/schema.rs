//! `schema`: the pipeline file as a JSON Schema.

use super::Failed;
use crate::report::say;

pub(crate) fn schema() -> Result<(), Failed> {
    let schema = pipeline::schema().map_err(Failed::Running)?;
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failed::Running(error.to_string()))?;
    Ok(say(text)?)
}
