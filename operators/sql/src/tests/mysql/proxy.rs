//! A proxy between a sink and its server that does harm to one COMMIT.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::thread;

/// What happens to a COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// It is not passed on, and the connection ends.
    Lost,
    /// It is done, and the connection ends before its answer.
    Unanswered,
    /// It is done, and no answer ever comes.
    Silent,
}

pub(super) struct Proxy {
    pub(super) address: String,
    /// Commits until the harm; below 0 for none.
    left: Arc<AtomicI64>,
}

impl Proxy {
    pub(super) fn new(server: String, harm: Harm) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let left = Arc::new(AtomicI64::new(-1));
        let counter = Arc::clone(&left);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let counter = Arc::clone(&counter);
                thread::spawn(move || pass(client, server, harm, &counter));
            }
        });
        Self { address, left }
    }

    /// Does harm to the n-th commit from now on, counted from 0.
    pub(super) fn harm(&self, commit: i64) {
        self.left.store(commit, Ordering::SeqCst);
    }

    pub(super) fn done(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

/// Passes bytes in both directions until one side ends, or harm is done.
fn pass(mut client: TcpStream, mut server: TcpStream, harm: Harm, left: &AtomicI64) {
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let mute = Arc::new(AtomicBool::new(false));
    let (answered, answers) = channel();
    let muted = Arc::clone(&mute);
    thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if muted.load(Ordering::SeqCst) {
                let _ = answered.send(());
            } else if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 1 << 16];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..count];
        // A command of its own: four bytes of header, 3 for a query, its text.
        let commit = bytes.get(4..).is_some_and(|command| command == b"\x03COMMIT");
        if commit && left.fetch_sub(1, Ordering::SeqCst) == 0 {
            if harm != Harm::Lost {
                mute.store(true, Ordering::SeqCst);
                server.write_all(bytes).unwrap();
                answers.recv().unwrap();
            }
            // The silent one keeps both ends open until the client has lost its patience.
            while harm == Harm::Silent && matches!(client.read(&mut buffer), Ok(1..)) {}
            break;
        }
        if server.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
