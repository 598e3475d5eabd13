//! `adept reproduce … --on slurm` with stand-ins for Slurm's commands: what is submitted, what is not, and the scripts
//! themselves, run as Slurm would. `tests/slurm/run.sh` does the same with a real Slurm.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{Outcome, finish, json, with_datasets};

/// Two runs of four steps.
const SHORT: [&str; 2] = ["--steps=4", "--methods=pt,adept"];

/// Folders of a test: the grid's, the one to call the program in, and stand-ins for Slurm's commands.
struct World {
    _folder: TempDir,
    root: PathBuf,
    out: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A space and an apostrophe: the scripts must quote them.
        let root = folder.path().join("it's here");
        let out = root.join("grid");
        let world = Self {
            _folder: folder,
            root,
            out,
        };
        fs::create_dir_all(world.bin()).expect("the folder is writable");
        world.command("sbatch", "echo 71");
        world.command("squeue", "");
        world.command("scontrol", "");
        world
    }

    fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// A command of Slurm that logs its arguments and then runs `body`.
    fn command(&self, name: &str, body: &str) {
        let path = self.bin().join(name);
        let text = format!("#!/bin/sh\necho {name} \"$@\" >> \"${{0%/*}}/log\"\n{body}\n");
        fs::write(&path, text).expect("the folder is writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    /// The calls of Slurm's commands so far, without those that ask for the version.
    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.bin().join("log")).unwrap_or_default();
        let lines = log.lines().filter(|line| !line.ends_with("--version"));
        lines.map(str::to_owned).collect()
    }

    fn path(&self) -> std::ffi::OsString {
        let mut path = self.bin().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        path
    }

    fn program(&self, more: &[&str]) -> Command {
        let arguments = [
            "reproduce",
            "glue",
            "--tasks=rte",
            "--set=train.batch_size=4",
            "--set=evaluation.validation_rows=20",
            "--out=grid",
        ];
        let mut program = with_datasets(arguments.iter().chain(more));
        program.current_dir(&self.root).env("PATH", self.path());
        program
    }

    fn submit(&self, more: &[&str]) -> Outcome {
        finish(self.program(&[&["--on=slurm", "--quiet"], more].concat()))
    }

    fn submit_short(&self, more: &[&str]) -> Outcome {
        self.submit(&[&SHORT[..], more].concat())
    }

    /// One of a submission's scripts, as Slurm starts it for an element.
    fn job(&self, number: usize, script: &str, element: usize) -> Command {
        let folder = self.out.join("slurm").join(number.to_string());
        let mut job = Command::new("bash");
        job.arg(folder.join(script))
            .current_dir(folder)
            .env("PATH", self.path())
            .env("SLURM_ARRAY_JOB_ID", "71")
            .env("SLURM_ARRAY_TASK_ID", element.to_string())
            .env("SLURM_CPUS_ON_NODE", "1")
            .stdin(Stdio::null());
        job
    }

    fn entries(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.out) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("the folder is readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_plan_prints_the_jobs_and_neither_writes_nor_needs_slurm() {
    let world = World::new();
    let mut program = world.program(&[
        "--on=slurm",
        "--plan",
        "--steps=4",
        "--methods=pt,adept",
        "--time=1-0",
        "--array-limit=2",
        "--setup=module load \"cuda\"",
    ]);
    program.env("PATH", "/no/such/folder");
    let plan = finish(program).succeeded().out;
    for expected in [
        "2, seed 42: 2 to do",
        "\n# grid/slurm/1/runs.txt\nrte/pt/seed-42\nrte/adept/seed-42\n",
        "\n# grid/slurm/1/array.sh\n#!/usr/bin/env bash\n",
        "#SBATCH --time=1-0\n",
        "#SBATCH --array=1-2%2\n",
        "\nmodule load \"cuda\"\n",
        "reproduce glue --tasks=rte --set=train.batch_size=4 --set=evaluation.validation_rows=20 \
         --out=grid --steps=4 --methods=pt,adept)\n",
        "\n# grid/slurm/1/report.sh\n",
        "export ADEPT_DATASETS=",
    ] {
        assert!(plan.contains(expected), "{expected}:\n{plan}");
    }
    assert!(!plan.contains("HF_TOKEN"), "{plan}");
    assert!(!world.out.exists() && world.calls().is_empty());
}

