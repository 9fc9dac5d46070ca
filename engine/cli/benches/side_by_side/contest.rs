//! Rounds in which each side has its turn, and what came of them as tables and JSON.

use crate::process::Taken;
use serde_json::{Value, json};
use std::fmt::Write;

/// What came of a leg.
#[derive(Default)]
pub struct Outcome {
    /// Sides that were measured in rounds.
    pub sides: Vec<Measured>,
    /// What was asked of it, and what was seen.
    pub goals: Vec<Goal>,
}

/// One side of a leg.
pub struct Measured {
    pub name: String,
    /// What a reader must know of it: settings, size.
    pub note: String,
    pub rows: u64,
    pub rounds: Vec<Taken>,
}

/// A figure that was asked for.
pub struct Goal {
    what: String,
    seen: f64,
    asked: Asked,
    unit: &'static str,
}

enum Asked {
    AtLeast(f64),
    AtMost(f64),
}

/// A side that waits for its turn.
pub struct Side<'w> {
    pub name: &'static str,
    pub note: String,
    pub run: Box<dyn FnMut() -> Taken + 'w>,
}

impl<'w> Side<'w> {
    pub fn new(name: &'static str, note: impl Into<String>, run: impl FnMut() -> Taken + 'w) -> Self {
        Self { name, note: note.into(), run: Box::new(run) }
    }
}

/// Gives each side its turn in each round, after one that does not count.
pub fn contest(rows: u64, rounds: usize, mut sides: Vec<Side<'_>>) -> Outcome {
    let mut measured: Vec<_> = sides
        .iter()
        .map(|side| Measured { name: side.name.to_owned(), note: side.note.clone(), rows, rounds: Vec::new() })
        .collect();
    for round in 0..=rounds {
        for (side, measured) in sides.iter_mut().zip(&mut measured) {
            let taken = (side.run)();
            let rate = rows as f64 / taken.seconds / 1e6;
            let counts = if round == 0 { "warm-up" } else { "" };
            eprintln!("  {round} {}: {rate:.2} M rows/s, {:.1} CPU s {counts}", side.name, taken.cpu_seconds);
            if round > 0 {
                measured.rounds.push(taken);
            }
        }
    }
    Outcome { sides: measured, goals: Vec::new() }
}

impl Measured {
    fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|taken| self.rows as f64 / taken.seconds).collect()
    }

    fn cpu_per_million(&self) -> Vec<f64> {
        self.rounds.iter().map(|taken| taken.cpu_seconds / (self.rows as f64 / 1e6)).collect()
    }

    pub fn peak_mib(&self) -> f64 {
        self.rounds.iter().map(|taken| taken.peak_mib).fold(0.0, f64::max)
    }
}

impl Outcome {
    /// Of figures that need no rounds.
    pub fn of(goals: impl IntoIterator<Item = Goal>) -> Self {
        Self { sides: Vec::new(), goals: goals.into_iter().collect() }
    }

    fn side(&self, name: &str) -> &Measured {
        self.sides.iter().find(|side| side.name == name).unwrap()
    }

    /// Asks for so much of another side's rows/s, round by round.
    pub fn ask_rate(&mut self, of: &str, beside: &str, least: f64) {
        let seen = ratio(&self.side(of).rates(), &self.side(beside).rates());
        let what = format!("{of}: rows/s beside {beside}");
        self.goals.push(Goal::at_least(what, seen, least, "x"));
    }

    /// Asks for at most so much of another side's CPU seconds, round by round.
    pub fn ask_cpu(&mut self, of: &str, beside: &str, most: f64) {
        let seen = ratio(&self.side(of).cpu_per_million(), &self.side(beside).cpu_per_million());
        let what = format!("{of}: CPU seconds beside {beside}");
        self.goals.push(Goal::at_most(what, seen, most, "x"));
    }

    pub fn ask_memory(&mut self, of: &str, most: f64) {
        let seen = self.side(of).peak_mib();
        let what = format!("{of}: peak resident memory");
        self.goals.push(Goal::at_most(what, seen, most, "MiB"));
    }

