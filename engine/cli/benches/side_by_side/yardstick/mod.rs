//! What the product is measured against: the least that a program can do with the same data, as fast as is known.

mod insert;
mod kafka;
mod parquet;
mod produce;
mod select;

use clap::Subcommand;
use std::process::Command;

pub use insert::INSERT_NOTE;
pub use kafka::{BATCH_NOTE, POLL_NOTE};
pub use parquet::READ_NOTE;
pub use produce::PRODUCE_NOTE;
pub use select::SELECT_NOTE;

/// Messages of a topic.
#[derive(clap::Args)]
struct Messages {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    /// How many there are, or are to be.
    #[arg(long)]
    count: u64,
}

/// A table of a database.
#[derive(clap::Args)]
struct Table {
    #[arg(long)]
    url: String,
    #[arg(long)]
    table: String,
}

/// A yardstick in a process of its own.
#[derive(clap::Args)]
pub struct Yardstick {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Counts the messages of a topic, taken by the batch.
    KafkaBatch(Messages),
    /// Counts the messages of a topic, taken one by one.
    KafkaPoll(Messages),
    /// Sends messages to a new topic, in transactions.
    KafkaProduce(Messages),
    /// Counts the rows of a table.
    MysqlSelect(select::Rows),
    /// Counts the rows of Parquet files.
    ParquetRead(parquet::Files),
    /// Inserts rows of files into a table.
    MysqlInsert(insert::Rows),
}

impl Yardstick {
    pub fn run(self) {
        match self.kind {
            Kind::MysqlInsert(rows) => rows.insert(),
            Kind::KafkaBatch(messages) => messages.by_batch(),
            Kind::KafkaPoll(messages) => messages.one_by_one(),
            Kind::KafkaProduce(messages) => messages.produce(),
            Kind::MysqlSelect(rows) => rows.select(),
            Kind::ParquetRead(files) => files.read(),
        }
    }
}

/// This program as a yardstick.
pub fn command(kind: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["yardstick", kind]).args(arguments);
    command
}
