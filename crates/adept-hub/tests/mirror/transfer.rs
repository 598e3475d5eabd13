//! Transfers that are cut, stalled, duplicated or changed.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adept_hub::HubError;

use crate::server::{COMMIT, Fault, Server, git_blob, sha256, wrong};
use crate::{Heard, assert_clean, assert_sound, fetch, fetch_at, hub, hub_with, large, parts, root};

#[test]
fn a_repository_comes_whole_in_the_layout_of_python_s_cache() {
    let bytes = large();
    let server = Server::start(&[
        ("README.md", b"hello\n", false),
        ("data/train-00000-of-00001.parquet", &bytes, true),
        ("data/empty.txt", b"", false),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let (listing, fetched) = fetch_at(&hub(&server, folder.path()), "main", &heard).unwrap();
    assert_eq!(heard.bytes.into_inner(), 6 + bytes.len() as i64);
    assert_eq!(listing.commit, COMMIT);
    let root = root(folder.path());
    assert_eq!(fetched.folder, root.join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let train = fetched.folder.join("data/train-00000-of-00001.parquet");
    assert_eq!(fs::read(&train).unwrap(), bytes);
    assert_eq!(fs::read(fetched.folder.join("README.md")).unwrap(), b"hello\n");
    if cfg!(unix) {
        assert_eq!(
            fs::read_link(&train).unwrap(),
            Path::new("../../../blobs").join(sha256(&bytes))
        );
        assert_eq!(
            fs::read_link(fetched.folder.join("README.md")).unwrap(),
            Path::new("../../blobs").join(git_blob(b"hello\n"))
        );
    }
    assert_clean(folder.path());
}

#[test]
fn a_cut_connection_is_resumed_where_it_was_lost() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.fault(&[Fault::Cut(100_000), Fault::Cut(50_000)]);
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    fetch_at(&hub(&server, folder.path()), "main", &heard).unwrap();
    assert_eq!(heard.bytes.into_inner(), bytes.len() as i64);
    let expected = [None, Some("bytes=100000-".to_owned()), Some("bytes=150000-".to_owned())];
    assert_eq!(server.ranges(), expected);
    let waits = heard.waits.into_inner().unwrap();
    assert_eq!(waits.len(), 2);
    assert!(waits[0].0.contains("after 100000 of 1200000 bytes"), "{}", waits[0].0);
    assert_clean(folder.path());
}

#[test]
fn another_run_goes_on_where_one_gave_up() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    // Gives up after three connections with too few bytes.
    server.fault(&[Fault::Cut(70_000), Fault::Cut(0), Fault::Cut(0)]);
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(&hub(&server, folder.path())).unwrap_err();
    assert!(matches!(error, HubError::Network { tries: 3, .. }), "{error}");
    assert!(error.to_string().contains("after 70000 of 1200000 bytes"), "{error}");
    assert_eq!(parts(folder.path()), [(sha256(&bytes), 70_000)]);
    assert_sound(folder.path());
    assert!(
        !root(folder.path()).join("refs/main").exists(),
        "half a fetch is no fetch"
    );
    fetch(&hub(&server, folder.path())).unwrap();
    assert_eq!(server.ranges().pop().unwrap().as_deref(), Some("bytes=70000-"));
    assert_clean(folder.path());
}

#[test]
fn many_cuts_are_borne_as_long_as_bytes_come() {
    let bytes: Vec<u8> = large().repeat(5);
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.fault(&[
        Fault::Cut(1_100_000),
        Fault::Cut(1_100_000),
        Fault::Cut(1_100_000),
        Fault::Cut(1_100_000),
    ]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub(&server, folder.path())).unwrap();
    assert_eq!(server.ranges().len(), 5);
    assert_clean(folder.path());
}

#[test]
fn a_server_that_never_comes_to_the_end_is_given_up() {
    let bytes = large();
    for faults in [
        // A few bytes each time: a file would take thousands of connections.
        [Fault::Cut(10), Fault::Cut(10), Fault::Cut(10), Fault::Cut(10)],
        // No ranges, and always cut: the same bytes over and over.
        [
            Fault::NoRangeCut(1_100_000),
            Fault::NoRangeCut(1_100_000),
            Fault::NoRangeCut(1_100_000),
            Fault::NoRangeCut(1_100_000),
        ],
    ] {
        let server = Server::start(&[("train.bin", &bytes, true)]);
        server.fault(&faults);
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(&hub(&server, folder.path())).unwrap_err();
        assert!(matches!(error, HubError::Network { tries: 3, .. }), "{error}");
        assert!(server.ranges().len() <= 4);
        assert_sound(folder.path());
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let bytes = large();
    let rest = Some("bytes=100000-".to_owned());
    // A whole file is accepted; a wrong range is not, so that the whole file is requested.
    for (fault, ranges) in [
        (Fault::NoRange, vec![None, rest.clone()]),
        (Fault::OtherRange, vec![None, rest.clone(), None]),
        (Fault::status(416), vec![None, rest.clone(), None]),
    ] {
        let server = Server::start(&[("train.bin", &bytes, true)]);
        server.fault(&[Fault::Cut(100_000), fault]);
        let folder = tempfile::tempdir().unwrap();
        let heard = Heard::default();
        fetch_at(&hub(&server, folder.path()), "main", &heard).unwrap();
        assert_eq!(heard.bytes.into_inner(), bytes.len() as i64);
        assert_eq!(server.ranges(), ranges);
        assert_clean(folder.path());
    }
}

#[test]
fn wrong_bytes_are_named_and_not_kept() {
    for (name, bytes, is_large) in [("train.bin", large(), true), ("README.md", b"text".to_vec(), false)] {
        let server = Server::start(&[(name, &bytes, is_large)]);
        server.fault(&[Fault::Wrong]);
        let folder = tempfile::tempdir().unwrap();
        let (right, found) = if is_large {
            (sha256(&bytes), sha256(&wrong(&bytes)))
        } else {
            (git_blob(&bytes), git_blob(&wrong(&bytes)))
        };
        let error = fetch(&hub(&server, folder.path())).unwrap_err();
        assert!(matches!(error, HubError::Checksum { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(name) && message.contains(&right) && message.contains(&found),
            "{error}"
        );
        assert_eq!(server.ranges().len(), 1, "the same whole file would be as wrong again");
        assert_clean(folder.path());
        fetch(&hub(&server, folder.path())).unwrap();
        assert_clean(folder.path());
    }
}

#[test]
fn parts_of_different_contents_are_not_glued() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    // The mirror's file, and its ETag, change between two attempts.
    server.fault(&[Fault::WrongCut(100_000)]);
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    fetch_at(&hub(&server, folder.path()), "main", &heard).unwrap();
    assert_eq!(heard.bytes.into_inner(), bytes.len() as i64);
    assert_eq!(server.ranges(), [None, Some("bytes=100000-".to_owned()), None]);
    assert_clean(folder.path());
}

#[test]
fn what_a_killed_run_left_behind_is_not_trusted() {
    let bytes = large();
    for left in [wrong(&bytes)[..1000].to_vec(), wrong(&bytes), bytes.repeat(2)] {
        let server = Server::start(&[("train.bin", &bytes, true)]);
        let folder = tempfile::tempdir().unwrap();
        let blobs = root(folder.path()).join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.incomplete", sha256(&bytes))), &left).unwrap();
        // Nor is a blob that is too short.
        fs::write(blobs.join(sha256(&bytes)), b"short").unwrap();
        let heard = Heard::default();
        fetch_at(&hub(&server, folder.path()), "main", &heard).unwrap();
        assert_eq!(heard.bytes.into_inner(), bytes.len() as i64);
        assert_eq!(fs::read(blobs.join(sha256(&bytes))).unwrap(), bytes);
        assert_clean(folder.path());
    }
}

#[test]
fn another_number_of_bytes_than_listed_is_refused() {
    let bytes = large();
    let short = bytes[..1_000_000].to_vec();
    let long = [bytes.as_slice(), b"more"].concat();
    for (fault, found) in [
        (Fault::Instead(short.clone()), 1_000_000),
        (Fault::Instead(long.clone()), 1_200_004),
        (Fault::Chunked(long), 1_200_004),
    ] {
        let server = Server::start(&[("train.bin", &bytes, true)]);
        server.fault(&[fault]);
        let folder = tempfile::tempdir().unwrap();
        match fetch(&hub(&server, folder.path())).unwrap_err() {
            HubError::Size {
                expected: 1_200_000,
                found: there,
                ..
            } => assert_eq!(there, found),
            error => panic!("{error}"),
        }
        assert_clean(folder.path());
        fetch(&hub(&server, folder.path())).unwrap();
        assert_clean(folder.path());
    }
    // Too few bytes without announced length look like any other end, so the rest is requested.
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.fault(&[Fault::Chunked(short)]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub(&server, folder.path())).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=1000000-".to_owned())]);
    assert_clean(folder.path());
}

#[test]
fn bytes_behind_the_announced_end_are_not_taken_for_an_answer() {
    let server = Server::start(&[("a.txt", b"first", false), ("b.txt", b"second", false)]);
    server.fault(&[Fault::Trailing(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let listing = hub.list(&crate::at("main"), &Heard::default()).unwrap();
    // One at a time, so that the second file could reuse the first one's connection.
    let fetched = hub
        .fetch(&crate::at("main"), &listing, &listing.files, 1, &Heard::default())
        .unwrap();
    assert_eq!(fs::read(&fetched.files[1]).unwrap(), b"second");
    assert_clean(folder.path());
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.listing_fault(&[Fault::Silence]);
    server.fault(&[Fault::Stall(300_000), Fault::Silence]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.timeout = Duration::from_millis(300);
    });
    let begun = Instant::now();
    fetch(&hub).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let rest = Some("bytes=300000-".to_owned());
    assert_eq!(server.ranges(), [None, rest.clone(), rest]);
    assert_clean(folder.path());

    server.revision("new", &"a".repeat(40), &[("other.bin", b"other", true)]);
    server.fault(&[Fault::Silence, Fault::Silence, Fault::Silence]);
    let error = fetch_at(&hub, "new", &Heard::default()).unwrap_err();
    assert!(matches!(error, HubError::Network { tries: 3, .. }), "{error}");
}

#[test]
fn a_fetch_stops_in_the_middle_of_a_file_and_keeps_what_came() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let heard = Heard {
        stop_at: 400_000,
        ..Heard::default()
    };
    let error = fetch_at(&hub, "main", &heard).unwrap_err();
    assert!(matches!(error, HubError::Stopped), "{error}");
    let (_, kept) = parts(folder.path())[0];
    assert!((400_000..800_000).contains(&kept), "{kept}");
    assert_eq!(heard.bytes.load(Ordering::Relaxed), kept as i64);
    fetch(&hub).unwrap();
    assert_eq!(server.ranges(), [None, Some(format!("bytes={kept}-"))]);
    assert_clean(folder.path());
}

#[test]
fn a_fault_ends_the_other_files_as_well() {
    let server = Server::start(&[("a.bin", b"a", true), ("b.bin", b"b", true)]);
    // One file asks to wait for a minute, the other no longer exists; the order of the requests is not fixed.
    let later = Fault::Status(429, "Retry-After: 60\r\n".to_owned());
    server.fault(&[later, Fault::status(404)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub_with(&server, folder.path(), |settings| {
        settings.longest_wait = Duration::from_secs(60);
    });
    let begun = Instant::now();
    let error = fetch(&hub).unwrap_err();
    assert!(matches!(error, HubError::NotFound { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_clean(folder.path());
}

#[test]
fn threads_that_want_the_same_file_bring_it_once() {
    let bytes = large();
    let server = Server::start(&[("train.bin", &bytes, true)]);
    server.fault(&[Fault::Late(300)]);
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fetch(&hub(&server, folder.path())).unwrap());
        }
    });
    assert_eq!(server.ranges().len(), 1);
    assert_clean(folder.path());
}
