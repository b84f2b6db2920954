//! Fetching known files over HTTPS: resumable, checked, and never half there.

use crate::Error;
use crate::dataset::hexadecimal;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;
use ureq::http::{StatusCode, header};

/// A gzip file that mirrors hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Name on the mirrors and here.
    pub name: &'static str,
    /// SHA-256 of the unpacked content, which recompression does not change.
    pub sha256: &'static str,
}

/// The four files of MNIST.
pub const MNIST_FILES: [RemoteFile; 4] = [
    RemoteFile {
        name: "train-images-idx3-ubyte.gz",
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    RemoteFile {
        name: "train-labels-idx1-ubyte.gz",
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    RemoteFile {
        name: "t10k-images-idx3-ubyte.gz",
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    RemoteFile {
        name: "t10k-labels-idx1-ubyte.gz",
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

/// Where MNIST's files are, in the order in which they are asked.
pub const MNIST_MIRRORS: [&str; 2] =
    ["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"];

/// No known file is larger; a mirror that sends more is not believed.
const MOST_BYTES: u64 = 64 << 20;
/// Connections tried on one mirror before the next; each goes on where the one before broke off.
const ATTEMPTS: usize = 3;

/// Fetches a file into `folder` from the first mirror that has it, and returns its path.
///
/// What has come is kept as `name.part` when a connection breaks, and the next attempt or call asks for the rest alone.
/// The content is checked, synced and renamed: under its own name the file is always whole. `progress` is told the bytes
/// that are here and, if known, the bytes in total.
///
/// # Errors
/// [`Error::Download`] or [`Error::Checksum`] of the last mirror, [`Error::Io`] if `folder` cannot be written.
pub fn fetch(
    file: RemoteFile,
    mirrors: &[&str],
    folder: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<PathBuf, Error> {
    let target = folder.join(file.name);
    if target.is_file() {
        return Ok(target);
    }
    let part = folder.join(format!("{}.part", file.name));
    let mut last = Error::Download { url: file.name.to_owned(), reason: "there are no mirrors".to_owned() };
    for mirror in mirrors {
        for _ in 0..ATTEMPTS {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), file.name);
            match download(&url, &part, progress).and_then(|()| settle(file, &part, &target)) {
                Ok(()) => return Ok(target),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

/// Fetches MNIST's four files into `folder`; `progress` is told the file, its bytes here and, if known, in total.
///
/// # Errors
/// [`Error::NoMnist`], which says what failed and where the files belong.
pub fn fetch_mnist(
    mirrors: &[&str],
    folder: &Path,
    progress: &mut dyn FnMut(&'static str, u64, Option<u64>),
) -> Result<(), Error> {
    for file in MNIST_FILES {
        let fetched = fetch(file, mirrors, folder, &mut |here, total| progress(file.name, here, total));
        fetched.map_err(|error| Error::NoMnist {
            reason: error.to_string(),
            files: MNIST_FILES.map(|file| file.name).join(", "),
            folder: folder.to_owned(),
        })?;
    }
    Ok(())
}

/// Adds to `part` what is missing of it.
fn download(url: &str, part: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<(), Error> {
    let fault = |reason: String| Error::Download { url: url.to_owned(), reason };
    let have = fs::metadata(part).map_or(0, |metadata| metadata.len());
    let response = agent().get(url).header(header::RANGE, format!("bytes={have}-")).call();
    let response = response.map_err(|error| fault(error.to_string()))?;
    let have = match response.status() {
        StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => have,
        StatusCode::OK => 0,
        // Nothing follows what is here: whether it is the whole file is for the checksum to say.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
        status => return Err(fault(format!("the server answered {status}"))),
    };
    let length = response.headers().get(header::CONTENT_LENGTH);
    let total = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok()).map(|rest| have + rest);
    let mut body = response.into_body().into_reader().take(MOST_BYTES - have.min(MOST_BYTES));
    let here =
        append(&mut body, part, have, &mut |here| progress(here, total)).map_err(|error| fault(error.to_string()))?;
    match total {
        Some(total) if here != total => Err(fault(format!("the connection ended after {here} of {total} bytes"))),
        _ => Ok(()),
    }
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        // Far above what a slow line needs; the next attempt goes on with what has come.
        .timeout_recv_body(Some(Duration::from_secs(600)))
        .build();
    config.new_agent()
}

fn starts_at(response: &ureq::http::Response<ureq::Body>, byte: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {byte}-")))
}

/// Writes `body` into `part` from byte `have` on; returns the length of `part`, all of it on the disk, also if it fails.
fn append(body: &mut impl Read, part: &Path, have: u64, progress: &mut dyn FnMut(u64)) -> std::io::Result<u64> {
    part.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = OpenOptions::new().create(true).append(true).open(part)?;
    file.set_len(have)?;
    let mut here = have;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = body.read(&mut buffer)?;
        if read == 0 {
            file.sync_all()?;
            return Ok(here);
        }
        file.write_all(&buffer[..read])?;
        here += read as u64;
        progress(here);
    }
}

/// Gives a file of the right content its name, and takes away one of wrong content.
fn settle(file: RemoteFile, part: &Path, target: &Path) -> Result<(), Error> {
    let io_error = |source| Error::Io { path: part.to_owned(), source };
    let got = unpacked_sha256(part).unwrap_or_else(|error| error.to_string());
    if got == file.sha256 {
        return fs::rename(part, target).map_err(io_error);
    }
    fs::remove_file(part).map_err(io_error)?;
    Err(Error::Checksum { path: target.to_owned(), expected: file.sha256.to_owned(), got })
}

/// SHA-256 of the content of a gzip file, in hexadecimal.
///
/// # Errors
/// [`Error::Io`] or [`Error::Gzip`].
pub fn unpacked_sha256(path: &Path) -> Result<String, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let mut reader = MultiGzDecoder::new(BufReader::new(file));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer).map_err(|source| crate::idx::read_error(path, source))? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}
