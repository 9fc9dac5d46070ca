//! `verify` beside a program that only reads the same files.

use crate::contest::{Outcome, Side, contest};
use crate::process::{self, weatherflow};
use crate::world::{self, World};
use crate::yardstick;

/// Every row of a local archive is read back.
pub fn verify(world: &World) -> Outcome {
    const VERIFY: &str = "verify";
    const READ: &str = "bare reading";
    let dir = world.empty("verify");
    let flow = format!(
        "[[flow]]\nname = \"archive\"\n\n{}[flow.partition.key]\ncolumn = \"station_id\"\npartitions = 4\n\n\
         [flow.sink.parquet]\nurl = \"file:archive\"\n",
        world::weather(world.rows)
    );
    let file = world.pipeline(&dir, &[flow]);
    process::run(&mut weatherflow(&["run", "--drain"], &file));
    let (archive, count) = (dir.join("archive").display().to_string(), world.rows.to_string());
    let read = || yardstick::command("parquet-read", &["--directory", &archive, "--count", &count]);
    let mut outcome = contest(
        world.rows,
        world.rounds,
        vec![
            Side::new(VERIFY, "local directory; the source counts its rows without reading them", || {
                process::run(&mut weatherflow(&["verify"], &file))
            }),
            Side::new(READ, yardstick::READ_NOTE, || process::run(&mut read())),
        ],
    );
    outcome.ask_rate(VERIFY, READ, 0.7);
    outcome
}
