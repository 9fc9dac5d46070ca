//! The counts that are kept in the repository.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// What a count may grow by.
const TOLERANCE: f64 = 0.05;

const HEAD: &str = "# Instructions per row, as valgrind counts them. Written by: .ci/instructions --accept\n";

/// Counts, and what made them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Another compiler makes other instructions.
    compiler: String,
    /// By the names of cases.
    instructions: BTreeMap<String, f64>,
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "instructions", "instructions.toml"].iter().collect()
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc");
    format!("{} on {}", String::from_utf8(output.stdout).unwrap().trim(), std::env::consts::ARCH)
}

impl Kept {
    /// Counts of this machine.
    pub fn now(counts: BTreeMap<String, f64>) -> Self {
        let round = |count: f64| (count * 10.0).round() / 10.0;
        Self { compiler: compiler(), instructions: counts.into_iter().map(|(name, n)| (name, round(n))).collect() }
    }

    pub fn read() -> Self {
        let file = file();
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    pub fn write(&self) {
        std::fs::write(file(), format!("{HEAD}{}", toml::to_string(self).unwrap())).unwrap();
        println!("kept in {}", file().display());
    }

    /// A table of all cases and what to do about it; an error if one of them has become slower, or is not kept.
    pub fn compare(&self, now: &Self) -> Result<String, String> {
        let mut table = String::from("| instructions per row | kept | now | change | |\n|---|---|---|---|---|\n");
        let (mut above, mut below, mut strange) = (0, 0, 0);
        let names: BTreeSet<_> = self.instructions.keys().chain(now.instructions.keys()).collect();
        for name in names {
            let [kept, now] = [self, now].map(|counts| counts.instructions.get(name).copied());
            let (change, verdict) = match (kept, now) {
                (Some(kept), Some(now)) => {
                    let change = now / kept - 1.0;
                    let verdict = if change > TOLERANCE {
                        above += 1;
                        "**more**"
                    } else if change < -TOLERANCE {
                        below += 1;
                        "less"
                    } else {
                        ""
                    };
                    (format!("{:+.1} %", change * 100.0), verdict)
                }
                (None, _) => (String::new(), "**not kept**"),
                (_, None) => (String::new(), "**not counted**"),
            };
            strange += usize::from(change.is_empty());
            let cell = |count: Option<f64>| count.map_or(String::new(), |count| format!("{count:.1}"));
            writeln!(table, "| {name} | {} | {} | {change} | {verdict} |", cell(kept), cell(now)).unwrap();
        }
        let accept = "`.ci/instructions --accept` keeps these counts";
        if self.compiler != now.compiler {
            return Ok(format!(
                "{table}\nThe counts were kept with {}, this is {}: they are not compared. {accept}.",
                self.compiler, now.compiler
            ));
        }
        let limit = TOLERANCE * 100.0;
        if above + strange > 0 {
            return Err(format!(
                "{table}\n{above} more than {limit} % above what is kept, {strange} on one side only. Make it fast again, \
                 or, if what it now does is worth that, {accept}."
            ));
        }
        if below > 0 {
            return Ok(format!("{table}\n{below} more than {limit} % below what is kept: lower it, {accept}."));
        }
        Ok(format!("{table}\nAll within {limit} % of what is kept."))
    }
}
