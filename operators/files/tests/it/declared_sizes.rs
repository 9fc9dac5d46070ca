//! No size that a damaged file declares is believed: archives of versions without digests are read as far as they are
//! sound, and the memory for what is not there is never asked for.
use files::sink::{Compression, Layout, ParquetSink, parquet_file};
use files::store::local::Local;
use operators_core::Schema;
use operators_core::stage::{Audit, Finding};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Address space of this process: threads reserve much of it that they never use.
const MEMORY: u64 = 1 << 30;

/// Set in the process whose memory is limited.
const LIMITED: &str = "WEATHERFLOW_LIMITED";

/// Runs the work of a test of this module in a process of its own: more memory than [`MEMORY`] ends that process, and
/// fails the test.
fn with_limited_memory(test: &str, work: impl FnOnce()) {
    if std::env::var_os(LIMITED).is_some() {
        setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) }).unwrap();
        return work();
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("declared_sizes::{test}"), "--nocapture"])
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&child.stderr));
}

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../engine/cli/tests/golden/4064f49").join(path)
}

/// The largest number of 32 bits as Thrift writes it, and the least.
const EXTREMES: [[u8; 5]; 2] = [[0xfe, 0xff, 0xff, 0xff, 0x0f], [0xff, 0xff, 0xff, 0xff, 0x0f]];

/// Reads every row of a file with these bytes; how far that went is all the same.
fn read(file: &Path, bytes: &[u8]) -> usize {
    fs::write(file, bytes).unwrap();
    parquet_file(file).map_or(0, |rows| rows.filter_map(Result::ok).count())
}

#[test]
fn a_number_of_a_file_may_be_anything() {
    with_limited_memory("a_number_of_a_file_may_be_anything", || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("damaged.parquet");
        for path in [
            "weather/data/archive/segment=000000/batch=00000000000000000000/partition-0-batch-0.parquet",
            "readings/data/batches/segment=000000/batch=00000000000000000000/partition-0-batch-0.parquet",
            "readings/data/flat/partition-0-batch-0.parquet",
        ] {
            let whole = fs::read(golden(path)).unwrap();
            assert_eq!(read(&file, &whole), 1, "{path} itself can be read");
            let end = whole.len() - 8;
            let footer = u32::from_le_bytes(whole[end..end + 4].try_into().unwrap());
            let mut unread = 0;
            for at in 4..end {
                for number in EXTREMES {
                    let mut bytes = whole.clone();
                    bytes.splice(at..=at, number);
                    if at >= end - footer as usize {
                        // The footer is found where it begins.
                        bytes[end + 4..end + 8].copy_from_slice(&(footer + 4).to_le_bytes());
                    }
                    unread += usize::from(read(&file, &bytes) == 0);
                }
            }
            assert!(unread > end, "{path}: {unread} of {} could not be read", 2 * end);
        }
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => assert!(fs::copy(entry.path(), to).is_ok()),
        }
    }
}

/// A file of 2 GiB, of which the disk holds the last bytes.
fn large(file: &Path, end: &[u8]) {
    let mut file = File::options().write(true).create(true).truncate(false).open(file).unwrap();
    file.set_len((2 << 30) - end.len() as u64).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    file.write_all(end).unwrap();
}

/// Expects that the audit of an archive with one file so large finds that.
fn found(layout: Layout, flow: &str, path: &str, end: &[u8], says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    copy(&golden(&format!("readings/data/{flow}")), &archive);
    large(&archive.join(path), end);
    let store = Arc::new(Local::new(archive));
    let sink = ParquetSink::new(store, "archive".to_owned(), &Schema::new(Vec::new()), Compression::Zstd, layout);
    let mut findings = Vec::new();
    sink.audit(&format!("readings/{flow}"), &mut |finding: Finding| findings.push(finding)).unwrap();
    let of_it = |finding: &&Finding| finding.path.ends_with(path) && finding.problem.contains(says);
    assert!(findings.iter().any(|finding| of_it(&finding)), "{path}: {findings:#?}");
}

#[test]
fn a_file_may_be_of_any_length() {
    with_limited_memory("a_file_may_be_of_any_length", || {
        let batch = "segment=000000/batch=00000000000000000001";
        let record = format!("{batch}/_checkpoint.json");
        found(Layout::Batches, "batches", &record, b"}", "it has 2147483648 bytes");
        found(Layout::Flat, "flat", "partition-1.json", b"}", "it has 2147483648 bytes");
        let footer = [(2_000_000_000_u32).to_le_bytes(), *b"PAR1"].concat();
        let rows = format!("{batch}/partition-0-batch-1.parquet");
        found(Layout::Batches, "batches", &rows, &footer, "it has 2000000000 bytes");
        found(Layout::Flat, "flat", "partition-0-batch-1.parquet", &footer, "it has 2000000000 bytes");
    });
}
