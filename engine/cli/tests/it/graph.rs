//! `graph`: drawn in every format, without secrets, without touching anything, and without waiting for the dead.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use testkit::project;

const FORMATS: [&str; 4] = ["text", "dot", "mermaid", "json"];

fn graph(file: &Path, format: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
    command.args(["graph", "--format", format]).arg(file).envs(variables.iter().copied()).output().unwrap()
}

fn drawn(file: &Path, format: &str) -> String {
    let output = graph(file, format, &[]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The main job in a folder of its own, so that nothing it has committed is seen.
fn main_job(folder: &Path) -> std::path::PathBuf {
    let root = project();
    for (from, to) in [("pipelines/weather.toml", "pipelines"), ("proto/report.proto", "proto")] {
        std::fs::create_dir_all(folder.join(to)).unwrap();
        std::fs::copy(root.join(from), folder.join(from)).unwrap();
    }
    folder.join("pipelines/weather.toml")
}

#[test]
fn the_text_is_the_one_of_a_dry_run_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = main_job(folder.path());
    let text = drawn(&file, "text");
    let dry_run = Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(["run", "--dry-run"]).arg(&file).output();
    assert_eq!(String::from_utf8(dry_run.unwrap().stdout).unwrap(), text);
    for expected in ["read source.weather", "encode.protobuf", "exchange", "write sink.parquet", "commit", "probe"] {
        assert!(text.contains(expected), "no {expected} in\n{text}");
    }
    assert!(text.contains("station_id: string, date: string, degrees: float64"), "{text}");
    assert!(text.contains("as flow publish"), "{text}");
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["pipelines", "proto"]);
}

#[test]
fn json_holds_the_whole_graph() {
    let folder = tempfile::tempdir().unwrap();
    let json: serde_json::Value = serde_json::from_str(&drawn(&main_job(folder.path()), "json")).unwrap();
    let flows = json["flows"].as_array().unwrap();
    assert_eq!(json["feeds"][0]["from"], "generate.commit");
    assert_eq!(json["feeds"][1]["to"], "archive.source.topic");
    let mut edges = 0;
    for flow in flows {
        let nodes: Vec<_> = flow["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
        assert_eq!(flow["resume"]["state"], "beginning");
        for edge in flow["edges"].as_array().unwrap() {
            assert!(nodes.contains(&&edge["from"]) && nodes.contains(&&edge["to"]), "{edge}");
            edges += 1;
        }
        // Rows and spans both reach the commit, or it would not know what it commits.
        let commit = format!("{}.commit", flow["name"].as_str().unwrap());
        let into: Vec<_> = flow["edges"].as_array().unwrap().iter().filter(|edge| edge["to"] == commit).collect();
        for carried in ["receipts", "spans"] {
            assert!(into.iter().any(|edge| edge["carries"] == carried), "{carried} do not reach {commit}");
        }
    }
    println!("{} flows, {edges} edges", flows.len());
    assert_eq!(flows[2]["edges"][0]["columns"][1]["type"], "bytes");
}

/// A file in which every place that may hold a secret holds one, and some that may not.
const SECRETS: &str = r#"
name = "secrets"
[[flow]]
name = "generate"
[flow.source.weather]
[flow.sink.table]
url = "mysql://root:hunter2@127.0.0.1:1/weather"
table = "temperatures"
[[flow]]
name = "publish"
[flow.source.table]
url = { env = "SECRET_URL" }
table = "temperatures"
columns = { station_id = "string" }
[flow.encode.json]
[flow.partition.key]
column = "station_id"
partitions = 4
[flow.sink.kafka]
brokers = "127.0.0.1:1"
topic = "temperatures"
security = { tls = { key_password = "hunter2" }, sasl = { mechanism = "plain", user = "root", password = "hunter2" } }
[[flow]]
name = "copy"
[flow.source.table]
url = "mysql://root@127.0.0.1:1/weather"
password = { env = "SECRET", default = "hunter2" }
table = "temperatures"
columns = { station_id = "string" }
[flow.sink.table]
url = "mysql://root@127.0.0.1:1/weather"
password = { file = "secret.txt" }
table = "copy"
"#;

#[test]
fn no_format_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secrets.toml");
    std::fs::write(&file, SECRETS).unwrap();
    std::fs::write(folder.path().join("secret.txt"), "hunter2\n").unwrap();
    let variables = [("SECRET", "hunter2"), ("SECRET_URL", "mysql://root:hunter2@127.0.0.1:1/weather")];
    // At once, as each waits until its servers have refused for a while.
    std::thread::scope(|scope| {
        for format in FORMATS {
            let (file, variables) = (&file, &variables);
            scope.spawn(move || {
                let output = graph(file, format, variables);
                assert!(output.status.success(), "{output:?}");
                let shown = format!("{output:?}");
                assert!(shown.contains("temperatures") && !shown.contains("hunter2"), "{format}: {shown}");
            });
        }
    });
    // A place that takes no login refuses one, and does not repeat it.
    let text = "name = \"x\"\n[[flow]]\nname = \"x\"\n[flow.source.kafka]\nbrokers = \"root:hunter2@127.0.0.1:1\"\n\
         topic = \"t\"\n[flow.sink.parquet]\nurl = \"file:x\"\n";
    std::fs::write(&file, text).unwrap();
    let output = graph(&file, "text", &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!format!("{output:?}").contains("hunter2"), "{output:?}");
}

