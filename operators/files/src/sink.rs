//! `sink.parquet`: batches of Parquet files, each published with its positions by one rename.

mod hive;
mod place;
mod writer;

use crate::archive::{self, Archive, Batches, Flat, names};
use crate::store::Store;
use arrow::datatypes::SchemaRef;
use hive::HiddenColumns;
use operators_core::config::Context;
use operators_core::error::{Error, Problem, Result};
use operators_core::inspect::{Ground, Holdings, Inspect, Seen, StoredRows, Which};
use operators_core::progress::{Progress, Run};
use operators_core::schema::Schema;
use operators_core::stage::{About, Account, Audit, BuiltSink, Inflow, Listen, Opened, Sink, Writer};
use operators_core::types::ColumnType;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::ZstdLevel;
use parquet::file::properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use place::Place;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use writer::{ParquetWriter, Target};

/// Writes Parquet files into a directory, one per partition and batch.
///
/// ```toml
/// [flow.sink.parquet]
/// url = "file:data/archive"
/// compression = "zstd"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParquetConfig {
    /// The directory: `file:PATH`, `hdfs://HOST:PORT/PATH` or `hdfs://NAMESERVICE/PATH`. For HDFS the configuration of
    /// Hadoop is read from `HADOOP_CONF_DIR` or `HADOOP_HOME`, and the user is `HADOOP_USER_NAME`.
    pub url: String,
    /// A directory for files that are not committed yet, on the file system of `url`: a path, relative to this file, or
    /// for HDFS an absolute path on the same NameNode. In it the archive gets a directory of its own, so that several
    /// archives may share it. Needed where this program may not write next to `url`, or where that is another file system
    /// or encryption zone. Without it files are staged in `_staging-NAME` next to the directory NAME of `url`.
    #[serde(default)]
    pub staging: Option<String>,
    /// How column chunks are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// How the files lie in the directory.
    #[serde(default)]
    pub layout: Layout,
    /// Columns with a Bloom filter: a reader that looks for one value skips the row groups that don't hold it. For columns
    /// whose values are scattered over all files, for example `["station_id"]`. Each open file takes 1 MiB of memory per
    /// column. `bool` and floating-point columns cannot have one.
    #[serde(default)]
    pub bloom: Vec<String>,
}

/// How Parquet files lie in their directory, and with it what is committed in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// a directory per batch, which one rename publishes with all its files
    #[default]
    Batches,
    /// all files side by side, one per source partition and batch, each published by itself; keeps the partitions of the source
    Flat,
}

/// How Parquet column chunks are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// not at all
    None,
    /// fast
    Snappy,
    /// small
    #[default]
    Zstd,
}

impl ParquetConfig {
    /// Builds the stage; changes nothing and asks no server.
    pub fn build(&self, input: &Schema, inflow: Inflow, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let place = Place::of(self, context);
        let problems = [check_columns(input), check_layout(self.layout, inflow)].into_iter().filter_map(Result::err);
        let problems: Vec<_> = problems.chain(check_bloom(&self.bloom, input)).collect();
        let (Ok(place), true) = (&place, problems.is_empty()) else {
            return Err(place.err().into_iter().chain(problems).collect());
        };
        let about = About { summary: format!("Parquet files in {}", place.shown), fingerprint: Vec::new() };
        let sink =
            ParquetSink::new(Arc::clone(&place.store), place.shown.clone(), input, self.compression, self.layout);
        let sink = sink.with_bloom_filters(&self.bloom);
        let sink = ParquetSink { hidden: HiddenColumns::find(self.layout, input), ..sink };
        if let (Some(hidden), true) = (&sink.hidden, self.is_local() && sink.is_new()) {
            return Err(vec![hidden.problem()]);
        }
        Ok(BuiltSink { sink: Arc::new(sink), place: place.id.clone(), staging: Some(place.staging.clone()), about })
    }

    /// Whether the directory can be looked at without asking a server.
    fn is_local(&self) -> bool {
        self.url.starts_with("file:")
    }
}

