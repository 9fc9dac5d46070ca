//! `run`: says what it will do, does it, shows it, sums it up.

use super::Failed;
use crate::halt::Halt;
use crate::plan::Plan;
use crate::report::{self, Watch, say};
use crate::run::Running;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// What `run` can be told.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// Print the compiled graph and the resume positions, and touch nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Stop once every source has ended or caught up and everything is committed.
    #[arg(long)]
    pub(crate) drain: bool,
    /// Run this flow only.
    #[arg(long, value_name = "NAME")]
    pub(crate) flow: Option<String>,
    /// Worker threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) workers: u32,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Failed> {
    let loaded = super::load(&args.file)?;
    let plan = Plan::new(loaded, args.flow.as_deref(), args.workers).map_err(Failed::Usage)?;
    if args.dry_run {
        say(report::graph::graph(&plan));
        return Ok(());
    }
    say(report::summary::intent(&plan));
    let halt = Halt::new();
    super::stop_on_signals(&halt)?;
    let began = Instant::now();
    let running = Running::new(plan, args.drain, Arc::clone(&halt));
    let meters = running.meters();
    let watch = Watch::start(meters.clone(), began, Arc::clone(&halt));
    let result = running.run();
    watch.end();
    say(report::summary::account(&meters, began.elapsed()));
    let program = std::env::args().next().unwrap_or_else(|| "weatherflow".to_owned());
    say(format!("to prove it:  {program} verify {}", args.file.display()));
    result.map_err(|failure| Failed::Running(failure.to_string()))
}
