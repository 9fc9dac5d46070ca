//! Committed rows: of a flow's Parquet sink, and of any Parquet file.

use super::args::{Begin, TapArgs};
use super::output::Output;
use crate::command::Failed;
use crate::report::tell_aside;
use files::sink::parquet_file;
use operators_core::Error;
use operators_core::inspect::{FirstBatch, Stored, Which};
use pipeline::{BuiltFlow, Loaded};
use stages::show::{Origin, View};

/// Prints what the sink of a flow has committed, and ends.
pub(super) fn sink(args: &TapArgs, loaded: &Loaded, flow: &BuiltFlow, output: &mut Output<'_>) -> Result<(), Failed> {
    let from = match args.from.unwrap_or(Begin::Earliest) {
        Begin::Earliest => FirstBatch::Oldest,
        Begin::Latest => FirstBatch::Newest,
        Begin::At(batch) => FirstBatch::Number(batch),
    };
    let which = Which { from, partitions: args.partition.clone() };
    let Some(rows) = flow.sink.sink.stored(&flow.id, &which)? else {
        return Err(Failed::Usage(elsewhere(loaded, flow)));
    };
    tell_aside(format!("{}.{}: {}", flow.name, flow.sink_name, flow.sink.about.summary));
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        tell_aside("nothing is committed there yet");
    }
    print(args, rows, output)
}

/// Prints the rows of a Parquet file.
pub(super) fn file(args: &TapArgs, output: &mut Output<'_>) -> Result<(), Failed> {
    if args.target.is_some() || args.from.is_some() {
        let reason =
            "a Parquet file has neither flows nor batches: leave out FLOW and --from, and use --where and --limit";
        return Err(Failed::Usage(reason.to_owned()));
    }
    print(args, parquet_file(&args.file)?, output)
}

fn print(
    args: &TapArgs,
    rows: impl Iterator<Item = Result<Stored, Error>>,
    output: &mut Output<'_>,
) -> Result<(), Failed> {
    for stored in rows {
        let Stored { batch, chunk } = stored?;
        if batch.is_none() && !args.partition.is_empty() {
            let reason = "the name of the file does not tell its partition, so that --partition means nothing here";
            return Err(Failed::Usage(reason.to_owned()));
        }
        if !args.partition.is_empty() && !args.partition.contains(&chunk.partition) {
            continue;
        }
        let view = View::stored(&chunk.columns(), batch.is_some());
        let origin = batch.map_or(Origin::Unknown, Origin::Batch);
        if output.show(&view, vec![chunk], origin)?.is_break() {
            break;
        }
    }
    output.account(&[]);
    Ok(())
}

/// Where the rows of a sink can be looked at that does not show them itself.
fn elsewhere(loaded: &Loaded, flow: &BuiltFlow) -> String {
    let reader = loaded.built.iter().find(|other| other.source.place == flow.sink.place);
    let instead = reader.map_or_else(
        || format!("tap {} to see what goes into it", flow.name),
        |reader| format!("tap {}.source, which reads them", reader.name),
    );
    format!("{} does not show the rows it has committed; {instead}", flow.sink_name)
}
