//! Where a flow stands, for people and for programs.

use super::now::long;
use super::print::beside;
use super::words::{counted, left_out, printed_lines};
use console::style;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use operators_core::Position;
use operators_core::inspect::Files;
use operators_core::progress::{Tally, Version};
use operators_core::terminal::printed;
use serde::Serialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// From so many files on it is worth a word that they are small.
const MANY: u64 = 50;
/// Nobody waits longer for rows to be readable.
const LONGEST: Duration = Duration::from_hours(24);

/// Where a flow stands.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Standing {
    pub(crate) flow: String,
    pub(crate) source: String,
    pub(crate) sink: String,
    pub(crate) last_commit: LastCommit,
    pub(crate) partitions: Vec<Partition>,
    /// Rows of all partitions that are still to be read, where the source can tell.
    pub(crate) behind: Option<Behind>,
    pub(crate) files: Option<Files>,
    #[serde(skip)]
    pub(crate) commit_every: Duration,
    /// What keeps the flow from going on, or this from being told.
    pub(crate) problems: Vec<String>,
}

/// What is known of the last commit; for programs an object or null.
#[derive(Debug, Default, Serialize)]
#[serde(untagged)]
pub(crate) enum LastCommit {
    /// The sink could not be asked.
    #[default]
    Unknown,
    /// There is none yet.
    Never,
    Made(Commit),
}

/// The last commit of a flow.
#[derive(Debug, Serialize)]
pub(crate) struct Commit {
    pub(crate) version: Version,
    pub(crate) run: String,
    #[serde(serialize_with = "milliseconds")]
    pub(crate) at: Option<SystemTime>,
    /// Rows of all commits.
    pub(crate) rows: Tally,
}

/// A partition of the source.
#[derive(Debug, Serialize)]
pub(crate) struct Partition {
    pub(crate) partition: u32,
    /// The next to be read; `None` when nothing was committed of it.
    pub(crate) position: Option<Position>,
    /// The oldest that the source still has.
    pub(crate) first: Option<Position>,
    /// Behind the newest that the source has.
    pub(crate) next: Option<Position>,
    pub(crate) behind: Option<Behind>,
}

/// Rows that are still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Behind {
    pub(crate) rows: u64,
    /// Whether it is that many; otherwise that many at most, as positions may lack rows.
    pub(crate) exact: bool,
}

/// Times are milliseconds since 1970.
fn milliseconds<S: serde::Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

/// A heading, a few labelled lines, and a line for each partition.
pub(crate) fn text(standing: &Standing) -> String {
    let mut text = format!("{}: {}\n", style(&standing.flow).bold(), heading(standing));
    let mut labelled = |label: &str, words: &str| text += &beside(&format!("  {label:<8} "), words);
    if !standing.source.is_empty() {
        labelled("from", &printed(&standing.source));
        labelled("to", &printed(&standing.sink));
    }
    if let LastCommit::Made(Commit { rows, .. }) = &standing.last_commit {
        labelled("rows", &format!("{} committed{}", HumanCount(rows.written), left_out(rows)));
    }
    if let Some(files) = &standing.files {
        labelled("files", &format!("{}, {}", HumanCount(files.count), HumanBytes(files.bytes)));
        if let Some(advice) = advice(files, standing.commit_every) {
            labelled("", &style(advice).yellow().to_string());
        }
    }
    if let Some(behind) = standing.behind {
        labelled("behind", &in_words(behind));
    }
    for partition in standing.partitions.iter().filter(|partition| partition.position < partition.first) {
        let (Some(position), Some(first)) = (partition.position, partition.first) else { continue };
        let words = format!(
            "partition {} of the source begins at {first}, and the flow stands at {position}",
            partition.partition
        );
        labelled("note", &words);
    }
    for problem in &standing.problems {
        let label = format!("  {} ", style("problem ").red().bold());
        text += &beside(&label, &printed_lines(problem));
    }
    text + &table(&standing.partitions)
}

fn heading(standing: &Standing) -> String {
    match &standing.last_commit {
        LastCommit::Unknown => "its last commit is not known".to_owned(),
        LastCommit::Never => "nothing committed yet".to_owned(),
        LastCommit::Made(Commit { version, at, .. }) => {
            let since = at.and_then(|at| SystemTime::now().duration_since(at).ok());
            format!("version {version}{}", since.map_or(String::new(), |since| format!(", {} ago", long(since))))
        }
    }
}

