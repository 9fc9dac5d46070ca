//! Which erasure coding policy new files of a directory get, and whether the client writes files that survive under it.
//!
//! The client writes Reed-Solomon parity into every striped file, whatever the codec of its policy. Under another codec
//! such a file reads well until a DataNode is lost; then HDFS rebuilds wrong bytes from that parity and calls the file
//! healthy.
//!
//! No call of the client shows a policy. But the NameNode names it when it finds no DataNode for a block of a file, so
//! a file asks here for a block that no DataNode has room for. Nothing reaches a DataNode, and the file is deleted.

use super::answer::Call;
use super::session::{NAMENODE, Session};
use crate::store::Cause;
use bytes::Bytes;
use hdfs_native::{Client, HdfsError, WriteOptions};
use std::io::{self, ErrorKind};

/// The largest block that the NameNode has room to note, 256 TiB, less what keeps it a multiple of any packet.
const TOO_LARGE: u64 = (1 << 48) - (1 << 20);

/// How HDFS keeps new files of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redundancy {
    /// As whole copies.
    Replicated,
    /// Striped, with parity as the policy of this name says.
    Striped(String),
}

/// Asks with a file of this name, which nothing may have yet.
pub(super) fn ask(session: &Session, name: String) -> Result<Redundancy, Cause> {
    let asking = |client: Client| async move {
        let options = WriteOptions::default().block_size(TOO_LARGE).create_parent(false);
        let mut writer = client.create(&name, options).await?;
        let answer = match writer.write_bytes(Bytes::from_static(b"?")).await {
            Err(HdfsError::RPCError(_, text)) if let Some(named) = named(&text) => Ok(named),
            // There is a disk this large after all; only a replicated file can be synced.
            Ok(_) => writer.hsync().await.map(|()| Redundancy::Replicated),
            Err(error) => Err(error),
        };
        drop(writer);
        client.delete(&name, false).await?;
        answer
    };
    session.ask(Call::Harmless, NAMENODE, asking).map_err(|cause| match cause {
        // The directory went away meanwhile, or an answer was lost.
        Cause::NotFound | Cause::AlreadyExists => Cause::Unavailable(cause.to_string()),
        cause => cause,
    })
}

/// What the NameNode says of a block without DataNodes: `could only be written to 0 of the 1 minReplication nodes`, or
/// `... of the 2 required nodes for XOR-2-1-1024k`. Hadoop 2, which stripes nothing, has `minReplication` too.
fn named(answer: &str) -> Option<Redundancy> {
    let first = answer.lines().next()?;
    if let Some((_, policy)) = first.split_once("required nodes for ") {
        let policy = policy.split([' ', '\t']).next()?.trim_end_matches('.');
        return Some(Redundancy::Striped(policy.to_owned()));
    }
    first.contains("minReplication").then_some(Redundancy::Replicated)
}

impl Redundancy {
    /// Refuses to write striped files with any parity but Reed-Solomon's. `directory` is the nearest there is to `wanted`.
    pub(super) fn check(&self, directory: &str, wanted: &str) -> Result<(), Cause> {
        match self {
            Self::Striped(policy) if !is_reed_solomon(policy) => {
                Err(io::Error::new(ErrorKind::Unsupported, refusal(policy, directory, wanted)).into())
            }
            _ => Ok(()),
        }
    }
}

/// The NameNode composes every policy's name of its codec, data units, parity units and cell size.
fn is_reed_solomon(policy: &str) -> bool {
    policy.strip_prefix("RS-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn refusal(policy: &str, directory: &str, wanted: &str) -> String {
    let (make, repair) = match directory == wanted {
        true => (String::new(), ". Files written under this policy stay wrong: copy them once it is changed"),
        false => (format!("create it (`hdfs dfs -mkdir -p {wanted}`) and "), ""),
    };
    format!(
        "new files in {wanted} get the erasure coding policy {policy} of {directory}, but only Reed-Solomon parity can \
         be written: after the loss of a DataNode HDFS would rebuild wrong bytes. To use the directory, {make}give it \
         a Reed-Solomon policy (`hdfs ec -setPolicy -path {wanted} -policy RS-6-3-1024k`) or replication (`hdfs ec \
         -setPolicy -path {wanted} -replicate`){repair}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_policy() {
        let rest = "There are 3 datanode(s) running and no node(s) are excluded in this operation.\n\tat org.apache";
        let written = "File /x/.probe could only be written to 0 of the";
        for policy in ["XOR-2-1-1024k", "RS-LEGACY-6-3-1024k", "RS-3-2-64k"] {
            let answer = format!("{written} 2 required nodes for {policy}. {rest}");
            assert_eq!(named(&answer), Some(Redundancy::Striped(policy.to_owned())));
        }
        let replicated = [
            format!("{written} 1 minReplication nodes. {rest}"),
            "File /x could only be replicated to 0 nodes instead of minReplication (=1). There are 3".to_owned(),
        ];
        for answer in replicated {
            assert_eq!(named(&answer), Some(Redundancy::Replicated), "{answer}");
        }
        for other in ["", "Cannot create file /x. Name node is in safe mode.", "no\nrequired nodes for XOR-2-1-1024k."]
        {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn only_replication_and_reed_solomon_are_written() {
        let check = |policy: &str| Redundancy::Striped(policy.to_owned()).check("/", "/data");
        for fine in [Redundancy::Replicated.check("/", "/data"), check("RS-6-3-1024k"), check("RS-10-4-64k")] {
            assert!(fine.is_ok(), "{fine:?}");
        }
        for policy in ["XOR-2-1-1024k", "RS-LEGACY-6-3-1024k", "DUMMY-RS-6-3-1024k", "RS", ""] {
            let Err(Cause::Failed(refused)) = check(policy) else { panic!("{policy} is accepted") };
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
        }
    }
}
