//! `/events`: the run once a second, as server-sent events, for the live page.

use super::served::Served;
use super::status::Status;
use axum::extract::State as Of;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;
use stages::sample::Samples;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Time from one event to the next.
const EVERY: Duration = Duration::from_secs(1);

/// What a page is told: how the run is, and what passed by since it was told last, flow by flow.
#[derive(Serialize)]
struct Look<'a> {
    status: Status<'a>,
    samples: Vec<Option<Samples>>,
    /// Whether the run is over and nothing will follow.
    over: bool,
}

/// One page that listens. One that does not read is not written to, and misses what it did not read.
struct Listener {
    served: Served,
    over: watch::Receiver<bool>,
    tick: Interval,
    /// Up to where it knows the samples of each flow.
    marks: Vec<u64>,
    told_end: bool,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn events(Of(served): Of<Served>) -> Response {
    let Ok(place) = Arc::clone(&served.listeners).try_acquire_owned() else {
        let later = [(header::RETRY_AFTER, "10")];
        return (StatusCode::SERVICE_UNAVAILABLE, later, "too many pages listen already\n").into_response();
    };
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let marks = vec![0; served.view.flows.len()];
    let over = served.over.clone();
    let listener = Listener { served, over, tick, marks, told_end: false, _place: place };
    Sse::new(unfold(listener, next)).into_response()
}

async fn next(mut listener: Listener) -> Option<(Result<Event, Infallible>, Listener)> {
    if listener.told_end {
        return None;
    }
    let over = *listener.over.borrow_and_update();
    if !over {
        tokio::select! {
            _ = listener.tick.tick() => {}
            _ = listener.over.changed() => {}
        }
    }
    listener.told_end = *listener.over.borrow_and_update();
    let event = listener.look();
    Some((Ok(event), listener))
}

impl Listener {
    fn look(&mut self) -> Event {
        let view = &self.served.view;
        let samples = view.flows.iter().zip(&mut self.marks).map(|(flow, mark)| {
            let samples = flow.meter.samples(*mark)?;
            *mark = samples.mark;
            Some(samples)
        });
        let look = Look { samples: samples.collect(), status: Status::of(view), over: self.told_end };
        Event::default().retry(EVERY).json_data(look).unwrap_or_default()
    }
}
