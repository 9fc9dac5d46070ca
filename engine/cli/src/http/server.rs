//! Connections: so many at once, each ended when its other side is stuck, all ended with the run.

use super::address::Address;
use super::router::router;
use super::view::View;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};

/// Connections at once; more wait. Files of the flows must not run out of handles.
const CONNECTIONS: usize = 64;

/// How long an other side may take nothing of what was sent, until its connection is ended.
const STUCK: Duration = Duration::from_secs(30);

/// How long answers that are on their way have when the run is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Pause after a connection that could not be taken, as when handles have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens, and does not answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

/// Answers until it is ended.
pub(crate) struct Answering {
    over: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Takes the address; the error is for people.
    pub(crate) fn bind(address: &Address) -> Result<Self, String> {
        let bind = || {
            let listener = TcpListener::bind((address.host.as_str(), address.port))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().map_err(|error: io::Error| {
            let help = match error.kind() {
                io::ErrorKind::AddrInUse => "; another program listens there. Give another port, or 0 for any",
                io::ErrorKind::PermissionDenied => "; ports below 1024 are for root",
                _ => "",
            };
            format!("cannot listen on {address} (--http): {error}{help}")
        })
    }

    /// Where a browser finds it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers from a run, on a thread of its own.
    pub(crate) fn answer(self, view: View) -> Result<Answering, String> {
        let fail = |error: io::Error| format!("cannot answer on {} (--http): {error}", self.address);
        let (over, ended) = watch::channel(false);
        let router = router(view, ended.clone(), self.address.ip().is_loopback());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener).map_err(fail)?
        };
        let body = move || runtime.block_on(serve(listener, router, ended));
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(body).map_err(fail)?;
        Ok(Answering { over, thread })
    }
}

impl Answering {
    /// Pages that listen are told how the run has ended.
    pub(crate) fn end(self) {
        let _ = self.over.send(true);
        let _ = self.thread.join();
    }
}

async fn serve(listener: tokio::net::TcpListener, router: Router, mut ended: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let accept = async {
            // Never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accept => accepted,
            _ = ended.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        end_when_stuck(&stream);
        let service = TowerToHyperService::new(router.clone());
        // By hyper itself, as `axum::serve` has no timer: with one, a connection that asks for nothing within 30 seconds
        // is ended.
        let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What went wrong is the other side's business.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST_WORDS, graceful.shutdown()).await;
}

/// Has the system do it, as a task that waits to write is not asked again before it can.
fn end_when_stuck(stream: &TcpStream) {
    // Without it a stuck connection is kept, one of so many.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, STUCK.as_millis() as u32);
}
