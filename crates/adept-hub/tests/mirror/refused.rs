//! Error responses, and responses that must be rejected.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use adept_hub::{HubError, Kind, Repository, Settings};

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
        error.to_string().ends_with("or a token is required: set HF_TOKEN"),
        "{error}"
    );
    assert_eq!(server.requests("/").len(), 1, "what will not pass is asked for once");
    let error = fetch(&with("other")).unwrap_err().to_string();
    assert!(error.contains("the token has no access to it"), "{error}");
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
    assert!(error.contains("403: its terms must be accepted"), "{error}");
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
        let error = hub.list(&repository, &Heard::default()).unwrap_err();
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
    let error = hub(&server, folder.path())
        .list(&at("main"), &Heard::default())
        .unwrap_err();
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

    // But not for ever.
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

/// The waits during a whole fetch, and its duration in seconds.
fn waits(server: &Server, change: impl FnOnce(&mut Settings)) -> Result<(Vec<f64>, f64), HubError> {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub_with(server, folder.path(), change);
    let (heard, begun) = (Heard::default(), Instant::now());
    fetch_at(&hub, "main", &heard)?;
    assert_clean(folder.path());
    let waits = heard.waits.into_inner().unwrap();
    let is_busy = |why: &str| why.contains("429 Too Many Requests") || why.contains("503 Service Unavailable");
    assert!(waits.iter().all(|(why, _)| is_busy(why)), "{waits:?}");
    let seconds = waits.into_iter().map(|(_, seconds)| seconds).collect();
    Ok((seconds, begun.elapsed().as_secs_f64()))
}

fn busy(status: u16, header: &str) -> Fault {
    Fault::Status(status, format!("{header}\r\n"))
}

#[test]
fn busy_servers_are_waited_for_as_long_as_they_ask() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let hub_s = "RateLimit: \"api\";r=0;t=1\r\nRateLimit-Policy: \"fixed window\";\"api\";q=500;w=300";
    for (status, header) in [(429, "Retry-After: 1"), (503, "Retry-After: 1"), (429, hub_s)] {
        // For a listing and for a file.
        server.listing_fault(&[busy(status, header)]);
        server.fault(&[busy(status, header)]);
        let (seconds, took) = waits(&server, |_| {}).unwrap();
        assert_eq!(seconds, [1.0, 1.0]);
        assert!(took >= 2.0, "it was not waited for");
    }
    // A date in the past and useless headers are ignored.
    server.fault(&[
        busy(429, "Retry-After: Thu, 29 Feb 2024 12:00:00 GMT"),
        busy(429, "Retry-After: soon"),
        busy(429, "RateLimit: \"api\";r=7;t=99"),
    ]);
    assert_eq!(waits(&server, |_| {}).unwrap().0, [0.01; 3]);
}

#[test]
fn tries_are_not_spent_on_a_busy_server() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let without_headers = vec![Fault::status(429); 12];
    server.listing_fault(&without_headers);
    server.fault(&without_headers);
    let (seconds, _) = waits(&server, |settings| {
        settings.tries = 1;
        settings.longest_pause = Duration::from_millis(20);
    })
    .unwrap();
    assert_eq!(seconds.len(), 24);
}

#[test]
fn a_server_that_asks_for_too_much_is_given_up() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    for (header, words) in [
        ("Retry-After: Fri, 01 Jan 2999 00:00:00 GMT", "and asks to wait "),
        (
            "Retry-After: 86400",
            "and asks to wait 86400 s; waited 0 s of at most 2 s",
        ),
        (
            "RateLimit: \"api\";r=0;t=3",
            "429 Too Many Requests and asks to wait 3 s; ",
        ),
    ] {
        server.fault(&[busy(429, header)]);
        let error = waits(&server, |_| {}).unwrap_err();
        assert!(matches!(error, HubError::Busy { status: 429, .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Nor does it wait endlessly for a server that does not say how long.
    server.listing_fault(&vec![Fault::status(429); 50]);
    let error = waits(&server, |settings| settings.longest_wait = Duration::from_millis(45)).unwrap_err();
    assert!(matches!(error, HubError::Busy { asked: None, .. }), "{error}");
}

#[test]
fn a_wait_can_be_ended() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.longest_wait = Duration::from_secs(60)
    });
    server.listing_fault(&[busy(429, "Retry-After: 50")]);
    let heard = Heard::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(200));
            heard.stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let error = hub.list(&at("main"), &heard).unwrap_err();
        assert!(matches!(error, HubError::Stopped), "{error}");
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
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
    let error = hub.list(&at("main"), &Heard::default()).unwrap_err();
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
    // It is sent when redirected within the host, as private files require.
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
    let listing = hub(&server, folder.path())
        .list(&at("main"), &Heard::default())
        .unwrap();
    let check = |folder: &str, name: &str, hex: String| {
        listing.check(&at("main"), folder, &BTreeMap::from([(name.to_owned(), hex)]))
    };
    check("rte", "train.parquet", sha256(b"rows")).unwrap();
    check("", "rte/train.parquet", sha256(b"rows")).unwrap();
    check("rte", "notes.txt", git_blob(b"notes")).unwrap();
    check("rte", "missing.parquet", sha256(b"rows")).unwrap();
    let error = check("rte", "train.parquet", sha256(b"other")).unwrap_err().to_string();
    for part in [
        "datasets/owner/name at main: rte/train.parquet: expected the known checksum",
        &sha256(b"other"),
        &sha256(b"rows"),
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(check("rte", "notes.txt", git_blob(b"other")).is_err());
    assert_eq!(server.requests("/resolve/").len(), 0);
}
