//! Fetching against a server of our own that breaks off, lies or is not there.

use crate::files::*;
use attar_data::Error;
use attar_data::fetch::{RemoteFile, fetch, unpacked_sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a server does with one request.
#[derive(Clone)]
enum Answer {
    /// The rest of the content, but no more than so many bytes before the connection breaks.
    Rest { content: Vec<u8>, at_most: usize },
    /// The whole content, whatever part was asked for.
    Whole(Vec<u8>),
    /// Nothing but a status.
    Status(&'static str),
}

/// A server that gives these answers in turn, and the first byte that each request asked for.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                log.lock().unwrap().push(serve(stream, answer));
            }
        });
        Server { url, asked }
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: Answer) -> usize {
    let mut start = 0;
    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
        let line = line.unwrap().to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let close = "connection: close\r\n\r\n";
    let (head, body) = match answer {
        Answer::Rest { content, at_most } => {
            let total = content.len();
            let range =
                format!("content-range: bytes {start}-{}/{total}\r\ncontent-length: {}", total - 1, total - start);
            let end = total.min(start.saturating_add(at_most));
            (format!("HTTP/1.1 206 Partial Content\r\n{range}\r\n{close}"), content[start..end].to_vec())
        }
        Answer::Whole(content) => (format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{close}", content.len()), content),
        Answer::Status(status) => (format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n{close}"), Vec::new()),
    };
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).unwrap();
    start
}

struct Case {
    folder: Folder,
    file: RemoteFile,
    good: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        let good = gzip(&(0..200_000_u32).flat_map(|i| (i * 7919).to_le_bytes()).collect::<Vec<_>>());
        let folder = Folder::new();
        let sha256 = unpacked_sha256(&folder.file("other/known.gz", &good)).unwrap().leak();
        Case { folder, file: RemoteFile { name: "known.gz", sha256 }, good }
    }

    fn rest(&self, at_most: usize) -> Answer {
        Answer::Rest { content: self.good.clone(), at_most }
    }

    fn fetch(&self, mirrors: &[&str]) -> Result<std::path::PathBuf, Error> {
        fetch(self.file, mirrors, &self.folder.path().join("cache"), &mut |_, _| {})
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("cache")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn check_whole(&self, fetched: Result<std::path::PathBuf, Error>) {
        assert_eq!(std::fs::read(fetched.unwrap()).unwrap(), self.good);
        assert_eq!(self.names(), ["known.gz"]);
    }
}

#[test]
fn a_file_is_fetched_once() {
    let case = Case::new();
    let server = Server::start(vec![Answer::Whole(case.good.clone())]);
    case.check_whole(case.fetch(&[&server.url]));
    case.check_whole(case.fetch(&[&server.url]));
    assert_eq!(server.asked(), [0]);
}

#[test]
fn a_broken_connection_is_gone_on_with() {
    let case = Case::new();
    let server = Server::start(vec![case.rest(1000), case.rest(5000), case.rest(usize::MAX)]);
    case.check_whole(case.fetch(&[&server.url]));
    assert_eq!(server.asked(), [0, 1000, 6000]);
}

#[test]
fn a_later_call_goes_on_where_the_first_one_stopped() {
    let case = Case::new();
    let server = Server::start(vec![case.rest(1000), case.rest(1000), case.rest(1000)]);
    let error = case.fetch(&[&server.url]).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error:?}");
    assert_eq!(case.names(), ["known.gz.part"]);
    let server = Server::start(vec![case.rest(usize::MAX)]);
    case.check_whole(case.fetch(&[&server.url]));
    assert_eq!(server.asked(), [3000]);
}

#[test]
fn a_server_that_knows_no_ranges_starts_again() {
    let case = Case::new();
    let server = Server::start(vec![case.rest(1000), Answer::Whole(case.good.clone())]);
    case.check_whole(case.fetch(&[&server.url]));
    assert_eq!(server.asked(), [0, 1000]);
}

#[test]
fn a_part_that_was_whole_already_is_taken() {
    let case = Case::new();
    case.folder.file("cache/known.gz.part", &case.good);
    let server = Server::start(vec![Answer::Status("416 Range Not Satisfiable")]);
    case.check_whole(case.fetch(&[&server.url]));
}

#[test]
fn wrong_content_is_thrown_away_and_the_next_mirror_asked() {
    let case = Case::new();
    let bad = || Answer::Whole(gzip(b"something else"));
    let first = Server::start(vec![bad(), bad(), bad()]);
    let error = case.fetch(&[&first.url]).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error:?}");
    assert!(case.names().is_empty());
    let first = Server::start(vec![bad(), Answer::Status("503 Busy"), Answer::Status("404 Not Found")]);
    let second = Server::start(vec![Answer::Whole(case.good.clone())]);
    case.check_whole(case.fetch(&[&first.url, &second.url]));
}

#[test]
fn no_network_is_an_error() {
    let case = Case::new();
    let error = case.fetch(&["http://127.0.0.1:9"]).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error:?}");
    assert!(!case.folder.path().join("cache").exists());
}
