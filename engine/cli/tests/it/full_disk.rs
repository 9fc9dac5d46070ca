//! A disk that is full: the flow waits and says so, and once there is room again no row is lost or doubled.

use crate::common::{Job, assert_generated, both, read_archive, skipped};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A small disk of its own, in memory, for as long as this lives.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// `None`, said loudly, where mounting is not permitted.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { at }),
            Ok(output) => {
                skipped(&format!("no disk was filled: {}", both(&output).trim()));
                None
            }
            Err(error) => {
                skipped(&format!("no disk was filled: mount: {error}"));
                None
            }
        }
    }

    /// Leaves no room; gives the file that took it.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("filler");
        let mut file = File::create(&path).unwrap();
        let full = (0..).find_map(|_| file.write_all(&[7; 4096]).err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that failed may have left the program running.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn wait_until(what: &str, log: &Path, seen: impl Fn(&str) -> bool) {
    let began = Instant::now();
    while !seen(&fs::read_to_string(log).unwrap()) {
        assert!(began.elapsed() < Duration::from_secs(120), "{what}:\n{}", fs::read_to_string(log).unwrap());
        sleep(Duration::from_millis(20));
    }
}

/// The main job with its archive in a directory of a disk.
fn job() -> Job {
    let moved = |file: String| file.replace("\"file:../data/archive\"", "\"file:../data/disk/archive\"");
    Job::of("weather.toml", 10, 20_000, "1ms", "100ms", moved)
}

/// Runs the main job with a part of it on a disk that fills up, until `flow` says `words`.
fn fill_under(part: &str, flow: &str, words: &str) {
    let job = job();
    let Some(disk) = Disk::mount(job.dir.path().join(part)) else { return };
    let log = job.dir.path().join("run.log");
    let (output, mut run) = (File::create(&log).unwrap(), job.command("run", &[]));
    run.stdout(Stdio::from(output.try_clone().unwrap())).stderr(Stdio::from(output)).env("RUST_LOG", "runtime=debug");
    let mut program = run.spawn().unwrap();
    let commits = |said: &str| {
        let committed = |line: &&str| line.contains(&format!("flow={flow} ")) && line.contains(": committed ");
        said.lines().filter(committed).count()
    };
    wait_until("a first commit", &log, |said| commits(said) > 0);
    let filler = disk.fill();
    let told =
        |line: &str| line.contains(&format!("{flow}: ")) && line.contains(words) && line.contains("trying again");
    wait_until("the flow tries again", &log, |said| said.lines().filter(|line| told(line)).count() > 1);
    assert_eq!(program.try_wait().unwrap(), None, "a full disk may be given room");
    let before = commits(&fs::read_to_string(&log).unwrap());
    fs::remove_file(filler).unwrap();
    wait_until("it goes on", &log, |said| commits(said) > before);
    program.kill().unwrap();
    program.wait().unwrap();
    job.finish();
    assert_generated(job.stations, job.days, &read_archive(&job.dir.path().join("data/disk/archive")));
}

#[test]
fn a_full_disk_under_the_archive_is_waited_out() {
    fill_under("data/disk", "archive", "No space left on device");
}

#[test]
fn a_full_disk_under_table_and_topic_is_waited_out() {
    fill_under("data", "generate", "database or disk is full");
}

/// Nothing else is on such a file system, and so no file could be staged on it: the refusal says what to do instead.
#[test]
fn an_archive_that_is_the_root_of_a_file_system_is_refused() {
    let job = Job::new(10, 100, "0", "100ms");
    let Some(_disk) = Disk::mount(job.archive()) else { return };
    for (command, arguments) in [("check", &["--connect"][..]), ("run", &["--drain"])] {
        let output = job.output(command, arguments);
        let said = both(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let advised = format!("url = \"file:{}\"", job.archive().join("archive").display());
        for part in ["data/_staging-archive", "is the root of a file system", &advised] {
            assert!(said.contains(part), "`{part}` is missing in:\n{said}");
        }
    }
    assert_eq!(fs::read_dir(job.archive()).unwrap().count(), 0);
}
