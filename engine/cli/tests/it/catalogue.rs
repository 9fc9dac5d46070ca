//! What the program says of itself, as text and as files, is true: examples run, new files pass, the schema is the one
//! that is kept, and every page fits a terminal.
use pipeline::{StageDoc, catalogue, load, schema};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::project;

fn weatherflow(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weatherflow")).current_dir(folder).args(arguments).output().unwrap()
}

/// What a command prints when all is well.
fn printed(arguments: &[&str]) -> String {
    let output = weatherflow(Path::new("."), arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn pipelines() -> PathBuf {
    project().join("pipelines")
}

const SCHEMA: &str = "weatherflow.schema.json";

/// `WEATHERFLOW_UPDATE=1` writes the schema beside the pipelines instead of comparing it.
#[test]
fn the_schema_beside_the_pipelines_is_the_one_that_is_printed() {
    let (path, text) = (pipelines().join(SCHEMA), printed(&["schema"]));
    if std::env::var_os("WEATHERFLOW_UPDATE").is_some_and(|set| set == "1") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "pipelines/{SCHEMA} is behind the code; WEATHERFLOW_UPDATE=1 brings it up");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), schema().unwrap());
}

#[test]
fn every_pipeline_names_the_schema_in_its_first_line() {
    let mut files = 0;
    for entry in std::fs::read_dir(pipelines()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text.lines().next(), Some(format!("#:schema {SCHEMA}").as_str()), "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 2);
}

/// A small pipeline around a stage as its example has it.
fn around(stage: &StageDoc, all: &[StageDoc]) -> String {
    let example = |name: &str| all.iter().find(|stage| stage.name() == name).unwrap().example.clone();
    let messages = ["kafka", "topic"].contains(&stage.kind.as_str());
    let mut stages = vec![if stage.slot == "decode" { example("source.topic") } else { example("source.weather") }];
    match stage.slot {
        "source" => stages = vec![stage.example.clone()],
        "sink" if messages => stages.extend([example("encode.json"), example("partition.key")]),
        "sink" => {}
        _ => stages.push(stage.example.clone()),
    }
    stages.push(if stage.slot == "sink" { stage.example.clone() } else { example("sink.parquet") });
    format!("name = \"x\"\n[[flow]]\nname = \"x\"\n{}\n", stages.join("\n"))
}

#[test]
fn every_example_works() {
    let folder = tempfile::tempdir().unwrap();
    let proto = folder.path().join("proto");
    std::fs::create_dir_all(folder.path().join("pipelines")).unwrap();
    std::fs::create_dir(&proto).unwrap();
    std::fs::copy(pipelines().join("../proto/report.proto"), proto.join("report.proto")).unwrap();
    let file = folder.path().join("pipelines/x.toml");
    let all = catalogue();
    for stage in &all {
        assert!(!stage.example.is_empty(), "{} has no example", stage.name());
        let text = around(stage, &all);
        std::fs::write(&file, &text).unwrap();
        let loaded = load(&file).unwrap_or_else(|errors| panic!("{}:\n{errors}\n{text}", stage.name()));
        assert!(loaded.built[0].stage_names().contains(&stage.name()), "{} is not in its example", stage.name());
        // A key that is named in an example is one that the stage has.
        let page = printed(&["stages", &stage.name()]);
        assert!(stage.example.lines().all(|line| page.contains(line.trim())), "{page}");
    }
    println!("{} examples work", all.len());
}

#[test]
fn every_new_file_passes_check() {
    let folder = tempfile::tempdir().unwrap();
    let all = catalogue();
    let kinds = |slot| all.iter().filter(move |stage| stage.slot == slot).map(|stage| stage.kind.as_str());
    let mut pairs = 0;
    for source in kinds("source") {
        for sink in kinds("sink") {
            let name = format!("{source}-{sink}");
            let made = weatherflow(folder.path(), &["init", &name, "--source", source, "--sink", sink]);
            assert!(made.status.success(), "{made:?}");
            let checked = weatherflow(folder.path(), &["check", &format!("{name}.toml")]);
            assert!(checked.status.success(), "{name}: {}", String::from_utf8_lossy(&checked.stderr));
            pairs += 1;
        }
    }
    println!("{pairs} pairs of source and sink pass check as they are written");
    assert!(pairs >= 16);
}

/// What stands commented out in a new file is what may stand there.
#[test]
fn settings_that_are_offered_as_comments_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut offered = 0;
    for (source, sink) in [("weather", "parquet"), ("table", "topic"), ("kafka", "table"), ("topic", "kafka")] {
        let made = weatherflow(folder.path(), &["init", source, "--source", source, "--sink", sink]);
        assert!(made.status.success(), "{made:?}");
        let file = folder.path().join(format!("{source}.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        let open = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && !setting.ends_with("...") => Some(setting.to_owned()),
            _ => None,
        };
        offered += text.lines().filter_map(open).count();
        let taken: Vec<_> = text.lines().map(|line| open(line).unwrap_or_else(|| line.to_owned())).collect();
        std::fs::write(&file, taken.join("\n")).unwrap();
        let checked = weatherflow(folder.path(), &["check", file.to_str().unwrap()]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    assert!(offered >= 8, "{offered} settings are offered");
}

#[test]
fn a_file_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, "mine").unwrap();
    let refused = weatherflow(folder.path(), &["init"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    for name in ["Weather", "a b", ".toml", "x.y", "größe"] {
        let refused = weatherflow(folder.path(), &["init", name]);
        assert_eq!(refused.status.code(), Some(2), "{name}: {refused:?}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["pipeline.toml"]);
}

#[test]
fn an_unknown_stage_is_answered_with_the_nearest() {
    let output = weatherflow(Path::new("."), &["stages", "sink.parket"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("did you mean `sink.parquet`?") && text.contains("source.weather"), "{text}");
    let both = printed(&["stages", "kafka"]);
    assert!(both.contains("source.kafka\n") && both.contains("sink.kafka\n"), "{both}");
}

/// The names of all commands, as the help page has them.
fn commands() -> Vec<String> {
    let page = printed(&["--help"]);
    let (list, _) = page.split_once("Options:").unwrap();
    let lines = list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_page_fits_eighty_columns_when_it_is_piped() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    let mut pages = vec![printed(&["--help"]), printed(&["stages"])];
    pages.extend(commands.iter().filter(|name| *name != "help").map(|name| printed(&[name, "--help"])));
    let settings: Vec<_> = catalogue().iter().map(|stage| printed(&["stages", &stage.name()])).collect();
    for page in pages.iter().chain(&settings) {
        assert!(!page.contains('\u{1b}'), "colours in a pipe\n{page}");
        let long = page.lines().find(|line| line.chars().count() > 80);
        // The last words of a setting's first line may be one long word.
        assert!(long.is_none(), "{} columns\n{page}", long.unwrap_or_default().chars().count());
    }
}

#[test]
fn shells_and_man_know_every_command() {
    let commands = commands();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        let missing: Vec<_> = commands.iter().filter(|name| !script.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{shell} does not know {missing:?}");
    }
    let page = printed(&["man"]);
    for name in commands.iter().filter(|name| *name != "help") {
        assert!(page.contains(&format!(".SS {name}\n")), "the manual page has no section {name}");
    }
    assert!(page.starts_with(".ie") && page.contains("\n.SH EXAMPLES\n") && page.contains("Exit status"), "{page}");
}