#[test]
fn what_is_left_is_submitted_and_the_scripts_run_it() {
    let world = World::new();
    let told = world.submit_short(&["--partition=gpu"]).succeeded().out;
    assert!(
        told.starts_with("submitted 2 runs as job 71 (2 elements), and the report as job 71\n"),
        "{told}"
    );
    let calls = world.calls();
    let folder = world.out.join("slurm/1");
    let [chdir, array, report] = ["", "/array.sh", "/report.sh"].map(|name| format!("{}{name}", folder.display()));
    assert_eq!(
        calls,
        [
            format!("sbatch --parsable --chdir={chdir} {array}"),
            format!("sbatch --parsable --chdir={chdir} --dependency=afterany:71 {report}"),
        ]
    );
    let jobs = json(&folder.join("jobs.json"));
    assert_eq!(
        (&jobs["array"], &jobs["report"], &jobs["runs_per_job"]),
        (&"71".into(), &"71".into(), &1.into())
    );

    // The first element is in the queue: only the second is submitted again.
    world.command(
        "squeue",
        "echo '71|1|adept-glue'; echo '71|N/A|adept-glue-report'; echo '9|2|adept-glue'",
    );
    let again = world.submit_short(&[]).succeeded();
    assert!(
        again
            .err
            .contains("in the queue already and not submitted again: 1 run (squeue --jobs=71)"),
        "{}",
        again.err
    );
    let list = |number: usize| {
        let path = world.out.join(format!("slurm/{number}/runs.txt"));
        fs::read_to_string(path).expect("it was submitted")
    };
    assert_eq!(
        (list(1).as_str(), list(2).as_str()),
        ("rte/pt/seed-42\nrte/adept/seed-42\n", "rte/adept/seed-42\n")
    );
    let overwrite = world.submit_short(&["--overwrite"]);
    overwrite.failed(
        2,
        &[
            "job 71 of an earlier submission is still in the queue with rte/pt/seed-42",
            "scancel 71",
        ],
    );
    world.command("squeue", "");

    // Elements write their runs and nothing else; the report is the last job's.
    for element in [1, 2] {
        finish(world.job(1, "array.sh", element)).succeeded();
    }
    assert_eq!(world.entries(), ["adept-folder.json", "reproduce.json", "rte", "slurm"]);
    finish(world.job(1, "report.sh", 1)).succeeded();
    let report = json(&world.out.join("results.json"));
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(2));

    // An element that starts again has nothing left to do, and neither has the command.
    finish(world.job(2, "array.sh", 1)).succeeded();
    let done = world.submit_short(&[]).succeeded().out;
    assert_eq!(done, "nothing to submit: every run is done\n");
    assert!(!world.out.join("slurm/3").exists());

    // The other runs are new; several of them in one element.
    let grouped = ["--seeds=3", "--runs-per-job=3"];
    assert!(
        world
            .submit_short(&grouped)
            .succeeded()
            .out
            .contains("4 runs as job 71 (2 elements)")
    );
    finish(world.job(3, "array.sh", 2)).succeeded();
    assert!(world.out.join("rte/adept/seed-44/result.json").exists());
    assert!(!world.out.join("rte/adept/seed-43/result.json").exists());

    // A run that the grid no longer holds is named with its line.
    fs::write(world.out.join("slurm/3/runs.txt"), "rte/pt/seed-42\nrte/no/seed-1\n").expect("the folder is writable");
    let list = ["--steps=4", "--cells=grid/slurm/3/runs.txt", "--lines=1-2"];
    finish(world.program(&list)).failed(
        2,
        &["grid/slurm/3/runs.txt:2: expected one of this grid's runs, found \"rte/no/seed-1\""],
    );
}

