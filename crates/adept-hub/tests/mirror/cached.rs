//! Working from the cache: existing files, revisions, and offline mode.

use std::fs;

use adept_hub::{HubError, Kind, Repository};

use crate::server::{COMMIT, Fault, Server, git_blob};
use crate::{Heard, assert_clean, at, fetch, fetch_at, hub, hub_with, root};

/// A commit other than `main`'s.
const OLD: &str = "fedcba9876543210fedcba9876543210fedcba98";

#[test]
fn what_is_there_is_not_asked_for_again() {
    let server = Server::start(&[("a.txt", b"a", false), ("b.bin", b"b", true)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let listing = hub.list(&at("main"), &Heard::default()).unwrap();
    assert!(!listing.files.iter().any(|file| hub.has(&at("main"), file)));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a listing writes nothing"
    );
    assert_eq!(hub.cached(&at("main")), None);
    let fetched = fetch(&hub).unwrap();
    assert!(listing.files.iter().all(|file| hub.has(&at("main"), file)));
    assert_eq!(hub.cached(&at("main")), Some(fetched.folder));

    let before = server.ranges().len();
    let heard = Heard::default();
    fetch_at(&hub, "main", &heard).unwrap();
    assert_eq!(server.ranges().len(), before);
    assert_eq!(heard.bytes.into_inner(), 2, "bytes that are there count as arrived");
    // A lost link is restored.
    fs::remove_dir_all(root(folder.path()).join("snapshots")).unwrap();
    let fetched = fetch(&hub).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), b"a");
    assert_eq!(server.ranges().len(), before);
    assert_clean(folder.path());
}

#[test]
fn branches_tags_and_commits_are_kept_apart() {
    let server = Server::start(&[("a.txt", b"new", false), ("same.txt", b"same", false)]);
    server.revision("v1.0", OLD, &[("a.txt", b"old", false), ("same.txt", b"same", false)]);
    server.revision("refs/pr/1", &"a".repeat(40), &[("a.txt", b"proposed", false)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    for (revision, commit, text) in [
        ("main", COMMIT, "new"),
        ("v1.0", OLD, "old"),
        ("refs/pr/1", &"a".repeat(40), "proposed"),
        (OLD, OLD, "old"),
    ] {
        let (listing, fetched) = fetch_at(&hub, revision, &Heard::default()).unwrap();
        assert_eq!(listing.commit, commit);
        assert_eq!(fs::read_to_string(fetched.folder.join("a.txt")).unwrap(), text);
        assert_eq!(hub.cached(&at(revision)), Some(fetched.folder));
    }
    assert_eq!(server.ranges().len(), 4, "bytes that two commits share come once");
    let refs = root(folder.path()).join("refs");
    assert_eq!(fs::read_to_string(refs.join("v1.0")).unwrap(), OLD);
    assert_eq!(fs::read_to_string(refs.join("refs/pr/1")).unwrap(), "a".repeat(40));
    assert!(!refs.join(OLD).exists(), "a commit means itself");

    // The listing of a commit cannot change and is requested once; that of a branch can.
    let before = server.requests("/api/").len();
    fetch_at(&hub, OLD, &Heard::default()).unwrap();
    assert_eq!(server.requests("/api/").len(), before);
    server.revision("main", &"c".repeat(40), &[("a.txt", b"newest", false)]);
    let fetched = fetch(&hub).unwrap();
    assert_eq!(fs::read(&fetched.files[0]).unwrap(), b"newest");
    assert_clean(folder.path());
}

#[test]
fn without_network_only_the_cache_is_used() {
    let server = Server::start(&[("a.txt", b"a", false), ("data/b.txt", b"b", false)]);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path());
    let offline = hub_with(&server, folder.path(), |settings| settings.offline = true);
    let error = fetch(&offline).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("datasets/owner/name at main is not in the cache") && message.contains("HF_HUB_OFFLINE"),
        "{error}"
    );

    // One of two files: the listing is known, the other file is missing.
    let listing = hub.list(&at("main"), &Heard::default()).unwrap();
    let first = &listing.files[..1];
    let fetched = hub.fetch(&at("main"), &listing, first, 1, &Heard::default()).unwrap();
    let before = server.requests("/").len();
    assert_eq!(offline.list(&at("main"), &Heard::default()).unwrap(), listing);
    let again = offline.fetch(&at("main"), &listing, first, 1, &Heard::default());
    assert_eq!(again.unwrap(), fetched);
    assert_eq!(offline.cached(&at("main")), Some(fetched.folder));
    let error = fetch(&offline).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("data/b.txt of datasets/owner/name at main is not in the cache"),
        "{error}"
    );
    let error = offline.list(&at("v1.0"), &Heard::default()).unwrap_err();
    assert!(error.to_string().contains("datasets/owner/name at v1.0"), "{error}");
    let other = Repository::new(Kind::Model, "owner/name", "main").unwrap();
    assert!(
        offline.list(&other, &Heard::default()).is_err(),
        "a model is not a dataset"
    );
    assert_eq!(server.requests("/").len(), before, "nothing was asked for");
}

