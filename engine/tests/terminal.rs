//! What a person at a terminal sees, by a real terminal (tmux): nothing wider than it, nothing left behind.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::Job;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A terminal of its own, closed when this is dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// A shell in the folder of a job; `None` where there is no tmux, which CI does not forgive.
    fn open(job: &Job, name: &str, columns: u32) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            common::skipped(&format!("nobody looked at the terminal of {name}, there is no tmux"));
            return None;
        }
        let terminal = Self { socket: format!("weatherflow-{name}-{columns}-{}", std::process::id()) };
        let (columns, dir) = (columns.to_string(), job.dir.path().display().to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            "50",
            "-c",
            &dir,
            "env PS1='$ ' sh",
        ]);
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", common::both(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", line, "Enter"]);
    }

    /// What stands on the screen once it is as asked for; a line that did not fit is two.
    fn see(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        for _ in 0..600 {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if is_there(&screen) {
                return screen;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("never saw {what} in:\n{}", self.tmux(&["capture-pane", "-p"]));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

fn program(arguments: &str) -> String {
    format!("{} {arguments}", env!("CARGO_BIN_EXE_weatherflow"))
}

/// One table with a line per flow, and no word cut by the terminal's edge.
fn assert_fits(screen: &str) {
    let lines: Vec<_> = screen.lines().collect();
    let header = lines.iter().position(|line| line.contains("rows/s")).unwrap();
    for (flow, line) in ["generate ", "publish ", "archive "].iter().zip(&lines[header + 1..]) {
        assert!(line.starts_with(flow), "{screen}");
    }
    assert_eq!(screen.matches("rows/s").count(), 1, "one table:\n{screen}");
    assert!(screen.contains("partition.source") && screen.contains("decode.protobuf"), "a name was cut:\n{screen}");
}

#[test]
fn a_run_is_one_calm_table_and_leaves_the_terminal_as_it_was() {
    for columns in [80, 140] {
        let job = Job::new(10, 100_000, "0.02s", "200ms");
        let Some(terminal) = Terminal::open(&job, "run", columns) else { return };
        terminal.type_line(&program("run pipelines/weather.toml"));
        let commits = |screen: &str| {
            let line = screen.lines().find(|line| line.starts_with("archive ")).unwrap_or_default();
            line.split_whitespace().any(|word| word == "ms")
        };
        let screen = terminal.see("a commit of the archive", commits);
        let later = terminal.see("another screen", |later| later != screen && commits(later));
        for screen in [&screen, &later] {
            for title in ["lag", "commit", "epoch", "mem"] {
                assert!(screen.contains(title), "{title}:\n{screen}");
            }
            assert_fits(screen);
        }
        terminal.tmux(&["send-keys", "C-c"]);
        let ended = terminal.see("the end", |screen| screen.contains("to prove it:"));
        assert!(ended.contains("stopping: committing what is open"), "{ended}");
        assert_fits(&ended);
        terminal.type_line("stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon | wc -l");
        terminal.see("a terminal that echoes", |screen| screen.lines().any(|line| line.trim() == "2"));
        assert_eq!(terminal.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim(), "1", "the cursor shows");
    }
}

#[test]
fn no_colour_where_none_is_wanted() {
    let job = Job::new(10, 100, "0", "100ms");
    let Some(terminal) = Terminal::open(&job, "colour", 100) else { return };
    std::fs::write(job.dir.path().join("wrong.toml"), "nme = 1\n").unwrap();
    let colours = |terminal: &Terminal| terminal.tmux(&["capture-pane", "-p", "-e"]).contains("\u{1b}[");
    terminal.type_line(&format!("clear; NO_COLOR=1 {}; echo ended", program("check wrong.toml")));
    terminal.see("the mistake", |screen| screen.contains("nme") && screen.lines().any(|line| line == "ended"));
    assert!(!colours(&terminal), "coloured in spite of NO_COLOR");
    terminal.type_line(&format!("clear; {}; echo done", program("check wrong.toml")));
    terminal.see("the mistake", |screen| screen.contains("nme") && screen.lines().any(|line| line == "done"));
    assert!(colours(&terminal), "a terminal gets colours");
}
