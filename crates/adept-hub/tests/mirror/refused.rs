//! Answers that are refusals, and answers that are to be refused.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use adept_hub::{HubError, Kind, Repository};

use crate::server::{COMMIT, Fault, Server, git_blob, listed, listing, sha256};
use crate::{Heard, assert_clean, at, fetch, fetch_at, hub, hub_with};

#[test]
fn a_token_is_asked_for_and_sent() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    server.need_token("secret");
    let folder = tempfile::tempdir().unwrap();
    let with = |token: &str| {
        hub_with(&server, folder.path(), |settings| {
            settings.token = Some(token.to_owned())
        })
    };

    let error = fetch(&hub(&server, folder.path())).unwrap_err();
    assert!(matches!(error, HubError::Forbidden { status: 401, .. }), "{error}");
    assert!(
        error.to_string().ends_with("or a token is needed: set HF_TOKEN"),
        "{error}"
    );
    assert_eq!(server.requests("/").len(), 1, "what will not pass is asked for once");
    let error = fetch(&with("other")).unwrap_err().to_string();
    assert!(error.contains("the token has no right to it"), "{error}");
    assert!(!error.contains("other"), "{error}");
    fetch(&with("secret")).unwrap();
    assert_clean(folder.path());
}

#[test]
fn a_gated_repository_says_what_to_do() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    let gated = Fault::Status(403, "X-Error-Code: GatedRepo\r\n".to_owned());
    // The listing of a gated repository is public, its files are not.
    server.fault(&[gated.clone(), gated]);
    let error = fetch(&hub(&server, folder.path())).unwrap_err().to_string();
    assert!(error.contains("403: its terms have to be accepted"), "{error}");
    assert!(error.ends_with("set HF_TOKEN"), "{error}");
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.token = Some("secret".to_owned());
    });
    let error = fetch(&hub).unwrap_err().to_string();
    assert!(
        error.contains("the token's account has not accepted its terms"),
        "{error}"
    );
    assert_clean(folder.path());
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let nowhere = Repository::new(Kind::Dataset, "owner/other", "main").unwrap();
    for (repository, part) in [(nowhere, "owner/other"), (at("no-such-branch"), "no-such-branch")] {
        let error = hub.list(&repository).unwrap_err();
        assert!(matches!(error, HubError::NotFound { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(server.requests("/api/").len(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_status_that_will_not_pass_is_asked_for_once() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    server.listing_fault(&[Fault::status(400)]);
    let error = hub(&server, folder.path()).list(&at("main")).unwrap_err();
    let is_400 = matches!(
        error,
        HubError::Status {
            status: 400,
            tries: 1,
            ..
        }
    );
    assert!(is_400, "{error}");
    assert_eq!(server.requests("/api/").len(), 1);
}

#[test]
fn what_passes_is_tried_again() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    server.listing_fault(&[Fault::status(503), Fault::Cut(20)]);
    server.fault(&[Fault::status(500), Fault::status(502)]);
    fetch(&hub(&server, folder.path())).unwrap();
    assert_eq!(server.requests("/api/").len(), 3);
    assert_clean(folder.path());

    // Not for ever.
    let folder = tempfile::tempdir().unwrap();
    server.fault(&[Fault::status(500), Fault::status(500), Fault::status(500)]);
    let error = fetch(&hub(&server, folder.path())).unwrap_err();
    let is_500 = matches!(
        error,
        HubError::Status {
            status: 500,
            tries: 3,
            ..
        }
    );
    assert!(is_500, "{error}");
    assert!(
        error.to_string().ends_with("500 Internal Server Error (tried 3 times)"),
        "{error}"
    );
}

#[test]
fn pauses_are_as_long_as_a_server_asks_within_bounds() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let asks = |header: &str| Fault::Status(429, format!("Retry-After: {header}\r\n"));
    let waits = |longest: Duration| {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub_with(&server, folder.path(), |settings| settings.longest_pause = longest);
        let (heard, begun) = (Heard::default(), Instant::now());
        fetch_at(&hub, "main", &heard).unwrap();
        assert_clean(folder.path());
        let waits = heard.waits.into_inner().unwrap();
        assert!(waits.iter().all(|(why, _)| why.contains("429 Too Many Requests")));
        let seconds: Vec<f64> = waits.into_iter().map(|(_, seconds)| seconds).collect();
        (seconds, begun.elapsed().as_secs_f64())
    };

    server.fault(&[asks("1")]);
    let (seconds, took) = waits(Duration::from_secs(5));
    assert_eq!(seconds, [1.0]);
    assert!(took >= 1.0, "it was not waited for");
    // A date that has passed, one far off, and a number that is too large.
    server.fault(&[
        asks("Thu, 29 Feb 2024 12:00:00 GMT"),
        asks("Fri, 01 Jan 2999 00:00:00 GMT"),
    ]);
    let (seconds, took) = waits(Duration::from_millis(200));
    assert_eq!(seconds, [0.0, 0.2]);
    assert!(took < 20.0, "{took}");
    server.fault(&[asks("86400"), asks("soon")]);
    assert_eq!(waits(Duration::from_millis(600)).0, [0.6, 0.6]);
}

#[test]
fn nobody_at_the_address_is_an_error() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.endpoint = format!("http://{free}");
    });
    let error = hub.list(&at("main")).unwrap_err();
    assert!(matches!(error, HubError::Network { tries: 3, .. }), "{error}");
}