#[cfg(unix)]
#[test]
fn without_network_files_of_other_programs_are_found_by_their_links() {
    let server = Server::start(&[("a.txt", b"a", false), ("data/b.bin", b"b", true)]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub(&server, folder.path())).unwrap();
    let offline = hub_with(&server, folder.path(), |settings| settings.offline = true);
    let listing = offline.list(&at("main"), &Heard::default()).unwrap();
    let trees = root(folder.path()).join("trees");
    for text in [None, Some("{}"), Some("{\"format_version\": 2, \"files\": {}}")] {
        fs::remove_dir_all(&trees).unwrap();
        fs::create_dir(&trees).unwrap();
        if let Some(text) = text {
            fs::write(trees.join(format!("{COMMIT}.json")), text).unwrap();
        }
        let (found, fetched) = fetch_at(&offline, "main", &Heard::default()).unwrap();
        assert_eq!((&found.commit, &found.files), (&listing.commit, &listing.files));
        assert_eq!(fs::read(&fetched.files[1]).unwrap(), b"b");
    }
    // A dangling link is not a file.
    fs::remove_file(root(folder.path()).join("blobs").join(git_blob(b"a"))).unwrap();
    assert_eq!(
        offline.list(&at("main"), &Heard::default()).unwrap().files,
        listing.files[1..]
    );
}

#[test]
fn a_listing_in_the_cache_is_not_trusted_with_paths() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub(&server, folder.path())).unwrap();
    let tree = root(folder.path()).join(format!("trees/{COMMIT}.json"));
    let text = fs::read_to_string(&tree).unwrap();
    for changed in [
        text.replace("a.txt", "../../../evil"),
        text.replace(&git_blob(b"a"), "../../evil"),
    ] {
        fs::write(&tree, changed).unwrap();
        let listing = hub(&server, folder.path())
            .list(&at(COMMIT), &Heard::default())
            .unwrap();
        assert_eq!(listing.files[0].name, "a.txt", "the hub is asked again");
    }
    assert_eq!(server.requests("/api/").len(), 3);
}

#[test]
fn the_files_that_are_wanted_are_chosen_by_name() {
    let model = [
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "spiece.model",
        "tokenizer.json",
        "onnx/model.onnx",
    ];
    let sharded = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tf_model.h5",
    ];
    let old = ["config.json", "pytorch_model.bin"];
    let data = [
        "README.md",
        "dataset_infos.json",
        "qnli/train-00000-of-00001.parquet",
        "qnli/test.tsv.gz",
        "qnli_other/train.parquet",
        "qnli/script.py",
    ];
    let list = |names: &[&str]| {
        let files: Vec<(&str, &[u8], bool)> = names.iter().map(|name| (*name, name.as_bytes(), false)).collect();
        let server = Server::start(&files);
        let folder = tempfile::tempdir().unwrap();
        hub(&server, folder.path())
            .list(&at("main"), &Heard::default())
            .unwrap()
    };
    let names =
        |files: Vec<adept_hub::RemoteFile>| -> Vec<String> { files.into_iter().map(|file| file.name).collect() };
    let main = at("main");
    assert_eq!(
        names(list(&model).model_files(&main).unwrap()),
        ["config.json", "model.safetensors", "spiece.model", "tokenizer.json"]
    );
    assert_eq!(names(list(&sharded).model_files(&main).unwrap()), sharded[..4]);
    let error = list(&old).model_files(&main).unwrap_err().to_string();
    assert!(error.contains("expected a file model.safetensors or"), "{error}");
    assert!(error.contains("found config.json, pytorch_model.bin"), "{error}");
    assert_eq!(
        names(list(&data).data_files(&main, "qnli").unwrap()),
        ["qnli/test.tsv.gz", "qnli/train-00000-of-00001.parquet"]
    );
    assert_eq!(list(&data).data_files(&main, "").unwrap().len(), 3);
    let error = list(&data).data_files(&main, "rte").unwrap_err().to_string();
    assert!(error.contains("rte/*.parquet"), "{error}");
}

#[test]
fn a_cache_that_cannot_be_written_but_is_whole_will_do() {
    let server = Server::start(&[("a.txt", b"a", false)]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&hub(&server, folder.path())).unwrap();
    let times = || {
        let mut times = Vec::new();
        let mut folders = vec![root(folder.path())];
        while let Some(folder) = folders.pop() {
            times.push(fs::metadata(&folder).unwrap().modified().unwrap());
            let entries = fs::read_dir(&folder).unwrap().flatten();
            folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        times
    };
    let before = times();
    server.fault(&[Fault::status(500)]);
    fetch(&hub(&server, folder.path())).unwrap();
    assert_eq!(times(), before, "nothing was written");
}
