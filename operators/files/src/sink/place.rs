//! Where the files go, as the pipeline file names it.

use super::ParquetConfig;
use crate::store::Store;
use crate::store::hdfs::Hdfs;
use crate::store::local::Local;
use operators_core::config::{Context, masked, shown};
use operators_core::error::Problem;
use std::path::Path;
use std::sync::Arc;

/// Where the files go.
pub(super) struct Place {
    pub(super) store: Arc<dyn Store>,
    /// The same for every spelling.
    pub(super) id: String,
    /// The staging directory, written as `id`.
    pub(super) staging: String,
    /// For people.
    pub(super) shown: String,
}

impl Place {
    pub(super) fn of(config: &ParquetConfig, context: &Context) -> Result<Self, Problem> {
        let url = &config.url;
        match url.split_once(':') {
            Some(("file", path)) if !path.is_empty() => local(path, config.staging.as_deref(), context),
            Some(("hdfs", _)) => hdfs(url, config.staging.as_deref()),
            _ => Err(Problem::at("url", format!("`{}` is no place for Parquet files", masked(url))).help(
                "write `file:` and the path of a directory, as in \"file:../data/archive\", or a directory of HDFS, as \
                 in \"hdfs://boss:9000/data\"",
            )),
        }
    }
}

fn local(path: &str, staging: Option<&str>, context: &Context) -> Result<Place, Problem> {
    let root = context.path(path);
    let (id, shown) = (format!("file:{}", root.display()), shown(&root));
    let Some(name) = root.file_name() else {
        return Err(Problem::at(
            "url",
            format!("{shown} is the root of all directories, so that files can't be staged next to it"),
        )
        .help("write the path of a directory in it, as in \"file:/archive\""));
    };
    let store = match staging {
        None => Local::new(root),
        Some(shared) if shared.is_empty() || shared.starts_with("file:") => {
            return Err(Problem::at("staging", format!("`{shared}` isn't the path of a directory"))
                .help("write a path without `file:`, relative to this file, as in \"../staging\""));
        }
        Some(shared) => {
            let own = context.path(shared).join(own_name(&name.to_string_lossy(), &id));
            check_outside(&own, &root, shared)?;
            Local::new(root).staged_in(own)
        }
    };
    let staging = format!("file:{}", store.staging_directory().display());
    Ok(Place { store: Arc::new(store), id, staging, shown })
}

fn check_outside(staging: &Path, root: &Path, shared: &str) -> Result<(), Problem> {
    if staging.starts_with(root) {
        return Err(inside(shared).help("name a directory next to that of `url`, as in \"../staging\""));
    }
    Ok(())
}

fn hdfs(url: &str, staging: Option<&str>) -> Result<Place, Problem> {
    let mut hdfs = Hdfs::new(url).map_err(|reason| {
        Problem::at("url", reason).help(
            "write host and port of the NameNode and a directory, as in \"hdfs://boss:9000/data\", or a nameservice \
             that hdfs-site.xml in HADOOP_CONF_DIR explains",
        )
    })?;
    let id = hdfs.place();
    if let Some(shared) = staging {
        let help = "write an absolute path on the NameNode of `url`, as in \"/staging\"";
        let name = id.rsplit('/').next().unwrap_or_default();
        if !shared.starts_with('/') {
            return Err(Problem::at("staging", format!("`{}` isn't an absolute path", masked(shared))).help(help));
        }
        let own = format!("{}/{}", shared.trim_end_matches('/'), own_name(name, &id));
        hdfs = hdfs.staged_in(&own).map_err(|reason| Problem::at("staging", reason).help(help))?;
        if hdfs.staging_place().starts_with(&format!("{id}/")) {
            return Err(inside(shared).help("name a directory outside of that of `url`, as in \"/staging\""));
        }
    }
    let staging = hdfs.staging_place();
    Ok(Place { store: Arc::new(hdfs), shown: id.clone(), id, staging })
}

fn inside(shared: &str) -> Problem {
    let reason = "readers of the directory would find files that are not committed";
    Problem::at("staging", format!("`{shared}` lies within the directory of `url`: {reason}"))
}

/// The directory of one archive in a staging directory that several may share.
fn own_name(name: &str, id: &str) -> String {
    format!("{name}-{}", &blake3::hash(id.as_bytes()).to_hex()[..8])
}
