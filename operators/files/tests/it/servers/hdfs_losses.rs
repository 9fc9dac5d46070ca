//! A real HDFS that loses things: the request or the answer of the rename that commits, every replica of a block. And
//! what it does not lose: what was finished is on the disks of all DataNodes.

use crate::archive_world::{FLOW, Job, files, run, write};
use files::sink::Layout;
use files::store::Store;
use files::store::hdfs::Hdfs;
use hdfs_native::WriteOptions;
use operators_core::Error;
use operators_core::stage::Sink;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use testkit::servers::{self, ALL};

const JOB: Job = Job { partitions: 2, positions: 6, step: 3 };

/// One test at a time: one of them counts what the whole cluster does.
static TURN: Mutex<()> = Mutex::new(());

fn port(url: &str) -> u16 {
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A directory that no other test has.
fn directory(name: &str) -> String {
    format!("/losses-{}/{name}", std::process::id())
}

/// What is lost of the one rename that is aimed at.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It does not arrive, and the connection breaks.
    Request,
    /// It is done, and the connection breaks before the answer arrives.
    Answer,
    /// It is done, and nothing more is ever heard on the connection.
    Silence,
}

/// Stands before the NameNode and loses a rename to a name, once.
struct Proxy {
    port: u16,
    aim: Arc<Mutex<Option<&'static str>>>,
}

impl Proxy {
    fn start(namenode: u16, name: &'static str, loss: Loss) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let aim = Arc::new(Mutex::new(Some(name)));
        let shared = Arc::clone(&aim);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", namenode)).unwrap();
                let (deaf, aim) = (Arc::new(Mutex::new(false)), Arc::clone(&shared));
                let (from, to, hears) = (client.try_clone().unwrap(), server.try_clone().unwrap(), Arc::clone(&deaf));
                thread::spawn(move || ask(from, to, loss, &aim, &deaf));
                thread::spawn(move || answer(server, client, &hears));
            }
        });
        Self { port, aim }
    }

    fn has_hit(&self) -> bool {
        self.aim.lock().unwrap().is_none()
    }
}

fn ask(mut client: TcpStream, mut server: TcpStream, loss: Loss, aim: &Mutex<Option<&str>>, deaf: &Mutex<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let asked = &buffer[..read];
        let says = |text: &str| asked.windows(text.len()).any(|window| window == text.as_bytes());
        let hit = aim.lock().unwrap().take_if(|name| says("rename2") && says(name)).is_some();
        if hit && matches!(loss, Loss::Request) {
            break;
        }
        *deaf.lock().unwrap() |= hit;
        if server.write_all(asked).is_err() {
            break;
        }
        if hit && matches!(loss, Loss::Answer) {
            // Long enough for the NameNode to do it.
            thread::sleep(Duration::from_millis(500));
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

fn answer(mut server: TcpStream, mut client: TcpStream, deaf: &Mutex<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if !*deaf.lock().unwrap() && client.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
}

/// Trap 51: whether the rename was done is looked up, in the same life, and each batch is there once.
#[test]
fn the_rename_that_commits_goes_without_an_answer() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(url) = servers::hdfs() else { return };
    let aims = [(Layout::Batches, "batch=00000000000000000001"), (Layout::Flat, "partition-1-batch-1.parquet")];
    let cases = aims.into_iter().flat_map(|aim| [Loss::Request, Loss::Answer, Loss::Silence].map(|loss| (aim, loss)));
    thread::scope(|scope| {
        for (case, ((layout, name), loss)) in cases.enumerate() {
            let url = &url;
            scope.spawn(move || {
                let (context, world) = (format!("{loss:?} of {name}"), JOB.laid_out(layout));
                let (proxy, at) = (Proxy::start(port(url), name, loss), directory(&format!("case-{case}")));
                let lossy = Hdfs::new(&format!("hdfs://127.0.0.1:{}{at}", proxy.port)).unwrap();
                assert_eq!(world.live(&world.sink(&lossy), "one").unwrap(), 2, "{context}");
                assert!(proxy.has_hit(), "{context}: nothing was lost");
                world.assert_whole(&Hdfs::new(&format!("{url}{at}")).unwrap(), &context);
                println!("{context}: two commits all the same");
            });
        }
    });
}

/// Deletes what the DataNodes have of a file, as disks do; gives how many replicas there were.
fn lose_replicas(path: &str) -> usize {
    let mut look = || ALL.command(&["hdfs", "fsck", path, "-files", "-blocks"]);
    let replicated = |told: &String| told.matches("Live_repl=3").count() == told.matches("blk_").count();
    // A close waits for one replica, and the others follow.
    let told = std::iter::repeat_with(&mut look).take(30).find(replicated).unwrap_or_else(look);
    let id = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let blocks: Vec<_> = told.split("blk_").skip(1).map(|rest| format!("blk_{}", id(rest))).collect();
    assert!(!blocks.is_empty(), "{told}");
    let mut lost = 0;
    let mut folders = vec![testkit::project().join("target/servers/tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if blocks.iter().any(|block| name == *block || name.starts_with(&format!("{block}_"))) {
                fs::remove_file(path).unwrap();
                lost += usize::from(!name.ends_with(".meta"));
            }
        }
    }
    lost
}

