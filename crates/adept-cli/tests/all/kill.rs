//! Killed or interrupted runs give, once resumed, the results of an uninterrupted run, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::common::{adept, command, fresh, sample, train};
use crate::thorough::thorough;

/// Methods of different kind and how often a run of each is killed: a prompt with an offset, changed weights with
/// dropout of their own, keys and values of every block made by a network.
const KILLS: [(&str, usize); 3] = [("adept", 10), ("lora_bitfit", 5), ("prefix", 5)];

/// A run long enough to be killed in any phase: a checkpoint after every step, an evaluation after every fourth.
fn arguments(out: &Path, method: &str) -> Vec<String> {
    let mut arguments = train(&sample().data, &sample().backbone, out);
    arguments.retain(|argument| !argument.starts_with("--method="));
    arguments.push(format!("--method={method}"));
    if method == "prefix" {
        arguments.push("--set=adapter.prefix.hidden=8".to_owned());
    }
    arguments.extend(
        [
            "train.steps=96",
            "evaluation.every=4",
            "checkpoint.every=1",
            "train.batch_size=8",
            "train.backbone_dropout=0.1",
        ]
        .map(|set| format!("--set={set}")),
    );
    arguments
}

/// Everything a run leaves apart from times: the files of `best/`.
fn best(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(out.join("best")).expect("the run is done");
    let read = |entry: fs::DirEntry| {
        (
            entry.file_name().to_string_lossy().into_owned(),
            fs::read(entry.path()).expect("it is readable"),
        )
    };
    entries
        .map(|entry| read(entry.expect("the folder is readable")))
        .collect()
}

#[test]
fn runs_killed_again_and_again_give_the_same_adapter_byte_for_byte() {
    if !thorough() {
        return check_killed("adept", 3);
    }
    for (method, kills) in KILLS {
        check_killed(method, kills);
    }
}

fn check_killed(method: &str, all: usize) {
    let (_folder, root) = fresh("runs");
    fs::create_dir_all(&root).expect("the folder is writable");
    kill_and_compare(method, all, &root, &|out| arguments(out, method));
}

/// Runs once as a whole, and then again and again until that many runs were killed.
fn kill_and_compare(method: &str, all: usize, root: &Path, arguments: &dyn Fn(&Path) -> Vec<String>) {
    let whole = root.join("whole");
    let began = Instant::now();
    adept(arguments(&whole)).succeeded();
    let took = began.elapsed();
    let expected = best(&whole);
    assert!(expected.contains_key("adapter_model.safetensors"));

    // A linear congruential generator with a fixed seed: kills happen at the same fractions of the run every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut share = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let (mut kills, mut round) = (0, 0);
    while kills < all {
        round += 1;
        assert!(round <= all, "{method}: runs end before they can be killed");
        let out = root.join(format!("killed-{round}"));
        let mut resumed = 0;
        while !out.join("result.json").exists() {
            let mut running = command(arguments(&out))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program is built by cargo for this test");
            if kills < all {
                // Up to a fifth of the whole run, including start-up: before, during and after progress.
                let until = Instant::now() + took.mul_f64(share() / 5.0);
                while Instant::now() < until && running.try_wait().expect("it is our child").is_none() {
                    sleep(Duration::from_millis(2));
                }
                if running.try_wait().expect("it is our child").is_none() {
                    running.kill().expect("it is our child");
                    kills += 1;
                }
            }
            running.wait().expect("it is our child");
            resumed += 1;
            assert!(resumed < 4 * all, "{method}: the run gets nowhere");
        }
        assert_eq!(
            best(&out),
            expected,
            "{method} after {kills} kills in {resumed} sessions"
        );
    }
}

/// Two tasks that are trained together, each with parameters of its own, one batch of both.
#[test]
fn two_tasks_killed_again_and_again_give_the_same_adapters_byte_for_byte() {
    let (_folder, root) = fresh("mixture");
    fs::create_dir_all(&root).expect("the folder is writable");
    let file = root.join("mixture.toml");
    let data = sample().data.display().to_string();
    let table = |name: &str| format!("[[tasks]]\nname = \"{name}\"\ndata = {data:?}\n");
    fs::write(&file, table("rte") + &table("mrpc")).expect("the folder is writable");
    let arguments = |out: &Path| {
        let mut all = arguments(out, "mpt");
        all.retain(|argument| !argument.starts_with("--task=") && !argument.starts_with("--data="));
        all.push(format!("--config={}", file.display()));
        all.push("--set=mixture.tasks_per_batch=2".to_owned());
        all
    };
    kill_and_compare("mixture", if thorough() { 6 } else { 2 }, &root, &arguments);
    // What is left of each task is a plain prompt, and the whole is not taken for one.
    let whole = root.join("whole");
    let backbone = format!("--backbone={}", sample().backbone.display());
    let eval = |folder: &str, task: &str| {
        let adapter = format!("--adapter={}", whole.join(folder).display());
        let data = format!("--data={}", sample().data.display());
        adept([
            "eval".to_owned(),
            adapter,
            backbone.clone(),
            data,
            format!("--task={task}"),
        ])
    };
    eval("tasks/rte/best", "rte").succeeded();
    eval("best", "rte").failed(
        2,
        &["expected an adapter of one task, found one of 2", "tasks/NAME/best"],
    );
}

#[test]
fn an_interrupted_run_saves_a_checkpoint_says_how_to_go_on_and_is_resumed() {
    let (_folder, root) = fresh("runs");
    let (whole, stopped) = (root.join("whole"), root.join("stopped"));
    adept(arguments(&whole, "adept")).succeeded();

    let running = command(arguments(&stopped, "adept"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built by cargo for this test");
    let begun = Instant::now();
    while !stopped.join("checkpoint").exists() && begun.elapsed() < Duration::from_secs(120) {
        sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(sent.success());
    let output = running.wait_with_output().expect("the program ends");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(
        message.contains("interrupted at step") && message.contains("run the same command again"),
        "{message}"
    );
    assert!(!stopped.join("result.json").exists());

    let shown = adept(["inspect".to_owned(), stopped.display().to_string()])
        .succeeded()
        .out;
    assert!(shown.contains("unfinished: run the same command again"), "{shown}");
    let resumed = adept(arguments(&stopped, "adept")).succeeded();
    assert!(resumed.err.contains("resumed at step"), "{}", resumed.err);
    assert_eq!(best(&stopped), best(&whole));
}
