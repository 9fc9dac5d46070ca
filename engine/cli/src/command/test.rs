//! `test`: runs the tests of pipeline files, and shows what is not as they say.

use super::Failed;
use crate::report::{counted, say, tell};
use crate::trial::{self, Tested, Verdict};
use console::style;
use operators_core::terminal::printed;
use pipeline::Loaded;
use std::path::PathBuf;

pub(crate) fn test(files: &[PathBuf], filter: Option<&str>) -> Result<(), Failed> {
    // All mistakes of all files before the first test.
    let loaded = files.iter().map(|file| super::load(file)).collect::<Result<Vec<_>, _>>()?;
    let (mut passed, mut failed, mut left_out) = (0, Vec::new(), 0);
    for (file, loaded) in files.iter().zip(&loaded) {
        let file = file.display().to_string();
        say(format!("{}: {}", printed(&file), counted(loaded.tests.len() as u64, "test")))?;
        for tested in tests(loaded) {
            // A terminal prints what stands in the file, and obeys nothing in it.
            let title = format!("{}: {}", tested.test.flow, printed(&tested.test.name));
            if filter.is_some_and(|text| !title.contains(text)) {
                left_out += 1;
                continue;
            }
            let Verdict { runs, failed: problems } = tested.verdict();
            match problems {
                None => {
                    let runs = if runs > 1 { format!(" ({})", counted(runs, "run")) } else { String::new() };
                    tell(format!("  {}    {title}{runs}", style("ok").green()))?;
                    passed += 1;
                }
                Some(problems) => {
                    tell(format!("  {}  {title}", style("FAIL").red().bold()))?;
                    failed.push((title, &tested.test.place, problems));
                }
            }
        }
    }
    for (title, place, failure) in &failed {
        say(format!("\n{}\n  at {place}{}", style(title).bold(), circumstances(failure)))?;
        failure.problems.iter().try_for_each(|problem| say(indented(problem)))?;
    }
    let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
    say(format!("\n{passed} passed, {} failed{left_out}", failed.len()))?;
    if failed.is_empty() { Ok(()) } else { Err(Failed::Said) }
}

fn tests(loaded: &Loaded) -> impl Iterator<Item = Tested<'_>> {
    loaded.tests.iter().filter_map(|test| {
        let flow = loaded.built.iter().find(|flow| flow.name == test.flow)?;
        Some(Tested { test, flow, memory: loaded.pipeline.memory.0 })
    })
}

/// Which of the runs it was.
fn circumstances(failure: &trial::Failed) -> String {
    let crashes: Vec<_> = failure.crashes.iter().map(ToString::to_string).collect();
    if crashes.is_empty() { String::new() } else { format!(", in the run with a crash {}", crashes.join(", then ")) }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
