//! Who may ask, and what every answer says to browsers.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The page takes everything from here and is shown nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PROTECTION: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    // Another run may answer under this address soon.
    (CACHE_CONTROL, "no-store"),
];

pub(super) async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.extend(PROTECTION.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// A server for this machine alone answers to `localhost` and to addresses. A web page elsewhere could have its own
/// name lead here (DNS rebinding) and then read everything in the browser of whoever opens it; an address cannot be led
/// anywhere, and programs that send no name are no browsers. A server for others is reached under names it cannot know.
pub(super) async fn refuse_foreign_names(request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        let text = "this server is for this machine alone: ask for localhost or 127.0.0.1\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    next.run(request).await
}

/// A page of another site may lead people here and nothing else: what it asks for in the background it could not read,
/// and its requests would take the places of pages that listen.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    if is_of_another_site(request.headers()) {
        return (StatusCode::FORBIDDEN, "pages of other sites are not answered\n").into_response();
    }
    next.run(request).await
}

fn is_of_another_site(headers: &HeaderMap) -> bool {
    let says = |name, value| headers.get(name).is_some_and(|said| said == value);
    says("sec-fetch-site", "cross-site") && !says("sec-fetch-mode", "navigate")
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return true };
    let name = host.host().trim_end_matches('.').to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    !is_local && name.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_foreign() {
        for (host, foreign) in [
            ("localhost:9090", false),
            ("LOCALHOST.", false),
            ("flows.localhost", false),
            ("127.0.0.1:9090", false),
            ("[::1]:9090", false),
            ("evil.example", true),
            ("evil.example:9090", true),
            ("localhost.evil.example", true),
            ("127.0.0.1.evil.example", true),
            ("notlocalhost", true),
            ("", true),
            ("a b", true),
        ] {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            assert_eq!(is_foreign(&headers), foreign, "{host}");
        }
        assert!(!is_foreign(&HeaderMap::new()));
    }
}
