//! `run --http ADDR`: what a run tells over HTTP. Requests read counters and nothing else, on a thread of their own.
//!
//! | path | file | for |
//! |---|---|---|
//! | `/` | `page` | people: the live page |
//! | `/events` | `events` | the page: the run once a second |
//! | `/status` | `status` | programs: everything that is known, as JSON |
//! | `/metrics` | `metrics`, `process` | Prometheus |
//! | `/health`, `/ready` | `health` | supervisors |
//!
//! | what they share | file |
//! |---|---|
//! | where it listens | `address` |
//! | the run as they see it | `view` |
//! | connections, and their end | `server` |
//! | what every answer must have, who may ask | `guard` |

pub(crate) mod address;
mod events;
mod guard;
mod health;
mod metrics;
mod page;
mod process;
mod server;
mod status;
mod view;

pub(crate) use server::Server;
pub(crate) use view::View;

use axum::Router;
use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::middleware::{from_fn, map_response};
use axum::routing::get;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Pages that may listen at once.
const LISTENERS: usize = 24;

/// What requests are answered from.
#[derive(Clone)]
struct Served {
    view: Arc<View>,
    /// Places for pages that listen.
    listeners: Arc<Semaphore>,
    /// Becomes true when the run is over.
    over: watch::Receiver<bool>,
}

impl FromRef<Served> for Arc<View> {
    fn from_ref(served: &Served) -> Self {
        Arc::clone(&served.view)
    }
}

/// Everything there is to ask for.
fn router(view: View, over: watch::Receiver<bool>, only_this_machine: bool) -> Router {
    let listeners = Arc::new(Semaphore::new(LISTENERS));
    let served = Served { view: Arc::new(view), listeners, over };
    let paths = page::routes()
        .route("/events", get(events::events))
        .route("/status", get(status::status))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /, /status, /metrics, /health and /ready\n"))
        .with_state(served);
    let paths = if only_this_machine { paths.layer(from_fn(guard::refuse_foreign_names)) } else { paths };
    paths.layer(from_fn(guard::refuse_other_sites)).layer(map_response(guard::protect))
}
