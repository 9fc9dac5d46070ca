//! `check --connect` and `status`: what they say of places that are there, missing, closed or silent, and that asking
//! leaves everything byte for byte as it was.

use crate::common::{Job, both};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

/// Every file and folder below a directory: when it was changed, how long it is, and what is in it by a hash.
fn tree(dir: &Path) -> BTreeMap<PathBuf, (Option<SystemTime>, usize, u64)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Readers of SQLite note in this file up to where they read: it holds no rows, and is made anew when it is lost.
            let marks = path.to_string_lossy().ends_with("-shm");
            let modified = (!marks).then(|| path.metadata().unwrap().modified().unwrap());
            let bytes = if path.is_dir() || marks { Vec::new() } else { fs::read(&path).unwrap() };
            if path.is_dir() {
                folders.push(path.clone());
            }
            let mut hash = DefaultHasher::new();
            bytes.hash(&mut hash);
            found.insert(path, (modified, bytes.len(), hash.finish()));
        }
    }
    found
}

/// Fails with what is other than before.
fn assert_same(dir: &Path, before: &BTreeMap<PathBuf, (Option<SystemTime>, usize, u64)>) {
    let now = tree(dir);
    let differs = |path: &&PathBuf| before.get(*path) != now.get(*path);
    let all: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let other: Vec<_> = all.into_iter().filter(differs).map(|path| (path, before.get(path), now.get(path))).collect();
    assert!(other.is_empty(), "a look changed {other:#?}");
}

/// What `status --json` says, a flow each.
pub fn status(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

#[test]
fn embedded_parts_tell_where_they_stand_and_stay_as_they_are() {
    let job = Job::new(10, 100, "0", "100ms");
    let before = tree(job.dir.path());
    let checked = job.output("check", &["--connect"]);
    assert!(checked.status.success(), "{}", both(&checked));
    assert_says(&both(&checked), &["is fine", "not yet", "data/weather.db", "data/archive", "begins at the beginning"]);
    let told = job.output("status", &[]);
    assert!(told.status.success() && both(&told).matches("nothing committed yet").count() == 3, "{}", both(&told));
    assert_same(job.dir.path(), &before);

    let drained = job.output("run", &["--drain"]);
    assert!(drained.status.success(), "{}", both(&drained));
    let before = tree(job.dir.path());
    let checked = both(&job.output("check", &["--connect"]));
    assert_says(&checked, &["goes on after version", "with the columns station_id, date, degrees", "partitions: 4"]);
    assert!(!checked.contains("not yet") && !checked.contains("FAILED"), "{checked}");
    let told = both(&job.output("status", &[]));
    assert_says(&told, &["1,000 committed", "caught up", " ago", "position", "files"]);
    let output = job.output("status", &["--json"]);
    assert_same(job.dir.path(), &before);

    let flows = status(&output);
    for flow in &flows {
        assert_eq!(flow["last_commit"]["rows"]["written"], 1000, "{flow}");
        let age = SystemTime::UNIX_EPOCH + Duration::from_millis(flow["last_commit"]["at"].as_u64().unwrap());
        assert!(age.elapsed().unwrap() < Duration::from_secs(3600), "{flow}");
        assert_eq!(flow["problems"], serde_json::json!([]));
    }
    let files = crate::common::parquet_files(&job.archive());
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!((&flows[2]["files"]["count"], &flows[2]["files"]["bytes"]), (&files.len().into(), &bytes.into()));
    assert_eq!(flows[2]["behind"], serde_json::json!({ "rows": 0, "exact": true }));

    // What was read and is gone is no table that is still to come.
    fs::rename(job.dir.path().join("data/weather.db"), job.dir.path().join("data/away.db")).unwrap();
    let checked = job.output("check", &["--connect"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_says(&both(&checked), &["FAILED", "data/weather.db is not there yet", "has read it up to {0: 1001}"]);
    fs::rename(job.dir.path().join("data/away.db"), job.dir.path().join("data/weather.db")).unwrap();

    // Rows of a table are at most as many as their ids; messages of the embedded topic are as many as their offsets.
    fs::remove_dir_all(job.archive()).unwrap();
    let flows = status(&job.output("status", &["--json"]));
    assert_eq!((&flows[2]["last_commit"], &flows[2]["behind"]["rows"]), (&Value::Null, &1000.into()));
    assert_says(&both(&job.output("status", &[])), &["archive: nothing committed yet", "behind   1,000 rows"]);
}

#[test]
fn a_running_job_may_be_asked_at_any_time() {
    let job = Job::new(10, 60, "20ms", "30ms");
    let mut run = job.start(&["--drain"]);
    let mut asked = 0;
    while run.try_wait().unwrap().is_none() {
        for (command, arguments) in [("check", &["--connect"][..]), ("status", &["--json"])] {
            let output = job.output(command, arguments);
            assert!(output.status.success(), "{}", both(&output));
        }
        asked += 1;
    }
    println!("asked {asked} times");
    assert!(asked > 0 && run.wait().unwrap().success());
    job.finish_and_prove();
}

/// A pipeline file of its own in a folder.
pub fn pipeline(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("pipeline.toml");
    fs::write(&file, text).unwrap();
    file
}

pub fn weatherflow(arguments: &[&str], file: &Path, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.arg(arguments[0]).arg(file).args(&arguments[1..]).envs(environment.iter().copied());
    command.output().unwrap()
}

#[test]
fn a_directory_of_another_user_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (closed, around) = (dir.path().join("closed"), dir.path().join("around"));
    fs::create_dir(&closed).unwrap();
    fs::create_dir_all(around.join("archive")).unwrap();
    let file = pipeline(
        dir.path(),
        "name = \"x\"\n[[flow]]\nname = \"a\"\n[flow.source.weather]\n[flow.sink.parquet]\nurl = \"file:closed/archive\"\n\
         [[flow]]\nname = \"b\"\n[flow.source.weather]\n[flow.sink.table]\nurl = \"sqlite:closed/weather.db\"\ntable = \"t\"\n\
         [[flow]]\nname = \"c\"\n[flow.source.weather]\n[flow.sink.parquet]\nurl = \"file:around/archive\"\n",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.args(["check", "--connect"]).arg(&file);
    let mode =
        |path: &Path, mode| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(&closed, 0o555);
    mode(&around.join("archive"), 0o777);
    mode(&around, 0o555);
    mode(dir.path(), 0o755);
    if rustix::process::geteuid().is_root() {
        // Nothing is closed to root. The program itself may lie where only root may go.
        let copy = dir.path().join("weatherflow");
        fs::copy(env!("CARGO_BIN_EXE_weatherflow"), &copy).unwrap();
        let mut other = Command::new(copy);
        std::os::unix::process::CommandExt::uid(&mut other, 65_534);
        command = other;
        command.args(["check", "--connect"]).arg(&file);
    }
    let output = command.output().unwrap();
    mode(&around, 0o755);
    let said = both(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("Permission denied").count(), 3, "{said}");
    assert_says(&said, &["name another directory", "3 things in the way"]);
    // Its own directory is open, and the one next to it can't be made.
    assert_says(&said, &["around/_staging-archive", "set `staging` to a directory that this user may write to"]);
}
