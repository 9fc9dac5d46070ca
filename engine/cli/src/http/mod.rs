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
//! | the run as they see it | `view`, `served` |
//! | which path is whose | `router` |
//! | connections, and their end | `server` |
//! | what every answer must have, who may ask | `guard` |

pub(crate) mod address;
mod events;
mod guard;
mod health;
mod metrics;
mod page;
mod process;
mod router;
mod served;
mod server;
mod status;
mod view;

pub(crate) use server::Server;
pub(crate) use view::View;