#[test]
fn what_slurm_refuses_is_said_and_leaves_no_submission() {
    let world = World::new();
    world.command(
        "sbatch",
        "[ \"$1\" = --version ] && exit\necho 'sbatch: error: invalid partition specified: x' >&2\nexit 1",
    );
    world.submit_short(&["--partition=x"]).failed(
        1,
        &["sbatch refused (exit status: 1): sbatch: error: invalid partition specified: x"],
    );
    assert_eq!(fs::read_dir(world.out.join("slurm")).expect("it was made").count(), 0);

    // The array is accepted, the report is not.
    world.command(
        "sbatch",
        "case \"$*\" in *dependency*) echo 'too many jobs' >&2; exit 1;; esac\necho '72;cluster'",
    );
    world.submit_short(&[]).failed(
        1,
        &[
            "job 72 is submitted, but not the job for its report",
            "too many jobs",
            "`adept report` writes the report once",
        ],
    );
    assert_eq!(json(&world.out.join("slurm/1/jobs.json"))["array"], "72");

    // Refused before earlier runs are deleted.
    fs::write(world.bin().join("log"), "").expect("the folder is writable");
    world.command(
        "sbatch",
        "[ \"$1\" != --test-only ] || { grep -q partition=x && exit 1; }\necho 73",
    );
    let mark = world.out.join("rte/pt/seed-42");
    finish(world.program(&[&SHORT[..], &["--quiet"]].concat())).succeeded();
    world
        .submit_short(&["--overwrite", "--partition=x"])
        .failed(1, &["sbatch refused"]);
    assert!(mark.join("result.json").exists());
    world.submit_short(&["--overwrite"]).succeeded();
    assert!(!mark.join("result.json").exists());
}

#[test]
fn bad_options_are_found_before_anything_is_written() {
    let world = World::new();
    let fails = |more: &[&str], fragments: &[&str]| {
        world.submit_short(more).failed(2, fragments);
    };
    fails(
        &["--time=2h"],
        &["invalid value '2h' for '--time <TIME>'", "days-hours:minutes[:seconds]"],
    );
    fails(&["--gpus=0"], &["invalid value '0' for '--gpus <N>'"]);
    fails(
        &["--sbatch=qos"],
        &["invalid value 'qos' for '--sbatch <OPTION>'", "such as --qos=long"],
    );
    fails(
        &["--time=1"],
        &["a time limit of 1 leaves nothing before the notice of 120 s"],
    );
    fs::write(world.root.join("slurm.toml"), "partition = \"gpu\"\narray_limits = 2\n")
        .expect("the folder is writable");
    fails(
        &["--slurm=slurm.toml"],
        &["slurm.toml:2: unknown key `array_limits`; the nearest is `array_limit` (docs/slurm.md lists all)"],
    );
    fails(&["--slurm=none.toml"], &["none.toml"]);
    let local = finish(world.program(&["--partition=gpu"]));
    local.failed(2, &["--on <SCHEDULER>"]);
    let mut nowhere = world.program(&["--on=slurm", "--quiet"]);
    nowhere.env("PATH", "/no/such/folder");
    finish(nowhere).failed(2, &["no `sbatch` in PATH", "--plan prints the jobs"]);
    assert!(!world.out.exists());
}

/// Names of a run's checkpoints.
fn checkpoints(run: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(run.join("checkpoint")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("step-")).collect()
}

