//! Where the server listens, as the command line says it.

use std::fmt;
use std::str::FromStr;

/// A host or an address, and a port; port 0 lets the system choose one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Only this machine reaches what listens here.
const LOOPBACK: &str = "127.0.0.1";

impl FromStr for Address {
    type Err = String;

    /// `9090` and `:9090` listen on the loopback; `HOST:PORT` and `[::1]:9090` where they say.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // Without brackets an IPv6 address would lose its last part to the port.
        let host = bracketed.or((!host.contains(':')).then_some(host));
        match (host, port.parse()) {
            (Some(host), Ok(port)) => {
                let host = if host.is_empty() { LOOPBACK } else { host };
                Ok(Self { host: host.to_owned(), port })
            }
            _ => Err("give a port (9090), or a host and a port (0.0.0.0:9090, [::1]:9090)".to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_the_loopback() {
        for (text, is) in [
            ("9090", Some("127.0.0.1:9090")),
            (":9090", Some("127.0.0.1:9090")),
            ("0", Some("127.0.0.1:0")),
            ("0.0.0.0:80", Some("0.0.0.0:80")),
            ("boss:9090", Some("boss:9090")),
            ("[::1]:9090", Some("[::1]:9090")),
            ("", None),
            ("boss", None),
            ("boss:", None),
            ("::1", None),
            ("::1:9090", None),
            ("65536", None),
            ("-1", None),
            ("http://boss:9090", None),
        ] {
            assert_eq!(text.parse::<Address>().ok().map(|address| address.to_string()).as_deref(), is, "{text}");
        }
    }
}