/// Names that mean something to each of the languages.
#[test]
fn names_stay_names_in_every_language() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    let odd = "a\\\"b <i>&amp; #35; %%{x}%% `c` | [d] é\u{1b}[31m";
    std::fs::write(
        &file,
        format!(
            "name = \"odd\"\n[[flow]]\nname = \"end\"\n[flow.source.weather]\n[[flow.transform]]\n\
             select = {{ columns = [\"date\"], rename = {{ date = {odd:?} }} }}\n[flow.sink.parquet]\nurl = {:?}\n",
            format!("file:{odd}")
        )
        .replace("\\u{1b}", "\\u001B"),
    )
    .unwrap();
    for format in FORMATS {
        let text = drawn(&file, format);
        assert!(text.contains('é') && !text.contains('\u{1b}'), "{format}: {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&drawn(&file, "json")).unwrap();
    assert_eq!(json["flows"][0]["edges"][1]["columns"][0]["name"], odd);
    let mermaid = drawn(&file, "mermaid");
    for line in mermaid.lines().filter(|line| line.contains('"')) {
        let (_, rest) = line.split_once('"').unwrap();
        let (label, after) = rest.split_once('"').unwrap();
        assert!(!after.contains('"') && ["]", "| n"].iter().any(|end| after.starts_with(end)), "{line}");
        assert!(!label.contains(['`', '%', '{', '}', '\\']), "{line}");
        assert!(label.replace("<br>", "").chars().all(|c| c != '<' && c != '>'), "{line}");
    }
    svg(&drawn(&file, "dot"), "odd names");
}

/// A name may hold what a terminal obeys, and what a tool says of it must not.
#[test]
fn no_command_lets_a_name_speak_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    let text = "name = \"odd\"\n[[flow]]\nname = \"end\"\n[flow.source.table]\nurl = \"sqlite:a\\u001b[31m.db\"\n\
                table = \"t\"\ncolumns = { id = \"int64\" }\n[flow.sink.parquet]\nurl = \"file:b\\u001b[31m\"\n";
    std::fs::write(&file, text).unwrap();
    let commands: [&[&str]; 5] = [
        &["run", "--drain"],
        &["run", "--drain", "--log-format", "json"],
        &["check", "--connect"],
        &["status"],
        &["verify"],
    ];
    for command in commands {
        assert_silent_to_terminals(command, &file);
    }
    // In the file itself, as it is quoted; and in a test that fails, with names of files and columns.
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "name = \"\u{9b}31m\"\n\"\u{9b}[31m\" = \"\u{9d}0;x\u{9c}\"\nx = \"\u{85}\"\n").unwrap();
    assert_silent_to_terminals(&["check"], &wrong);
    let rename = "[[flow.transform]]\nselect = { columns = [\"date\"], rename = { date = \"\\u001b[31m\\u009b\" } }\n";
    let failing = format!(
        "name = \"odd\"\n[[flow]]\nname = \"end\"\n[flow.source.weather]\n{rename}[flow.sink.parquet]\n\
         url = \"file:x\"\n[[test]]\nname = \"\\u001b]0;x\\u0007\\u009b[31m\"\nflow = \"end\"\nrows = 1\n\
         [test.expect]\nfiles = [\"\\u001b[31m\\u009b.parquet\"]\n\
         rows = [{{ \"\\u001b[31m\\u009b\" = \"\\u001b\\u009b\" }}]\n"
    );
    std::fs::write(&file, failing).unwrap();
    for format in ["table", "json"] {
        assert_silent_to_terminals(&["tap", "--from", "earliest", "--limit", "1", "--format", format], &file);
    }
    let told = assert_silent_to_terminals(&["test"], &file);
    for named in ["\\u001b]0;x\\u0007", "- \\u001b[31m\\u009b.parquet", "{ \\u001b[31m\\u009b = "] {
        assert!(told.contains(named), "no {named} in {told}");
    }
}

