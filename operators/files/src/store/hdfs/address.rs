//! Where on which cluster, as a pipeline file and the environment say it.

use crate::store::{below_staging, parent, sibling};
use operators_core::config::masked;

/// A directory of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `boss:9000`, or a nameservice that the configuration of Hadoop explains.
    pub(super) authority: String,
    /// `/data`; never the root, and no `/` at its end.
    pub(super) root: String,
    /// `/_staging-data`, or where else files are staged.
    pub(super) staging: String,
}

impl Address {
    /// Reads `hdfs://boss:9000/data`; names are taken as they are written, as Hadoop's own tools do.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let rest =
            url.strip_prefix("hdfs://").ok_or_else(|| format!("`{}` does not begin with `hdfs://`", masked(url)))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if authority.is_empty() || !authority.chars().all(known) {
            return Err(format!("`{}` is neither host and port of a NameNode nor a nameservice", masked(authority)));
        }
        let root = directory(path)?.ok_or_else(|| format!("`{}` names no directory", masked(url)))?;
        let name = root.rsplit('/').next().unwrap_or_default();
        let staging = format!("{}/{}", parent(&root), sibling(name));
        Ok(Self { authority: authority.to_owned(), root, staging })
    }

    /// The same place with another staging directory.
    pub(super) fn staged_in(self, staging: &str) -> Result<Self, String> {
        match directory(staging)? {
            Some(found) if staging.starts_with('/') => Ok(Self { staging: found, ..self }),
            _ => Err(format!("`{}` isn't an absolute path of a directory", masked(staging))),
        }
    }

    /// The name of a path below, as HDFS wants it.
    pub(super) fn full(&self, path: &str) -> String {
        let (directory, path) = below_staging(path).map_or((&self.root, path), |below| (&self.staging, below));
        if path.is_empty() { directory.clone() } else { format!("{directory}/{path}") }
    }

    /// The same for every spelling of this directory.
    pub(super) fn place(&self) -> String {
        format!("hdfs://{}{}", self.authority, self.root)
    }

    /// The staging directory, for people.
    pub(super) fn staging_place(&self) -> String {
        format!("hdfs://{}{}", self.authority, self.staging)
    }
}

/// A path without empty parts; `None` for the root.
fn directory(path: &str) -> Result<Option<String>, String> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let Some(part) = parts.iter().find(|part| matches!(**part, "." | "..") || part.contains(':')) {
        return Err(format!("HDFS has no directory of the name `{part}`"));
    }
    Ok((!parts.is_empty()).then(|| format!("/{}", parts.join("/"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_cluster_and_a_directory() {
        for (url, authority, root) in [
            ("hdfs://boss:9000/data", "boss:9000", "/data"),
            ("hdfs://boss:9000//data//archive/", "boss:9000", "/data/archive"),
            ("hdfs://weather-cluster/a b/100%/x=1", "weather-cluster", "/a b/100%/x=1"),
            ("hdfs://[::1]:9000/%20?#", "[::1]:9000", "/%20?#"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.authority.as_str(), address.root.as_str()), (authority, root), "{url}");
            assert_eq!(Address::parse(&address.place()), Ok(address), "{url}");
        }
    }

    #[test]
    fn files_are_staged_next_to_the_directory_or_where_the_file_says() {
        let address = |url: &str| Address::parse(url).unwrap();
        assert_eq!(address("hdfs://boss:9000/data").full("@staging/run=1"), "/_staging-data/run=1");
        assert_eq!(address("hdfs://boss:9000/a/b/data/").full("@staging"), "/a/b/_staging-data");
        assert_eq!(address("hdfs://boss:9000/data").full("@staging2"), "/data/@staging2");
        let set = address("hdfs://boss:9000/data").staged_in("/user//me/").unwrap();
        assert_eq!((set.full("@staging/x").as_str(), set.full("x").as_str()), ("/user/me/x", "/data/x"));
        assert_eq!(set.staging_place(), "hdfs://boss:9000/user/me");
        for relative in ["", "/", "staging", "hdfs://boss:9000/staging", "/a/../b"] {
            assert!(address("hdfs://boss:9000/data").staged_in(relative).is_err(), "{relative}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for (url, because) in [
            ("hdfs:/data", "does not begin with"),
            ("hdfs:///data", "neither host and port"),
            ("hdfs://me:secret@boss:9000/data", "neither host and port"),
            ("hdfs://boss:9000", "names no directory"),
            ("hdfs://boss:9000//", "names no directory"),
            ("hdfs://boss:9000/a/../b", "`..`"),
            ("hdfs://boss:9000/a/12:30", "`12:30`"),
        ] {
            let refused = Address::parse(url).unwrap_err();
            assert!(refused.contains(because), "{url}: {refused}");
        }
    }
}
