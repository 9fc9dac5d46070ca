//! Where files are staged: another directory than the archive's on the same file system, named or not, shared or not,
//! changed between two runs; and next to earlier versions, which stage within the archive.

use crate::archive_world::earlier::Earlier;
use crate::archive_world::{FLOW, Job, World, chunk_of, files, first_commit, run, schema, write};
use files::sink::Layout;
use files::sink::ParquetConfig;
use files::store::local::Local;
use files::store::memory::Memory;
use files::store::{STAGING, Store};
use operators_core::Error;
use operators_core::config::Context;
use operators_core::inspect::Seen;
use operators_core::progress::Version;
use operators_core::stage::{BuiltSink, Closing, Inflow, Sink};
use operators_core::{Position, Span};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const JOB: Job = Job { partitions: 2, positions: 9, step: 3 };

in_both_layouts! {
    an_older_copy_that_staged_within_the_archive_is_fenced
    a_clean_end_leaves_nothing_staged
    another_staging_directory_between_two_runs
    a_staging_directory_deleted_under_a_run
    an_archive_is_moved
}

fn built(url: &str, staging: Option<&str>, dir: &Path) -> Result<BuiltSink, Vec<operators_core::error::Problem>> {
    let mut config = serde_json::json!({ "url": url });
    if let Some(staging) = staging {
        config["staging"] = staging.into();
    }
    let config: ParquetConfig = serde_json::from_value(config).unwrap();
    config.build(&schema(), Inflow::default(), &Context { dir: dir.to_owned() })
}

/// Writes one batch of an open run and doesn't commit it.
fn stage(world: World, sink: &dyn Sink, id: &str, attempt: u64) -> operators_core::progress::Receipt {
    let span = Span { partition: 0, from: Position(0), to: Position(3), rows: 3, anchor: None };
    let mut writer = sink.writer(&run(id), attempt).unwrap();
    writer.write(chunk_of(&span).unwrap()).unwrap();
    let next = world.next(None, &run(id)).unwrap();
    let closing = Closing {
        spans: next.spans,
        fingerprint: next.progress.fingerprint,
        source: next.progress.source,
        ..Closing::default()
    };
    writer.close(&closing).unwrap()
}

/// Earlier versions stage in `_staging` within the archive: a run of this one moves it aside, and no row of it is
/// published.
fn an_older_copy_that_staged_within_the_archive_is_fenced(layout: Layout) {
    let (memory, world) = (Memory::default(), JOB.laid_out(layout));
    let earlier = Earlier(memory.clone());
    let sink = world.sink(&earlier);
    let mut opened = sink.open(&run("old")).unwrap();
    let receipt = stage(world, &sink, "old", 0);
    assert!(!files(&memory, "_staging/run=old").is_empty() && memory.list(STAGING).is_err());
    world.live(&world.sink(&memory), "new").unwrap();
    assert!(memory.list("_staging").is_err(), "the emptied directory is removed");
    let ended = opened.committer.commit(first_commit(JOB, &run("old"), vec![receipt]));
    assert!(matches!(ended, Err(Error::Fenced { .. })), "{ended:?}");
    assert!(world.live(&sink, "old again").is_ok(), "it finds everything committed");
    world.live(&world.sink(&memory), "the last").unwrap();
    world.assert_whole(&memory, "after an older copy");
}

fn a_clean_end_leaves_nothing_staged(layout: Layout) {
    let (directory, world) = (tempfile::tempdir().unwrap(), JOB.laid_out(layout));
    let local = Local::new(directory.path().join("archive"));
    let sink = world.sink(&local);
    let mut opened = sink.open(&run("one")).unwrap();
    assert!(local.list(STAGING).is_ok());
    opened.committer.tidy();
    assert!(local.list(STAGING).is_err());
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["archive"]);

    // What is still staged is kept, and so is what others put there.
    let mut opened = sink.open(&run("two")).unwrap();
    write(&local, "@staging/run=two/attempt=7/partition-0.parquet", b"");
    write(&local, "@staging/note", b"");
    opened.committer.tidy();
    assert_eq!(files(&local, STAGING), ["@staging/note", "@staging/run=two/attempt=7/partition-0.parquet"]);
}

/// Leftovers in the old place stay there: they are in nobody's way, and no row is lost or doubled.
fn another_staging_directory_between_two_runs(layout: Layout) {
    let (directory, world) = (tempfile::tempdir().unwrap(), JOB.laid_out(layout));
    let at = |staging: &str| {
        Local::new(directory.path().join("archive")).staged_in(directory.path().join(staging).join("archive"))
    };
    let (before, after) = (at("before"), at("after"));
    let old = world.sink(&before);
    let mut opened = old.open(&run("old")).unwrap();
    let receipt = stage(world, &old, "old", 0);
    let leftovers = files(&before, STAGING);
    assert!(!leftovers.is_empty());
    world.live(&world.sink(&after), "new").unwrap();
    assert_eq!(files(&before, STAGING), leftovers);
    // The old run still has its files, and only the numbers are in its way.
    let ended = opened.committer.commit(first_commit(JOB, &run("old"), vec![receipt]));
    assert!(matches!(ended, Err(Error::Fenced { .. })), "{ended:?}");
    world.assert_whole(&after, "with another staging directory");
    world.live(&world.sink(&before), "back again").unwrap();
    assert_eq!(files(&before, STAGING), [""; 0], "back in the old place they are deleted");
    world.assert_whole(&before, "back again");
}

