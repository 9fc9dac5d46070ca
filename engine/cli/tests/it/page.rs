//! The live page in a real browser: what it shows, on which screens and in which colours, and to whom.

use crate::common::Job;
use crate::common::browser::{self, Browser};
use crate::common::served::{Served, wait_for};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::Connection;
use std::fs;
use std::path::Path;

/// No error, no warning, and nothing asked of another host.
fn assert_quiet(browser: &Browser, run: &Served) {
    assert_eq!(browser.log("browser"), [] as [Value; 0], "the console is quiet");
    let requests = browser.requests();
    // The tab that the browser begins with is out of the browser itself.
    let asks_a_host = |address: &&String| !address.starts_with("data:") && !address.starts_with("chrome:");
    let asked: Vec<_> = requests.iter().filter(asks_a_host).collect();
    let own = |address: &&String| address.starts_with(&format!("{}/", run.url));
    assert!(!asked.is_empty() && asked.iter().all(own), "{asked:?}");
}

/// What a screen reader is told: role and name of everything.
fn roles(browser: &Browser) -> Vec<(String, String)> {
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({}));
    let said = |node: &Value, what: &str| node[what]["value"].as_str().unwrap_or_default().to_owned();
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true);
    nodes.map(|node| (said(node, "role"), said(node, "name"))).collect()
}

#[test]
fn a_run_is_shown_as_it_goes() {
    let Some(browser) = Browser::start() else { return };
    let job = Job::new(10, 100_000, "100ms", "700ms");
    let run = Served::start(&job, &[]);
    browser.show_as(1280, 900, "light");
    browser.open(&run.url);

    browser.wait("document.querySelectorAll('section.flow').length === 3");
    assert_eq!(
        browser.text("[...document.querySelectorAll('h2')].map((h) => h.textContent)"),
        "generate,publish,archive"
    );
    browser.wait("document.querySelectorAll('.flow:nth-child(3) .commits tbody tr').length >= 3");
    browser.wait("document.querySelectorAll('.flow:nth-child(3) .edge.moving').length === 4");
    browser.wait("document.querySelectorAll('.flow:nth-child(3) .legend button').length === 10");
    browser.wait("document.querySelectorAll('.flow:nth-child(3) .plot path').length === 10");
    assert_eq!(
        browser.text("document.querySelector('.flow:nth-child(3) .chart h3').textContent"),
        "degrees by station_id, over date"
    );
    assert_eq!(browser.text("document.getElementById('connection').textContent"), "live");
    assert!(browser.text("document.title").contains("weather: running"));

    let words = "document.querySelector('.flow:nth-child(3) .words').textContent";
    let line = "document.querySelector('.flow:nth-child(3) .plot path').getAttribute('d')";
    let newest = "Number(document.querySelector('.flow:nth-child(3) .commits tbody td').textContent)";
    let (first_words, first_line, first_newest) = (browser.text(words), browser.text(line), browser.text(newest));
    browser.wait(&format!("{words} !== {}", json!(first_words)));
    browser.wait(&format!("{line} !== {}", json!(first_line)));
    browser.wait(&format!("{newest} > {first_newest}"));

    // A line is taken out and put back with the keyboard alone.
    let in_legend = "document.activeElement.matches('.flow:nth-child(3) .legend button')";
    let reached = (0..100).any(|_| {
        browser.press(browser::TAB);
        browser.text(in_legend) == "true"
    });
    assert!(reached, "no key leads to the legend");
    for (key, pressed, lines) in [(browser::ENTER, "false", 9), (browser::SPACE, "true", 10)] {
        browser.press(key);
        assert_eq!(browser.text("document.activeElement.getAttribute('aria-pressed')"), pressed);
        assert_eq!(
            browser.text("document.querySelectorAll('.flow:nth-child(3) .plot path').length"),
            lines.to_string()
        );
    }

    let roles = roles(&browser);
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("contentinfo", ""),
        ("status", ""),
        ("navigation", "For programs"),
        ("region", "archive"),
        ("heading", "generate"),
        ("list", "Stages of publish, and the rows between them"),
        ("button", "station-03"),
        ("columnheader", "version"),
    ] {
        let there = roles.iter().any(|(is, named)| is == role && (name.is_empty() || named == name));
        assert!(there, "a screen reader finds no {role} {name} in {roles:?}");
    }
    assert!(roles.iter().any(|(_, name)| name.starts_with("degrees: 10 lines from 2000-")), "{roles:?}");

    let colours = "getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color";
    let light = browser.text(colours);
    assert_eq!(browser.barriers(), [] as [&str; 0]);
    browser.show_as(360, 740, "dark");
    assert_ne!(browser.text(colours), light);
    assert_eq!(browser.barriers(), [] as [&str; 0]);
    browser.wait("document.querySelector('.flow:nth-child(3) .plot svg').clientWidth < 360");
    assert_eq!(browser.text("document.documentElement.scrollWidth"), "360", "a phone has to scroll sideways");
    browser.show_as(320, 740, "light");
    assert_eq!(browser.text("document.documentElement.scrollWidth"), "320");
    browser.show_as(1280, 900, "light");
    if std::env::var("WEATHERFLOW_SCREENSHOT").is_ok() {
        take_screenshot(&browser);
    }
    assert_quiet(&browser, &run);

    run.signal(Signal::STOP);
    browser.wait("document.getElementById('connection').textContent.startsWith('connection lost')");
    browser.wait("document.body.classList.contains('stale')");
    assert_eq!(browser.barriers(), [] as [&str; 0], "what is old can be read");
    run.signal(Signal::CONT);
    browser.wait(
        "document.getElementById('connection').textContent === 'live' && !document.body.classList.contains('stale')",
    );
    assert!(run.stop().success());
    browser.wait("document.getElementById('connection').textContent === 'the run has ended'");
    browser.wait("document.querySelectorAll('.state[data-state=\"done\"]').length === 3");
}

