//! `graph`: the compiled graph. Reads how far the flows are and touches nothing.

use super::Failed;
use crate::report::graph::{Format, Graph};
use crate::report::{say, width};
use clap::Args;
use runtime::plan::Plan;
use std::path::PathBuf;

/// What `graph` can be told.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The pipeline file.
    file: PathBuf,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub(crate) fn graph(args: &GraphArgs) -> Result<(), Failed> {
    let plan = Plan::new(super::load(&args.file)?, None, 1).map_err(Failed::Usage)?;
    print(&plan, args.format)
}

/// Prints the graph of a plan; `run --dry-run` prints it too.
pub(super) fn print(plan: &Plan, format: Format) -> Result<(), Failed> {
    Ok(say(Graph::of(plan).render(format, width()))?)
}
