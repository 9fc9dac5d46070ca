//! What is at which path.

use super::served::Served;
use super::view::View;
use super::{events, guard, health, metrics, page, status};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, map_response};
use axum::routing::get;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Pages that may listen at once.
const LISTENERS: usize = 24;

/// Everything there is to ask for.
pub(super) fn router(view: View, over: watch::Receiver<bool>, only_this_machine: bool) -> Router {
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