/// For the README: the last flow, when there is much to see.
fn take_screenshot(browser: &Browser) {
    browser.show_as(1280, 860, "light");
    browser.wait("document.querySelector('.flow:nth-child(3) .plot path').getAttribute('d').split('L').length > 140");
    browser.run("document.querySelector('.flow:nth-child(3)').scrollIntoView(); scrollBy(0, -12)");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/page/screenshot.png");
    fs::write(file, browser.picture()).unwrap();
}

#[test]
fn a_flow_that_fails_says_where_and_why() {
    let Some(browser) = Browser::start() else { return };
    let job = Job::new(10, 100_000, "50ms", "300ms");
    let run = Served::start(&job, &[]);
    browser.open(&run.url);
    browser.wait("document.querySelectorAll('.flow:nth-child(3) .commits tbody tr').length >= 2");
    assert_quiet(&browser, &run);
    // A file where the archive was.
    let archive = job.archive();
    wait_for("a moment without the archive", || {
        fs::remove_dir_all(&archive).is_ok().then(|| fs::write(&archive, "no directory").is_ok()).filter(|made| *made)
    });
    browser.wait("document.querySelector('.flow:nth-child(3) .state').textContent === 'failed'");
    let error = browser.text("document.querySelector('.flow:nth-child(3) .node.failed .error').textContent");
    assert!(error.contains("data/archive"), "{error}");
    let stage = browser.text("document.querySelector('.flow:nth-child(3) .node.failed').innerText");
    assert!(stage.starts_with("sink") && stage.contains("parquet"), "{stage}");
    let recent = browser.text("document.querySelector('.flow:nth-child(3) .troubles li').textContent");
    assert!(recent.contains(&error), "{recent}");
    browser.wait("document.getElementById('connection').textContent === 'the run has ended'");
    let told = browser.text("document.getElementById('announcement').textContent");
    assert_eq!(told, "the run has ended, generate stopped, publish stopped, archive failed");
    assert_eq!(browser.text("document.querySelector('.flow:nth-child(1) .state').textContent"), "stopped");
    assert_eq!(
        browser.text("document.querySelectorAll('.error:not([hidden])').length"),
        "2",
        "in the graph and the list of one flow"
    );
    assert_eq!(browser.barriers(), [] as [&str; 0]);
    assert_eq!(run.wait().code(), Some(1));
}

/// One row of a SQLite table with `name`, `day` and `degrees` into Parquet files.
fn odd_job(name: &str, columns: &str) -> Job {
    let job = Job::of("weather.toml", 1, 1, "0", "100ms", |_| {
        format!(
            "name = \"odd\"\n[[flow]]\nname = \"odd\"\ncommit = {{ every = \"100ms\" }}\n\
         [flow.source.table]\nurl = \"sqlite:../odd.db\"\ntable = \"odd\"\n\
         columns = {{ {columns} }}\n\
         [flow.sink.parquet]\nurl = \"file:../data/archive\"\n"
        )
    });
    let rows = format!(
        "CREATE TABLE odd (id INTEGER PRIMARY KEY, name TEXT, day TEXT, degrees REAL);
         INSERT INTO odd (name, day, degrees) VALUES ('{name}', '2000-01-01', 1.5);"
    );
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = format!("sqlite:{}?mode=rwc", job.dir.path().join("odd.db").display());
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    });
    job
}

#[test]
fn rows_that_hold_html_are_shown_as_text() {
    const NAME: &str = "<img src=x onerror=document.title=1>";
    let Some(browser) = Browser::start() else { return };
    let job = odd_job(NAME, "name = \"string\", day = \"string\", degrees = \"float64\"");
    let run = Served::start(&job, &[]);
    browser.open(&run.url);
    browser.wait("document.querySelector('.legend button')");
    assert_eq!(browser.text("document.querySelector('.legend button').textContent"), NAME);
    assert_eq!(browser.text("document.querySelectorAll('img').length"), "0");
    browser.wait("document.title === 'odd: running'");
    assert_quiet(&browser, &run);
    assert!(run.stop().success());
}

#[test]
fn another_pipeline_under_the_same_address_is_shown_in_its_place() {
    let Some(browser) = Browser::start() else { return };
    let job = Job::new(10, 100_000, "50ms", "300ms");
    let run = Served::start(&job, &[]);
    let port = run.address().rsplit_once(':').unwrap().1.to_owned();
    browser.open(&run.url);
    browser.wait("document.querySelector('.flow:nth-child(3) .legend button')");
    assert!(run.stop().success());
    // Nothing of it can be drawn as a line.
    let odd = odd_job("x", "name = \"string\"");
    let run = Served::start_at(&odd, &port, &[]);
    browser.wait("document.title === 'odd: running'");
    browser.wait("document.querySelectorAll('section.flow').length === 1");
    assert!(run.stop().success());
}
