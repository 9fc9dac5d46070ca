//! A pipeline whose flow is run once, and what `verify` then says of it.
use crate::common::both;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A pipeline of one flow into an archive, in a folder of its own.
pub struct Pipeline {
    pub dir: tempfile::TempDir,
    flow: String,
}

const ARCHIVE: &str = "[flow.sink.parquet]\nurl = \"file:archive\"\n";

impl Pipeline {
    pub fn new(source: &str) -> Self {
        Self::into(source, ARCHIVE)
    }

    pub fn into(source: &str, sink: &str) -> Self {
        let flow = format!("name = \"x\"\n[[flow]]\nname = \"archive\"\n{source}{sink}");
        let pipeline = Self { dir: tempfile::tempdir().unwrap(), flow };
        fs::write(pipeline.file(), &pipeline.flow).unwrap();
        pipeline
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("pipeline.toml")
    }

    pub fn weatherflow(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weatherflow"));
        command.args(arguments).arg(self.file()).output().unwrap()
    }

    pub fn drain(&self) {
        let drained = self.weatherflow(&["run", "--drain"]);
        assert!(drained.status.success(), "{}", both(&drained));
    }

    /// Replaces text of the file as it was at first.
    pub fn edit(&self, from: &str, to: &str) {
        assert!(self.flow.contains(from));
        fs::write(self.file(), self.flow.replace(from, to)).unwrap();
    }

    /// The file as it was at first.
    pub fn restore(&self) {
        fs::write(self.file(), &self.flow).unwrap();
    }

    /// What `verify` says and its status; what it says as JSON, line by line; its status with `--require-source`.
    pub fn verify(&self) -> (String, Vec<Value>, [Option<i32>; 3]) {
        let text = self.weatherflow(&["verify"]);
        let lines = self.weatherflow(&["verify", "--json"]);
        let required = self.weatherflow(&["verify", "--require-source"]);
        let codes = [text.status.code(), lines.status.code(), required.status.code()];
        (both(&text), objects(&lines), codes)
    }

    /// The source is reported with `words` and as `source`, which is no failure.
    pub fn assert_explained(&self, words: &str, source: &Value) {
        let (text, lines, codes) = self.verify();
        assert!(text.contains(words), "`{words}` is not in:\n{text}");
        assert!(text.contains("nothing lost, nothing doubled, as far as the sinks alone can prove it"), "{text}");
        assert!(text.contains("not every row could be compared with its source: archive"), "{text}");
        assert_eq!((lines.len(), &lines[0]["source"], &lines[0]["findings"]), (1, source, &json!(0)));
        assert_eq!(codes, [Some(0), Some(0), Some(1)], "{text}");
    }

    /// The source is another one, with `words` in the reason, which is no failure; gives the reason.
    pub fn assert_other(&self, words: &str) -> String {
        let (text, lines, _) = self.verify();
        let reason = lines[0]["source"]["other"]["reason"].as_str().unwrap_or_else(|| panic!("{text}"));
        assert!(reason.contains(words), "`{words}` is not in: {reason}");
        self.assert_explained("the source was not counted: ", &json!({ "other": { "reason": reason } }));
        reason.to_owned()
    }

    /// The source differs in a way that nothing explains.
    pub fn assert_finding(&self, words: &str) {
        let (text, lines, codes) = self.verify();
        assert!(text.contains(words) && text.contains("1 finding"), "`{words}` is not in:\n{text}");
        assert!(lines[0]["problem"].as_str().unwrap().contains(words), "{lines:?}");
        assert_eq!(codes, [Some(1); 3], "{text}");
    }

    pub fn assert_proved(&self, rows: u64) {
        let (text, lines, codes) = self.verify();
        assert!(text.ends_with("nothing lost, nothing doubled\n"), "{text}");
        assert_eq!((&lines[0]["source"], codes), (&json!({ "counted": rows }), [Some(0); 3]), "{text}");
    }
}

pub fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
