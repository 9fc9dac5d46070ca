//! The command line as a person uses it: what it says, what it touches, and how it ends.

use crate::common::{Job, both};
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

/// Every file and folder below a directory.
fn tree(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_main_job_runs_to_its_end_and_is_proven() {
    let job = Job::new(10, 400, "0", "100ms");
    let output = job.output("run", &["--drain"]);
    let said = both(&output);
    assert!(output.status.success(), "{said}");
    for part in ["generate", "publish", "archive", "4,000 rows committed", "begins at the beginning", "verify"] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    job.finish_and_prove();
}

#[test]
fn several_workers_give_the_same_rows() {
    let job = Job::new(7, 500, "0", "50ms");
    for workers in ["4", "2", "3"] {
        let output = job.output("run", &["--drain", "--workers", workers]);
        assert!(output.status.success(), "{workers} workers: {}", both(&output));
    }
    job.finish_and_prove();
    let archive = job.archive();
    fs::remove_dir_all(&archive).unwrap();
    let output = job.output("run", &["--drain", "--flow", "archive", "--workers", "4"]);
    assert!(output.status.success(), "{}", both(&output));
    crate::common::assert_generated(job.stations, job.days, &crate::common::read_archive(&archive));
}

#[test]
fn a_dry_run_and_a_check_touch_nothing() {
    let job = Job::new(10, 100, "0", "100ms");
    let before = tree(job.dir.path());
    let graph = job.output("run", &["--dry-run", "--workers", "3"]);
    assert!(graph.status.success(), "{}", both(&graph));
    let text = both(&graph);
    for part in
        ["decode.protobuf", "by partition, over 3 workers", "station_id: string", "commit", "begins at the beginning"]
    {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(job.output("check", &[]).status.success());
    assert_eq!(tree(job.dir.path()), before);

    assert!(job.output("run", &["--drain"]).status.success());
    let contents = |paths: &[String]| -> Vec<Vec<u8>> {
        paths.iter().filter(|path| path.ends_with(".parquet")).map(|path| fs::read(path).unwrap()).collect()
    };
    let before = tree(&job.archive());
    let bytes = contents(&before);
    let graph = job.output("run", &["--dry-run"]);
    assert!(both(&graph).contains("goes on after version"), "{}", both(&graph));
    assert_eq!(tree(&job.archive()), before);
    assert_eq!(contents(&before), bytes);
}

#[test]
fn a_reader_that_hangs_up_stops_nothing() {
    let job = Job::new(10, 400, "0", "100ms");
    let mut child = job.command("run", &["--drain"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), both(&output)), (Some(0), String::new()));
    job.finish_and_prove();
}

#[test]
fn quiet_says_nothing() {
    let job = Job::new(10, 100, "0", "100ms");
    let output = job.output("run", &["--drain", "--quiet"]);
    assert_eq!((output.status.code(), both(&output)), (Some(0), String::new()));
    job.finish_and_prove();
    fs::write(job.archive().join("stray"), "").unwrap();
    let output = job.output("verify", &["--quiet"]);
    assert!(output.status.code() == Some(1) && both(&output).contains("stray"), "what was asked for is said");
}

fn objects(bytes: &[u8]) -> Vec<serde_json::Value> {
    String::from_utf8_lossy(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_program_reads_the_run_line_by_line() {
    let job = Job::new(10, 100, "0", "100ms");
    let mut command = job.command("run", &["--drain", "--log-format", "json"]);
    let output = command.env("RUST_LOG", "error,runtime=debug").output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    let said = objects(&output.stdout);
    for flow in ["generate", "publish", "archive"] {
        let of = |event: &str| said.iter().find(|object| object["event"] == event && object["flow"] == flow);
        assert!(of("begin").unwrap()["to"].is_string(), "{said:?}");
        assert_eq!(of("end").unwrap()["committed"]["written"], 1000, "{said:?}");
    }
    let committed = objects(&output.stderr).into_iter().find(|object| object["fields"]["message"] == "committed");
    let spans = committed.expect("a commit in the log")["spans"].clone();
    assert_eq!(
        (&spans[0]["name"], &spans[1]["name"], &spans[1]["epoch"]),
        (&"flow".into(), &"epoch".into(), &0.into())
    );

    fs::remove_dir_all(job.archive()).unwrap();
    fs::write(job.archive(), "not a directory").unwrap();
    let output = job.output("run", &["--drain", "--log-format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(objects(&output.stderr).iter().any(|object| object["level"] == "ERROR"), "{}", both(&output));

    let output = job.output("run", &["--flow", "archiv", "--log-format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let message = objects(&output.stderr)[0]["fields"]["message"].to_string();
    assert!(message.contains("did you mean `archive`?"), "{message}");
    let text = fs::read_to_string(job.file()).unwrap();
    fs::write(job.file(), text.replace("stations", "station")).unwrap();
    let output = job.output("run", &["--log-format", "json"]);
    assert_eq!(output.status.code(), Some(2));
    let message = objects(&output.stderr)[0]["fields"]["message"].to_string();
    assert!(message.contains("did you mean `stations`?"), "{message}");
}

/// Two may follow each other sooner than anybody looks.
#[test]
fn every_restart_is_told() {
    let job = Job::new(10, 100, "0", "100ms");
    let text = fs::read_to_string(job.file()).unwrap();
    let table = "[flow.sink.table]\nurl = \"sqlite:../data/weather.db\"";
    assert!(text.contains(table));
    let nowhere = "[flow.sink.table]\nurl = \"mysql://root@127.0.0.1:1/CS544\"";
    let text = text.replace(table, nowhere);
    fs::write(job.file(), text.replacen("name = \"generate\"", "name = \"generate\"\nretry_for = \"10s\"", 1)).unwrap();
    let output = job.output("run", &["--flow", "generate", "--log-format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", both(&output));
    let objects = objects(&output.stdout);
    let told = objects.iter().filter(|object| object["event"] == "restart").count();
    let end = objects.iter().find(|object| object["event"] == "end").unwrap();
    assert!(told > 2 && end["restarts"] == told, "{objects:?}");
}

/// A pipe that is full already, and its other end.
fn stuck_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
    rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[b' '; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// Neither a terminal that was stopped with Ctrl-S nor a pager that is not scrolled holds back a row.
#[test]
fn output_that_nobody_takes_stops_nothing() {
    let job = Job::new(10, 400, "0", "100ms");
    let ((mut out, stdout), (mut err, stderr)) = (stuck_pipe(), stuck_pipe());
    let mut command = job.command("run", &["--drain"]);
    let mut child = command.env("RUST_LOG", "debug").stdout(stdout).stderr(stderr).spawn().unwrap();
    drop(command);
    loop {
        let ended = child.try_wait().unwrap();
        if job.archive().exists() && crate::common::read_archive(&job.archive()).len() >= 4000 {
            break;
        }
        assert_eq!(ended, None, "it ended before all was archived");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success(), "it ends, though nobody has read a word");
    for said in [&mut out, &mut err] {
        assert!(said.read_to_end(&mut Vec::new()).unwrap() > 0);
    }
    job.finish_and_prove();
}

#[test]
fn a_flow_runs_alone() {
    let job = Job::new(10, 50, "0", "100ms");
    let output = job.output("run", &["--drain", "--flow", "generate"]);
    assert!(output.status.success() && both(&output).contains("500 rows committed"), "{}", both(&output));
    assert!(!job.archive().exists() && !job.dir.path().join("data/topic.db").exists());
    let output = job.output("run", &["--flow", "archiv"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(both(&output).contains("generate, publish, archive"), "{}", both(&output));
}

#[test]
fn a_wrong_command_line_or_file_is_status_2() {
    let job = Job::new(10, 50, "0", "100ms");
    assert_eq!(job.output("run", &["--bogus"]).status.code(), Some(2));
    assert_eq!(job.output("run", &["--workers", "0"]).status.code(), Some(2));
    let file = fs::read_to_string(job.file()).unwrap();
    fs::write(job.file(), file.replace("topic = \"temperatures\"", "topc = \"temperatures\"")).unwrap();
    for (command, arguments) in
        [("check", vec![]), ("run", vec!["--dry-run"]), ("run", vec!["--drain"]), ("verify", vec![])]
    {
        let output = job.output(command, &arguments);
        assert_eq!(output.status.code(), Some(2), "{command} {arguments:?}: {}", both(&output));
        assert!(both(&output).contains("topc"), "{}", both(&output));
    }
    fs::remove_file(job.file()).unwrap();
    assert_eq!(job.output("check", &[]).status.code(), Some(2));
}

/// Edits the pipeline file, and gives it back as it was.
fn with_edit(job: &Job, from: &str, to: &str, then: impl FnOnce()) {
    let file = fs::read_to_string(job.file()).unwrap();
    assert!(file.contains(from), "`{from}` is not in the file");
    fs::write(job.file(), file.replace(from, to)).unwrap();
    then();
    fs::write(job.file(), file).unwrap();
}

#[test]
fn edits_that_break_the_meaning_of_positions_are_refused_and_others_go_through() {
    let job = Job::new(10, 50, "0", "100ms");
    assert!(job.output("run", &["--drain"]).status.success());
    for (from, to, says) in [
        ("stations = 10", "stations = 11", "stations"),
        ("partitions = 4", "partitions = 5", "partitions"),
        ("topic = \"temperatures\"", "topic = \"temps\"", "temps"),
        ("\"date\", \"degrees\"]", "\"date\"]", "degrees"),
        ("cursor = \"id\"", "cursor = \"rowid\"", "cursor"),
    ] {
        with_edit(&job, from, to, || {
            let output = job.output("run", &["--drain"]);
            assert_eq!(output.status.code(), Some(1), "{to}: {}", both(&output));
            assert!(
                both(&output).contains(says) && both(&output).contains("positions don't apply"),
                "{}",
                both(&output)
            );
        });
    }
    for (from, to) in
        [("every = \"100ms\"", "every = \"70ms\""), ("\"zstd\"", "\"snappy\""), ("[[flow]]", "\n# a comment\n[[flow]]")]
    {
        with_edit(&job, from, to, || assert!(job.output("run", &["--drain"]).status.success(), "{to}"));
    }
    job.finish_and_prove();
}

#[test]
fn a_recreated_source_is_refused() {
    let job = Job::new(10, 50, "0", "100ms");
    assert!(job.output("run", &["--drain"]).status.success());
    for name in ["topic.db", "topic.db-wal", "topic.db-shm"] {
        let _ = fs::remove_file(job.dir.path().join("data").join(name));
    }
    let gone = job.output("run", &["--drain", "--flow", "archive"]);
    assert_eq!(gone.status.code(), Some(1), "{}", both(&gone));
    // The same rows again, under the same name: still not the topic that was read.
    assert!(job.output("run", &["--drain", "--flow", "publish"]).status.success());
    let recreated = job.output("run", &["--drain", "--flow", "archive"]);
    assert_eq!(recreated.status.code(), Some(1), "{}", both(&recreated));
    assert!(both(&recreated).contains("recreated"), "{}", both(&recreated));
}
