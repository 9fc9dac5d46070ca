//! The live table: a header and a line per flow, as wide as the terminal and calm.

use super::now::{Now, long, short};
use console::{Style, measure_text_width, style};
use indicatif::HumanCount;

/// Columns that were wide stay wide, so that nothing jumps.
#[derive(Default)]
pub(super) struct Table {
    widths: Vec<usize>,
}

struct Column {
    title: &'static str,
    /// Width of an ordinary value: a column does not begin narrower.
    floor: usize,
    /// Left out sooner the greater this is; 0 for never.
    spare: u8,
    cell: fn(&Now) -> String,
}

const COLUMNS: [Column; 10] = [
    Column { title: "flow", floor: 4, spare: 0, cell: |now| now.flow.clone() },
    Column { title: "rows", floor: 7, spare: 0, cell: |now| HumanCount(now.reading.read).to_string() },
    Column { title: "rows/s", floor: 6, spare: 0, cell: |now| HumanCount(now.rate.round() as u64).to_string() },
    Column { title: "", floor: 6, spare: 1, cell: |now| sparkline(&now.history) },
    Column { title: "lag", floor: 5, spare: 0, cell: lag },
    Column { title: "version", floor: 7, spare: 5, cell: version },
    Column { title: "ago", floor: 4, spare: 4, cell: |now| committed(now, |at, _| long(at)) },
    Column { title: "commit", floor: 6, spare: 2, cell: |now| committed(now, |_, took| short(took)) },
    Column { title: "epoch", floor: 6, spare: 2, cell: |now| now.reading.epoch_age.map_or(dash(), short) },
    Column { title: "mem", floor: 4, spare: 3, cell: memory },
];

/// Between two columns.
const GAP: usize = 2;

impl Table {
    /// The header and a line per flow, none wider than the terminal.
    pub(super) fn lines(&mut self, flows: &[Now], width: usize) -> Vec<String> {
        let rows: Vec<Vec<String>> =
            flows.iter().map(|now| COLUMNS.iter().map(|column| (column.cell)(now)).collect()).collect();
        self.widths.resize(COLUMNS.len(), 0);
        for (at, column) in COLUMNS.iter().enumerate() {
            let cells = rows.iter().map(|row| measure_text_width(&row[at]));
            let widest = cells.chain([column.floor, column.title.len()]).max().unwrap_or(0);
            self.widths[at] = self.widths[at].max(widest);
        }
        // How a flow stands is never cut.
        let states = flows.iter().map(|now| measure_text_width(&state(now).0)).max().filter(|widest| *widest > 0);
        let shown = self.shown(width.saturating_sub(states.map_or(0, |widest| GAP + widest)));
        let line = |cells: &[&str]| {
            let cells = shown.iter().map(|&at| {
                let pad = " ".repeat(self.widths[at].saturating_sub(measure_text_width(cells[at])));
                if at == 0 { format!("{}{pad}", cells[at]) } else { format!("{pad}{}", cells[at]) }
            });
            cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
        };
        let header = style(line(&COLUMNS.each_ref().map(|column| column.title))).dim().to_string();
        let rows = rows.iter().zip(flows).map(|(row, now)| {
            let cells: Vec<_> = row.iter().map(String::as_str).collect();
            let (state, tone) = state(now);
            let line = line(&cells);
            if state.is_empty() { line } else { format!("{line}{}{}", " ".repeat(GAP), tone.apply_to(state)) }
        });
        let cut = |line: String| console::truncate_str(&line, width, "…").into_owned();
        [header].into_iter().chain(rows).map(cut).collect()
    }

