//! The documentation leads somewhere: its links resolve, and the commands in it exist with the options it gives them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::project;

/// Every Markdown file of the project.
fn pages() -> Vec<PathBuf> {
    let (mut pages, mut folders) = (Vec::new(), vec![project()]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            match path.extension() {
                _ if path.is_dir() && !matches!(name, "target" | "data" | ".git") => folders.push(path),
                Some(extension) if extension == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages.sort();
    pages
}

/// Lines outside of code blocks, and those inside.
fn prose_and_code(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut prose, mut code, mut inside) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else {
            if inside { &mut code } else { &mut prose }.push(line);
        }
    }
    (prose, code)
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    plain
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn links(line: &str) -> Vec<&str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// What is wrong with a link of a page.
fn broken(page: &Path, link: &str) -> Option<String> {
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.parent().unwrap().join(path) };
    if !target.exists() {
        return Some(format!("{}: {link} leads nowhere", page.display()));
    }
    if heading.is_empty() {
        return None;
    }
    let text = fs::read_to_string(&target).unwrap();
    let known =
        prose_and_code(&text).0.into_iter().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
    (!known).then(|| format!("{}: {link} has no such heading", page.display()))
}

#[test]
fn every_link_resolves() {
    let mut checked = 0;
    let mut found = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let (prose, _) = prose_and_code(&text);
        for link in prose.into_iter().flat_map(links).filter(|link| !link.contains("://")) {
            checked += 1;
            found.extend(broken(&page, link));
        }
    }
    assert!(checked > 50, "{checked} links");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What follows the program's name in a line, if the line runs it.
fn arguments(line: &str) -> Option<Vec<&str>> {
    let line = line.split(" #").next().unwrap();
    ["cargo run --release -- ", "target/release/weatherflow ", "weatherflow "].iter().find_map(|program| {
        let (before, rest) = line.split_once(program)?;
        let begins = before.is_empty() || before.ends_with(['`', ' ', '(']);
        // In a container the program's name follows that of its service.
        let rest = rest.strip_prefix("weatherflow ").unwrap_or(rest);
        let end = rest.find(['`', '|', '>', ')']).unwrap_or(rest.len());
        begins.then(|| rest[..end].split_whitespace().collect())
    })
}

#[test]
fn every_command_exists_with_its_options() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(arguments).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let mut commands = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let (prose, code) = prose_and_code(&text);
        let quoted = prose.into_iter().flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_command = |words: &Vec<&str>| words.first().is_some_and(|word| word.starts_with(char::is_lowercase));
        for arguments in code.into_iter().chain(quoted).filter_map(arguments).filter(is_command) {
            commands.insert((page.clone(), arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()));
        }
    }
    assert!(commands.len() > 20, "{} commands", commands.len());
    for (page, words) in commands {
        let (is_known, help) = run(&[&words[0], "--help"]);
        assert!(is_known, "{}: there is no command {}", page.display(), words[0]);
        for option in words.iter().filter_map(|word| word.split('=').next()).filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{}: {} has no option {option}", page.display(), words[0]);
        }
    }
}

#[test]
fn topics_of_help_print_the_pages() {
    for (topic, page) in [
        ("file", "pipelines/README.md"),
        ("guarantee", "operators/GUARANTEE.md"),
        ("metrics", "engine/cli/docs/metrics.md"),
        ("status", "engine/cli/docs/status.md"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(["help", topic]).output().unwrap();
        assert!(output.status.success(), "{topic}");
        let page = fs::read_to_string(project().join(page)).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), page.trim(), "{topic}");
    }
}

#[test]
fn help_through_a_pipe_is_plain_text_and_names_each_choice_once() {
    let help = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_weatherflow")).args(arguments).output().unwrap();
    for arguments in [&["help"][..], &["help", "run"]] {
        let text = String::from_utf8(help(arguments).stdout).unwrap();
        assert!(text.contains("Usage: weatherflow") && !text.contains('\u{1b}'), "{text:?}");
    }
    let unknown = help(&["help", "statsu"]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert!(said.contains("did you mean `status`?"), "{said}");
    assert_eq!(said.split("choices: ").nth(1).unwrap().matches("status").count(), 1, "{said}");
}