fn a_staging_directory_deleted_under_a_run(layout: Layout) {
    let (directory, world) = (tempfile::tempdir().unwrap(), JOB.laid_out(layout));
    let local = Local::new(directory.path().join("archive"));
    let sink = world.sink(&local);
    let mut opened = sink.open(&run("one")).unwrap();
    let receipt = stage(world, &sink, "one", 0);
    fs::remove_dir_all(directory.path().join("_staging-archive")).unwrap();
    let ended = opened.committer.commit(first_commit(JOB, &run("one"), vec![receipt]));
    let Err(Error::Fenced { reason, .. }) = ended else { panic!("{ended:?}") };
    assert!(reason.contains("is gone"), "{reason}");
    assert_eq!(sink.progress(FLOW).unwrap(), None);
    // Between two commits nothing is staged, and the next one makes it again.
    let deleted =
        world.live_telling(&sink, "two", |_| drop(fs::remove_dir_all(directory.path().join("_staging-archive"))));
    assert_eq!(deleted.unwrap(), 3);
    world.assert_whole(&local, "after its staging directory was deleted");
}

fn an_archive_is_moved(layout: Layout) {
    let (directory, world) = (tempfile::tempdir().unwrap(), JOB.laid_out(layout));
    let (here, there) = (directory.path().join("here"), directory.path().join("elsewhere/there"));
    let sink = world.sink(&Local::new(here.clone()));
    let opened = sink.open(&run("one")).unwrap();
    world.commit_once(&sink, opened, "one").unwrap();
    stage(world, &sink, "one", 7);
    fs::create_dir(there.parent().unwrap()).unwrap();
    fs::rename(&here, &there).unwrap();
    let moved = Local::new(there);
    world.live(&world.sink(&moved), "two").unwrap();
    world.assert_whole(&moved, "moved");
    assert!(directory.path().join("_staging-here").exists(), "what was staged at the old place stays there");
}

/// Several archives share one `staging`, each with a directory of its own.
#[test]
fn a_shared_staging_directory() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("pipelines");
    let mut places = Vec::new();
    for url in ["file:../a/data", "file:../b/data", "file:../a/../a/data"] {
        let sink = built(url, Some("../staging"), &dir).unwrap();
        let place = sink.staging.unwrap();
        let name = place.strip_prefix(&format!("file:{}/staging/data-", directory.path().display())).unwrap();
        assert!(name.len() == 8 && name.chars().all(|c| c.is_ascii_hexdigit()), "{place}");
        places.push(place);
    }
    assert!(places[0] != places[1] && places[0] == places[2], "{places:?}");
    let hdfs = built("hdfs://boss:9000/data", Some("/user/me/"), &dir).unwrap().staging.unwrap();
    assert!(hdfs.starts_with("hdfs://boss:9000/user/me/data-"), "{hdfs}");
    let next_to_it = built("hdfs://boss:9000/data", None, &dir).unwrap().staging.unwrap();
    assert_eq!(next_to_it, "hdfs://boss:9000/_staging-data");
    let archive = built("file:../a/data", Some("../staging"), &dir).unwrap();
    JOB.live(&*archive.sink, "one").unwrap();
    assert_eq!(fs::read_dir(directory.path().join("staging")).unwrap().count(), 1);
    crate::archive_world::assert_whole(
        &Local::new(directory.path().join("a/data")),
        JOB,
        "with a shared staging directory",
    );
}

#[test]
fn a_staging_directory_that_cannot_be_right_is_refused_by_check() {
    for (url, staging, says) in [
        ("file:/", None, "root of all directories"),
        ("file:data", Some(""), "isn't the path of a directory"),
        ("file:data", Some("file:staging"), "without `file:`"),
        ("file:data", Some("data"), "lies within the directory of `url`"),
        ("file:data", Some("x/../data/staging"), "lies within the directory of `url`"),
        ("hdfs://boss:9000/data", Some(""), "isn't an absolute path"),
        ("hdfs://boss:9000/data", Some("staging"), "isn't an absolute path"),
        ("hdfs://boss:9000/data", Some("hdfs://boss:9000/staging"), "isn't an absolute path"),
        ("hdfs://boss:9000/data", Some("/data"), "lies within the directory of `url`"),
        ("hdfs://boss:9000/data", Some("/a/../b"), "no directory of the name `..`"),
    ] {
        let problems = built(url, staging, Path::new("/pipelines")).err().unwrap();
        let [problem] = problems.as_slice() else { panic!("{url} {staging:?}: {problems:?}") };
        let text = format!("{} {:?}", problem.message, problem.help);
        assert!(text.contains(says), "{url} {staging:?}: {text}");
        assert_eq!(problem.at, [if staging.is_some() { "staging" } else { "url" }]);
    }
}