fn check_columns(input: &Schema) -> Result<(), Problem> {
    if input.columns().is_empty() {
        return Err(Problem::whole("there are no columns to write"));
    }
    let converted = ArrowSchemaConverter::new().convert(input.arrow());
    converted.map(drop).map_err(|e| Problem::whole(format!("Parquet cannot hold these columns ({input}): {e}")))
}

/// What is wrong with the columns of `bloom`.
fn check_bloom(columns: &[String], input: &Schema) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let at = ["bloom", &index.to_string()];
        let problem =
            |message, help: &str| Problem { at: at.map(str::to_owned).to_vec(), message, help: Some(help.to_owned()) };
        let column_type = match input.index_of(column, &at) {
            Ok(index) => &input.columns()[index].column_type,
            Err(unknown) => {
                problems.push(unknown);
                continue;
            }
        };
        if columns[..index].contains(column) {
            problems.push(problem(format!("`{column}` is listed twice"), "name it once"));
            continue;
        }
        match column_type {
            ColumnType::Bool => problems.push(problem(
                format!("a Bloom filter on `{column}` is useless: the column is a bool"),
                "remove it; readers skip row groups by the column's least and greatest value",
            )),
            ColumnType::Float32 | ColumnType::Float64 => problems.push(problem(
                format!("a Bloom filter on `{column}` would hide rows: the column is a {column_type}"),
                "remove it: 0.0 and -0.0 are equal, but a filter that contains one of them excludes the other",
            )),
            ColumnType::Int32
            | ColumnType::Int64
            | ColumnType::UInt32
            | ColumnType::UInt64
            | ColumnType::String
            | ColumnType::Bytes
            | ColumnType::Date
            | ColumnType::Timestamp
            | ColumnType::Headers
            | ColumnType::Foreign(_) => {}
        }
    }
    problems
}

/// A file of the flat layout belongs to one source partition and is all there is of its batch.
fn check_layout(layout: Layout, inflow: Inflow) -> Result<(), Problem> {
    match (layout, inflow) {
        (Layout::Flat, Inflow { partitions: Some(_), .. }) => Err(Problem::at(
            "layout",
            "the flat layout has one file per partition of the source, but this flow spreads its rows anew",
        )
        .help("use [flow.partition.source], or layout = \"batches\"")),
        (Layout::Flat, Inflow { dead_letters: true, .. }) => Err(Problem::at(
            "layout",
            "a stage of this flow makes dead letters, and the flat layout has no place for them: rows and dead letters \
             could not arrive in one step",
        )
        .help("use layout = \"batches\", or on_error = \"fail\" or \"skip\"")),
        _ => Ok(()),
    }
}

/// A directory of Parquet files in a store.
pub struct ParquetSink {
    archive: Archive,
    layout: Arc<dyn archive::Layout>,
    schema: SchemaRef,
    properties: WriterProperties,
    /// Looked for only where a pipeline file describes the sink.
    hidden: Option<HiddenColumns>,
}

impl ParquetSink {
    /// A sink for rows of these columns; `place` names the root of the store for people.
    pub fn new(
        store: Arc<dyn Store>,
        place: String,
        schema: &Schema,
        compression: Compression,
        layout: Layout,
    ) -> Self {
        let schema = Arc::clone(schema.arrow());
        let properties = properties(compression);
        let archive = Archive { store, place };
        let layout: Arc<dyn archive::Layout> = match layout {
            Layout::Batches => Arc::new(Batches::new(archive.clone())),
            Layout::Flat => Arc::new(Flat::new(archive.clone(), Arc::clone(&schema), properties.clone())),
        };
        Self { archive, layout, schema, properties, hidden: None }
    }

    /// Whether nothing is committed yet, of any flow; what can't be read isn't new.
    fn is_new(&self) -> bool {
        let any_flow = "";
        matches!(self.layout.progress(any_flow), Ok(None))
    }

