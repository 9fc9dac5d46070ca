//! The comparison can fail: whatever is taken from what was found, doubled in it or changed is said.

use super::*;
use operators_core::Position;
use pipeline::Loaded;

/// A flow with a test through crashes that passes.
fn loaded(layout: &str) -> Loaded {
    load(
        layout,
        r#"
        crash = ["during commit 0", "before commit 1", "after commit 1"]
        rows = { 0 = [{ station = "a", degrees = 1 }, { station = "b" }, { station = "b" }], 1 = 2 }
        [test.expect]
        rows = { 0 = [{ degrees = 1 }, { station = "b" }, { station = "b" }], 1 = 2 }
        positions = { 0 = 3, 1 = 2 }
        "#,
    )
}

/// A flow with a test of commits of two rows.
fn load(layout: &str, test: &str) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.toml");
    let text = format!(
        r#"
        name = "x"
        [[flow]]
        name = "f"
        [flow.source.table]
        url = "sqlite:x.db"
        table = "t"
        columns = {{ station = "string", degrees = "float64" }}
        [flow.sink.parquet]
        url = "file:out"
        layout = "{layout}"
        [[test]]
        name = "t"
        flow = "f"
        commit = {{ rows = 2 }}
        {test}
        "#
    );
    std::fs::write(&file, text).unwrap();
    pipeline::load(&file).unwrap_or_else(|errors| panic!("{errors}"))
}

fn tested(loaded: &Loaded) -> Tested<'_> {
    Tested { test: &loaded.tests[0], flow: &loaded.built[0], memory: 1 << 20 }
}

fn found(tested: &Tested<'_>, crashes: &[Crash]) -> Found {
    match tested.run(crashes) {
        Ok(found) => found,
        Err(broken) => panic!("{:?}", broken.problems()),
    }
}

/// How often a test is run until it has passed.
fn runs(loaded: &Loaded) -> u64 {
    let Verdict { runs, failed } = tested(loaded).verdict();
    assert!(failed.is_none(), "{:?}", failed.map(|failed| failed.problems));
    runs
}

#[test]
fn rows_lost_doubled_and_moved_are_said() {
    let loaded = loaded("batches");
    let tested = tested(&loaded);
    let whole = found(&tested, &[]);
    type Damage = fn(&mut Found);
    let damages: [(&str, Damage); 6] = [
        ("a lost row", |found| _ = found.rows.get_mut(&0).unwrap().pop()),
        ("a doubled row", |found| {
            let rows = found.rows.get_mut(&1).unwrap();
            rows.push(rows[0].clone());
        }),
        ("two rows in another order", |found| found.rows.get_mut(&0).unwrap().swap(0, 1)),
        ("rows of another partition", |found| {
            let rows = found.rows.remove(&1).unwrap();
            found.rows.insert(2, rows);
        }),
        ("a position one behind", |found| {
            let progress = found.progress.as_mut().unwrap();
            progress.positions.0.insert(0, Position(2));
        }),
        ("a finding of the audit", |found| {
            let problem = "is damaged".to_owned();
            found.findings.push(operators_core::stage::Finding { path: "memory".to_owned(), problem });
        }),
    ];
    let expect = &tested.test.expect;
    assert_eq!(compare::with_expected(expect, &whole, 5), [""; 0]);
    assert_eq!(compare::with_expected(expect, &whole, 6).len(), 1, "a row that no commit accounts for");
    for (what, damage) in damages {
        let mut damaged = found(&tested, &tested.test.crashes);
        assert_eq!(compare::with_uninterrupted(&whole, &damaged), [""; 0]);
        damage(&mut damaged);
        assert_ne!(compare::with_expected(expect, &damaged, 5), [""; 0], "{what}");
    }
}

/// Without any expectation, a crash that loses or doubles rows shows beside the run that had none.
#[test]
fn a_run_with_crashes_is_compared_with_the_one_without() {
    let loaded = loaded("batches");
    let tested = tested(&loaded);
    let whole = found(&tested, &[]);
    let mut crashed = found(&tested, &tested.test.crashes);
    let rows = crashed.rows.get_mut(&1).unwrap();
    rows[0] = rows[1].clone();
    assert_eq!(compare::with_uninterrupted(&whole, &crashed).len(), 1);
}

/// The flat layout publishes each partition in a step of its own, so a commit of two has more than one point to die at.
#[test]
fn a_crash_during_a_commit_is_tried_before_each_of_its_steps() {
    assert_eq!(runs(&loaded("batches")), 2);
    assert!(runs(&loaded("flat")) > 3);
}

/// A crash that has seen all steps of its commit leaves those of the others to be seen.
#[test]
fn each_of_several_crashes_is_tried_before_each_step_of_its_own_commit() {
    let runs =
        |crashes: &str| runs(&load("flat", &format!("crash = [{crashes}]\nrows = {{ 0 = 6, 1 = 2, 2 = 2, 3 = 2 }}")));
    // Every test has a run without crashes, and one for each step.
    let (first, third) = (runs("'during commit 0'") - 1, runs("'during commit 2'") - 1);
    assert!(first > third && third > 1, "{first} and {third} steps");
    // One run is the first of both crashes.
    assert_eq!(runs("'during commit 0', 'after commit 1', 'during commit 2'"), 1 + first + third - 1);
}