/// Two directories on different file systems; `None`, said loudly, where this machine has but one.
fn two_file_systems() -> Option<(tempfile::TempDir, tempfile::TempDir)> {
    let one = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |directory: &tempfile::TempDir| fs::metadata(directory.path()).unwrap().dev();
    if device(&one) == device(&other) {
        eprintln!("SKIPPED: /dev/shm is on the file system of the temporary directory");
        return None;
    }
    Some((one, other))
}

/// The refusal says where it tried, which setting to change, and to what.
#[test]
fn a_staging_directory_on_another_file_system_is_refused_before_the_first_row() {
    let Some((one, other)) = two_file_systems() else { return };
    let (elsewhere, next_to_it) = (other.path().join("staging"), one.path().join("staging"));
    let sink = built("file:archive", Some(elsewhere.to_str().unwrap()), one.path()).unwrap().sink;
    let connected = sink.connect(FLOW).into_iter().find_map(Result::err).unwrap();
    let opened = sink.open(&run("one")).err().unwrap();
    for error in [connected, opened] {
        let Error::Refused { reason, .. } = &error else { panic!("{error:?}") };
        assert!(reason.contains(elsewhere.to_str().unwrap()) && reason.contains("staging = \""), "{reason}");
        println!("{error}");
    }
    let left = fs::read_dir(&elsewhere).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 0, "nothing is left in a place that can't be used");
    assert!(
        built("file:archive", Some(next_to_it.to_str().unwrap()), one.path()).unwrap().sink.open(&run("one")).is_ok()
    );
}

/// The archive's directory is a link to another file system: a directory next to what it leads to will do.
#[test]
fn the_advice_for_a_linked_archive_works() {
    let Some((one, other)) = two_file_systems() else { return };
    fs::create_dir(other.path().join("real")).unwrap();
    symlink(other.path().join("real"), one.path().join("archive")).unwrap();
    let sink = built("file:archive", None, one.path()).unwrap().sink;
    let Err(Error::Refused { reason, .. }) = sink.open(&run("one")) else { panic!("opened") };
    let (_, advised) = reason.split_once("staging = \"").unwrap();
    let advised = PathBuf::from(advised.trim_end_matches('"'));
    assert_eq!(advised, other.path());
    let sink = built("file:archive", advised.to_str(), one.path()).unwrap().sink;
    let [Ok(Seen::Fine(_)), Ok(Seen::Fine(staged))] = &sink.connect(FLOW)[..] else {
        panic!("{:?}", sink.connect(FLOW))
    };
    assert!(staged.contains("files are staged in") && staged.contains(other.path().to_str().unwrap()), "{staged}");
    JOB.live(&*sink, "one").unwrap();
    crate::archive_world::assert_whole(&Local::new(other.path().join("real")), JOB, "by way of a link");
}

/// Asking makes nothing, whatever is there.
#[test]
fn connecting_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let sink = built("file:data/archive", None, directory.path()).unwrap().sink;
    let [Ok(Seen::NotYet(root)), Ok(Seen::Fine(staged))] = &sink.connect(FLOW)[..] else { panic!() };
    assert!(root.contains("not there yet") && staged.contains("allows to be made"), "{root} {staged}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A segment may be a link to a directory elsewhere; one that leads nowhere stops a run and is a finding.
#[test]
fn a_segment_that_is_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let (root, disk) = (directory.path().join("archive"), directory.path().join("disk"));
    let local = Local::new(root.clone());
    JOB.live(&crate::archive_world::sink(&local), "one").unwrap();
    fs::create_dir(&disk).unwrap();
    fs::rename(root.join("segment=000000"), disk.join("segment=000000")).unwrap();
    symlink(disk.join("segment=000000"), root.join("segment=000000")).unwrap();
    let longer = Job { positions: 15, ..JOB };
    longer.live(&crate::archive_world::sink(&local), "two").unwrap();
    crate::archive_world::assert_whole(&local, longer, "a segment that is a link");
    assert_eq!(crate::archive_world::sink(&local).progress(FLOW).unwrap().unwrap().version, Version(4));

    fs::rename(&disk, directory.path().join("gone")).unwrap();
    let (findings, _) = crate::archive_world::audit(&crate::archive_world::sink(&local));
    assert!(findings.iter().any(|finding| finding.path == "archive/segment=000000"), "{findings:?}");
    let error = crate::archive_world::sink(&local).open(&run("three")).err();
    assert!(matches!(&error, Some(Error::Damaged { .. })), "{error:?}");
}
