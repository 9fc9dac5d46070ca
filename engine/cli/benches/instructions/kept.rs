//! The counts that are kept in the repository.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Percent that a count may grow by.
const TOLERANCE: f64 = 5.0;

const HEAD: &str = "# Instructions per row, as valgrind counts them; written by `.ci/instructions --accept`.\n";

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
    /// Counts of this build.
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
        println!("{}kept in {}", self.table(), file().display());
    }

    pub fn table(&self) -> String {
        self.instructions.iter().map(|(name, count)| format!("{name:<20}{count:>10.1}\n")).collect()
    }

    /// All counts side by side, and what to do about them; an error if one has grown or has nothing to be compared with.
    pub fn compare(&self, now: &Self) -> Result<String, String> {
        let mut table = format!("{:<20}{:>10}{:>10}{:>10}\n", "instructions per row", "kept", "now", "change");
        let (mut more, mut less) = (0, 0);
        let names: BTreeSet<_> = self.instructions.keys().chain(now.instructions.keys()).collect();
        for name in names {
            let [before, after] = [self, now].map(|counts| counts.instructions.get(name).copied());
            let change = before.zip(after).map(|(before, after)| (after / before - 1.0) * 100.0);
            let verdict = match change {
                None => "<- on one side only",
                Some(change) if change > TOLERANCE => "<- more",
                Some(change) if change < -TOLERANCE => "<- less",
                Some(_) => "",
            };
            more += usize::from(change.is_none_or(|change| change > TOLERANCE));
            less += usize::from(change.is_some_and(|change| change < -TOLERANCE));
            let cell = |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
            let change = change.map_or("-".to_owned(), |change| format!("{change:+.1} %"));
            writeln!(table, "{name:<20}{:>10}{:>10}{change:>10} {verdict}", cell(before), cell(after)).unwrap();
        }
        let accept = "`.ci/instructions --accept` keeps these counts";
        if self.compiler != now.compiler {
            let (before, after) = (&self.compiler, &now.compiler);
            return Ok(format!("{table}kept with {before}, not to be compared with {after}; {accept}"));
        }
        match (more, less) {
            (0, 0) => Ok(format!("{table}all within {TOLERANCE} % of what is kept")),
            (0, _) => Ok(format!("{table}{less} of them more than {TOLERANCE} % below what is kept: {accept}")),
            _ => Err(format!(
                "{table}{more} of them more than {TOLERANCE} % above what is kept, or not to be compared; if what is \
                 gained is worth it, {accept}"
            )),
        }
    }
}
