//! `run`: says what it will do, does it, shows it, sums it up.

use super::Failed;
use crate::http::address::Address;
use crate::http::{Server, View};
use crate::report::graph::Format;
use crate::report::{Voice, Watch};
use clap::Args;
use runtime::Halt;
use runtime::Running;
use runtime::plan::Plan;
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Serve a live page, metrics and health here: a port of this machine alone (9090), or HOST:PORT.
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<Address>,
}

pub(crate) fn run(args: &RunArgs, voice: Voice) -> Result<(), Failed> {
    let loaded = super::load(&args.file)?;
    let plan = Plan::new(loaded, args.flow.as_deref(), args.workers).map_err(Failed::Usage)?;
    if args.dry_run {
        return super::graph::print(&plan, Format::Text);
    }
    let server = args.http.as_ref().map(Server::bind).transpose().map_err(Failed::Running)?;
    let halt = Halt::new();
    super::stop_on_signals(&halt)?;
    let running = Running::new(plan, args.drain, Arc::clone(&halt));
    let meters = running.meters();
    let url = server.as_ref().map(Server::url);
    let view = || View::new(&running.plan(), meters.clone(), Arc::clone(&halt));
    let answering = server.map(|server| server.answer(view())).transpose().map_err(Failed::Running)?;
    let watch = Watch::start(voice, running.plan(), url, meters, Arc::clone(&halt));
    let result = running.run();
    if let Some(answering) = answering {
        answering.end();
    }
    let program = std::env::args().next().unwrap_or_else(|| "weatherflow".to_owned());
    watch.end(format!("{program} verify {}", args.file.display()));
    result.map_err(|failure| Failed::Running(failure.to_string()))
}
