//! A proxy between a client and a server of this machine that can keep the answers to itself: what was asked is done,
//! and nobody hears of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

/// Passes on what clients and a server say until this process ends.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    swallowing: AtomicBool,
    swallowed: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on a port (0: any free one) and passes everything on to another.
    pub fn start(port: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(Line::default());
        let shared = Arc::clone(&line);
        spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is down is seen as a connection that ends at once.
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                for end in [&client, &server] {
                    end.set_nodelay(true).unwrap();
                    shared.connections.lock().unwrap().push(end.try_clone().unwrap());
                }
                let (asking, answering) = ((client.try_clone(), server.try_clone()), (server, client));
                if let (Ok(from), Ok(to)) = asking {
                    spawn(move || pass(from, to, None));
                }
                let line = Arc::clone(&shared);
                spawn(move || pass(answering.0, answering.1, Some(&line)));
            }
        });
        Self { port, line }
    }

    /// From now on questions pass and answers do not.
    pub fn swallow_answers(&self) {
        self.line.swallowing.store(true, Ordering::SeqCst);
    }

    /// Ends every connection, and lets new ones pass whole; gives the bytes of answers that nobody heard.
    pub fn cut(&self) -> u64 {
        for connection in self.line.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.line.swallowing.store(false, Ordering::SeqCst);
        self.line.swallowed.swap(0, Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, answers: Option<&Line>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if let Some(line) = answers.filter(|line| line.swallowing.load(Ordering::SeqCst)) {
            line.swallowed.fetch_add(read as u64, Ordering::SeqCst);
        } else if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
