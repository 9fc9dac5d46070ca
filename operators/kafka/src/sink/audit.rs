//! Reads back what a flow has committed, and counts it against what its commits say. A few numbers are held at a time,
//! whatever the length of history.

use super::progress::ProgressTopic;
use super::record::{Entry, Record};
use super::written::Written;
use super::{Kafka, KafkaSink};
use crate::client::Place;
use crate::client::scan::scan;
use crate::client::topic::Client;
use operators_core::error::{Error, Result};
use operators_core::inspect::Holdings;
use operators_core::progress::{Run, Tally, Version};
use operators_core::stage::{Account, Audit, Finding, Listen};
use std::ops::Range;
use std::time::Duration;

/// How long the progress topic may take to show a commit of which a message was seen.
const SEEN: Duration = Duration::from_secs(1);

impl Audit for KafkaSink {
    fn holdings(&self, flow: &str) -> Result<Holdings> {
        let held = self.0.progress(flow)?.look()?;
        Ok(Holdings { committed_at: held.and_then(|held| held.committed_at), files: None })
    }

    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        let kafka = &self.0;
        let progress = kafka.progress(flow)?;
        let Some(last) = history(&progress, listener)? else { return Ok(Account::default()) };
        let mut audit = Counting { progress: &progress, last: &last, listener };
        let rows = audit.rows(kafka)?;
        if let Some(written) = last.dead_letters {
            let place = kafka.dead_letters(flow);
            let client = Client::new(&place, &[])?;
            match client.settled(0)? {
                Some(_) => drop(audit.partition(&client, 0, written)?),
                None => audit.find(&place, format!("is gone, and {} dead letters with it", written.messages)),
            }
        }
        Ok(Account {
            batches: last.progress.version.0 + 1,
            without_digests: 0,
            files: 0,
            rows,
            totals: last.progress.totals,
            spans: last.spans,
        })
    }
}

/// Checks each entry that compaction has left against the one before; gives the last commit.
fn history(progress: &ProgressTopic, listener: &mut dyn Listen) -> Result<Option<Record>> {
    if !progress.exists()? {
        return Ok(None);
    }
    let (mut owner, mut last): (Option<Run>, Option<Record>) = (None, None);
    let path = progress.place().to_string();
    let read = progress.each(progress.range()?, &mut |at, _, entry| {
        match entry {
            Entry::Owner(run) => owner = Some(run),
            Entry::Commit(record) => {
                for problem in problems(&record, last.as_ref(), owner.as_ref()) {
                    listener.found(Finding { path: format!("{path}, offset {at}"), problem });
                }
                last = Some(*record);
            }
        }
        Ok(())
    });
    match read {
        Err(Error::Damaged { path, reason }) => listener.found(Finding { path, problem: reason }),
        read => read?,
    }
    Ok(last)
}

/// What is wrong with a commit in itself, and after the one before.
fn problems(record: &Record, before: Option<&Record>, owner: Option<&Run>) -> Vec<String> {
    let Record { progress, tally, spans, rows, dead_letters, .. } = record;
    let (version, totals) = (progress.version, progress.totals);
    let mut problems = Vec::new();
    let mut check = |right: bool, problem: String| {
        if !right {
            problems.push(format!("version {version}: {problem}"));
        }
    };
    check(tally.is_conserved() && totals.is_conserved(), format!("its rows do not add up: {tally:?} of {totals:?}"));
    let read: u64 = spans.iter().map(|span| span.rows).sum();
    let written: u64 = rows.values().map(|written| written.messages).sum();
    let rejected = dead_letters.map_or(0, |written| written.messages);
    check(
        (read, written, rejected) == (totals.read, totals.written, totals.dead_letters),
        format!("{read} rows were read, {written} written and {rejected} rejected, and its totals are {totals:?}"),
    );
    for span in spans {
        let position = progress.positions.position(span.partition);
        check(position == Some(span.to), format!("it stands at [{}], and {span} was read", progress.positions));
    }
    if let Some(owner) = owner {
        check(
            owner.id == progress.run.id,
            format!("run {} committed after run {} took over", progress.run.id, owner.id),
        );
    }
    let first = version == Version::FIRST;
    let sum = before.map_or_else(Tally::default, |before| before.progress.totals);
    if first || before.is_some_and(|before| before.progress.version.next() == version) {
        let mut sum = if first { Tally::default() } else { sum };
        sum += *tally;
        check(sum == totals, format!("its totals are {totals:?}, but the commits so far add up to {sum:?}"));
    }
    let Some(before) = before else { return problems };
    check(version > before.progress.version, format!("it came after version {}", before.progress.version));
    for (partition, was) in &before.rows {
        let grown = rows.get(partition).is_some_and(|is| is.contains(*was));
        check(grown, format!("partition {partition} does not go on from {was:?}"));
    }
    for was in &before.spans {
        let is = spans.iter().find(|span| span.partition == was.partition);
        check(is.is_some_and(|is| is.from == was.from && is.to >= was.to), format!("it does not go on from {was}"));
    }
    problems
}

