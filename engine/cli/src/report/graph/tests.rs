use super::{Format, Graph};
use pipeline::load;
use runtime::plan::Plan;
use textwrap::core::display_width;

/// The graph of a flow from simulated stations, with these stages behind the source.
fn graph(stages: &str) -> Graph {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    let text = format!("name = \"x\"\n[[flow]]\nname = \"one\"\n[flow.source.weather]\n{stages}");
    std::fs::write(&file, text).unwrap();
    Graph::of(&Plan::new(load(&file).unwrap(), None, 2).unwrap())
}

const SINK: &str = "[flow.sink.table]\nurl = \"sqlite:/nowhere/weather.db\"\ntable = \"temperatures\"\n";

#[test]
fn a_flow_is_drawn_like_this() {
    let drawn =
        graph(&format!("[[flow.transform]]\nselect = {{ columns = [\"degrees\"] }}\n{SINK}")).render(Format::Text, 80);
    let expected = "\
pipeline x: 1 flow, 2 workers, at most 256.00 MiB of memory

flow one: begins at the beginning: nothing is committed yet
   ┌─ read source.weather ──────────────────────────────────────────┐
╭─▶│ 10 simulated stations from 2000-01-01, one day every 100ms     ├─ spans ──╮
│  └──┬─────────────────────────────────────────────────────────────┘          │
│     ▼ station_id: string, date: string, degrees: float64                     │
│  ┌─ transform.select ─────────────────────────────────────────────┐          │
│  │ degrees                                                        ├─ counts ─┤
│  └──┬─────────────────────────────────────────────────────────────┘          │
│     ▼ degrees: float64                                                       │
│  ┌─ exchange ─────────────────────────────────────────────────────┐          │
│  │ by partition, over 2 workers                                   │          │
│  └──┬─────────────────────────────────────────────────────────────┘          │
│     ▼ degrees: float64                                                       │
│  ┌─ write sink.table ─────────────────────────────────────────────┐          │
│  │ table temperatures in /nowhere/weather.db                      │◀─ spans ─┤
│  └──┬─────────────────────────────────────────────────────────────┘          │
│     ▼ receipts                                                               │
│  ┌─ commit ───────────────────────────────────────────────────────┐          │
│  │ on worker 0, one version per epoch: every 10s, 4,000,000 rows  │◀─────────╯
│  │ or 1.00 GiB                                                    │
│  └──┬─────────────────────────────────────────────────────────────┘
│     ▼ epochs
│  ┌─ probe ────────────────────────────────────────────────────────┐
╰──│ lets the source go on: at most two epochs are in flight        │
   └────────────────────────────────────────────────────────────────┘
";
    assert_eq!(drawn, expected, "\n{drawn}");
}

#[test]
fn every_width_has_its_picture() {
    let long = "c".repeat(60);
    let rename = format!("{{ date = \"{long}\", degrees = \"temperature_of_the_air_in_degrees_celsius\" }}");
    let select = format!(
        "[[flow.transform]]\nselect = {{ columns = [\"station_id\", \"date\", \"degrees\"], rename = {rename} }}\n"
    );
    let graph = graph(&format!("{select}[flow.encode.json]\n[flow.partition.round_robin]\npartitions = 4\n{SINK}"));
    for width in [44, 60, 80, 100, 140, 250] {
        let drawn = graph.render(Format::Text, width);
        for line in drawn.lines() {
            assert!(display_width(line) <= width, "{} of {width} columns: {line}\n{drawn}", display_width(line));
        }
        let columns = |mark: char| {
            let lines = drawn.lines().filter_map(move |line| line.find(mark).map(|at| display_width(&line[..at])));
            lines.collect::<std::collections::BTreeSet<_>>()
        };
        // Boxes stand under each other, and the arrows in one line.
        for mark in ['┌', '┐', '┘', '▼', '┬', '╮', '╯'] {
            assert_eq!(columns(mark).len(), 1, "{mark} in several columns at {width}\n{drawn}");
        }
        assert!(drawn.contains("temperature_of_the_air_in_degrees_celsius") || width < 60, "{drawn}");
    }
}
