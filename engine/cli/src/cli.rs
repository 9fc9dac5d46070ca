//! The command line. Exit status: 0 fine, 1 failed while running, 2 wrong command line or file.

use crate::command::{
    Failed, check, completions, graph, help as pages, init, man, run, schema, stages, status, tap, test, verify,
};
use crate::help;
use crate::report::{LogFormat, Voice, briefly, say_aside, tell_aside};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use console::Term;
use pipeline::Diagnostics;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// Rows from a table through a topic to Parquet, exactly once, from one TOML file.
#[derive(Debug, Parser)]
#[command(name = "weatherflow", version, arg_required_else_help = true, disable_help_subcommand = true)]
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
        /// Also ask every server whether all that a run needs is there, and change nothing.
        #[arg(long)]
        connect: bool,
    },
    /// Show where each flow stands, from what its sink and its source hold; it need not run.
    Status {
        /// The pipeline file.
        file: PathBuf,
        /// Print JSON, one object a flow; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Draw the graph that a pipeline file is compiled to.
    ///
    /// It reads how far each flow is and touches nothing. As JSON it has `flows`, each with `name`, `resume` (`state`:
    /// `beginning`, `after` with `version` and `positions`, `unknown` or `refused` with `reason`), `nodes` (`id`, `kind`,
    /// `stage`, `about`) and `edges` (`from`, `to`, `carries`, and the `columns` of rows); and `feeds`, the edges between
    /// flows.
    Graph(graph::GraphArgs),
    /// Write a commented pipeline file to begin with.
    Init(init::InitArgs),
    /// List the stages that a flow can have, or show the settings of one.
    Stages {
        /// Kind, or slot and kind: `parquet`, `sink.parquet`.
        name: Option<String>,
    },
    /// Print the JSON Schema of pipeline files, for editors.
    Schema,
    /// Print a script that completes this command line in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page: `weatherflow man | man -l -`.
    Man,
    /// Describe a command, or a topic: file, guarantee, metrics, status.
    Help {
        /// The command or topic.
        name: Option<String>,
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
    /// Print rows as they pass, of the source's output or of any stage's, and committed ones; changes nothing.
    Tap(tap::TapArgs),
    /// Prove from what is committed that no row was lost or doubled.
    ///
    /// It reads everything back that the sinks hold, and counts the rows in the sources again. A source that was recreated,
    /// is gone, or has had rows removed since they were committed is reported and is no failure, unless `--require-source`
    /// is given; a source that doesn't answer is a failure.
    ///
    /// As JSON each finding is an object with `path` and `problem`, and each flow one with `flow`, `sink`, `batches`,
    /// `files`, `rows`, `totals`, `spans`, `findings` and `source`, or with `flow` and `error` where it could not be read.
    /// `source` is `{"counted": ROWS}`; `{"fewer": {"counted": ROWS, "removed": ROWS, "partitions": [...]}}` after a
    /// removal, for each partition `partition`, `counted`, `removed` where it is known, and `by`: `retention`,
    /// `compaction`, `unknown`, `delete` or `last_day`; `{"other": {"reason": TEXT}}` for another source or a changed file;
    /// or `"gone"`.
    Verify(verify::VerifyArgs),
}

/// The command line, as help, completions and the manual page show it.
pub(crate) fn command() -> clap::Command {
    help::paged(Cli::command())
}

/// What libraries say of their own tries is for those who ask by `RUST_LOG`; what it comes to is said by us.
const LOG: &str = "error,files=warn,kafka=warn,runtime=warn,sql=warn";

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let matches = command().get_matches();
    let Cli { command, voice } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let is_run = matches!(command, Command::Run(_));
    let level = match command {
        // What these are told by a server they print themselves.
        Command::Check { .. } | Command::Status { .. } => "error",
        _ => LOG,
    };
    let _log = start_log(level, voice.log_format);
    let result = match command {
        Command::Run(args) => run::run(&args, voice),
        Command::Check { file, connect } => check::check(&file, connect),
        Command::Status { file, json } => status::status(&file, json),
        Command::Graph(args) => graph::graph(&args),
        Command::Init(args) => init::init(&args),
        Command::Stages { name } => stages::stages(name.as_deref()),
        Command::Schema => schema::schema(),
        Command::Completions { shell } => completions::completions(shell, self::command()),
        Command::Man => man::man(self::command()),
        Command::Help { name } => pages::help(self::command(), name.as_deref()),
        Command::Tap(args) => tap::tap(&args),
        Command::Test { files, filter } => test::test(&files, filter.as_deref()),
        Command::Verify(args) => verify::verify(&args, voice),
    };
    let Err(failed) = result else { return ExitCode::SUCCESS };
    let status = match failed {
        Failed::Usage(_) | Failed::File(_) => ExitCode::from(2),
        Failed::Running(_) | Failed::Said => ExitCode::from(1),
    };
    let last_words = move || match (voice.log_format, failed) {
        (_, Failed::Said) => {}
        (LogFormat::Text, Failed::File(mistakes)) => say_aside(&shown(&mistakes)),
        (LogFormat::Json, Failed::File(mistakes)) => say_aside(&as_logged(&mistakes.to_string())),
        (LogFormat::Text, Failed::Usage(message) | Failed::Running(message)) => {
            tell_aside(format!("error: {message}"));
        }
        (LogFormat::Json, Failed::Usage(message) | Failed::Running(message)) => say_aside(&as_logged(&message)),
    };
    // Whoever reads an error may take their time; a run is watched by whatever starts it again.
    if is_run {
        briefly(last_words);
    } else {
        last_words();
    }
    status
}

/// The mistakes of a file, as standard error shows them best.
fn shown(mistakes: &Diagnostics) -> String {
    let columns = Term::stderr().size_checked().map(|(_, columns)| columns.into());
    mistakes.render(console::colors_enabled_stderr(), columns)
}

/// An error as the log would have it. It is no part of the log, which leaves out what `RUST_LOG` does not ask for.
fn as_logged(message: &str) -> String {
    let at = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let fields = serde_json::json!({"message": message});
    serde_json::json!({"timestamp": at, "level": "ERROR", "fields": fields, "target": module_path!()}).to_string()
}

/// `RUST_LOG` with the crates of today in the place of `engine` and `operators`, which earlier versions had.
fn with_new_names(filter: &str) -> String {
    let named = |directive: &str| {
        let renamed = [("engine=", "runtime"), ("operators=", "files,kafka,sql")];
        let found = renamed.iter().find_map(|(old, new)| Some((directive.strip_prefix(old)?, new)));
        found.map_or_else(
            || directive.to_owned(),
            |(level, crates)| crates.split(',').map(|name| format!("{name}={level}")).collect::<Vec<_>>().join(","),
        )
    };
    filter.split(',').map(named).collect::<Vec<_>>().join(",")
}

/// Logs go to standard error, so that standard output has what was asked for and nothing else. They are written until the
/// guard is dropped, by a thread of their own: where nobody takes them, they are left out and hold nothing up.
fn start_log(level: &str, format: LogFormat) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let filter = std::env::var("RUST_LOG").ok().and_then(|text| EnvFilter::try_new(with_new_names(&text)).ok());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| level.into()))
        .with_writer(writer)
        .with_ansi(console::colors_enabled_stderr());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    guard
}
