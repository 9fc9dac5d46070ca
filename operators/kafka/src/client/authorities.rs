//! Which certificate authorities TLS trusts where a file names none.

use openssl_probe::ProbeResult;
use operators_core::error::Problem;
use rdkafka::ClientConfig;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Trusts the system's certificate authorities.
pub(super) fn trust_system(config: &mut ClientConfig) -> Result<(), Problem> {
    let named = |variable| env::var_os(variable);
    if let Some(path) = authorities(named("SSL_CERT_FILE"), named("SSL_CERT_DIR").as_deref(), openssl_probe::probe)? {
        config.set("ssl.ca.location", path.display().to_string());
    }
    Ok(())
}

/// A file or a folder for `ssl.ca.location`: OpenSSL is built in, so its own default is a folder that no system fills.
/// `None` where a variable names authorities: OpenSSL reads both by itself, and they replace the system's, as for MySQL.
fn authorities(
    file: Option<OsString>,
    folders: Option<&OsStr>,
    probe: impl FnOnce() -> ProbeResult,
) -> Result<Option<PathBuf>, Problem> {
    let at = || vec!["security".to_owned(), "tls".to_owned()];
    let problem = |message: &str, help: &str| Problem { at: at(), message: message.into(), help: Some(help.into()) };
    if file.is_some() || folders.is_some() {
        let folders: Vec<_> = folders.into_iter().flat_map(env::split_paths).collect();
        let exists = file.map(PathBuf::from).into_iter().chain(folders).any(|path| path.exists());
        let message = "no certificate authorities: what SSL_CERT_FILE or SSL_CERT_DIR names does not exist";
        return if exists { Ok(None) } else { Err(problem(message, "correct or unset the variable, or set `ca`")) };
    }
    let found = probe();
    let path = found.cert_file.into_iter().chain(found.cert_dir).next();
    let help = "install the package `ca-certificates`, set SSL_CERT_FILE, or set `ca`";
    path.map(Some).ok_or_else(|| problem("this system has no certificate authorities to trust", help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_trusted_unless_the_environment_names_others() {
        let system = |file: Option<&str>, folders: &[&str]| ProbeResult {
            cert_file: file.map(PathBuf::from),
            cert_dir: folders.iter().map(PathBuf::from).collect(),
        };
        let both = || system(Some("/etc/ca.pem"), &["/etc/certs"]);
        assert_eq!(authorities(None, None, both).unwrap(), Some("/etc/ca.pem".into()));
        assert_eq!(authorities(None, None, || system(None, &["/etc/certs"])).unwrap(), Some("/etc/certs".into()));
        assert_eq!(authorities(Some("/dev/null".into()), None, both).unwrap(), None);
        assert_eq!(authorities(None, Some(OsStr::new("/no/such:/dev")), both).unwrap(), None);
    }

    #[test]
    fn without_authorities_the_problem_says_how_to_get_some() {
        let nothing = || ProbeResult { cert_file: None, cert_dir: Vec::new() };
        let missing = authorities(None, None, nothing).unwrap_err();
        assert!(missing.message.contains("no certificate authorities"), "{}", missing.message);
        let wrong = authorities(Some("/no/such".into()), None, nothing).unwrap_err();
        assert!(wrong.message.contains("SSL_CERT_FILE"), "{}", wrong.message);
        for problem in [missing, wrong] {
            assert_eq!(problem.at, ["security", "tls"]);
            assert!(problem.help.unwrap().contains("`ca`"));
        }
    }
}
