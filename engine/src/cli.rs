//! The command line. Exit status: 0 fine, 1 failed while running, 2 wrong command line or file.

use crate::command::{Failed, check, run, tap, verify};
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
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
    Run(run::RunArgs),
    /// Check a pipeline file; every mistake is shown at its place.
    Check {
        /// The pipeline file.
        file: PathBuf,
    },
    /// Print rows as they pass, of the source's output or of any stage's, and committed ones; changes nothing.
    Tap(tap::TapArgs),
    /// Prove from what is committed that no row was lost or doubled.
    Verify {
        /// The pipeline file.
        file: PathBuf,
        /// Print findings and accounts as JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
}

/// What libraries say of their own tries is for those who ask by `RUST_LOG`; what it comes to is said by us.
const LOG: &str = "error,engine=warn,operators=warn";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| LOG.into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check { file } => check::check(&file),
        Command::Tap(args) => tap::tap(&args),
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
