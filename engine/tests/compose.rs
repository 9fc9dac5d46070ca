//! The Compose files are well-formed, and give the pipeline every variable that it reads. No image is started here.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Compose as a plug-in of Docker, or the program that came before it.
fn compose() -> Option<Vec<&'static str>> {
    let is_there = |command: &[&str]| {
        let output = Command::new(command[0]).args(&command[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(|command| is_there(command))
}

/// The files merged as Compose does it; `None` where there is no Compose.
fn config(files: &[&str]) -> Option<String> {
    let Some(command) = compose() else {
        common::skipped("there is no docker-compose to check the Compose files");
        return None;
    };
    let files = files.iter().flat_map(|file| ["-f".to_owned(), format!("docker/{file}")]);
    let mut check = Command::new(command[0]);
    let output = check.args(&command[1..]).args(files).arg("config").current_dir(project()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Names behind `env = "` in a pipeline file.
fn variables(pipeline: &str) -> Vec<String> {
    let text = std::fs::read_to_string(project().join("pipelines").join(pipeline)).unwrap();
    text.split("env = \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn compose_files_are_well_formed_and_give_what_the_pipeline_reads() {
    for (files, brokers) in [(&["compose.yaml"][..], 1), (&["compose.yaml", "compose.brokers.yaml"], 3)] {
        let Some(config) = config(files) else { return };
        assert_eq!(config.matches("image: apache/kafka:").count(), brokers);
        assert_eq!(config.matches("image: apache/hadoop:").count(), 4, "a NameNode and three DataNodes");
        assert!(!config.contains(":latest"), "images are pinned");
        let unchecked = config.matches("image: ").count() - config.matches("healthcheck:").count();
        assert_eq!(unchecked, 0, "services without a health check");
        let read = variables("weather-cluster.toml");
        let optional = ["AUTOGRADER_DELAY_OVERRIDE_VAL", "KAFKA_REPLICATION"];
        for name in read.iter().filter(|name| !optional.contains(&name.as_str())) {
            assert!(config.contains(&format!("{name}: ")), "{files:?} do not set {name}");
        }
        assert!(!read.is_empty());
    }
}
