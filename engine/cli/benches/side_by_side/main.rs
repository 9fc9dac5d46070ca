//! The product beside what bounds it: each leg of the job and its yardstick as whole processes, in turn.
//!
//! ```text
//! cargo bench --bench side_by_side -- [--kafka] [--hdfs] [--mysql] [--only NAME] [--rounds N] [--json FILE]
//! ```
//! Legs that need a kind of server run when it is asked for; the servers are started as tests start them. Each leg ends
//! with `verify` on what it wrote.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod batches;
mod contest;
mod freshness;
mod generate;
mod history;
mod memory;
mod process;
mod publish;
mod verify;
mod world;
mod yardstick;

use clap::{Parser, Subcommand};
use contest::Outcome;
use std::path::PathBuf;
use world::World;

/// Measures the product beside its physical limits.
#[derive(Parser)]
struct Arguments {
    /// Runs the legs that need a Kafka broker.
    #[arg(long)]
    kafka: bool,
    /// Runs the legs that need HDFS.
    #[arg(long)]
    hdfs: bool,
    /// Runs the legs that need MariaDB.
    #[arg(long)]
    mysql: bool,
    /// Runs only legs whose name begins so.
    #[arg(long)]
    only: Option<String>,
    /// Rounds in which each side has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Rows that the legs move.
    #[arg(long, default_value_t = 20_000_000)]
    rows: u64,
    /// Also writes the figures there, from the project's directory.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs as one side of a leg.
    #[command(subcommand)]
    side: Option<Side>,
}

#[derive(Subcommand)]
enum Side {
    /// A yardstick in a process of its own.
    #[command(hide = true)]
    Yardstick(yardstick::Yardstick),
}

/// A leg: what it is called, the servers it needs, and how it runs.
struct Leg {
    name: &'static str,
    kafka: bool,
    hdfs: bool,
    mysql: bool,
    run: fn(&World) -> Outcome,
}

const LEGS: &[Leg] = &[
    Leg { name: "archive", kafka: true, hdfs: false, mysql: false, run: archive::local },
    Leg { name: "archive-hdfs", kafka: true, hdfs: true, mysql: false, run: archive::hdfs },
    Leg { name: "publish", kafka: true, hdfs: false, mysql: true, run: publish::publish },
    Leg { name: "generate", kafka: false, hdfs: false, mysql: true, run: generate::generate },
    Leg { name: "freshness", kafka: true, hdfs: false, mysql: true, run: freshness::freshness },
    Leg { name: "growth", kafka: true, hdfs: false, mysql: false, run: history::growth },
    Leg { name: "paused", kafka: true, hdfs: true, mysql: false, run: memory::paused },
    Leg { name: "restart", kafka: false, hdfs: false, mysql: false, run: history::restart },
    Leg { name: "verify", kafka: false, hdfs: false, mysql: false, run: verify::verify },
];

fn main() {
    let arguments = Arguments::parse();
    if let Some(Side::Yardstick(yardstick)) = arguments.side {
        return yardstick.run();
    }
    let world = World::new(arguments.rounds, arguments.rows);
    let wanted = |leg: &&Leg| {
        let named = arguments.only.as_ref().is_none_or(|only| leg.name.starts_with(only.as_str()));
        let has = |needs: bool, given: bool| given || !needs;
        named && has(leg.kafka, arguments.kafka) && has(leg.hdfs, arguments.hdfs) && has(leg.mysql, arguments.mysql)
    };
    let outcomes: Vec<_> = LEGS
        .iter()
        .filter(wanted)
        .map(|leg| {
            eprintln!("{}:", leg.name);
            (leg.name, (leg.run)(&world))
        })
        .collect();
    println!("{}", contest::tables(&outcomes));
    if let Some(path) = arguments.json {
        let path = testkit::project().join(path);
        std::fs::write(path, serde_json::to_vec_pretty(&contest::json(&outcomes)).unwrap()).unwrap();
    }
}
