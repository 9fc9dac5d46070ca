//! What the command line says about output.

use clap::{Args, ValueEnum};

/// How the program talks to whoever started it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Voice {
    /// Say nothing but what was asked for, and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// How a run, its log and its errors are written
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// For whom a run is described.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs: a JSON object a line
    Json,
}