/// Runs a command on a file with odd names, which it repeats without what a terminal obeys.
fn assert_silent_to_terminals(command: &[&str], file: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(command).arg(file).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("31m"), "{command:?} does not name what is odd: {said}");
    assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{command:?}: {said:?}");
    said
}

#[test]
fn graphviz_takes_the_main_job() {
    let folder = tempfile::tempdir().unwrap();
    svg(&drawn(&main_job(folder.path()), "dot"), "the main job");
}

/// Draws with the real program, where it is.
fn svg(dot: &str, what: &str) {
    let started =
        Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut program) = started else {
        return crate::common::skipped(&format!("Graphviz is not there, so it did not draw {what}"));
    };
    program.stdin.take().unwrap().write_all(dot.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}\n{dot}", String::from_utf8_lossy(&output.stderr));
    let drawn = String::from_utf8(output.stdout).unwrap();
    assert!(drawn.contains("</svg>") && drawn.matches("class=\"edge\"").count() >= 6, "{drawn}");
    println!("Graphviz drew {what}");
}

/// A flow each into MySQL, Kafka and HDFS, and out of the first two, all at one address.
fn at(address: std::net::SocketAddr) -> String {
    let mysql = format!("url = \"mysql://root@{address}/weather\"\ntable = \"temperatures\"");
    let kafka = format!("brokers = \"{address}\"\ntopic = \"temperatures\"");
    let files = format!("url = \"hdfs://{address}/data");
    format!(
        "name = \"silent\"\n[[flow]]\nname = \"rows\"\n[flow.source.weather]\n[flow.sink.table]\n{mysql}\n\
         [[flow]]\nname = \"messages\"\n[flow.source.table]\n{mysql}\ncolumns = {{ station_id = \"string\" }}\n\
         [flow.encode.json]\n[flow.partition.round_robin]\npartitions = 1\n[flow.sink.kafka]\n{kafka}\n\
         [[flow]]\nname = \"files\"\n[flow.source.kafka]\n{kafka}\n[flow.sink.parquet]\n{files}\"\n"
    )
}

/// As long as a person may be left without a word.
const PATIENCE: Duration = Duration::from_secs(75);

#[test]
fn servers_that_never_say_a_word_are_named_in_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silent.toml");
    std::fs::write(&file, at(address)).unwrap();
    let commands: [&[&str]; 6] = [
        &["check", "--connect"],
        &["status"],
        &["verify"],
        &["tap", "messages"],
        &["tap", "files"],
        &["tap", "files.sink"],
    ];
    std::thread::scope(|scope| {
        for command in commands {
            let file = &file;
            scope.spawn(move || {
                let (name, arguments) = command.split_first().unwrap();
                let mut program = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
                let began = Instant::now();
                let output = program.arg(name).arg(file).args(arguments).output().unwrap();
                let (took, said) = (began.elapsed(), crate::common::both(&output));
                println!("{command:?} took {took:.1?}\n{said}");
                assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
                assert!(said.contains(&address.to_string()), "{command:?}: {said}");
                assert!(took < PATIENCE, "{command:?} took {took:?}");
            });
        }
    });
    drop(silent);
}

/// Servers that take a connection and never say a word.
#[test]
fn servers_that_do_not_answer_are_named_and_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("silent.toml");
    std::fs::write(&file, at(address)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&drawn(&file, "json")).unwrap();
    for flow in json["flows"].as_array().unwrap() {
        assert_eq!(flow["resume"]["state"], "unknown", "{flow}");
        let reason = flow["resume"]["reason"].as_str().unwrap();
        assert!(reason.contains(&address.to_string()), "{reason}");
    }
    drop(silent);
}
