//! The command line. Exit status: 0 fine, 1 failed while running, 2 wrong command line or file.

use crate::command::{check, run, verify};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Rows from a table through a topic to Parquet, exactly once, from one TOML file.
#[derive(Debug, Parser)]
#[command(name = "weatherflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the flows of a pipeline file; Ctrl-C commits what is open and stops.
    Run(RunArgs),
    /// Check a pipeline file; every mistake is shown at its place.
    Check {
        /// The pipeline file.
        file: PathBuf,
    },
    /// Prove from what is committed that no row was lost or doubled.
    Verify {
        /// The pipeline file.
        file: PathBuf,
        /// Print findings and accounts as JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
}

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

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The command line or the file is wrong.
    Usage(String),
    /// It failed while running.
    Running(String),
    /// It ran, and what it has to say has been printed.
    Said,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check { file } => check::check(&file),
        Command::Verify { file, json } => verify::verify(&file, json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(message)) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
        Err(Failed::Running(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(1)
        }
        Err(Failed::Said) => ExitCode::from(1),
    }
}
