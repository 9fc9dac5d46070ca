//! No mutation of an archive passes unnoticed: `verify` finds something, or an independent reader still reads every row
//! unchanged. Mutations are uniform over all bytes of all files, and over files and batches.
//!
//! `WEATHERFLOW_MUTATIONS=12000` makes that many of each layout and codec; `WEATHERFLOW_SEED` makes others.

use crate::archive_world::{Job, World, audit, files, write};
use files::sink::{Compression, Layout, ParquetSink};
use files::store::Store;
use files::store::memory::Memory;
use operators_core::stage::Sink;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use testkit::Random;
use testkit::project;

const JOB: Job = Job { partitions: 3, positions: 24, step: 4 };

/// How many are made where nobody asks for more.
const SAMPLE: u64 = 400;

/// All files of an archive by their paths.
type Archive = BTreeMap<String, Vec<u8>>;

fn sink(memory: &Memory, layout: Layout, compression: Compression) -> ParquetSink {
    ParquetSink::new(
        Arc::new(memory.clone()),
        "archive".to_owned(),
        &crate::archive_world::schema(),
        compression,
        layout,
    )
}

fn archive(world: World, compression: Compression) -> Archive {
    let memory = Memory::default();
    let sink: &dyn Sink = &sink(&memory, world.layout, compression);
    world.live(sink, "run").unwrap();
    files(&memory, "").into_iter().map(|path| (path.clone(), memory.read(&path).unwrap())).collect()
}

fn stored(archive: &Archive) -> Memory {
    let memory = Memory::default();
    archive.iter().for_each(|(path, bytes)| write(&memory, path, bytes));
    memory
}

/// What is done to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mutation {
    BitFlipped,
    ByteSet,
    RangeZeroed,
    ByteRemoved,
    ByteInserted,
    Cut,
    Extended,
    FileRemoved,
    FilesSwapped,
    FileCopied,
    FileRenamed,
    BatchRemoved,
    BatchesSwapped,
    BatchCopied,
    BatchRenamed,
}

/// Those of bytes come as often as all others together.
const KINDS: [Mutation; 18] = {
    use Mutation::*;
    [
        BitFlipped,
        BitFlipped,
        BitFlipped,
        ByteSet,
        ByteSet,
        RangeZeroed,
        ByteRemoved,
        ByteInserted,
        Cut,
        Extended,
        FileRemoved,
        FilesSwapped,
        FileCopied,
        FileRenamed,
        BatchRemoved,
        BatchesSwapped,
        BatchCopied,
        BatchRenamed,
    ]
};

/// A byte of all bytes of all files: its file, and where it is in it.
fn place(archive: &Archive, chance: &mut Random) -> (String, usize) {
    let mut at = chance.below(archive.values().map(|bytes| bytes.len() as u64).sum());
    for (path, bytes) in archive {
        match at.checked_sub(bytes.len() as u64) {
            Some(left) => at = left,
            None => return (path.clone(), at as usize),
        }
    }
    unreachable!("it is below the sum of all lengths")
}

fn one<'a>(of: &'a [String], chance: &mut Random) -> &'a str {
    &of[chance.below(of.len() as u64) as usize]
}

/// What is committed in one step: the directories of batches, or the files of the flat layout with rows.
fn batches(archive: &Archive, layout: Layout) -> Vec<String> {
    let batch = |path: &String| match layout {
        Layout::Batches => path.rsplit_once('/').map(|(directory, _)| directory.to_owned()),
        Layout::Flat => path.ends_with(".parquet").then(|| path.clone()),
    };
    archive.keys().filter_map(batch).collect::<BTreeSet<_>>().into_iter().collect()
}

