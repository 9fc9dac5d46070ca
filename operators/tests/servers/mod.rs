//! The real servers that tests run against, where there are any.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, missing_docs)]

/// `mysql://USER:PASSWORD@HOST:PORT/DATABASE` of a MySQL or MariaDB server, with a user who may do everything.
pub fn mysql() -> Option<String> {
    address("MYSQL_URL", "MySQL or MariaDB")
}

fn address(variable: &str, what: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    if address.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "no {what}: {variable} is not set");
        eprintln!("SKIPPED: no {what} ({variable} is not set)");
    }
    address
}
