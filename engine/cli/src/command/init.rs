//! `init`: a new pipeline file to begin with.

use super::Failed;
use crate::report::say;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use pipeline::{catalogue, is_name, template};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What `init` can be told.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The pipeline's name, and its file's: NAME.toml.
    #[arg(default_value = "pipeline")]
    name: PathBuf,
    /// Where rows come from.
    #[arg(long, value_name = "KIND", default_value = "weather", value_parser = kinds("source"))]
    source: String,
    /// Where rows go.
    #[arg(long, value_name = "KIND", default_value = "parquet", value_parser = kinds("sink"))]
    sink: String,
}

fn kinds(slot: &str) -> PossibleValuesParser {
    let stages = catalogue().into_iter().filter(|stage| stage.slot == slot);
    PossibleValuesParser::new(stages.map(|stage| PossibleValue::new(stage.kind)))
}

pub(crate) fn init(args: &InitArgs) -> Result<(), Failed> {
    let mut file = args.name.clone();
    if file.extension().is_none_or(|extension| extension != "toml") {
        file.as_mut_os_string().push(".toml");
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    if !is_name(&name) {
        return Err(Failed::Usage(format!(
            "`{name}` cannot name a pipeline: a name has lower-case letters, digits, `_` and `-`"
        )));
    }
    let text = template(&name, &args.source, &args.sink);
    // Never over a file that is there, whoever else writes at this moment.
    let written = File::create_new(&file).and_then(|mut new| new.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failed::Usage(format!("{} is there already; give another name", file.display())),
        _ => Failed::Running(format!("cannot write {}: {error}", file.display())),
    })?;
    let file = file.display();
    Ok(say(format!(
        "wrote {file}: {} to {}\n\n\
         Change it to your needs, then:\n  \
         weatherflow check {file}\n  \
         weatherflow graph {file}\n  \
         weatherflow run {file}\n\n\
         weatherflow stages shows all that a flow can be made of.\n\n\
         An editor completes and explains the file after\n  \
         weatherflow schema > weatherflow.schema.json\n\
         and with `#:schema weatherflow.schema.json` as its first line.",
        args.source, args.sink
    ))?)
}
