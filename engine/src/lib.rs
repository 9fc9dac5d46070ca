//! `engine` knows *when*: epochs, frontiers, capabilities and the order of commits. It never looks inside a batch.
//!
//! ```text
//! read --chunks--> stages (decode, transform, encode, partition) ==exchange by partition==> write --receipts--> commit -> probe
//!   \------------- spans, on their own edge --------------------------------> write, commit                       |
//!   ^------------------------------ epoch e is durable; at most two epochs in flight -----------------------------/
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | the pipeline file: parsed, resolved, checked, every mistake shown at its place |
//! | [`cli`], `help`, `command` | the command line, the page that `--help` prints, and what each command does |
//! | [`plan`] | what will run: stages built, schemas composed, resume point known |
//! | [`run`] | starts a plan, begins a flow again from its last commit when a server does not answer |
//! | `patience` | for how long, and how soon |
//! | `flow`, `epoch` | what the operators and threads of a running flow share; the epoch that is open |
//! | `dataflow` | the timely graph of one flow; the only place that names timely |
//! | `threads` | blocking I/O beside the workers: reader, writer, committer |
//! | [`halt`], [`budget`] | how everything stops, and how memory stays bounded |
//! | `trial` | runs a test of a pipeline file: life after life, then what was found beside what was expected |
//! | [`meter`] | what a running flow tells people |
//! | `report` | how that is printed: a table, lines, JSON; the graph |
//! | `http` | what it tells over HTTP: the live page, metrics, health |

pub mod budget;
pub mod cli;
mod command;
pub mod config;
mod dataflow;
mod epoch;
mod flow;
pub mod halt;
mod help;
mod http;
pub mod meter;
mod patience;
pub mod plan;
mod report;
pub mod run;
mod threads;
mod trial;
