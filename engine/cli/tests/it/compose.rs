//! The Compose files are well-formed, and give the pipeline every variable that it reads; the image is small and not run
//! by root. No image is built or started here.

use std::process::Command;
use testkit::project;

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
        crate::common::skipped("there is no docker-compose to check the Compose files");
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

/// Settings of the merged files, as often as each stands there.
fn settings(config: &str, name: &str) -> Vec<String> {
    let values = config.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    values.map(|value| value.trim_matches(['"', '\'']).to_owned()).collect()
}

#[test]
fn three_brokers_keep_three_copies_and_confirm_with_two() {
    let Some(config) = config(&["compose.yaml", "compose.brokers.yaml"]) else { return };
    for (name, value) in [
        ("KAFKA_DEFAULT_REPLICATION_FACTOR", "3"),
        ("KAFKA_MIN_INSYNC_REPLICAS", "2"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "3"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "3"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "2"),
    ] {
        assert_eq!(settings(&config, name), [value; 3], "{name} of each broker");
    }
    assert_eq!(settings(&config, "KAFKA_REPLICATION"), ["3"], "of the topics that the job makes");
    let brokers = settings(&config, "KAFKA_BROKERS");
    assert!(brokers.len() == 1 && brokers[0].split(',').count() == 3, "{brokers:?}");
}

#[test]
fn the_image_has_what_runs_and_nothing_that_builds_and_its_user_is_not_root() {
    let file = std::fs::read_to_string(project().join("docker/Dockerfile")).unwrap();
    let stages: Vec<_> = file.split("\nFROM ").skip(1).collect();
    let [build, run] = stages[..] else { panic!("a stage that builds and one that runs:\n{file}") };
    assert!(stages.iter().all(|stage| stage.lines().next().unwrap().contains(':')), "images are pinned");
    assert!(build.contains(" AS build\n") && build.contains("cargo build --release --locked"));
    assert!(run.contains("COPY --from=build /weatherflow ") && !run.contains("cargo") && !run.contains("COPY . "));
    let after_user = run.split("\nUSER ").nth(1).expect("a user");
    assert!(!after_user.starts_with("root") && after_user.contains("ENTRYPOINT [\"weatherflow\"]"));
    assert!(!after_user.contains("USER "), "nobody becomes root again");
    // Loaded at run time, and so missed by nothing before.
    assert!(run.contains("libgssapi-krb5-2"), "HDFS with Kerberos");
    for line in run.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from=")) {
        let from = line.split_whitespace().nth(1).unwrap();
        assert!(project().join(from).exists(), "{line}: there is no {from}");
    }
}
