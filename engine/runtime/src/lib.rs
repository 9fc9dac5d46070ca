//! `runtime` knows *when*: epochs, frontiers, capabilities and the order of commits. It never looks inside a batch, and
//! prints nothing: [`meter`] has what people want to know.
//!
//! ```text
//! read --chunks--> stages (decode, transform, encode, partition) ==exchange by partition==> write --receipts--> commit -> probe
//!   \------------- spans, on their own edge --------------------------------> write, commit                       |
//!   ^------------------------------ epoch e is durable; at most two epochs in flight -----------------------------/
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | what will run: stages built, schemas composed, resume point known |
//! | `run` | starts a plan; begins a flow again from its last commit when a server does not answer, for how long and how soon |
//! | `flow` | what the operators and threads of a running flow share: how it stops, its memory, the open epoch, its meter |
//! | `dataflow` | the timely graph of one flow; the only place that names timely |
//! | `threads` | blocking I/O beside the workers: reader, writer, committer |

mod dataflow;
mod flow;
pub mod plan;
mod run;
mod threads;

pub use flow::halt::{Failure, Halt};
pub use flow::meter;
pub use run::Running;