    /// The side with the lower median of rows/s.
    pub fn slower<'n>(&self, one: &'n str, other: &'n str) -> &'n str {
        if median(&self.side(one).rates()) < median(&self.side(other).rates()) { one } else { other }
    }
}

impl Goal {
    pub fn at_least(what: impl Into<String>, seen: f64, least: f64, unit: &'static str) -> Self {
        Self { what: what.into(), seen, asked: Asked::AtLeast(least), unit }
    }

    pub fn at_most(what: impl Into<String>, seen: f64, most: f64, unit: &'static str) -> Self {
        Self { what: what.into(), seen, asked: Asked::AtMost(most), unit }
    }

    fn is_reached(&self) -> bool {
        match self.asked {
            Asked::AtLeast(least) => self.seen >= least,
            Asked::AtMost(most) => self.seen <= most,
        }
    }

    fn asked(&self) -> String {
        match self.asked {
            Asked::AtLeast(least) => format!("at least {least}"),
            Asked::AtMost(most) => format!("at most {most}"),
        }
    }
}

/// Median of the ratios of rounds that ran one after the other.
fn ratio(of: &[f64], beside: &[f64]) -> f64 {
    median(&of.iter().zip(beside).map(|(of, beside)| of / beside).collect::<Vec<_>>())
}

/// The middle one, or the lower of the two in the middle.
pub fn median(figures: &[f64]) -> f64 {
    quantile(figures, 0.5)
}

/// The figure that so large a part of all is at most.
pub fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len());
    sorted[at - 1]
}

/// The figures as two Markdown tables.
pub fn tables(outcomes: &[(&str, Outcome)]) -> String {
    let mut text = String::new();
    let sides = || outcomes.iter().flat_map(|(leg, outcome)| outcome.sides.iter().map(move |side| (leg, side)));
    if sides().next().is_some() {
        text += "| leg | side | million rows/s: median (min to max) | CPU s per million rows | peak MiB |\n";
        text += "|---|---|---|---|---|\n";
    }
    for (leg, side) in sides() {
        let rates: Vec<_> = side.rates().iter().map(|rate| rate / 1e6).collect();
        let (median_rate, min, max) = (median(&rates), quantile(&rates, 0.0), quantile(&rates, 1.0));
        let (cpu, peak) = (median(&side.cpu_per_million()), side.peak_mib());
        let name = if side.note.is_empty() { side.name.clone() } else { format!("{} ({})", side.name, side.note) };
        writeln!(text, "| {leg} | {name} | {median_rate:.2} ({min:.2} to {max:.2}) | {cpu:.2} | {peak:.0} |").unwrap();
    }
    text += "\n| leg | figure | seen | asked | reached |\n|---|---|---|---|---|\n";
    for (leg, goal) in outcomes.iter().flat_map(|(leg, outcome)| outcome.goals.iter().map(move |goal| (leg, goal))) {
        let reached = if goal.is_reached() { "yes" } else { "no" };
        let (what, seen, unit, asked) = (&goal.what, goal.seen, goal.unit, goal.asked());
        writeln!(text, "| {leg} | {what} | {seen:.2} {unit} | {asked} | {reached} |").unwrap();
    }
    text
}

/// The figures of every round.
pub fn json(outcomes: &[(&str, Outcome)]) -> Value {
    let side =
        |side: &Measured| json!({ "side": side.name, "note": side.note, "rows": side.rows, "rounds": side.rounds });
    let goal = |goal: &Goal| {
        json!({
            "figure": goal.what, "seen": goal.seen, "unit": goal.unit, "asked": goal.asked(), "reached": goal.is_reached(),
        })
    };
    let leg = |(leg, outcome): &(&str, Outcome)| {
        let sides: Vec<_> = outcome.sides.iter().map(side).collect();
        let goals: Vec<_> = outcome.goals.iter().map(goal).collect();
        json!({ "leg": leg, "sides": sides, "goals": goals })
    };
    outcomes.iter().map(leg).collect()
}
