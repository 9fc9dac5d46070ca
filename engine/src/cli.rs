//! The command line. Exit status: 0 fine, 1 failed while running, 2 wrong command line or file.

use crate::command::{Failed, check, run, test, verify};
use crate::report::{LogFormat, Voice};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Rows from a table through a topic to Parquet, exactly once, from one TOML file.
#[derive(Debug, Parser)]
#[command(name = "weatherflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    voice: Voice,
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
    /// Run the tests of pipeline files: whole flows with their commits, in memory.
    Test {
        /// The pipeline files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Run the tests whose name or flow contains this text only.
        #[arg(long, value_name = "TEXT")]
        filter: Option<String>,
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

/// What libraries say of their own tries is for those who ask by `RUST_LOG`; what it comes to is said by us.
const LOG: &str = "error,engine=warn,operators=warn";

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let Cli { command, voice } = Cli::parse();
    start_log(voice.log_format);
    let result = match command {
        Command::Run(args) => run::run(&args, voice),
        Command::Check { file } => check::check(&file),
        Command::Test { files, filter } => test::test(&files, filter.as_deref()),
        Command::Verify { file, json } => verify::verify(&file, json, voice),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(message)) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
        Err(Failed::Running(message)) => {
            match voice.log_format {
                LogFormat::Text => eprintln!("error: {message}"),
                LogFormat::Json => tracing::error!("{message}"),
            }
            ExitCode::from(1)
        }
        Err(Failed::Said) => ExitCode::from(1),
    }
}

/// Logs go to standard error, so that standard output has what was asked for and nothing else.
fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| LOG.into()))
        .with_writer(std::io::stderr)
        .with_ansi(console::colors_enabled_stderr());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
