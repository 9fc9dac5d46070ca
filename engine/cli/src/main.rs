//! The command `weatherflow`: what a person or a supervisor sees of a pipeline.
//!
//! | module | what it holds |
//! |---|---|
//! | `cli`, `help` | the command line, and the page that `--help` prints |
//! | `command` | what each command does |
//! | `report` | how a run is shown: a table, lines, JSON; the graph |
//! | `http` | what a run tells over HTTP: the live page, metrics, health |
//! | `trial` | runs a test of a pipeline file: life after life, then what was found beside what was expected |
//!
//! The pipeline file is the crate `pipeline`, what runs is `runtime`, rows and places are `operators`.

mod cli;
mod command;
mod help;
mod http;
mod report;
mod trial;

fn main() -> std::process::ExitCode {
    cli::main()
}
