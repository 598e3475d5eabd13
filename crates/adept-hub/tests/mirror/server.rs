//! A local hub with one repository, `owner/name`, served as dataset or model, and with faults on demand.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::Digest as _;

/// The commit of branch `main`, unless overridden by a test.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server answers the next request for a listing or a file's bytes.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This many bytes of the body, then the connection is closed.
    Cut(usize),
    /// This many bytes of the body, then nothing; the connection stays open.
    Stall(usize),
    /// No response; the connection stays open.
    Silence,
    /// The whole body, after this many milliseconds.
    Late(u64),
    /// This status and these header lines, each with its line end.
    Status(u16, String),
    /// Wrong bytes of the right number.
    Wrong,
    /// This many bytes of other content, announced with the right length, then the connection is closed.
    WrongCut(usize),
    /// All bytes with status 200, whatever range is requested.
    NoRange,
    /// The same, but closes the connection after this many bytes.
    NoRangeCut(usize),
    /// Status 206 with another range.
    OtherRange,
    /// Another body, with its length announced.
    Instead(Vec<u8>),
    /// Another body in chunked encoding, without announced length.
    Chunked(Vec<u8>),
    /// The body, followed by these bytes beyond its announced length.
    Trailing(&'static [u8]),
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

/// A file: its name, its bytes, and whether it is in LFS.
pub type File<'a> = (&'a str, &'a [u8], bool);

/// The files at a commit, and the revision that refers to it.
struct Revision {
    name: String,
    commit: String,
    files: Vec<(String, Vec<u8>, bool)>,
}

#[derive(Default)]
struct State {
    revisions: Vec<Revision>,
    listing_faults: VecDeque<Fault>,
    faults: VecDeque<Fault>,
    requests: Vec<Request>,
    needs_token: Option<String>,
}

#[derive(Clone)]
pub struct Server {
    pub address: String,
    state: Arc<Mutex<State>>,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&sha2::Sha256::digest(bytes))
}

pub fn git_blob(bytes: &[u8]) -> String {
    let hash = sha1::Sha1::new().chain_update(format!("blob {}\0", bytes.len()));
    hex(&hash.chain_update(bytes).finalize())
}

/// Wrong bytes of the same length.
pub fn wrong(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x55).collect()
}

impl Server {
    /// Serves files on the branch `main`.
    pub fn start(files: &[File]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Self {
            address,
            state: Arc::default(),
        };
        server.revision("main", COMMIT, files);
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.answer(stream));
            }
        });
        server
    }

    /// Serves files at another revision as well; an existing revision then refers to the new commit.
    pub fn revision(&self, name: &str, commit: &str, files: &[File]) {
        let owned = |(name, bytes, is_large): &File| (name.to_string(), bytes.to_vec(), *is_large);
        let revision = Revision {
            name: name.to_owned(),
            commit: commit.to_owned(),
            files: files.iter().map(owned).collect(),
        };
        self.state.lock().unwrap().revisions.insert(0, revision);
    }

    /// Queues faults for requests for a file's bytes.
    pub fn fault(&self, faults: &[Fault]) {
        self.state.lock().unwrap().faults.extend(faults.iter().cloned());
    }

    /// Queues faults for requests for a listing.
    pub fn listing_fault(&self, faults: &[Fault]) {
        self.state.lock().unwrap().listing_faults.extend(faults.iter().cloned());
    }

    pub fn need_token(&self, token: &str) {
        self.state.lock().unwrap().needs_token = Some(token.to_owned());
    }

    /// Requests so far whose path begins with `path`.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let state = self.state.lock().unwrap();
        let of = state.requests.iter().filter(|request| request.path.starts_with(path));
        of.cloned().collect()
    }

    /// The ranges requested so far.
    pub fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.requests("/cdn/").into_iter();
        requests.map(|request| request.range).collect()
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let (mut range, mut authorization) = (None, None);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                let (name, value) = line.trim().split_once(": ").unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "range" => range = Some(value.to_owned()),
                    "authorization" => authorization = Some(value.to_owned()),
                    _ => {}
                }
            }
            let request = Request {
                path,
                range,
                authorization,
            };
            self.state.lock().unwrap().requests.push(request.clone());
            if self.respond(&mut stream, &request).is_err() {
                return;
            }
        }
    }

    /// Responds to a request; an error closes the connection.
    fn respond(&self, stream: &mut TcpStream, request: &Request) -> std::io::Result<()> {
        let path = request.path.as_str();
        let token = self.state.lock().unwrap().needs_token.clone();
        if let Some(token) = token
            && !path.starts_with("/cdn/")
            && request.authorization.as_deref() != Some(&format!("Bearer {token}"))
        {
            return head(stream, 401, "", 0);
        }
        let kinds = ["/api/datasets/owner/name/revision/", "/api/models/owner/name/revision/"];
        if let Some(revision) = kinds.iter().find_map(|kind| path.strip_prefix(kind)) {
            let fault = self.state.lock().unwrap().listing_faults.pop_front();
            let revision = revision.trim_end_matches("?blobs=true").replace("%2F", "/");
            return match self.listing(&revision) {
                Some(text) => body(stream, text.as_bytes(), None, fault),
                None => head(stream, 404, "X-Error-Code: RevisionNotFound\r\n", 0),
            };
        }
        // As on the real hub, files are redirected to storage: the hub itself only says what they are, and where.
        if let Some((commit, name)) = path
            .strip_prefix("/datasets")
            .unwrap_or(path)
            .strip_prefix("/owner/name/resolve/")
            .and_then(|rest| rest.split_once('/'))
            && let Some((bytes, is_large)) = self.file(commit, name)
        {
            let etag = if is_large { sha256(&bytes) } else { git_blob(&bytes) };
            let size = bytes.len();
            let headers = format!(
                "Location: /cdn/{commit}/{name}\r\nX-Repo-Commit: {commit}\r\nX-Linked-Etag: \"{etag}\"\r\n\
                 X-Linked-Size: {size}\r\n"
            );
            return head(stream, 302, &headers, 0);
        }
        if let Some((commit, name)) = path.strip_prefix("/cdn/").and_then(|rest| rest.split_once('/'))
            && let Some((bytes, _)) = self.file(commit, name)
        {
            let range = request.range.as_deref();
            let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
            let fault = self.state.lock().unwrap().faults.pop_front();
            return body(stream, &bytes, from, fault);
        }
        head(stream, 404, "", 0)
    }

    fn file(&self, commit: &str, name: &str) -> Option<(Vec<u8>, bool)> {
        let state = self.state.lock().unwrap();
        let revision = state.revisions.iter().find(|revision| revision.commit == commit)?;
        let file = revision.files.iter().find(|(known, ..)| known == name)?;
        Some((file.1.clone(), file.2))
    }

    fn listing(&self, revision: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let found = state
            .revisions
            .iter()
            .find(|known| known.name == revision || known.commit == revision)?;
        let files: Vec<String> = found
            .files
            .iter()
            .map(|(name, bytes, is_large)| listed(name, bytes.len(), &git_blob(bytes), is_large.then(|| sha256(bytes))))
            .collect();
        Some(listing(&found.commit, &files))
    }
}

