//! `tap`: prints rows as they pass, and committed ones. It opens a reader of its own and no sink, so that it changes
//! nothing.
//!
//! | file | what it knows |
//! |---|---|
//! | `args` | what is asked for |
//! | `target` | which rows are meant: a stage of a flow, its sink, a file |
//! | `passing` | rows read anew and passed through the flow's own stages |
//! | `stored` | committed rows |
//! | `output` | which of them are printed, and how |

mod args;
mod output;
mod passing;
mod stored;
mod target;

pub(crate) use args::TapArgs;

use super::Failed;
use files::sink::is_parquet_file;
use output::Output;
use target::Target;

pub(crate) fn tap(args: &TapArgs) -> Result<(), Failed> {
    let mut output = Output::new(args);
    if is_parquet_file(&args.file) {
        return stored::file(args, &mut output);
    }
    let loaded = super::load(&args.file)?;
    match target::find(&loaded, args.target.as_deref()).map_err(Failed::Usage)? {
        Target::Passing(flow, stages) => passing::tap(args, flow, stages, &mut output),
        Target::Sink(flow) => stored::sink(args, &loaded, flow, &mut output),
    }
}
