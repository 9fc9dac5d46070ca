//! What an answer of HDFS means; the one place that knows the client's errors and the names of Hadoop's exceptions.

use crate::store::Cause;
use hdfs_native::HdfsError;
use std::io::{self, ErrorKind};

/// What it would mean if a call was done and nobody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Nothing: it reads, or works on a file that counts only after its end was confirmed.
    Harmless,
    /// A name was made, moved or taken away.
    Change,
}

impl Call {
    /// A call that ended without an answer.
    pub(super) fn unanswered(self, reason: String) -> Cause {
        match self {
            Self::Harmless => Cause::Unavailable(reason),
            Self::Change => Cause::Unknown(reason),
        }
    }

    /// A call that ended with an error of the client.
    pub(super) fn failed(self, error: HdfsError) -> Cause {
        match error {
            HdfsError::FileNotFound(_) => Cause::NotFound,
            HdfsError::AlreadyExists(_) => Cause::AlreadyExists,
            HdfsError::IOError(error) if never_sent(&error) => {
                Cause::Unavailable(format!("a NameNode or DataNode cannot be reached: {error}"))
            }
            HdfsError::IOError(error) => self.unanswered(error.to_string()),
            error @ HdfsError::InvalidRPCResponse(_) => self.unanswered(error.to_string()),
            HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => exception(&class, &text),
            error @ HdfsError::ChecksumError => failed(ErrorKind::InvalidData, error.to_string()),
            error @ (HdfsError::InvalidPath(_) | HdfsError::InvalidArgument(_) | HdfsError::UrlParseError(_)) => {
                failed(ErrorKind::InvalidInput, error.to_string())
            }
            error @ (HdfsError::UnsupportedFeature(_)
            | HdfsError::UnsupportedErasureCodingPolicy(_)
            | HdfsError::TrashNotEnabled
            | HdfsError::XmlParseError(_)) => failed(ErrorKind::Unsupported, error.to_string()),
            error @ HdfsError::IsADirectoryError(_) => failed(ErrorKind::IsADirectory, error.to_string()),
            // The client goes on to tell all it knows of each DataNode.
            HdfsError::DataTransferError(text) if text.starts_with("All DataNodes failed") => Cause::Unavailable(
                "no DataNode that should have a block of it gives it: they are away, or every replica is lost \
                 (`hdfs fsck PATH -files -blocks -locations` tells)"
                    .to_owned(),
            ),
            // DataNodes that do not answer, and tickets that ran out and may be renewed by another program.
            error @ (HdfsError::DataTransferError(_)
            | HdfsError::OperationFailed(_)
            | HdfsError::BlocksNotFound(_)
            | HdfsError::ErasureCodingError(_)
            | HdfsError::InternalError(_)
            | HdfsError::SASLError(_)
            | HdfsError::GSSAPIError(..)
            | HdfsError::NoSASLMechanism) => Cause::Unavailable(error.to_string()),
        }
    }
}

/// Whether the connection was refused before anything was sent over it.
fn never_sent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::NotConnected
    )
}

/// An exception that the NameNode answered with, so that nothing was done. Those that no waiting helps are named here;
/// of all others (safe mode, standby, a full quota, no DataNode for a block) a later try may get through.
fn exception(class: &str, text: &str) -> Cause {
    // Java's stack follows the first line.
    let text = text.lines().next().unwrap_or_default().to_owned();
    // Some stand within another class: `FSLimitException$PathComponentTooLongException`.
    match class.rsplit(['.', '$']).next().unwrap_or(class) {
        "FileNotFoundException" if text.contains("is not a file") => failed(ErrorKind::IsADirectory, text),
        "FileNotFoundException" => Cause::NotFound,
        // A file that a dead writer left open, and that the NameNode is just closing.
        "RecoveryInProgressException" => Cause::AlreadyExists,
        // A rename of a file to the name of a directory, or the other way round.
        "IOException" if text.ends_with("must both be directories") => Cause::AlreadyExists,
        "IOException" if text.contains("encryption zone") => failed(ErrorKind::CrossesDevices, text),
        "PathIsNotEmptyDirectoryException" => failed(ErrorKind::DirectoryNotEmpty, text),
        "ParentNotDirectoryException" => failed(ErrorKind::NotADirectory, text),
        "AccessControlException" | "AuthorizationException" => failed(ErrorKind::PermissionDenied, text),
        "InvalidPathException"
        | "IllegalArgumentException"
        | "HadoopIllegalArgumentException"
        | "PathComponentTooLongException" => failed(ErrorKind::InvalidInput, text),
        "MaxDirectoryItemsExceededException" => failed(ErrorKind::QuotaExceeded, full_directory(&text)),
        "UnsupportedOperationException" => failed(ErrorKind::Unsupported, text),
        name => Cause::Unavailable(format!("{name}: {text}")),
    }
}

/// No waiting makes room among files that are kept for good.
fn full_directory(text: &str) -> String {
    format!(
        "{text}; HDFS lets no directory hold more names. Have dfs.namenode.fs-limits.max-directory-items raised on the \
         NameNode, and make fewer and larger files: a longer commit.every, or layout = \"batches\" in a new directory"
    )
}

