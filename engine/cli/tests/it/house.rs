//! The rules of the house: which crate may know what, how long a file may be, what lies at the top.
mod circles;

use std::fs;
use std::path::{Path, PathBuf};
use testkit::project;

const LINES_MAX: usize = 400;

/// Files below a folder of the project.
fn files(below: &str, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![project().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if is_wanted(&path) {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no such files below {below}");
    files
}

fn rust_files(below: &str) -> Vec<PathBuf> {
    files(below, |path| path.extension().is_some_and(|extension| extension == "rs"))
}

/// A crate, and what it depends on.
struct Manifest {
    name: String,
    /// What the product is built with.
    dependencies: Vec<String>,
    /// What its tests and benches are built with besides.
    dev_dependencies: Vec<String>,
}

/// The crates below a folder of the project.
fn crates(below: &str) -> Vec<Manifest> {
    let read = |path: PathBuf| {
        let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
        let names = |section: &str| {
            let section = manifest.get(section).and_then(toml::Value::as_table);
            section.into_iter().flat_map(toml::Table::keys).cloned().collect::<Vec<_>>()
        };
        Manifest {
            name: manifest["package"]["name"].as_str().unwrap().to_owned(),
            dependencies: [names("dependencies"), names("build-dependencies")].concat(),
            dev_dependencies: names("dev-dependencies"),
        }
    };
    files(below, |path| path.ends_with("Cargo.toml")).into_iter().map(read).collect()
}

/// Those of some crates that the product is built with and that it must not know, each with its user.
fn forbidden(users: &[Manifest], names: &[&str]) -> Vec<String> {
    let used = |user: &Manifest| {
        let names = names.iter().filter(|name| user.dependencies.iter().any(|used| used == *name));
        names.map(|name| format!("{} depends on {name}", user.name)).collect::<Vec<_>>()
    };
    users.iter().flat_map(used).collect()
}

/// Lines of code, with their places.
fn lines(file: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| wanted(line))
        .map(|(number, line)| format!("{}:{}: {}", file.display(), number + 1, line.trim()))
        .collect()
}

/// Lines of code, with their places, that contain a text.
fn containing(file: &Path, text: &str) -> Vec<String> {
    lines(file, |line| line.contains(text))
}

/// Lines of code, with their places, that name a crate or module as a whole word.
fn naming(file: &Path, word: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    lines(file, |line| {
        line.match_indices(word).any(|(at, _)| {
            !line[..at].ends_with(is_word) && line[at + word.len()..].starts_with("::")
                || line.trim_start().starts_with(&format!("use {word};"))
        })
    })
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn operators_know_nothing_of_time() {
    let found = forbidden(&crates("operators"), &["pipeline", "runtime", "timely", "weatherflow"]);
    assert_none(&found, "operators know nothing of time");
}

#[test]
fn the_engine_never_looks_inside_a_batch() {
    let names = ["arrow", "hdfs-native", "parquet", "prost", "prost-reflect", "rdkafka", "sqlx"];
    assert_none(&forbidden(&crates("engine"), &names), "the engine knows nothing of rows and places");
}

#[test]
fn the_runtime_alone_depends_on_timely_and_only_its_dataflow_names_it() {
    let all = ["engine", "operators"].map(crates);
    let uses = |user: &&Manifest| user.dependencies.iter().chain(&user.dev_dependencies).any(|name| name == "timely");
    let users: Vec<_> = all.iter().flatten().filter(uses).map(|user| user.name.as_str()).collect();
    assert_eq!(users, ["runtime"]);
    let dataflow = project().join("engine/runtime/src/dataflow");
    let files = rust_files("engine/runtime/src").into_iter().filter(|file| !file.starts_with(&dataflow));
    let found: Vec<_> = files.flat_map(|file| naming(&file, "timely")).collect();
    assert_none(&found, "only the dataflow folder names timely");
}

/// What a person sees is the command line's to say.
#[test]
fn only_the_command_line_prints() {
    let output = ["clap", "console", "indicatif", "textwrap", "tracing-appender", "tracing-subscriber"];
    let runtime: Vec<_> = crates("engine").into_iter().filter(|one| one.name == "runtime").collect();
    assert_eq!(runtime.len(), 1);
    assert_none(&forbidden(&runtime, &output), "the runtime prints nothing");
    let files = ["engine/pipeline/src", "engine/runtime/src"].into_iter().flat_map(rust_files);
    let files = files.filter(|file| !file.ends_with("tests.rs"));
    let ways = ["println!(", "eprintln!(", "print!(", "stdout()", "stderr()"];
    let found: Vec<_> = files.flat_map(|file| ways.map(|way| containing(&file, way)).concat()).collect();
    assert_none(&found, "only the command line prints");
}

/// What happens without a person watching is in the log unless it is turned off.
#[test]
fn the_log_has_the_warnings_of_every_crate_of_ours() {
    let cli = fs::read_to_string(project().join("engine/cli/src/cli.rs")).unwrap();
    let logs = |one: &&Manifest| one.dependencies.iter().any(|name| name == "tracing");
    let all = ["engine", "operators"].map(crates);
    let silent = all.iter().flatten().filter(logs).map(|one| format!("{}=warn", one.name.replace('-', "_")));
    let silent: Vec<_> = silent.filter(|directive| !cli.contains(directive)).collect();
    assert_none(&silent, "the log's default in cli.rs leaves out a crate");
}

/// `cargo test -- --skip servers::` must leave out exactly the tests that need servers.
#[test]
fn tests_that_need_servers_are_below_the_module_servers() {
    let below = project().join("engine/cli/tests/it/servers");
    let files = rust_files("engine").into_iter().filter(|file| !file.starts_with(&below));
    let of_tests = files.filter(|file| !file.starts_with(project().join("engine/cli/benches")));
    let found: Vec<_> = of_tests.flat_map(|file| naming(&file, "testkit::servers")).collect();
    assert_none(&found, "tests on servers are below engine/cli/tests/it/servers");
}

#[test]
fn a_file_is_a_module_of_one_crate() {
    let files = ["engine", "operators"].into_iter().flat_map(rust_files);
    let includes = |line: &str| ["#[path", "include!("].iter().any(|way| line.trim_start().starts_with(way));
    assert_none(&files.flat_map(|file| lines(&file, includes)).collect::<Vec<_>>(), "what is shared has a crate");
}

/// What leaves a worker is on the list in `dataflow/exchange.rs`, whose test sends it through the wire form.
#[test]
fn only_listed_records_leave_a_worker() {
    let files = rust_files("engine/runtime/src/dataflow").into_iter().filter(|file| !file.ends_with("exchange.rs"));
    let ways = ["pact::Exchange", "Exchange::new", ".exchange(", ".broadcast("];
    let found = files.flat_map(|file| ways.iter().flat_map(move |way| containing(&file, way)));
    assert_none(&found.collect::<Vec<_>>(), "exchange records with the functions of dataflow/exchange.rs");
}

/// Bincode, which timely uses between processes, cannot read a value with a field left out.
#[test]
fn no_field_of_operators_is_left_out_when_it_is_written() {
    let found = rust_files("operators").into_iter().flat_map(|file| containing(&file, "skip_serializing"));
    assert_none(&found.collect::<Vec<_>>(), "write every field, and read a missing one with #[serde(default)]");
}

#[test]
fn only_the_crate_of_all_stages_depends_on_several_of_them() {
    let others: Vec<_> = crates("operators").into_iter().filter(|one| one.name != "stages").collect();
    assert_none(
        &forbidden(&others, &["codecs", "files", "kafka", "sql", "stages"]),
        "stages know nothing of each other",
    );
}

#[test]
fn stages_never_import_each_other() {
    let codecs: &[&str] = &["decode", "encode", "partition", "transform"];
    let mut found = Vec::new();
    for (folder, kinds) in [("codecs", codecs), ("kafka", &["sink", "source"]), ("sql", &["sink", "source"])] {
        let src = project().join("operators").join(folder).join("src");
        for kind in kinds {
            let is_of_kind = |file: &PathBuf| {
                let path = file.strip_prefix(&src).unwrap();
                let is_test = path.iter().any(|part| part == "tests" || part == "tests.rs");
                !is_test && (path.starts_with(kind) || *path == Path::new(kind).with_extension("rs"))
            };
            for file in rust_files(&format!("operators/{folder}/src")).into_iter().filter(is_of_kind) {
                let others = kinds.iter().filter(|other| *other != kind);
                found.extend(others.flat_map(|other| naming(&file, &format!("crate::{other}"))));
            }
        }
    }
    for kind in codecs {
        let folder = format!("operators/codecs/src/{kind}");
        let index = fs::read_to_string(project().join(&folder).join("mod.rs")).unwrap();
        let stages: Vec<_> =
            index.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        assert!(!stages.is_empty(), "{folder} has no stages");
        let files = rust_files(&folder).into_iter();
        let ways = |stage: &&str| [format!("super::{stage}"), format!("crate::{kind}::{stage}")];
        let ways: Vec<_> = stages.iter().flat_map(ways).collect();
        found.extend(files.flat_map(|file| ways.iter().flat_map(move |way| naming(&file, way)).collect::<Vec<_>>()));
    }
    assert_none(&found, "what stages share has a module of its own");
}

#[test]
fn files_are_short() {
    let files = ["engine", "operators"].into_iter().flat_map(rust_files);
    let long = files.filter_map(|file| {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.display()))
    });
    assert_none(&long.collect::<Vec<_>>(), "a file over 400 lines has a seam somewhere");
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let agreed = [
        "Cargo.toml",
        "Cargo.lock",
        "engine",
        "operators",
        "pipelines",
        "proto",
        "docker",
        "README.md",
        "LICENSE",
        "rust-toolchain.toml",
    ];
    // What a build, a run or an editor leaves there is ignored by git.
    let ignored = ["target", "data"];
    let entries = fs::read_dir(project()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange = entries
        .filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str()) && !ignored.contains(&name.as_str()));
    assert_none(&strange.collect::<Vec<_>>(), "not agreed at the top level");
    for name in [
        "Cargo.toml",
        "Cargo.lock",
        "engine",
        "operators",
        "pipelines",
        "proto",
        "docker",
        "README.md",
        "LICENSE",
        ".ci/run",
    ] {
        assert!(project().join(name).exists(), "{name} is missing");
    }
}
