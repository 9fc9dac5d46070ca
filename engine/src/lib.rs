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
//! | [`cli`] | the command line: `run`, `check`, `tap`, `verify` |
//! | [`plan`] | what will run: stages built, schemas composed, resume point known |
//! | [`run`] | starts a plan, begins a flow again from its last commit when a server does not answer |
//! | `patience` | for how long, and how soon |
//! | `dataflow` | the timely graph of one flow; the only place that names timely |
//! | `threads` | blocking I/O beside the workers: reader, writer, committer |
//! | [`halt`], [`budget`] | how everything stops, and how memory stays bounded |
//! | [`meter`] | what a running flow tells people |

pub mod budget;
pub mod cli;
mod command;
pub mod config;
mod dataflow;
mod flow;
pub mod halt;
pub mod meter;
mod patience;
pub mod plan;
mod report;
pub mod run;
mod threads;
