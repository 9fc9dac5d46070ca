//! Hadoop's own configuration: where it is, and which settings it has.

use roxmltree::{Document, Node, ParsingOptions};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The files in which the client looks for its settings.
const FILES: [&str; 2] = ["core-site.xml", "hdfs-site.xml"];

/// The names that the user's files give a value. Refuses a directory that is not there, which the client would pass over
/// without a word.
pub(super) fn settings() -> Result<BTreeSet<String>, String> {
    let named = |name: &'static str| env::var_os(name).map(|value| (name, PathBuf::from(value)));
    let home = || named("HADOOP_HOME").map(|(name, home)| (name, home.join("etc/hadoop")));
    match named("HADOOP_CONF_DIR").or_else(home) {
        Some((name, directory)) => settings_in(name, &directory),
        None => Ok(BTreeSet::new()),
    }
}

fn settings_in(variable: &str, directory: &Path) -> Result<BTreeSet<String>, String> {
    if !directory.is_dir() {
        return Err(format!("{variable} leads to {}, and no directory is there", directory.display()));
    }
    let mut settings = BTreeSet::new();
    for path in FILES.map(|file| directory.join(file)) {
        let unread = |reason: String| format!("{} cannot be read: {reason}", path.display());
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            text => settings.extend(names(&text.map_err(|e| unread(e.to_string()))?).map_err(unread)?),
        }
    }
    Ok(settings)
}

fn names(text: &str) -> Result<Vec<String>, String> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| e.to_string())?;
    let is_name = |node: &Node<'_, '_>| {
        node.has_tag_name("name") && node.parent().is_some_and(|above| above.has_tag_name("property"))
    };
    let names = document.descendants().filter(is_name).filter_map(|node| node.text());
    Ok(names.map(|name| name.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_of_configuration_is_named() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(settings_in("HADOOP_CONF_DIR", directory.path()), Ok(BTreeSet::new()));
        let missing = settings_in("HADOOP_CONF_DIR", &directory.path().join("conf")).unwrap_err();
        assert!(missing.starts_with("HADOOP_CONF_DIR leads to /") && missing.contains("no directory"), "{missing}");
    }

    #[test]
    fn what_the_files_set_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let text = "<?xml version=\"1.0\"?>\n<configuration><!-- <property><name>dfs.a</name></property> -->\n\
                    <property><name> dfs.b </name><value>true</value></property></configuration>";
        fs::write(directory.path().join("hdfs-site.xml"), text).unwrap();
        let settings = settings_in("HADOOP_CONF_DIR", directory.path()).unwrap();
        assert_eq!(settings, BTreeSet::from(["dfs.b".to_owned()]));
        fs::write(directory.path().join("core-site.xml"), "<configuration>").unwrap();
        let refused = settings_in("HADOOP_CONF_DIR", directory.path()).unwrap_err();
        assert!(refused.contains("core-site.xml cannot be read"), "{refused}");
    }
}