    /// The same sink, whose files have Bloom filters for these columns.
    #[must_use]
    pub fn with_bloom_filters(mut self, columns: &[String]) -> Self {
        let with = |properties: WriterPropertiesBuilder, column: &String| {
            properties.set_column_bloom_filter_enabled(ColumnPath::from(column.as_str()), true)
        };
        self.properties = columns.iter().fold(self.properties.into_builder(), with).build();
        self
    }
}

impl Inspect for ParquetSink {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let (archive, place, staging) = (&self.archive, &self.archive.place, self.archive.store.staging_place());
        let root = match archive.store.root().map_err(|error| archive.unwritable(error)) {
            Ok(Ground::There) => Seen::Fine(format!("directory {place} may be written to")),
            Ok(Ground::Below(above)) => {
                Seen::NotYet(format!("directory {place} is not there yet; it will be made, and {above} allows that"))
            }
            Err(error) => return vec![Err(error)],
        };
        let staged = archive.store.staging().map_err(|error| archive.unusable(error));
        let staged = staged.map(|ground| {
            let may = match ground {
                Ground::There => "may be written to".to_owned(),
                Ground::Below(above) => format!("{above} allows to be made"),
            };
            let doubt = archive.store.staging_doubt().map_or(String::new(), |doubt| format!("; {doubt}"));
            Seen::Fine(format!("files are staged in {staging}, which {may}{doubt}"))
        });
        // Where files can't be staged, that is all there is to say of them.
        let redundancy = if staged.is_ok() { archive.check_redundancy() } else { Ok(()) };
        vec![redundancy.map(|()| root), staged]
    }

    fn warnings(&self) -> Vec<String> {
        self.hidden.iter().map(HiddenColumns::warning).collect()
    }
}

impl Sink for ParquetSink {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        let progress = self.layout.progress(flow)?;
        match &self.hidden {
            Some(hidden) if progress.is_none() => {
                Err(Error::Refused { place: self.archive.place.clone(), reason: hidden.refusal() })
            }
            _ => Ok(progress),
        }
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        if self.hidden.is_some() {
            // A new archive is refused before anything is written.
            self.progress(&run.flow)?;
        }
        self.layout.open(run)
    }

    fn writer(&self, run: &Run, attempt: u64) -> Result<Box<dyn Writer>> {
        Ok(Box::new(ParquetWriter::new(Target {
            archive: self.archive.clone(),
            layout: Arc::clone(&self.layout),
            run: run.clone(),
            attempt,
            schema: Arc::clone(&self.schema),
            properties: self.properties.clone(),
        })))
    }
}

impl Audit for ParquetSink {
    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        self.layout.audit(flow, listener)
    }

    fn stored(&self, flow: &str, which: &Which) -> Result<Option<StoredRows>> {
        let files = self.layout.files(flow, which.from)?;
        Ok(Some(archive::stored::of_files(self.archive.clone(), files, which.partitions.clone())))
    }

    fn holdings(&self, _flow: &str) -> Result<Holdings> {
        self.layout.holdings()
    }
}

/// Whether this is the name of a Parquet file: of rows or, as this product names them, of dead letters.
pub fn is_parquet_file(path: &Path) -> bool {
    path.file_name().is_some_and(|name| names::is_parquet(&name.to_string_lossy()))
}

/// The rows of a Parquet file of this machine, whoever wrote it.
pub fn parquet_file(path: &Path) -> Result<StoredRows> {
    archive::stored::of_file(path)
}

/// How files are written; `benches/parquet.rs` measures what this costs.
fn properties(compression: Compression) -> WriterProperties {
    let compression = match compression {
        Compression::None => parquet::basic::Compression::UNCOMPRESSED,
        Compression::Snappy => parquet::basic::Compression::SNAPPY,
        Compression::Zstd => parquet::basic::Compression::ZSTD(ZstdLevel::default()),
    };
    WriterProperties::builder()
        // The form that other readers parse.
        .set_created_by(concat!("weatherflow version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        // Bounds of each page in the page index, where readers find them without reading pages.
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(1 << 20))
        // Not at the end of the file, until which they would be held in memory.
        .set_bloom_filter_position(BloomFilterPosition::AfterRowGroup)
        .build()
}