/// A name that another file or batch could have.
fn renamed(path: &str, chance: &mut Random) -> String {
    let number = chance.below(9);
    match chance.below(3) {
        0 => path.replacen("partition-", &format!("partition-{number}"), 1),
        1 => match path.rsplit_once("-batch-") {
            Some((stem, _)) => format!("{stem}-batch-{number}.parquet"),
            None => format!("{path}{number}"),
        },
        _ => match path.rsplit_once('=') {
            Some((stem, rest)) if !rest.contains('/') => format!("{stem}={number:020}"),
            _ => format!("{path}.{number}"),
        },
    }
}

/// Moves everything below a path to another.
fn shift(archive: &mut Archive, from: &str, to: &str, keep: bool) {
    let of_it = |path: &&String| *path == from || path.starts_with(&format!("{from}/"));
    for path in archive.keys().filter(of_it).cloned().collect::<Vec<_>>() {
        let bytes = if keep { archive[&path].clone() } else { archive.remove(&path).unwrap() };
        archive.insert(path.replacen(from, to, 1), bytes);
    }
}

fn swap(archive: &mut Archive, one: &str, other: &str) {
    shift(archive, one, "aside", false);
    shift(archive, other, one, false);
    shift(archive, "aside", other, false);
}

fn mutate(archive: &mut Archive, layout: Layout, kind: Mutation, chance: &mut Random) {
    let (path, at) = place(archive, chance);
    let (paths, batches): (Vec<_>, _) = (archive.keys().cloned().collect(), batches(archive, layout));
    let bytes = archive.get_mut(&path).unwrap();
    let length = chance.below(64) as usize + 1;
    match kind {
        Mutation::BitFlipped => bytes[at] ^= 1 << chance.below(8),
        Mutation::ByteSet => bytes[at] = chance.below(256) as u8,
        Mutation::RangeZeroed => bytes[at..].iter_mut().take(length).for_each(|byte| *byte = 0),
        Mutation::ByteRemoved => drop(bytes.remove(at)),
        Mutation::ByteInserted => bytes.insert(at, chance.below(256) as u8),
        Mutation::Cut => bytes.truncate(at),
        Mutation::Extended => bytes.extend((0..length).map(|_| chance.below(256) as u8)),
        Mutation::FileRemoved => drop(archive.remove(one(&paths, chance))),
        Mutation::FilesSwapped => swap(archive, one(&paths, chance), one(&paths, chance)),
        Mutation::FileCopied => {
            let (from, other) = (one(&paths, chance), one(&paths, chance).to_owned());
            let to = if chance.below(2) == 0 { other } else { renamed(from, chance) };
            shift(archive, from, &to, true);
        }
        Mutation::FileRenamed => {
            let from = one(&paths, chance);
            shift(archive, from, &renamed(from, chance), false);
        }
        Mutation::BatchRemoved => archive.retain({
            let gone = one(&batches, chance).to_owned();
            move |path, _| *path != gone && !path.starts_with(&format!("{gone}/"))
        }),
        Mutation::BatchesSwapped => swap(archive, one(&batches, chance), one(&batches, chance)),
        Mutation::BatchCopied => {
            let from = one(&batches, chance);
            shift(archive, from, &renamed(from, chance), true);
        }
        Mutation::BatchRenamed => {
            let from = one(&batches, chance);
            shift(archive, from, &renamed(from, chance), false);
        }
    }
}