    /// The columns that fit, those that can be spared left out first.
    fn shown(&self, width: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..COLUMNS.len()).collect();
        while shown.iter().map(|&at| self.widths[at] + GAP).sum::<usize>() > width + GAP {
            let spare = shown.iter().enumerate().max_by_key(|(_, at)| COLUMNS[**at].spare);
            match spare {
                Some((place, &at)) if COLUMNS[at].spare > 0 => _ = shown.remove(place),
                _ => break,
            }
        }
        shown
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Rows that wait, and how long they will take when there is something to wait for.
fn lag(now: &Now) -> String {
    match (now.reading.lag.total(), now.left()) {
        (None, _) => dash(),
        (Some(rows), Some(left)) if left.as_secs() > 1 => format!("{} ~{}", HumanCount(rows), long(left)),
        (Some(rows), _) => HumanCount(rows).to_string(),
    }
}

fn version(now: &Now) -> String {
    now.reading.last_commit.as_ref().map_or(dash(), |(_, progress)| progress.version.to_string())
}

/// Something of the last commit: how long ago it was, and how long it took.
fn committed(now: &Now, show: fn(std::time::Duration, std::time::Duration) -> String) -> String {
    match (&now.reading.last_commit, now.reading.commits.last()) {
        (Some((at, _)), Some(landed)) => show(at.elapsed(), landed.took),
        _ => dash(),
    }
}

fn memory(now: &Now) -> String {
    let (used, limit) = now.reading.memory;
    format!("{} %", used * 100 / limit.max(1))
}

fn state(now: &Now) -> (String, Style) {
    match (now.reading.done, now.reading.trouble()) {
        (true, _) => ("done".to_owned(), Style::new().green()),
        (false, Some(_)) => (format!("trying again ({})", now.reading.restarts), Style::new().red()),
        (false, None) => (String::new(), Style::new()),
    }
}

/// One bar a second, the highest as high as there is.
fn sparkline(history: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = history.iter().copied().fold(1.0, f64::max);
    let bar = |rate: &f64| BARS[((rate / most) * (BARS.len() - 1) as f64).round() as usize];
    history.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::position::Anchors;
    use operators_core::progress::{Fingerprint, Progress, Run, Tally, Version};
    use operators_core::{Checkpoint, Error, Lag};
    use runtime::Failure;
    use runtime::meter::{Health, Landed, Reading};
    use std::time::{Duration, Instant, SystemTime};

    /// A flow in the middle of a large job, or at its first moment.
    fn flow(name: &str, rows: u64) -> Now {
        let progress = Progress {
            version: Version(rows),
            run: Run { id: "1".to_owned(), flow: name.to_owned() },
            fingerprint: Fingerprint::default(),
            source: None,
            positions: Checkpoint::default(),
            anchors: Anchors::default(),
            totals: Tally::default(),
        };
        let took = Duration::from_millis(1234);
        let landed = Landed { at: SystemTime::now(), version: rows, tally: Tally::default(), took };
        let first = Reading { memory: (0, 1000), ..Reading::default() };
        let reading = match rows {
            0 => first,
            _ => Reading {
                read: 2 * rows,
                last_commit: Some((Instant::now(), progress)),
                commits: vec![landed],
                lag: Lag::of(0, rows),
                epochs: 1,
                epoch_age: Some(Duration::ZERO),
                ..first
            },
        };
        Now { flow: name.to_owned(), reading, rate: rows as f64, history: vec![0.0, rows as f64] }
    }

    fn lines(flows: &[Now], width: usize) -> Vec<String> {
        console::set_colors_enabled(false);
        Table::default().lines(flows, width)
    }

    #[test]
    fn everything_is_shown_in_80_columns_when_numbers_are_ordinary() {
        let flows = [flow("generate", 2_530), flow("archive", 0)];
        let lines = lines(&flows, 79);
        for title in ["flow", "rows", "rows/s", "lag", "version", "ago", "commit", "epoch", "mem"] {
            assert!(lines[0].contains(title), "{title}: {lines:#?}");
        }
        assert!(lines[1].contains("▁█") && lines[1].contains("1.2 s"), "{lines:#?}");
        assert!(lines.iter().all(|line| measure_text_width(line) <= 79), "{lines:#?}");
    }

    #[test]
    fn what_matters_most_stays_when_it_is_narrow() {
        let flows = [flow("a-flow-with-a-long-name", 123_456_789)];
        for width in [20, 40, 60, 80, 100, 140] {
            let lines = lines(&flows, width);
            assert!(lines.iter().all(|line| measure_text_width(line) <= width), "{width}: {lines:#?}");
            assert!(width < 80 || lines[1].contains("123,456,789"), "{width}: {lines:#?}");
        }
        assert!(lines(&flows, 140)[0].contains("epoch"));
    }

    #[test]
    fn a_flow_in_trouble_says_so() {
        let mut now = flow("archive", 5);
        now.reading.restarts = 1;
        now.reading.health = Health::Trouble(Failure::new("archive", &Error::Other("no answer".to_owned())));
        let mut table = Table::default();
        for width in [79, 100, 139] {
            let lines = table.lines(std::slice::from_ref(&now), width);
            assert!(console::strip_ansi_codes(&lines[1]).ends_with("trying again (1)"), "{width}: {lines:#?}");
        }
    }
}
