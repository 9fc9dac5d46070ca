//! Where on which cluster, as a pipeline file and the environment say it.

use crate::config::masked;

/// A directory of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `boss:9000`, or a nameservice that the configuration of Hadoop explains.
    pub(super) authority: String,
    /// `/data`; never the root, and no `/` at its end.
    pub(super) root: String,
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
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(format!("`{}` names no directory", masked(url)));
        }
        if let Some(part) = parts.iter().find(|part| matches!(**part, "." | "..") || part.contains(':')) {
            return Err(format!("HDFS has no directory of the name `{part}`"));
        }
        Ok(Self { authority: authority.to_owned(), root: format!("/{}", parts.join("/")) })
    }

    /// The name of a path below, as HDFS wants it.
    pub(super) fn full(&self, path: &str) -> String {
        if path.is_empty() { self.root.clone() } else { format!("{}/{path}", self.root) }
    }

    /// The same for every spelling of this directory.
    pub(super) fn place(&self) -> String {
        format!("hdfs://{}{}", self.authority, self.root)
    }
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
