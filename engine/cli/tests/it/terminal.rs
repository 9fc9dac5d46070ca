//! What a person at a terminal sees, by a real terminal (tmux): nothing wider than it, nothing left behind.

use crate::common::Job;
use sqlx::Connection;
use std::cell::Cell;
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
            crate::common::skipped(&format!("nobody looked at the terminal of {name}, there is no tmux"));
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
            "150",
            "-c",
            &dir,
            "env PS1='$ ' sh",
        ]);
        // Under its own name a line that is typed fits too.
        terminal.type_line(&format!("alias weatherflow={}; clear", env!("CARGO_BIN_EXE_weatherflow")));
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", crate::common::both(&output));
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

impl Terminal {
    /// What a command leaves on a screen of its own when it has ended.
    fn picture(&self, command: &str) -> String {
        // The screen before has an end of its own.
        let end = format!("ended {command}");
        self.type_line(&format!("clear; weatherflow {command}; echo {end}"));
        let screen = self.see(command, |screen| screen.lines().any(|line| line == end));
        self.assert_unbroken();
        let lines = screen.lines().take_while(|line| *line != end);
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// No line goes on in the next one because the terminal had to break it.
    fn assert_unbroken(&self) {
        let [broken, joined] =
            [&["capture-pane", "-p"][..], &["capture-pane", "-p", "-J"]].map(|arguments| self.tmux(arguments));
        let lines = |screen: &str| screen.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&broken), lines(&joined), "a line is wider than the terminal");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
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
        terminal.type_line("weatherflow run pipelines/weather.toml");
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
        // What is typed before the shell asks for it is echoed twice.
        terminal.see("a prompt", |screen| screen.trim_end().ends_with("\n$"));
        terminal.type_line("stty -a | tr ' ' '\\n' | grep -x -e echo -e icanon | wc -l");
        terminal.see("a terminal that echoes", |screen| screen.lines().any(|line| line.trim() == "2"));
        assert_eq!(terminal.tmux(&["display-message", "-p", "#{cursor_flag}"]).trim(), "1", "the cursor shows");
    }
}

/// Files as a newcomer would write them, each wrong in its way.
const WRONG: [&str; 5] = ["unknown_key", "wrong_units", "unset_variable", "unclosed_string", "circle"];

/// One job for all pictures. It commits once, when it has ended, so that they are the same each time.
#[test]
fn what_the_other_commands_show_fits_and_stays() {
    let job = Job::new(10, 100, "0", "10m");
    for wrong in WRONG.map(|wrong| format!("{wrong}.toml")) {
        let text = std::fs::read_to_string(format!("tests/wrong/{wrong}")).unwrap();
        std::fs::write(job.dir.path().join(wrong), text.replace("../../../../proto", "proto")).unwrap();
    }
    let (pictures, damaged) = (Cell::new(0), "DELETE FROM temperatures WHERE id % 100 = 0");
    let keep = |name: &str, columns: u32, picture: &str| {
        pictures.set(pictures.get() + 1);
        crate::common::assert_kept("terminal", &format!("{name}-{columns}"), picture);
    };
    let terminals = [80, 140].map(|columns| (columns, Terminal::open(&job, "pictures", columns)));
    let [(_, Some(_)), (_, Some(_))] = &terminals else { return };
    let terminals: Vec<_> =
        terminals.iter().filter_map(|(columns, terminal)| Some((*columns, terminal.as_ref()?))).collect();
    for (columns, terminal) in &terminals {
        keep("graph", *columns, &terminal.picture("graph pipelines/weather.toml"));
        for wrong in WRONG {
            keep(&format!("check-{wrong}"), *columns, &terminal.picture(&format!("check {wrong}.toml")));
        }
    }
    job.finish();
    for (columns, terminal) in &terminals {
        keep("verify", *columns, &terminal.picture("verify pipelines/weather.toml"));
        keep("tap", *columns, &terminal.picture("tap pipelines/weather.toml archive --from earliest --limit 4"));
        // It tells ages, and sizes of files that differ with the version of the program.
        let status = terminal.picture("status pipelines/weather.toml");
        for told in ["generate: version 0, ", "rows     1,000 committed", "behind   caught up"] {
            assert!(status.contains(told), "no {told} in\n{status}");
        }
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = format!("sqlite:{}", job.dir.path().join("data/weather.db").display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(damaged).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
    for (columns, terminal) in &terminals {
        keep("verify-bad", *columns, &terminal.picture("verify pipelines/weather.toml"));
    }
    println!("{} pictures", pictures.get());
}

#[test]
fn why_a_flow_begins_again_is_broken_between_words() {
    let job = Job::new(1, 1, "0", "100ms");
    let Some(terminal) = Terminal::open(&job, "trouble", 80) else { return };
    let text = "name = \"x\"\n[[flow]]\nname = \"nowhere\"\nretry_for = \"1s\"\n[flow.source.weather]\n\
                [flow.sink.table]\nurl = \"mysql://root@127.0.0.1:1/x\"\ntable = \"t\"\n";
    std::fs::write(job.dir.path().join("nowhere.toml"), text).unwrap();
    terminal.type_line("weatherflow run nowhere.toml; echo ended");
    let screen = terminal.see("the end", |screen| screen.lines().any(|line| line == "ended"));
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "Connection refused (os error 111); trying again from the last commit";
    let told = format!("nowhere: mysql://127.0.0.1:1/x: cannot connect: error communicating with database: {told}");
    assert!(words.contains(&told), "{screen}");
}

#[test]
fn no_colour_where_none_is_wanted() {
    let job = Job::new(10, 100, "0", "100ms");
    let Some(terminal) = Terminal::open(&job, "colour", 100) else { return };
    std::fs::write(job.dir.path().join("wrong.toml"), "nme = 1\n").unwrap();
    let colours = |terminal: &Terminal| terminal.tmux(&["capture-pane", "-p", "-e"]).contains("\u{1b}[");
    terminal.type_line("clear; NO_COLOR=1 weatherflow check wrong.toml; echo ended");
    terminal.see("the mistake", |screen| screen.contains("nme") && screen.lines().any(|line| line == "ended"));
    assert!(!colours(&terminal), "coloured in spite of NO_COLOR");
    terminal.type_line("clear; weatherflow check wrong.toml; echo done");
    terminal.see("the mistake", |screen| screen.contains("nme") && screen.lines().any(|line| line == "done"));
    assert!(colours(&terminal), "a terminal gets colours");
}