fn failed(kind: ErrorKind, text: String) -> Cause {
    Cause::Failed(io::Error::new(kind, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(error: impl Fn() -> HdfsError) -> [Cause; 2] {
        [Call::Harmless, Call::Change].map(|call| call.failed(error()))
    }

    fn rpc(class: &str, text: &str) -> [Cause; 2] {
        both(|| HdfsError::RPCError(class.to_owned(), text.to_owned()))
    }

    fn io(kind: ErrorKind) -> [Cause; 2] {
        both(|| HdfsError::IOError(kind.into()))
    }

    #[test]
    fn missing_and_taken_names_are_known_for_sure() {
        for causes in [
            both(|| HdfsError::FileNotFound("/x".into())),
            rpc("java.io.FileNotFoundException", "rename source /x is not found.\n\tat org.apache.hadoop.hdfs"),
        ] {
            assert!(matches!(causes, [Cause::NotFound, Cause::NotFound]), "{causes:?}");
        }
        for causes in [
            both(|| HdfsError::AlreadyExists("/x".into())),
            rpc("org.apache.hadoop.hdfs.protocol.RecoveryInProgressException", "Failed to CREATE_FILE /x"),
            rpc("java.io.IOException", "Source /x and destination /y must both be directories"),
        ] {
            assert!(matches!(causes, [Cause::AlreadyExists, Cause::AlreadyExists]), "{causes:?}");
        }
        let directory = rpc("java.io.FileNotFoundException", "Path is not a file: /x");
        assert!(matches!(directory, [Cause::Failed(_), Cause::Failed(_)]), "{directory:?}");
    }

    #[test]
    fn only_a_change_without_an_answer_is_unknown() {
        for kind in [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset, ErrorKind::TimedOut, ErrorKind::Other] {
            let causes = io(kind);
            assert!(matches!(causes, [Cause::Unavailable(_), Cause::Unknown(_)]), "{causes:?}");
        }
        for kind in [ErrorKind::ConnectionRefused, ErrorKind::HostUnreachable] {
            let causes = io(kind);
            assert!(matches!(causes, [Cause::Unavailable(_), Cause::Unavailable(_)]), "{causes:?}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_later() {
        for (class, text) in [
            (
                "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
                "Cannot create /x. Name node is in safe mode.",
            ),
            ("org.apache.hadoop.ipc.StandbyException", "Operation category WRITE is not supported in state standby"),
            ("org.apache.hadoop.ipc.RetriableException", "NameNode still not started"),
            ("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException", "The DiskSpace quota of /x is exceeded"),
            ("org.apache.hadoop.hdfs.protocol.NSQuotaExceededException", "The NameSpace quota of /x is exceeded"),
            ("org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException", "Client is not the lease owner"),
            ("java.io.IOException", "File /x could only be written to 0 of the 1 minReplication nodes"),
        ] {
            let causes = rpc(class, &format!("{text}\n\tat java.base/java.lang.Thread.run"));
            let [Cause::Unavailable(one), Cause::Unavailable(two)] = &causes else { panic!("{class}: {causes:?}") };
            assert!(one == two && one.ends_with(text), "the stack is nothing for people: {one}");
        }
        for causes in [
            both(|| HdfsError::DataTransferError("No new datanode found".into())),
            both(|| HdfsError::OperationFailed("Failed to complete file in time".into())),
        ] {
            assert!(matches!(causes, [Cause::Unavailable(_), Cause::Unavailable(_)]), "{causes:?}");
        }
    }

    #[test]
    fn what_no_waiting_helps_fails_at_once() {
        for class in [
            "org.apache.hadoop.security.AccessControlException",
            "org.apache.hadoop.fs.ParentNotDirectoryException",
            "org.apache.hadoop.fs.InvalidPathException",
            "org.apache.hadoop.hdfs.protocol.FSLimitException$PathComponentTooLongException",
        ] {
            let causes = rpc(class, "no");
            assert!(matches!(causes, [Cause::Failed(_), Cause::Failed(_)]), "{class}: {causes:?}");
        }
        let zone = rpc("java.io.IOException", "/staging/x can't be moved into an encryption zone.\n\tat java.base");
        assert!(matches!(&zone, [_, Cause::Failed(e)] if e.kind() == ErrorKind::CrossesDevices), "{zone:?}");
        let full = Call::Change.failed(HdfsError::RPCError(
            "org.apache.hadoop.hdfs.protocol.FSLimitException$MaxDirectoryItemsExceededException".into(),
            "The directory item limit of /data is exceeded: limit=1048576 items=1048576\n\tat java.base".into(),
        ));
        let Cause::Failed(error) = &full else { panic!("{full:?}") };
        let says = error.to_string();
        for part in ["limit of /data is exceeded: limit=1048576", "max-directory-items", "commit.every"] {
            assert!(says.contains(part), "{says}");
        }
        let denied = Call::Change.failed(HdfsError::FatalRPCError(
            "org.apache.hadoop.security.AccessControlException".into(),
            "SIMPLE authentication is not enabled".into(),
        ));
        assert!(matches!(&denied, Cause::Failed(e) if e.kind() == ErrorKind::PermissionDenied), "{denied:?}");
    }
}
