//! TLS trusts the certificate authorities of the system and no others, to Kafka (OpenSSL) and to MySQL (rustls) alike.

use crate::common::{both, skipped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::{servers, unique};

/// Where Debian has all authorities in one file.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A folder with a pipeline file, whose servers show certificates of an authority that nothing else knows.
struct World {
    dir: tempfile::TempDir,
    /// The authority's own certificate.
    ca: PathBuf,
}

impl World {
    /// Both servers are reached over TLS that checks their certificates, or neither is.
    fn new(checks: bool) -> Option<Self> {
        let variable = |kind, name| servers::ALL.variable(kind, name);
        let (host, port) =
            variable("kafka", "KAFKA_BROKERS")?.rsplit_once(':').map(|(h, p)| (h.to_owned(), p.to_owned()))?;
        let url = variable("mysql", "MYSQL_URL")?;
        let dir = tempfile::tempdir().unwrap();
        let name = unique("trusted").replace('-', "_");
        let text = format!(
            r#"
name = "trusted"
[[flow]]
name = "kafka"
[flow.source.weather]
[flow.encode.json]
[flow.partition.round_robin]
partitions = 1
[flow.sink.kafka]
brokers = "{host}:{port}"
topic = "{name}"
{security}
create = {{}}
[[flow]]
name = "mysql"
[flow.source.weather]
[flow.sink.table]
url = "{url}"
password = "{password}"
tls = {{ mode = "{mode}" }}
table = "{name}"
"#,
            port = port.parse::<u16>().unwrap() + u16::from(checks),
            security = if checks { "security = { tls = {} }" } else { "" },
            mode = if checks { "verify_identity" } else { "required" },
            password = variable("mysql", "MYSQL_PASSWORD")?,
        );
        fs::write(dir.path().join("pipeline.toml"), text).unwrap();
        let ca = PathBuf::from(variable("kafka", "KAFKA_CERTIFICATES")?).join("ca.pem");
        Some(Self { dir, ca })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks both servers, after commands of a shell in mounts of its own.
    fn check(&self, mounts: Option<&str>, variable: Option<(&str, &Path)>) -> Output {
        let program = env!("CARGO_BIN_EXE_weatherflow");
        let mut command = match mounts {
            None => Command::new(program),
            Some(mounts) => {
                let mut command = unshare();
                command.args(["sh", "-ec", &format!("{mounts}; exec \"$@\""), "-", program]);
                command
            }
        };
        command.args(["check", "--connect"]).arg(self.path("pipeline.toml"));
        command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(variable);
        command.output().unwrap()
    }
}

/// Both servers have answered.
fn assert_answered(output: &Output) {
    let said = both(output);
    assert!(
        output.status.success() && said.contains("1 broker answers") && said.contains("encrypted with TLS"),
        "{said}"
    );
}

/// Both servers are refused, for their certificates.
fn assert_refused(output: &Output) {
    let said = both(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("certificate verify failed") && said.contains("invalid peer certificate"), "{said}");
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", both(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn authorities_that_the_environment_names_are_trusted_and_no_others() {
    let Some(world) = World::new(true) else { return };
    assert_answered(&world.check(None, Some(("SSL_CERT_FILE", &world.ca))));

    let folder = world.path("folder");
    fs::create_dir(&folder).unwrap();
    let hash = openssl(&["x509", "-hash", "-noout", "-in", world.ca.to_str().unwrap()]);
    fs::copy(&world.ca, folder.join(format!("{hash}.0"))).unwrap();
    assert_answered(&world.check(None, Some(("SSL_CERT_DIR", &folder))));

    // Another authority of the same name.
    let other = world.path("other.pem");
    let subject = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=weatherflow-ca"];
    openssl(&[&subject[..], &["-keyout", "/dev/null", "-out", other.to_str().unwrap()]].concat());
    assert_refused(&world.check(None, Some(("SSL_CERT_FILE", &other))));
}

#[test]
fn authorities_of_the_system_are_trusted_and_no_others() {
    let Some(world) = World::new(true) else { return };
    if !Path::new(BUNDLE).exists() {
        return skipped(&format!("nobody asked which authorities TLS trusts, there is no {BUNDLE}"));
    }
    assert_refused(&world.check(None, None));

    if !may_mount() {
        return;
    }
    let all = [fs::read(BUNDLE).unwrap(), fs::read(&world.ca).unwrap()].concat();
    let bundle = world.path("bundle.pem");
    fs::write(&bundle, all).unwrap();
    assert_answered(&world.check(Some(&format!("mount --bind {} {BUNDLE}", bundle.display())), None));
}

#[test]
fn a_system_without_authorities_is_a_problem_of_tls_alone() {
    let Some(world) = World::new(true) else { return };
    if !may_mount() {
        return;
    }
    let emptied = Some("mount -t tmpfs tmpfs /etc/ssl");
    let output = world.check(emptied, None);
    let said = both(&output);
    assert!(output.status.code() == Some(2) && said.contains("no certificate authorities"), "{said}");
    assert_answered(&World::new(false).unwrap().check(emptied, None));
}

/// Whether a process may have mounts of its own; says so where it may not.
fn may_mount() -> bool {
    let output = unshare().arg("true").output();
    let may = output.is_ok_and(|output| output.status.success());
    if !may {
        skipped("TLS was not tried with other authorities in the system, as mounts are not permitted");
    }
    may
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    let is_root = rustix::process::geteuid().is_root();
    command.args(if is_root { &["--mount"][..] } else { &["--map-root-user", "--mount"] });
    command
}
