//! `sink.parquet`: batches of Parquet files, each published with its positions by one rename.

mod hive;
mod writer;

use crate::archive::{self, Archive, Batches, Flat};
use crate::config::{Context, masked, shown};
use crate::error::{Error, Problem, Result};
use crate::inspect::{Ground, Holdings, Inspect, Seen, StoredRows, Which};
use crate::progress::{Progress, Run};
use crate::schema::Schema;
use crate::stage::{About, Account, Audit, BuiltSink, Inflow, Listen, Opened, Sink, Writer};
use crate::store::hdfs::Hdfs;
use crate::store::local::Local;
use crate::store::{Cause, Store};
use arrow::datatypes::{DataType, SchemaRef};
use hive::HiddenColumns;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::ZstdLevel;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use writer::ParquetWriter;

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
    /// How column chunks are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// How the files lie in the directory.
    #[serde(default)]
    pub layout: Layout,
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
    pub(super) fn build(&self, input: &Schema, inflow: Inflow, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let place = self.place(context);
        let problems = [check_columns(input), check_layout(self.layout, inflow)].into_iter().filter_map(Result::err);
        let problems: Vec<_> = problems.collect();
        let (Ok(place), true) = (&place, problems.is_empty()) else {
            return Err(place.err().into_iter().chain(problems).collect());
        };
        let about = About { summary: format!("Parquet files in {}", place.shown), fingerprint: Vec::new() };
        let sink =
            ParquetSink::new(Arc::clone(&place.store), place.shown.clone(), input, self.compression, self.layout);
        let sink = ParquetSink { hidden: HiddenColumns::find(self.layout, input), ..sink };
        if let (Some(hidden), true) = (&sink.hidden, self.is_local() && sink.is_new()) {
            return Err(vec![hidden.problem()]);
        }
        Ok(BuiltSink { sink: Arc::new(sink), place: place.id.clone(), about })
    }

    /// Whether the directory can be looked at without asking a server.
    fn is_local(&self) -> bool {
        self.url.starts_with("file:")
    }

    fn place(&self, context: &Context) -> Result<Place, Problem> {
        match self.url.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                let directory = context.path(path);
                let (id, shown) = (format!("file:{}", directory.display()), shown(&directory));
                Ok(Place { store: Arc::new(Local::new(directory)), id, shown })
            }
            Some(("hdfs", _)) => {
                let hdfs = Hdfs::new(&self.url).map_err(|reason| {
                    Problem::at("url", reason).help(
                        "write host and port of the NameNode and a directory, as in \"hdfs://boss:9000/data\", or a \
                         nameservice that hdfs-site.xml in HADOOP_CONF_DIR explains",
                    )
                })?;
                let id = hdfs.place();
                Ok(Place { store: Arc::new(hdfs), shown: id.clone(), id })
            }
            _ => Err(Problem::at("url", format!("`{}` is no place for Parquet files", masked(&self.url))).help(
                "write `file:` and the path of a directory, as in \"file:../data/archive\", or a directory of HDFS, as \
                 in \"hdfs://boss:9000/data\"",
            )),
        }
    }
}

/// Where the files go.
struct Place {
    store: Arc<dyn Store>,
    /// The same for every spelling.
    id: String,
    /// For people.
    shown: String,
}

fn check_columns(input: &Schema) -> Result<(), Problem> {
    if input.0.fields().is_empty() {
        return Err(Problem::whole("there are no columns to write"));
    }
    let converted = ArrowSchemaConverter::new().convert(&input.0);
    converted.map(drop).map_err(|e| Problem::whole(format!("Parquet cannot hold these columns ({input}): {e}")))
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
        let schema = Arc::clone(&schema.0);
        let properties = properties(&schema, compression);
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

    fn check_redundancy(&self) -> Result<()> {
        self.archive.store.check_redundancy().map_err(|error| match error.cause {
            Cause::Failed(refused) if refused.kind() == ErrorKind::Unsupported => {
                Error::Refused { place: self.archive.place.clone(), reason: refused.to_string() }
            }
            _ => self.archive.failed(error),
        })
    }
}

impl Inspect for ParquetSink {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let place = &self.archive.place;
        let asked = self.archive.store.root().map_err(|error| match error.cause {
            Cause::Failed(refused) if refused.kind() == ErrorKind::PermissionDenied => Error::Refused {
                place: place.clone(),
                reason: format!("{refused}. Let this user write there, run as another, or name another directory"),
            },
            _ => self.archive.failed(error),
        });
        let asked = asked.and_then(|ground| self.check_redundancy().map(|()| ground));
        vec![asked.map(|ground| match ground {
            Ground::There => Seen::Fine(format!("directory {place} may be written to")),
            Ground::Below(above) => {
                Seen::NotYet(format!("directory {place} is not there yet; it will be made, and {above} allows that"))
            }
        })]
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
        self.check_redundancy()?;
        self.layout.open(run)
    }

    fn writer(&self, run: &Run, attempt: u64) -> Result<Box<dyn Writer>> {
        let (schema, properties) = (Arc::clone(&self.schema), self.properties.clone());
        let (archive, layout) = (self.archive.clone(), Arc::clone(&self.layout));
        Ok(Box::new(ParquetWriter::new(archive, layout, run.clone(), attempt, schema, properties)))
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

/// The rows of a Parquet file of this machine, whoever wrote it.
pub fn parquet_file(path: &Path) -> Result<StoredRows> {
    archive::stored::of_file(path)
}

/// How files are written; `benches/parquet.rs` measures what this costs.
fn properties(schema: &SchemaRef, compression: Compression) -> WriterProperties {
    let compression = match compression {
        Compression::None => parquet::basic::Compression::UNCOMPRESSED,
        Compression::Snappy => parquet::basic::Compression::SNAPPY,
        Compression::Zstd => parquet::basic::Compression::ZSTD(ZstdLevel::default()),
    };
    let mut properties = WriterProperties::builder()
        // The form that other readers parse.
        .set_created_by(concat!("weatherflow version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(1 << 20));
    for field in schema.fields() {
        let column = ColumnPath::from(field.name().as_str());
        properties = match field.data_type() {
            // Comparing every text with the least and the greatest takes about a fifth of all time.
            DataType::Utf8 | DataType::Binary => {
                properties.set_column_statistics_enabled(column, EnabledStatistics::None)
            }
            _ => properties,
        };
    }
    properties.build()
}
