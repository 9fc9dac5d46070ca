//! `/health` and `/ready`, for supervisors and load balancers.

use super::view::{State, View};
use axum::Json;
use axum::extract::State as Of;
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// Whether the process is alive.
pub(super) async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Whether every flow runs or has done all it had to; if not, what is in the way.
pub(super) async fn ready(Of(view): Of<Arc<View>>) -> (StatusCode, Json<Value>) {
    let mut reasons = Vec::new();
    for flow in &view.flows {
        let reading = flow.meter.read();
        let state = flow.state(&reading, &view.halt);
        if !matches!(state, State::Running | State::Done) {
            let (stage, reason) = reading.trouble().map(|trouble| (&trouble.stage, &trouble.reason)).unzip();
            reasons.push(json!({ "flow": flow.name, "state": state, "stage": stage, "reason": reason }));
        }
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons })))
}