/// Counts messages.
struct Counting<'a> {
    progress: &'a ProgressTopic,
    last: &'a Record,
    listener: &'a mut dyn Listen,
}

impl Counting<'_> {
    fn find(&mut self, place: &Place, problem: impl Into<String>) {
        self.listener.found(Finding { path: place.to_string(), problem: problem.into() });
    }

    /// Counts the rows in all partitions.
    fn rows(&mut self, kafka: &Kafka) -> Result<u64> {
        let place = &kafka.place;
        let client = Client::new(place, &[])?;
        let written = self.last.progress.totals.written;
        let Some(topic) = client.settled(0)? else {
            if written > 0 {
                self.find(place, format!("is gone, and {written} messages with it"));
            }
            return Ok(0);
        };
        if self.last.topic != topic.id {
            self.find(place, format!("was created again, and {written} messages went with the one before"));
            return Ok(0);
        }
        if topic.partitions != kafka.partitions {
            let (has, asked) = (topic.partitions, kafka.partitions);
            self.find(place, format!("has {has} partitions, and the flow asks for {asked}"));
        }
        let mut rows = 0;
        for (&partition, &written) in &self.last.rows {
            rows += self.partition(&client, partition, written)?;
        }
        Ok(rows)
    }

    /// Counts the messages of one partition that the flow has written; finds what is missing, and what is too much.
    fn partition(&mut self, client: &Client, partition: u32, written: Written) -> Result<u64> {
        let place = &client.place;
        let Written { from, to, messages } = written;
        let Range { start: low, end } = client.range_up_to(partition, to)?;
        if end < to {
            let problem = format!(
                "partition {partition} can be read up to offset {end}, and the flow has written up to {to}: the log was \
                 cut, or another program has a transaction open"
            );
            self.find(place, problem);
        }
        let (mut counted, mut after) = (0, 0);
        let whole = scan(place, partition, from.max(low)..end, &mut |message| {
            *if message.offset() < to { &mut counted } else { &mut after } += 1;
            self.listener.checked(1);
            Ok(())
        })?;
        if low > from || !whole {
            let problem = format!(
                "partition {partition} begins at offset {low} by now, and the flow began to write at {from}: {counted} of \
                 {messages} messages are left to be counted"
            );
            self.find(place, problem);
        } else if counted != messages {
            let problem = format!(
                "partition {partition} holds {counted} messages in [{from}, {to}), and the flow wrote {messages} there: \
                 another program adds messages or removes them, or the topic is compacted"
            );
            self.find(place, problem);
        }
        if after > 0 && self.is_still_last()? {
            let problem =
                format!("partition {partition} holds {after} messages from offset {to} on, after the last commit");
            self.find(place, problem);
        }
        Ok(counted)
    }

    /// Whether there was no commit since the audit began: one that has just been made may be seen in some partitions
    /// only.
    fn is_still_last(&self) -> Result<bool> {
        std::thread::sleep(SEEN);
        let now = self.progress.look()?.and_then(|held| held.last);
        Ok(now.is_none_or(|now| now.progress.version == self.last.progress.version))
    }
}