/// Waits until a run has a checkpoint that it did not have.
fn wait_for_another(run: &Path, known: &BTreeSet<String>) {
    let begun = Instant::now();
    while checkpoints(run).is_subset(known) {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "no checkpoint in {}",
            run.display()
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn signal(job: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([name, &job.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(sent.success());
}

#[test]
fn a_job_that_is_told_of_its_time_limit_is_queued_again_and_resumes_and_a_cancelled_one_is_not() {
    let (world, whole) = (World::new(), World::new());
    let long = [
        "--steps=160",
        "--set=checkpoint.every=5",
        "--set=evaluation.every=80",
        "--methods=adept",
    ];
    finish(whole.program(&[&long[..], &["--quiet"]].concat())).succeeded();
    world.submit(&long).succeeded();
    let run = world.out.join("rte/adept/seed-42");
    let start = || {
        world
            .job(1, "array.sh", 1)
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash is there")
    };

    let job = start();
    wait_for_another(&run, &BTreeSet::new());
    signal(&job, "-USR1");
    let ended = job.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("stopped by the time limit: requeued"), "{said}");
    assert!(
        world.calls().contains(&"scontrol requeue 71_1".to_owned()),
        "{:?}",
        world.calls()
    );
    assert!(!run.join("result.json").exists());

    // Cancelled: the script and the program are both asked to stop, and the job is not queued again.
    let (calls, known) = (world.calls().len(), checkpoints(&run));
    let job = start();
    wait_for_another(&run, &known);
    signal(&job, "-TERM");
    signal(&job, "-TERM");
    let ended = job.wait_with_output().expect("it ends");
    assert_eq!(
        ended.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert_eq!(world.calls().len(), calls);

    let last = finish(world.job(1, "array.sh", 1)).succeeded();
    assert!(
        last.err.contains("resumed at step") || last.err.is_empty(),
        "{}",
        last.err
    );
    let adapter = |world: &World| {
        fs::read(world.out.join("rte/adept/seed-42/best/adapter_model.safetensors")).expect("the run is done")
    };
    assert!(adapter(&world) == adapter(&whole), "the resumed run differs");
}

#[test]
fn a_program_that_does_not_stop_is_killed_and_queued_again_only_if_it_got_somewhere() {
    // A stand-in for the program that ignores requests to stop, and makes a checkpoint first or not.
    let run = |makes_progress: bool| {
        let world = World::new();
        world.submit_short(&["--notice=10"]).succeeded();
        let deaf = world.bin().join("deaf");
        let begin = if makes_progress {
            "mkdir -p grid/rte/pt/seed-42/checkpoint/step-1"
        } else {
            ":"
        };
        world.command(
            "deaf",
            &format!("trap '' TERM\n{begin}\n: > begun\nwhile :; do sleep 0.1; done"),
        );
        let path = world.out.join("slurm/1/array.sh");
        let script = fs::read_to_string(&path).expect("it was submitted");
        let (before, rest) = script.split_once("command=(").expect("the script has the command");
        let (_, after) = rest.split_once(")\n").expect("the command ends");
        fs::write(&path, format!("{before}command=(\"{}\")\n{after}", deaf.display())).expect("the folder is writable");

        let job = world
            .job(1, "array.sh", 1)
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let began = Instant::now();
        while !world.root.join("begun").exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "the job does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        signal(&job, "-USR1");
        let ended = job.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let calls = world
            .calls()
            .into_iter()
            .filter(|call| call.starts_with("scontrol"))
            .collect::<Vec<_>>();
        (ended.status.code(), said, calls)
    };
    std::thread::scope(|scope| {
        let stuck = scope.spawn(|| run(false));
        let (code, said, calls) = run(true);
        assert_eq!(
            (code, calls),
            (Some(137), vec!["scontrol requeue 71_1".to_owned()]),
            "{said}"
        );
        let (code, said, calls) = stuck.join().expect("the thread did not panic");
        assert_eq!((code, calls), (Some(1), Vec::new()), "{said}");
        assert!(
            said.contains("without any progress since the start: not requeued"),
            "{said}"
        );
    });
}

#[test]
fn every_option_of_a_file_is_documented() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/slurm.md");
    let page = fs::read_to_string(page).expect("the page is there");
    for field in &adept_lab::reproduce::slurm::SCHEMA.fields {
        assert!(page.contains(&format!("| `{}` |", field.key)), "{}", field.key);
    }
}