/// A listing in the hub's format.
pub fn listing(commit: &str, files: &[String]) -> String {
    format!(
        "{{\"id\": \"owner/name\", \"sha\": \"{commit}\", \"siblings\": [{}]}}",
        files.join(", ")
    )
}

/// A file's entry in a listing.
pub fn listed(name: &str, size: usize, blob: &str, sha256: Option<String>) -> String {
    let lfs = sha256
        .map(|sha256| format!(", \"lfs\": {{\"sha256\": \"{sha256}\", \"size\": {size}, \"pointerSize\": 132}}"))
        .unwrap_or_default();
    let name = serde_json::to_string(name).unwrap();
    format!("{{\"rfilename\": {name}, \"size\": {size}, \"blobId\": \"{blob}\"{lfs}}}")
}

/// The bytes from `from` on, modified by a fault. An error closes the connection.
fn body(stream: &mut TcpStream, bytes: &[u8], from: Option<usize>, fault: Option<Fault>) -> std::io::Result<()> {
    let wrong = wrong(bytes);
    let (bytes, from) = match &fault {
        Some(Fault::Wrong | Fault::WrongCut(_)) => (wrong.as_slice(), from),
        Some(Fault::NoRange | Fault::NoRangeCut(_)) => (bytes, None),
        Some(Fault::OtherRange) => (bytes, Some(from.unwrap_or_default() + 1)),
        Some(Fault::Instead(other)) => (other.as_slice(), None),
        _ => (bytes, from),
    };
    match &fault {
        Some(Fault::Status(status, headers)) => return head(stream, *status, headers, 0),
        Some(Fault::Silence) => return wait(stream),
        Some(Fault::Late(milliseconds)) => std::thread::sleep(Duration::from_millis(*milliseconds)),
        Some(Fault::Chunked(other)) => {
            write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for part in other.chunks(60_000) {
                write!(stream, "{:x}\r\n", part.len())?;
                stream.write_all(part)?;
                write!(stream, "\r\n")?;
            }
            return write!(stream, "0\r\n\r\n");
        }
        _ => {}
    }
    let etag = sha256(bytes);
    let all = bytes.len();
    match from {
        Some(from) if from >= all => {
            let headers = format!("Content-Range: bytes */{all}\r\n");
            return head(stream, 416, &headers, 0);
        }
        Some(from) => {
            let headers = format!("ETag: \"{etag}\"\r\nContent-Range: bytes {from}-{}/{all}\r\n", all - 1);
            head(stream, 206, &headers, all - from)?;
        }
        None => head(stream, 200, &format!("ETag: \"{etag}\"\r\n"), all)?,
    }
    let body = &bytes[from.unwrap_or_default()..];
    match fault {
        Some(Fault::Cut(count) | Fault::WrongCut(count) | Fault::NoRangeCut(count)) => {
            stream.write_all(&body[..count.min(body.len())])?;
            stream.shutdown(Shutdown::Both)
        }
        Some(Fault::Stall(count)) => {
            stream.write_all(&body[..count])?;
            wait(stream)
        }
        Some(Fault::Trailing(more)) => {
            stream.write_all(body)?;
            stream.write_all(more)
        }
        _ => stream.write_all(body),
    }
}

/// Keeps silent until the peer has closed the connection.
fn wait(stream: &mut TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut Read::by_ref(stream), &mut std::io::sink()).map(|_| ())
}

fn head(stream: &mut TcpStream, status: u16, headers: &str, length: usize) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
}