fn in_words(behind: Behind) -> String {
    match behind {
        Behind { rows: 0, .. } => "caught up".to_owned(),
        Behind { rows, exact: true } => counted(rows, "row"),
        Behind { rows, exact: false } => format!("up to {}", counted(rows, "row")),
    }
}

/// What makes larger files, when most are small.
fn advice(files: &Files, every: Duration) -> Option<String> {
    if files.count < MANY || files.small * 2 <= files.count {
        return None;
    }
    let small = format!("{} of them are below {}", HumanCount(files.small), HumanBytes(Files::SMALL));
    let average = (files.bytes / files.count).max(1);
    let longer = every.checked_mul(u32::try_from(Files::SMALL / average).unwrap_or(u32::MAX));
    let would_do = longer.filter(|longer| *longer > every && *longer <= LONGEST);
    let would_do =
        would_do.map_or(String::new(), |longer| format!("; {} would do at this rate", HumanDuration(longer)));
    Some(format!(
        "{small}, which is slow to read: a longer commit.every makes fewer and larger ones (now {every:?}{would_do})"
    ))
}

fn table(partitions: &[Partition]) -> String {
    let number = |position: Option<Position>| position.map_or("-".to_owned(), |position| position.to_string());
    let row = |partition: &Partition| {
        let behind = partition.behind.map_or("-".to_owned(), |behind| match behind {
            Behind { rows, exact: true } => HumanCount(rows).to_string(),
            Behind { rows, exact: false } => format!("<= {}", HumanCount(rows)),
        });
        [partition.partition.to_string(), number(partition.position), number(partition.next), behind]
    };
    if partitions.is_empty() {
        return String::new();
    }
    let head = ["partition", "position", "source ends", "behind"].map(str::to_owned);
    let rows: Vec<_> = [head].into_iter().chain(partitions.iter().map(row)).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            text += &format!("  {cell:>width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::progress::{Tally, Version};

    fn standing(files: Files, every: Duration) -> Standing {
        let rows = Tally { read: 1_300, written: 1_234, filtered: 60, dead_letters: 6, ..Tally::default() };
        let at = SystemTime::now().checked_sub(Duration::from_secs(185));
        Standing {
            flow: "archive".into(),
            source: "topic t on boss:9092".into(),
            sink: "Parquet files in data".into(),
            last_commit: LastCommit::Made(Commit { version: Version(42), run: "one".into(), at, rows }),
            partitions: vec![Partition {
                partition: 3,
                position: Some(Position(1_290)),
                first: Some(Position(1_300)),
                next: Some(Position(2_400)),
                behind: Some(Behind { rows: 1_100, exact: false }),
            }],
            behind: Some(Behind { rows: 1_100, exact: false }),
            files: Some(files),
            commit_every: every,
            problems: vec!["boss:9092 does not answer".into()],
        }
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let files = Files { count: 12, bytes: 12 << 20, small: 12 };
        let expected = "archive: version 42, 3 min ago
  from     topic t on boss:9092
  to       Parquet files in data
  rows     1,234 committed, 60 filtered, 6 dead letters
  files    12, 12.00 MiB
  behind   up to 1,100 rows
  note     partition 3 of the source begins at 1300, and the flow stands at 1290
  problem  boss:9092 does not answer
  partition  position  source ends    behind
          3      1290         2400  <= 1,100
";
        console::set_colors_enabled(false);
        assert_eq!(text(&standing(files, Duration::from_secs(10))), expected);
        let unknown = Standing { last_commit: LastCommit::Unknown, ..standing(files, Duration::ZERO) };
        assert!(text(&unknown).starts_with("archive: its last commit is not known\n"));
    }

    #[test]
    fn small_files_are_told_once_there_are_many() {
        let seconds = Duration::from_secs(10);
        let told = |count, small, each: u64, every| advice(&Files { count, bytes: count * each, small }, every);
        assert_eq!(told(49, 49, 1 << 10, seconds), None);
        assert_eq!(told(100, 50, 32 << 20, seconds), None, "half of them are large");
        let words = told(100, 100, 1 << 20, seconds).unwrap();
        assert_eq!(
            words,
            "100 of them are below 16.00 MiB, which is slow to read: a longer commit.every makes fewer and larger ones \
             (now 10s; 3 minutes would do at this rate)"
        );
        // So little comes that no interval anybody would want makes a large file.
        let words = told(100, 100, 4 << 10, seconds).unwrap();
        assert!(words.ends_with("(now 10s; 11 hours would do at this rate)"), "{words}");
        let words = told(100, 100, 100, seconds).unwrap();
        assert!(words.ends_with("(now 10s)"), "{words}");
    }
}
