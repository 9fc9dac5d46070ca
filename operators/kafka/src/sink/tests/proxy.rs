//! Stands between a client and the brokers: loses what it is told to lose. It speaks just enough of the protocol to know
//! one request from another, and to send clients that ask where the brokers are to itself.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The number of the request that ends a transaction.
pub(super) const END_TXN: i16 = 26;

/// What becomes of the next request of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It does not arrive, and neither does anything after it.
    Request,
    /// It is answered, but the answer does not arrive, and neither does anything after it.
    Answer,
    /// It is answered, and the connection breaks before the answer arrives; new ones work.
    Connection,
}

#[derive(Default)]
struct State {
    plan: Option<(i16, Loss)>,
    /// Nothing goes through.
    dark: bool,
    /// How often the plan was carried out.
    lost: u32,
    open: Vec<TcpStream>,
}

/// One way for each broker; clones are the same.
#[derive(Clone)]
pub(super) struct Proxy {
    state: Arc<Mutex<State>>,
    addresses: Vec<String>,
}

impl Proxy {
    /// `brokers` are host and port of all of them.
    pub(super) fn new(brokers: &[(String, u16)]) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let ways: Vec<_> = brokers.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = ways.iter().map(|way| way.local_addr().unwrap().port()).collect();
        // Host and port stand side by side in every answer that says where a broker is, and keep their length.
        let name = |host: &str, port: u16| [host.as_bytes(), &i32::from(port).to_be_bytes()].concat();
        let names = brokers.iter().zip(&ports).map(|((host, from), to)| (name(host, *from), name(host, *to)));
        let names: Arc<Vec<_>> = Arc::new(names.collect());
        for (way, broker) in ways.into_iter().zip(brokers.to_vec()) {
            let (state, names) = (Arc::clone(&state), Arc::clone(&names));
            thread::spawn(move || {
                for client in way.incoming() {
                    let (Ok(client), Ok(server)) = (client, TcpStream::connect(&broker)) else { continue };
                    let streams = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                    state.lock().unwrap().open.extend(streams);
                    connect(client, server, &state, &names);
                }
            });
        }
        Self { state, addresses: ports.iter().map(|port| format!("127.0.0.1:{port}")).collect() }
    }

    pub(super) fn brokers(&self) -> String {
        self.addresses.join(",")
    }

    /// Loses the next request of this kind.
    pub(super) fn lose(&self, request: i16, loss: Loss) {
        self.state.lock().unwrap().plan = Some((request, loss));
    }

    /// Lets nothing through any more, like brokers that are stopped.
    pub(super) fn darken(&self) {
        self.state.lock().unwrap().dark = true;
    }

    /// Works again, on new connections. Gives how many requests or answers were lost as planned.
    pub(super) fn heal(&self) -> u32 {
        let mut state = self.state.lock().unwrap();
        (state.plan, state.dark) = (None, false);
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        std::mem::take(&mut state.lost)
    }
}

/// A request or answer with its length before it; `None` at the end.
fn frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; 4 + usize::try_from(i32::from_be_bytes(length)).ok()?];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

fn connect(client: TcpStream, server: TcpStream, state: &Arc<Mutex<State>>, names: &Arc<Vec<(Vec<u8>, Vec<u8>)>>) {
    // Correlation ids of the requests whose answers are lost, and how.
    let losing = Arc::<Mutex<HashSet<([u8; 4], bool)>>>::default();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (plan, lost) = (Arc::clone(state), Arc::clone(&losing));
    thread::spawn(move || {
        while let Some(frame) = frame(&mut from) {
            let mut state = plan.lock().unwrap();
            let kind = i16::from_be_bytes([frame[4], frame[5]]);
            let id = [frame[8], frame[9], frame[10], frame[11]];
            if let Some((_, loss)) = state.plan.take_if(|(request, _)| *request == kind) {
                state.lost += 1;
                match loss {
                    Loss::Request => state.dark = true,
                    Loss::Answer => drop(lost.lock().unwrap().insert((id, true))),
                    Loss::Connection => drop(lost.lock().unwrap().insert((id, false))),
                }
            }
            if !state.dark && to.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to, state, names) = (server, client, Arc::clone(state), Arc::clone(names));
    thread::spawn(move || {
        while let Some(mut frame) = frame(&mut from) {
            let id = [frame[4], frame[5], frame[6], frame[7]];
            if losing.lock().unwrap().contains(&(id, false)) {
                break;
            }
            let mut state = state.lock().unwrap();
            state.dark |= losing.lock().unwrap().contains(&(id, true));
            if state.dark {
                continue;
            }
            for (broker, proxy) in names.iter() {
                while let Some(at) = frame.windows(broker.len()).position(|window| window == broker) {
                    frame[at..at + proxy.len()].copy_from_slice(proxy);
                }
            }
            if to.write_all(&frame).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}
