//! Downloads one file into the cache: resumed where it broke off, verified, and moved into place as a whole.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use ureq::Body;
use ureq::http::{HeaderMap, Response};

use crate::cache::{Folder, create_parent};
use crate::patience::Patience;
use crate::progress::Watch;
use crate::request::text;
use crate::{Hub, HubError, RemoteFile};

/// Buffer size in bytes.
const CHUNK: usize = 1 << 17;

/// Bytes that a connection must deliver for the retry counter to be reset. Bounds the number of connections per file.
const WORTHWHILE: u64 = 1 << 20;

impl Hub {
    /// Downloads a file's bytes to its blob.
    pub(crate) fn blob(&self, folder: &Folder, url: &str, file: &RemoteFile, watch: &Watch) -> Result<(), HubError> {
        let hex = file.checksum.hex();
        let blob = folder.blob(hex);
        create_parent(&blob)?;
        let _lock = folder.lock(hex, watch)?;
        // Another process may have downloaded it in the meantime.
        if folder.has(file) {
            watch.progress.arrived(signed(file.size));
            return Ok(());
        }
        let mut download = Download::open(self, url, file, &blob, watch)?;
        let brought = download.bring(&blob);
        if brought.is_err() && download.part.metadata().is_ok_and(|there| there.len() == 0) {
            // Nothing to resume from. If it cannot be removed, an empty file does no harm.
            let _ = fs::remove_file(&download.part);
        }
        brought
    }
}

/// A download in progress.
struct Download<'a> {
    hub: &'a Hub,
    url: &'a str,
    file: &'a RemoteFile,
    watch: &'a Watch<'a>,
    /// The partial file.
    part: PathBuf,
    out: File,
    /// Bytes downloaded so far.
    have: u64,
    /// Whether they come from more than one response, or from an earlier process.
    is_patched: bool,
}

impl<'a> Download<'a> {
    /// Resumes the partial file left by an earlier attempt.
    fn open(
        hub: &'a Hub,
        url: &'a str,
        file: &'a RemoteFile,
        blob: &Path,
        watch: &'a Watch<'a>,
    ) -> Result<Self, HubError> {
        let mut part = blob.as_os_str().to_owned();
        part.push(".incomplete");
        let part = PathBuf::from(part);
        let opened = File::options().create(true).append(true).open(&part);
        let (out, have) = opened
            .and_then(|out| out.metadata().map(|there| (out, there.len())))
            .map_err(|source| HubError::Io {
                file: part.clone(),
                source,
            })?;
        watch.progress.arrived(signed(have));
        Ok(Self {
            hub,
            url,
            file,
            watch,
            part,
            out,
            have,
            is_patched: have > 0,
        })
    }

    /// Downloads and verifies the bytes, and moves them into place.
    fn bring(&mut self, blob: &Path) -> Result<(), HubError> {
        let expected = self.file.checksum.hex();
        self.fill()?;
        let mut found = self.checksum()?;
        if found != expected && self.is_patched {
            // Pieces of different contents: the mirror changed in between, or an earlier fault left a wrong part.
            self.start_over()?;
            self.fill()?;
            found = self.checksum()?;
        }
        if found != expected {
            self.remove()?;
            return Err(HubError::Checksum {
                url: self.url.to_owned(),
                expected: expected.to_owned(),
                found,
            });
        }
        let placed = self.out.sync_all().and_then(|()| fs::rename(&self.part, blob));
        placed.map_err(|source| self.failed(source))
    }

    /// Requests the missing bytes until the file has its full size.
    fn fill(&mut self) -> Result<(), HubError> {
        let mut patience = Patience::new(&self.hub.settings, self.watch);
        let mut mark = self.have;
        while self.have < self.file.size {
            let response = self.hub.get(self.url, self.have, &mut patience)?;
            self.check_length(&response)?;
            let message = if self.begin(&response)? {
                self.receive(response)?
            } else {
                format!("the server does not send bytes from {} onwards", self.have)
            };
            if self.have >= mark + WORTHWHILE {
                mark = self.have;
                patience.renew();
            }
            if self.have < self.file.size {
                let fault = HubError::Network {
                    url: self.url.to_owned(),
                    message,
                    tries: patience.tried(),
                };
                patience.again(fault)?;
            }
        }
        Ok(())
    }

    /// Rejects a response for a file of another size.
    fn check_length(&self, response: &Response<Body>) -> Result<(), HubError> {
        let whole = match response.status().as_u16() {
            200 => text(response.headers(), "content-length").and_then(|length| length.parse().ok()),
            _ => range(response.headers()).1,
        };
        match whole {
            Some(found) if found != self.file.size => Err(self.refusal(found)),
            _ => Ok(()),
        }
    }

    /// Prepares for a response's body; false if the body is unusable.
    fn begin(&mut self, response: &Response<Body>) -> Result<bool, HubError> {
        let start = match response.status().as_u16() {
            // The whole file: either nothing was left out, or the server does not support ranges.
            200 => Some(0),
            206 => range(response.headers()).0,
            _ => None,
        };
        let is_next = start == Some(self.have);
        if !is_next {
            self.start_over()?;
        }
        Ok(is_next || start == Some(0))
    }

    /// Appends a body. A premature end is not an error yet; its message is returned.
    fn receive(&mut self, response: Response<Body>) -> Result<String, HubError> {
        self.is_patched |= self.have > 0;
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            self.watch.go_on()?;
            let count = match body.read(&mut chunk) {
                Ok(0) => {
                    return Ok(format!(
                        "the connection ended after {} of {} bytes",
                        self.have, self.file.size
                    ));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Ok(format!("{error}, after {} of {} bytes", self.have, self.file.size));
                }
            };
            let more = self.have + count as u64;
            if more > self.file.size {
                return Err(self.refusal(more));
            }
            self.out
                .write_all(&chunk[..count])
                .map_err(|source| self.failed(source))?;
            self.have = more;
            self.watch.progress.arrived(count as i64);
        }
    }

    /// Discards all bytes.
    fn start_over(&mut self) -> Result<(), HubError> {
        self.out.set_len(0).map_err(|source| self.failed(source))?;
        self.watch.progress.arrived(-signed(self.have));
        (self.have, self.is_patched) = (0, false);
        Ok(())
    }

    /// Discards a file of another size.
    fn refusal(&self, found: u64) -> HubError {
        let size = HubError::Size {
            url: self.url.to_owned(),
            expected: self.file.size,
            found,
        };
        self.remove().err().unwrap_or(size)
    }

    fn remove(&self) -> Result<(), HubError> {
        fs::remove_file(&self.part).map_err(|source| self.failed(source))
    }

    /// Checksum of the downloaded bytes, in hex.
    fn checksum(&self) -> Result<String, HubError> {
        let found = self.file.checksum.of_file(&self.part, self.file.size);
        found.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> HubError {
        HubError::Io {
            file: self.part.clone(),
            source,
        }
    }
}

/// First byte and total length according to `Content-Range` (`bytes 5-9/10`, `bytes */10`), as far as given.
fn range(headers: &HeaderMap) -> (Option<u64>, Option<u64>) {
    let range = text(headers, "content-range").and_then(|range| range.strip_prefix("bytes "));
    let Some((bytes, whole)) = range.and_then(|range| range.split_once('/')) else {
        return (None, None);
    };
    let start = bytes.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    (start, whole.trim().parse().ok())
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