/// Whether nothing is missing but the newest batches, or in the flat layout newest files of a partition: what is left is
/// an older archive, and a valid one.
fn is_older(whole: &Archive, mutated: &Archive, layout: Layout) -> bool {
    let (all, left) = (batches(whole, layout), batches(mutated, layout));
    let rest = |archive: &Archive| -> Archive {
        let in_batch = |path: &String| all.iter().any(|batch| path == batch || path.starts_with(&format!("{batch}/")));
        archive.iter().filter(|(path, _)| !in_batch(path)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
    };
    let chain = |batch: &String| match layout {
        Layout::Batches => String::new(),
        Layout::Flat => batch.rsplit_once("-batch-").unwrap().0.to_owned(),
    };
    let is_newest = |gone: &String| !left.iter().any(|batch| chain(batch) == chain(gone) && batch > gone);
    rest(whole) == rest(mutated)
        && mutated.iter().all(|(path, bytes)| whole.get(path) == Some(bytes))
        && all.iter().filter(|batch| !left.contains(batch)).all(is_newest)
        && left.iter().all(|batch| {
            let of_it = |path: &&String| *path == batch || path.starts_with(&format!("{batch}/"));
            whole.keys().filter(of_it).eq(mutated.keys().filter(of_it))
        })
}

#[derive(Debug, Default)]
struct Count {
    found: u64,
    same: u64,
    excluded: u64,
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn mutations_are_noticed(layout: Layout) {
    let world = JOB.laid_out(layout);
    let passed = tempfile::tempdir().unwrap();
    let (mut counts, mut unnoticed) = (BTreeMap::<Mutation, Count>::new(), Vec::new());
    for compression in [Compression::None, Compression::Snappy, Compression::Zstd] {
        let whole = archive(world, compression);
        assert_eq!(audit(&sink(&stored(&whole), layout, compression)).0, [], "the archive itself is sound");
        for n in 0..number("WEATHERFLOW_MUTATIONS", SAMPLE) {
            let mut chance = Random(number("WEATHERFLOW_SEED", 1) << 32 | n);
            let kind = KINDS[n as usize % KINDS.len()];
            let mut mutated = whole.clone();
            while mutated == whole {
                mutate(&mut mutated, layout, kind, &mut chance);
            }
            let count = counts.entry(kind).or_default();
            let (findings, _) = audit(&sink(&stored(&mutated), layout, compression));
            if !findings.is_empty() {
                count.found += 1;
            } else if is_older(&whole, &mutated, layout) {
                count.excluded += 1;
            } else {
                count.same += 1;
                let directory = passed.path().join(format!("{kind:?}-{compression:?}-{n}"));
                keep(&mutated, &directory);
                unnoticed.push(directory.to_string_lossy().into_owned());
            }
        }
    }
    println!("{layout:?}: {counts:#?}");
    let read = pyarrow(world, passed.path(), &unnoticed);
    let changed: Vec<_> = read.lines().filter(|line| !line.ends_with(" same")).collect();
    assert!(changed.is_empty(), "nothing was found, and the rows are others: {changed:#?}");
}

fn keep(archive: &Archive, directory: &Path) {
    for (path, bytes) in archive {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What pyarrow reads in directories; nothing, said loudly, where it is not installed.
fn pyarrow(world: World, directory: &Path, archives: &[String]) -> String {
    let python = project().join("target/python/bin/python");
    if !python.exists() {
        assert!(std::env::var("CI").is_err(), "CI needs pyarrow, and there is no {}", python.display());
        println!("SKIPPED: pyarrow did not read {} archives, there is no {}", archives.len(), python.display());
        return String::new();
    }
    let row = |partition: u32, at: u64| format!("[\"{partition}\", \"2000-01-{:02}\", {at}.0]\n", 1 + at % 28);
    let rows = world.expected().into_iter();
    let rows: String = rows.flat_map(|(n, rows)| rows.written.into_iter().map(move |at| row(n, at))).collect();
    let expected = directory.join("rows");
    std::fs::write(&expected, rows).unwrap();
    let pattern = match world.layout {
        Layout::Batches => "segment=*/batch=*/*.parquet",
        Layout::Flat => "*.parquet",
    };
    let mut read = String::new();
    for some in archives.chunks(500) {
        let mut command = Command::new(&python);
        command.arg(project().join("operators/files/tests/it/mutations.py")).arg(pattern).arg(&expected).args(some);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        read += &String::from_utf8(output.stdout).unwrap();
    }
    assert_eq!(read.lines().count(), archives.len());
    read
}

in_both_layouts! { mutations_are_noticed }
