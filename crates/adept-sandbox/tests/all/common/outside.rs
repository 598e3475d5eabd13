//! A deliberately unprotected piece of the outside world: a world-readable file with a secret in a world-writable
//! folder, listening sockets, and a process. Only the sandbox keeps a program from them.

use std::fs;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

pub struct Outside {
    folder: TempDir,
    pub secret: String,
    tcp: TcpListener,
    udp: UdpSocket,
    stream: UnixListener,
    datagrams: UnixDatagram,
    process: Child,
}

/// A text that occurs in no process or file except those of this test.
pub fn marker(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{count}-of-the-sandbox-tests", std::process::id())
}

impl Outside {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = marker("secret");
        let file = folder.path().join("secret");
        fs::write(&file, &secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let stream = UnixListener::bind(folder.path().join("stream")).unwrap();
        let datagrams = UnixDatagram::bind(folder.path().join("datagrams")).unwrap();
        for socket in ["stream", "datagrams"] {
            fs::set_permissions(folder.path().join(socket), fs::Permissions::from_mode(0o666)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        let process = Command::new("sleep")
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            folder,
            secret,
            tcp,
            udp,
            stream,
            datagrams,
            process,
        }
    }

    /// An attack's text with placeholders replaced by this world's paths and addresses.
    pub fn aim(&self, attack: &str) -> String {
        let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port().to_string();
        attack
            .replace("FOLDER", &format!("{:?}", self.folder.path().to_str().unwrap()))
            .replace("TCP", &port(self.tcp.local_addr()))
            .replace("UDP", &port(self.udp.local_addr()))
            .replace("VICTIM", &self.process.id().to_string())
    }

    /// What has been touched, given the program's output.
    pub fn touched(&mut self, said: &str) -> Vec<String> {
        let mut touched = Vec::new();
        let mut note = |what: &str, is_so: bool| {
            if is_so {
                touched.push(what.to_owned());
            }
        };
        note("secret read", said.contains(&self.secret));
        let kept = fs::read_to_string(self.folder.path().join("secret"));
        note("secret changed", !kept.is_ok_and(|kept| kept == self.secret));
        // Root can read it whatever its mode.
        let mode = fs::metadata(self.folder.path().join("secret")).map(|about| about.permissions().mode() & 0o777);
        note("mode changed", !mode.is_ok_and(|mode| mode == 0o666));
        let mut names: Vec<String> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        note("folder changed", names != ["datagrams", "secret", "stream"]);
        note("tcp", !would_block(self.tcp.accept()));
        note("udp", !would_block(self.udp.recv(&mut [0; 16])));
        note("stream", !would_block(self.stream.accept()));
        note("datagrams", !would_block(self.datagrams.recv(&mut [0; 16])));
        note("process ended", self.process.try_wait().unwrap().is_some());
        touched
    }
}

fn would_block<T>(result: std::io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

impl Drop for Outside {
    fn drop(&mut self) {
        // A control run may already have ended it, which is not an error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs an attack directly in the interpreter, without a sandbox, and returns its output.
pub fn unprotected(attack: &str) -> String {
    let output = Command::new("python3")
        .args(["-c", &format!("{attack}\nf()\n")])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Number of processes, inside sandboxes and outside, with this text in their arguments.
pub fn processes_with(text: &str) -> usize {
    let has = |entry: &fs::DirEntry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(text)
    };
    fs::read_dir("/proc").unwrap().flatten().filter(has).count()
}
