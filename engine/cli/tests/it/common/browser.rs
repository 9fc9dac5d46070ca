//! Headless Chromium, driven through its own driver.
use crate::common::served::wait_for;
use crate::common::skipped;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use testkit::project;
use tokio::runtime::Runtime;
use url::Url;

/// Keys as WebDriver names them.
pub const TAB: char = '\u{e004}';
pub const ENTER: char = '\u{e007}';
pub const SPACE: char = ' ';

/// One tab.
pub struct Browser {
    client: Client,
    runtime: Runtime,
    driver: Child,
    _profile: tempfile::TempDir,
}

/// A command of Chromium's driver that WebDriver does not have.
#[derive(Debug)]
struct Own(&'static str, Value);

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _url: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

impl Browser {
    /// `None`, said loudly, where there is no Chromium.
    pub fn start() -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut driver) = driver else {
            skipped("the page was not looked at, there is no chromedriver");
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| Some(line.strip_suffix('.')?.split_once("started successfully on port ")?.1.to_owned()));
        std::thread::spawn(move || lines.count());
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new",
            // As root, in a container, and without the small /dev/shm of one.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let runtime = Runtime::new().unwrap();
        let url = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities.as_object().unwrap().clone());
        let client = runtime.block_on(builder.connect(&url)).expect("Chromium starts");
        Some(Self { client, runtime, driver, _profile: profile })
    }

    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.runtime
            .block_on(self.client.execute(script, Vec::new()))
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until an expression is true.
    pub fn wait(&self, expression: &str) {
        let script = format!("return Boolean({expression})");
        wait_for(expression, || (self.run(&script) == true).then_some(()));
    }

    /// Presses a key, wherever the keyboard leads.
    pub fn press(&self, value: char) {
        let keys = KeyActions::new("keys".to_owned());
        let keys = keys.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        self.runtime.block_on(self.client.perform_actions(keys)).unwrap();
    }

    pub fn text(&self, expression: &str) -> String {
        self.run(&format!("return String({expression})")).as_str().unwrap().to_owned()
    }

    /// What axe has to say against the page as it is shown: WCAG 2 and what is good practice beyond it.
    pub fn barriers(&self) -> Vec<String> {
        let Some(axe) = axe() else { return Vec::new() };
        self.run(&axe);
        let look = "const [done] = arguments; axe.run({ resultTypes: ['violations'] }).then((found) => done(
            found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))))";
        let found = self.runtime.block_on(self.client.execute_async(look, Vec::new())).unwrap();
        found.as_array().unwrap().iter().map(|barrier| barrier.as_str().unwrap().to_owned()).collect()
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.runtime.block_on(self.client.issue_cmd(Own("goog/cdp/execute", body))).unwrap()
    }

    /// Shows the page as on a screen of this size, in these colours.
    pub fn show_as(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// What came up in a log since it was last asked for: `browser`, or `performance`.
    pub fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.runtime.block_on(self.client.issue_cmd(Own("se/log", json!({ "type": kind })))).unwrap();
        entries.as_array().unwrap().clone()
    }

    /// Every address that was asked for since this was last called.
    pub fn requests(&self) -> Vec<String> {
        let message = |entry: &Value| -> Value { serde_json::from_str(entry["message"].as_str().unwrap()).unwrap() };
        let messages = self.log("performance").iter().map(message).collect::<Vec<_>>();
        let sent =
            messages.iter().map(|entry| &entry["message"]).filter(|m| m["method"] == "Network.requestWillBeSent");
        sent.map(|message| message["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }

    /// A picture of what is in view.
    pub fn picture(&self) -> Vec<u8> {
        self.runtime.block_on(self.client.screenshot()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its Chromium with the session.
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The script of axe; `None`, said loudly, where it is not installed.
fn axe() -> Option<String> {
    let python = project().join("target/python/lib");
    let mut versions = fs::read_dir(python).into_iter().flatten().flatten();
    let script = versions.find_map(|version| {
        fs::read_to_string(version.path().join("site-packages/axe_playwright_python/axe.min.js")).ok()
    });
    if script.is_none() {
        skipped("nobody looked for barriers in the page, there is no axe in target/python");
    }
    script
}