/// A NameNode that starts would wait for blocks that never come.
struct Gone<'a>(&'a Hdfs);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        let _ = self.0.delete("");
    }
}

/// What the newest commit says is on no disk any more: the flow waits for it, and begins neither from an older batch nor
/// from the beginning.
#[test]
fn a_newest_commit_whose_replicas_are_lost_stops_the_start() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(url) = servers::hdfs() else { return };
    for (layout, newest) in [
        (Layout::Batches, "segment=000000/batch=00000000000000000001/_checkpoint.json"),
        (Layout::Flat, "partition-1-batch-1.parquet"),
    ] {
        let (world, at) = (JOB.laid_out(layout), directory(&format!("{layout:?}")));
        let store = Hdfs::new(&format!("{url}{at}")).unwrap();
        let _gone = Gone(&store);
        world.live(&world.sink(&store), "one").unwrap();
        assert_eq!(lose_replicas(&format!("{at}/{newest}")), 3, "{newest}");
        let before = files(&store, "");
        for error in [world.sink(&store).open(&run("next")).err(), world.sink(&store).progress(FLOW).err()] {
            let Some(Error::Unavailable { place, reason }) = error else { panic!("{newest}: {error:?}") };
            assert!(place.ends_with(newest) && reason.contains("every replica is lost"), "{place}: {reason}");
            println!("{place}: {reason}");
        }
        assert_eq!(files(&store, ""), before, "nothing was begun");
    }
}

/// How often each DataNode has synced a block to its disk.
fn syncs(url: &str) -> Vec<u64> {
    let moved = port(url) - 9_000;
    let of = |n: u16| {
        let mut stream = TcpStream::connect(("127.0.0.1", moved + 9_864 + n * 10)).unwrap();
        let query = "/jmx?qry=Hadoop:service=DataNode,name=DataNodeActivity-*";
        write!(stream, "GET {query} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        let count = told.split("\"FsyncCount\" : ").nth(1).unwrap_or_else(|| panic!("{told}"));
        count.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    (0..3).map(of).collect()
}

/// A DataNode tells of what it does some seconds later.
const TELLS: Duration = Duration::from_secs(12);

/// How often each has synced, when nobody writes any more.
fn settled(url: &str) -> Vec<u64> {
    loop {
        let before = syncs(url);
        thread::sleep(TELLS);
        if syncs(url) == before {
            return before;
        }
    }
}

/// Waits until every DataNode has synced so often more.
fn assert_synced(url: &str, before: &[u64], more: u64) {
    let all: Vec<_> = before.iter().map(|count| count + more).collect();
    let end = Instant::now() + 2 * TELLS;
    while syncs(url) != all && Instant::now() < end {
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(syncs(url), all);
}

/// Power may fail on all DataNodes at once. The client has every DataNode sync each block at its end, though the setting
/// for that (`dfs.datanode.synconclose`) is off: a client that stops to do so must not come in unseen.
#[test]
fn what_is_finished_is_on_every_disk() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(url) = servers::hdfs() else { return };
    let at = directory("synced");
    let before = settled(&url);
    write(&Hdfs::new(&format!("{url}{at}")).unwrap(), "one block", b"content");
    assert_synced(&url, &before, 1);
    let client = hdfs_native::sync::ClientBuilder::new().with_url(&url).build().unwrap();
    let options = WriteOptions::default().block_size(1 << 20);
    let mut file = client.create(&format!("{at}/three blocks"), options).unwrap();
    file.write_bytes(vec![7; 3 << 20].into()).unwrap();
    file.close().unwrap();
    assert_synced(&url, &before, 1 + 3);
}