#[test]
fn names_that_climb_out_of_the_cache_are_refused() {
    for name in [
        "../../../evil.txt",
        "/evil.txt",
        "a/../../evil.txt",
        "..\\evil.txt",
        "c:/evil.txt",
        "a\u{1b}[2J",
        "",
    ] {
        let server = Server::start(&[("good.txt", b"a", false), (name, b"a", false)]);
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b/c/d");
        let error = fetch(&hub(&server, &inner)).unwrap_err();
        assert!(matches!(error, HubError::Path { .. }), "{error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
    }
    for name in ["../x", "a/../b", "a/b/c", "", "/a", "a\\b", "..", "a/"] {
        assert!(Repository::new(Kind::Dataset, name, "main").is_err(), "{name}");
    }
    for revision in ["../../x", "..", "", "a/../b", "/etc", "a\\b"] {
        assert!(Repository::new(Kind::Dataset, "a/b", revision).is_err(), "{revision}");
    }
}

#[test]
fn a_commit_or_checksum_that_is_a_path_is_refused() {
    let climbs = "../../../../evil";
    let good = git_blob(b"a");
    for text in [
        listing(climbs, &[listed("a.txt", 1, &good, None)]),
        listing("", &[]),
        listing(COMMIT, &[listed("a.txt", 1, climbs, None)]),
        listing(COMMIT, &[listed("a.txt", 1, &good, Some(climbs.to_owned()))]),
        listing(COMMIT, &["{\"rfilename\": \"a.txt\"}".to_owned()]),
        "<html>".to_owned(),
    ] {
        let server = Server::start(&[]);
        server.listing_fault(&[Fault::Instead(text.clone().into_bytes())]);
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, folder.path())).unwrap_err();
        assert!(matches!(error, HubError::Protocol { .. }), "{text}: {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{text}");
    }
}

#[test]
fn a_token_stays_with_its_host() {
    let cdn = Server::start(&[("a.txt", b"a", false)]);
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.token = Some("secret".to_owned());
    });
    let other = cdn.address.replace("127.0.0.1", "localhost");
    let moved = format!("Location: {other}/cdn/{COMMIT}/a.txt\r\n");
    server.fault(&[Fault::Status(302, moved)]);
    fetch(&hub).unwrap();
    // Within the host it is sent on, as private files need it.
    let here = server.requests("/cdn/");
    assert_eq!(here.len(), 1);
    assert_eq!(here[0].authorization.as_deref(), Some("Bearer secret"));
    let there = cdn.requests("/cdn/");
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].authorization, None);
}

#[test]
fn a_file_that_is_not_the_one_that_is_known_is_refused_before_it_comes() {
    let server = Server::start(&[("rte/train.parquet", b"rows", true), ("rte/notes.txt", b"notes", false)]);
    let folder = tempfile::tempdir().unwrap();
    let listing = hub(&server, folder.path()).list(&at("main")).unwrap();
    let check = |folder: &str, name: &str, hex: String| {
        listing.check(&at("main"), folder, &BTreeMap::from([(name.to_owned(), hex)]))
    };
    check("rte", "train.parquet", sha256(b"rows")).unwrap();
    check("", "rte/train.parquet", sha256(b"rows")).unwrap();
    check("rte", "notes.txt", git_blob(b"notes")).unwrap();
    check("rte", "missing.parquet", sha256(b"rows")).unwrap();
    let error = check("rte", "train.parquet", sha256(b"other")).unwrap_err().to_string();
    for part in [
        "datasets/owner/name at main: rte/train.parquet: expected the checksum",
        &sha256(b"other"),
        &sha256(b"rows"),
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(check("rte", "notes.txt", git_blob(b"other")).is_err());
    assert_eq!(server.requests("/resolve/").len(), 0);
}
