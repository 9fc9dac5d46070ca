//! Files of HDFS that are written or read.

use super::answer::Call;
use super::session::{DATANODES, NAMENODE, Session};
use crate::store::{Cause, Result, StoreError, StoreFile, StoreReader};
use bytes::{Bytes, BytesMut};
use hdfs_native::HdfsError;
use hdfs_native::file::{FileReader, FileWriter};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What is collected before it goes to the DataNodes: each handover costs a packet at least.
const BUFFER: usize = 1 << 20;
/// What the client may keep of a file: 100 packets to be sent and 100 that no DataNode has confirmed, each of 64 KiB by
/// Hadoop's default, and the rest of a buffer that they are cut from.
const QUEUE: u64 = 200 * (64 << 10) + BUFFER as u64;
/// What one read fetches: Parquet reads pages one by one, and each read of its own costs a round trip.
const WINDOW: usize = 4 << 20;

/// A file that is written. After the first error its writer is gone: closed a second time, the client would say that
/// all is well over bytes that were lost.
pub(super) struct HdfsFile {
    session: Arc<Session>,
    writer: Option<FileWriter>,
    buffer: BytesMut,
    written: u64,
    /// How much the client has been given since the DataNodes last confirmed all of it.
    given: u64,
    /// Whether it was closed, with all that was written.
    whole: bool,
    full: String,
    path: String,
}

impl HdfsFile {
    pub(super) fn new(session: Arc<Session>, writer: FileWriter, full: String, path: &str) -> Self {
        let path = path.to_owned();
        Self { session, writer: Some(writer), buffer: BytesMut::new(), written: 0, given: 0, whole: false, full, path }
    }

    fn send(&mut self) -> Result<(), Cause> {
        let bytes = self.buffer.split().freeze();
        if bytes.is_empty() {
            return Ok(());
        }
        self.given += bytes.len() as u64;
        let mut writer = self.writer.take().ok_or_else(failed_before)?;
        let writing = |_| async move { writer.write_bytes(bytes).await.map(|_| writer) };
        self.writer = Some(self.session.ask(Call::Harmless, DATANODES, writing)?);
        Ok(())
    }

    /// Waits until the DataNodes have all of it. The client has no other call for that than one that also syncs.
    fn confirm(&mut self) -> Result<(), Cause> {
        self.send()?;
        if self.given > 0 {
            let mut writer = self.writer.take().ok_or_else(failed_before)?;
            let syncing = |_| async move { synced(writer.hsync().await).map(|()| writer) };
            self.writer = Some(self.session.ask(Call::Harmless, DATANODES, syncing)?);
            self.given = 0;
        }
        Ok(())
    }

    /// Every block is durable then, those before the last too: with the packet that ends a block the client asks each
    /// DataNode to sync it.
    fn close(&mut self) -> Result<(), Cause> {
        self.send()?;
        let mut writer = self.writer.take().ok_or_else(failed_before)?;
        let closing = |_| async move { writer.close().await };
        self.session.ask(Call::Harmless, DATANODES, closing)?;
        let full = self.full.clone();
        let asking = |client: hdfs_native::Client| async move { client.get_file_info(&full).await };
        let there = self.session.ask(Call::Harmless, NAMENODE, asking)?.length as u64;
        if there != self.written {
            let reason = format!("HDFS closed it with {there} bytes, but {} were written", self.written);
            return Err(Cause::Unavailable(reason));
        }
        Ok(())
    }
}

/// An erasure-coded file cannot be synced before its end, which is known before anything is done: what the client keeps
/// of it stays with the client.
fn synced(answer: hdfs_native::Result<()>) -> hdfs_native::Result<()> {
    match answer {
        Err(HdfsError::OperationFailed(reason)) if reason.contains("not supported for erasure-coded files") => Ok(()),
        answer => answer,
    }
}

fn failed_before() -> Cause {
    Cause::Unavailable("an earlier write to this file failed".to_owned())
}

impl Write for HdfsFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        self.written += data.len() as u64;
        if self.buffer.len() >= BUFFER {
            self.send()?;
        }
        Ok(data.len())
    }

    /// Hands over what was collected, which makes nothing durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.send()?)
    }
}

impl StoreFile for HdfsFile {
    fn held(&self) -> u64 {
        self.buffer.len() as u64 + self.given.min(QUEUE)
    }

    fn free(&mut self) -> io::Result<()> {
        Ok(self.confirm()?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.close().map_err(|cause| StoreError::new("finish", &self.path, cause))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for HdfsFile {
    fn drop(&mut self) {
        // What the client does for an open file never ends by itself.
        if !self.whole {
            self.session.spoil();
        }
    }
}

/// A file that is read, some megabytes at a time.
pub(super) struct HdfsReader {
    session: Arc<Session>,
    reader: Arc<FileReader>,
    path: String,
    /// What was read last, and where it begins.
    window: Mutex<(u64, Bytes)>,
}

impl HdfsReader {
    pub(super) fn new(session: Arc<Session>, reader: FileReader, path: &str) -> Self {
        Self { session, reader: Arc::new(reader), path: path.to_owned(), window: Mutex::default() }
    }

    /// Reads a range that lies within the file.
    pub(super) fn range(&self, from: u64, length: usize) -> Result<Bytes, Cause> {
        let reader = Arc::clone(&self.reader);
        let offset = usize::try_from(from).map_err(io::Error::other)?;
        let reading = |_| async move { reader.read_range(offset, length).await };
        let bytes = self.session.ask(Call::Harmless, DATANODES, reading)?;
        if bytes.len() != length {
            let reason = format!("{} bytes came where {length} were asked for", bytes.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason).into());
        }
        Ok(bytes)
    }

    fn slice(&self, from: u64, length: usize) -> Result<Bytes, Cause> {
        let all = self.length();
        let end = from.checked_add(length as u64).filter(|end| *end <= all);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if from < window.0 || end > window.0 + window.1.len() as u64 {
            // A small file is read whole, though readers begin at its end.
            let start = if all <= WINDOW as u64 { 0 } else { from };
            let wanted = ((end - start) as usize).max(WINDOW).min((all - start) as usize);
            *window = (start, self.range(start, wanted)?);
        }
        let at = (from - window.0) as usize;
        Ok(window.1.slice(at..at + length))
    }
}

impl StoreReader for HdfsReader {
    fn length(&self) -> u64 {
        self.reader.file_length() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.slice(offset, length).map_err(|cause| StoreError::new("read", &self.path, cause))
    }
}
