//! What is asked for is printed, or the command fails and says so; and the last words of a run hold up nobody.

use crate::common::{Job, both};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn weatherflow(arguments: &[&str], file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.args(arguments).arg(file).current_dir(file.parent().unwrap()).env_remove("RUST_LOG");
    command
}

/// Two flows in a folder of their own, and a file where the archive of the first should be.
fn in_the_way(folder: &Path) -> PathBuf {
    let text = "name = \"x\"\n[[flow]]\nname = \"first\"\n[flow.source.weather]\nlast_day = \"2000-01-03\"\n\
                [flow.sink.parquet]\nurl = \"file:taken\"\n[[flow]]\nname = \"second\"\n[flow.source.weather]\n\
                last_day = \"2000-01-03\"\n[flow.sink.table]\nurl = \"sqlite:second.db\"\ntable = \"t\"\n";
    fs::write(folder.join("taken"), "no directory").unwrap();
    let file = folder.join("x.toml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn output_that_is_lost_is_a_failure_and_a_reader_that_hangs_up_is_none() {
    let job = Job::new(2, 3, "0", "100ms");
    assert!(job.output("run", &["--drain"]).status.success());
    let [file, no_file] = [Some(job.file()), None];
    let commands: [(&[&str], &Option<PathBuf>); 14] = [
        (&["status"], &file),
        (&["status", "--json"], &file),
        (&["verify"], &file),
        (&["verify", "--json"], &file),
        (&["check"], &file),
        (&["check", "--connect"], &file),
        (&["graph"], &file),
        (&["graph", "--format", "json"], &file),
        (&["run", "--dry-run"], &file),
        (&["test", "--filter", "nothing of this name"], &file),
        (&["schema"], &no_file),
        (&["stages"], &no_file),
        (&["man"], &no_file),
        (&["completions", "bash"], &no_file),
    ];
    let run = |arguments: &[&str], file: &Option<PathBuf>, out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        command.args(arguments).args(file).stdout(out).stderr(Stdio::piped()).output().unwrap()
    };
    for (arguments, file) in commands {
        let full = run(arguments, file, File::create("/dev/full").unwrap().into());
        let told = String::from_utf8_lossy(&full.stderr);
        assert!(full.status.code() == Some(1) && told.contains("cannot print: No space left"), "{arguments:?}: {told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = run(arguments, file, writer.into());
        assert!(gone.status.success() && gone.stderr.is_empty(), "{arguments:?}: {}", both(&gone));
    }
    // Rows are committed, whoever reads of it.
    let full = File::create("/dev/full").unwrap();
    assert!(job.command("run", &["--drain"]).stdout(full).status().unwrap().success());
}

/// The one line on standard error as JSON.
fn told(output: &Output) -> Value {
    let line = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn an_error_is_told_as_json_whatever_the_log_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_the_way(folder.path());
    let wrong = folder.path().join("wrong.toml");
    fs::write(&wrong, "nam = 1\n").unwrap();
    for filter in ["off", "kafka=debug"] {
        let json = |arguments: &[&str], file: &Path| {
            weatherflow(arguments, file).args(["--log-format", "json"]).env("RUST_LOG", filter).output().unwrap()
        };
        for (output, status, expected) in [
            (json(&["run", "--drain"], &file), 1, "flow first: "),
            (json(&["run", "--flow", "third"], &file), 2, "third"),
            (json(&["check"], &wrong), 2, "unknown key `nam`"),
        ] {
            assert_eq!(output.status.code(), Some(status), "{}", both(&output));
            let told = told(&output);
            assert!(told["fields"]["message"].as_str().unwrap().contains(expected), "{told}");
            assert_eq!((&told["level"], told["timestamp"].is_string()), (&"ERROR".into(), true), "{told}");
        }
    }
}

#[test]
fn a_run_that_failed_ends_where_nobody_takes_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_the_way(folder.path());
    let (reader, mut full) = std::io::pipe().unwrap();
    // As much as a pipe takes.
    full.write_all(&[b'x'; 1 << 16]).unwrap();
    let mut run = weatherflow(&["run", "--drain"], &file).stdout(Stdio::null()).stderr(full).spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        match run.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if began.elapsed() > Duration::from_secs(30) => break None,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    if status.is_none() {
        run.kill().unwrap();
    }
    drop(reader);
    assert_eq!(status.and_then(|status| status.code()), Some(1), "it waits for a reader");
}

#[test]
fn what_cannot_be_verified_of_one_flow_hides_nothing_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_the_way(folder.path());
    assert!(weatherflow(&["run", "--drain", "--flow", "second"], &file).output().unwrap().status.success());
    let output = weatherflow(&["verify"], &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = both(&output);
    for expected in ["first: not proved: ", "second: 30 rows in table t", "1 flow could not be read to the end"] {
        assert!(text.contains(expected), "no {expected} in\n{text}");
    }
    assert!(!text.contains("nothing lost"), "{text}");
    let output = weatherflow(&["verify", "--json"], &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["flow"] == "first" && lines[0]["error"].as_str().unwrap().contains("taken"), "{lines:?}");
    assert!(lines[1]["flow"] == "second" && lines[1]["source"]["counted"] == 30, "{lines:?}");
}

#[test]
fn what_is_logged_of_a_flow_says_of_which() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let text = "name = \"x\"\n[[flow]]\nname = \"nowhere\"\nretry_for = \"1s\"\n[flow.source.weather]\n\
                [flow.sink.table]\nurl = \"mysql://root@127.0.0.1:1/x\"\ntable = \"t\"\n";
    fs::write(&file, text).unwrap();
    let mut run = weatherflow(&["run", "--drain", "--log-format", "json"], &file);
    let output = run.env("RUST_LOG", "runtime=info").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    let again = text.lines().find(|line| line.contains("begins again")).unwrap_or_else(|| panic!("{text}"));
    let again: Value = serde_json::from_str(again).unwrap();
    assert_eq!(again["spans"][0]["flow"], "nowhere", "{again}");
}

#[test]
fn the_manual_page_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("weatherflow.1");
    let output = Command::new(env!("CARGO_BIN_EXE_weatherflow")).arg("man").output().unwrap();
    fs::write(&page, output.stdout).unwrap();
    let Ok(shown) = Command::new("man").args(["--warnings", "--local-file"]).arg(&page).output() else {
        return crate::common::skipped("nobody read the manual page, there is no man");
    };
    assert!(shown.status.success() && shown.stderr.is_empty(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("verify") && text.contains("EXAMPLES"), "{text}");
}
