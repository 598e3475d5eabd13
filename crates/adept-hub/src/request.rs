//! HTTP requests to the hub. Transient failures (a lost connection, 429, 5xx) are retried.

use std::io;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response, header};
use ureq::{Agent, Body};

use crate::patience::{Patience, asked};
use crate::{Hub, HubError, Kind, Repository};

/// The HTTP client: error statuses are handled by the caller, and the token is sent only to its own host.
pub(crate) fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .user_agent(concat!("adept/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(timeout))
        .timeout_recv_response(Some(timeout))
        .timeout_per_read(Some(timeout))
        .build();
    config.into()
}

impl Hub {
    /// URL of a repository's listing.
    pub(crate) fn listing_address(&self, repository: &Repository) -> String {
        format!(
            "{}/api/{}/{}/revision/{}?blobs=true",
            self.settings.endpoint,
            repository.kind().plural(),
            repository.name(),
            escaped(repository.revision())
        )
    }

    /// URL of a file at a commit.
    pub(crate) fn file_address(&self, repository: &Repository, commit: &str, name: &str) -> String {
        let kind = match repository.kind() {
            Kind::Dataset => "datasets/",
            Kind::Model => "",
        };
        let name = name.split('/').map(escaped).collect::<Vec<_>>().join("/");
        format!(
            "{}/{kind}{}/resolve/{commit}/{name}",
            self.settings.endpoint,
            repository.name()
        )
    }

    /// A response with status 200, 206 or 416, after as many retries as `patience` allows. Requests the bytes from
    /// `from` on.
    pub(crate) fn get(&self, url: &str, from: u64, patience: &mut Patience) -> Result<Response<Body>, HubError> {
        loop {
            let fault = match self.request(url, from) {
                Ok(response) => match self.refusal(url, &response, patience.tried()) {
                    None => return Ok(response),
                    Some(fault) => {
                        let asked = asked(response.headers());
                        // A server that limits requests, or says when it will be back, is not failing.
                        if let HubError::Status { status, .. } = fault
                            && (status == 429 || (status == 503 && asked.is_some()))
                        {
                            patience.wait_for(fault, status, asked)?;
                            continue;
                        }
                        fault
                    }
                },
                Err(error) => {
                    let fault = HubError::Network {
                        url: url.to_owned(),
                        message: error.to_string(),
                        tries: patience.tried(),
                    };
                    if !may_pass(&error) {
                        return Err(fault);
                    }
                    fault
                }
            };
            match fault {
                HubError::Network { .. } => {}
                HubError::Status {
                    status: 408 | 425 | 500..=599,
                    ..
                } => {}
                fault => return Err(fault),
            }
            patience.again(fault)?;
        }
    }

    fn request(&self, url: &str, from: u64) -> Result<Response<Body>, ureq::Error> {
        // Ranges count the file's own bytes, so the response must not be compressed.
        let mut request = self.agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.settings.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        request.call()
    }

    /// The error that a response's status stands for, if any.
    fn refusal(&self, url: &str, response: &Response<Body>, tries: u32) -> Option<HubError> {
        let url = url.to_owned();
        match response.status().as_u16() {
            200 | 206 | 416 => None,
            status @ (401 | 403) => Some(HubError::Forbidden {
                url,
                status,
                is_gated: text(response.headers(), "x-error-code") == Some("GatedRepo"),
                has_token: self.settings.token.is_some(),
            }),
            404 | 410 => Some(HubError::NotFound { url }),
            status => Some(HubError::Status { url, status, tries }),
        }
    }
}

/// Whether a failure may be transient.
fn may_pass(error: &ureq::Error) -> bool {
    match error {
        // TLS reports certificate errors as invalid data.
        ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_) | ureq::Error::HostNotFound => true,
        ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

/// A header's value as trimmed text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Percent-encodes a part of a path.
fn escaped(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_part_by_part() {
        assert_eq!(escaped("a b#c%ü.txt"), "a%20b%23c%25%C3%BC.txt");
        assert_eq!(escaped("refs/pr/1"), "refs%2Fpr%2F1");
    }
}
