//! `/`: the live page. It is in the program, and asks no other host for anything.

use super::served::Served;
use axum::Router;
use axum::http::header;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, type, text.
const FILES: [(&str, &str, &str); 6] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/script.js", JAVASCRIPT, include_str!("page/script.js")),
    ("/flow.js", JAVASCRIPT, include_str!("page/flow.js")),
    ("/chart.js", JAVASCRIPT, include_str!("page/chart.js")),
    ("/words.js", JAVASCRIPT, include_str!("page/words.js")),
];

/// The files of the page.
pub(super) fn routes() -> Router<Served> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], text) }))
    })
}
