//! The two batch scripts.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::options::Options;
use super::quote::quote;

/// How the program was called, to be repeated by the jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments, without those about Slurm.
    pub arguments: Vec<OsString>,
    /// Variables of the environment that decide what it reads.
    pub variables: Vec<(String, OsString)>,
    /// Folder in which it was called.
    pub folder: PathBuf,
}

/// What the scripts of a submission are made from.
pub(super) struct Job<'a> {
    /// Name in the queue.
    pub name: &'a str,
    pub invocation: &'a Invocation,
    pub options: &'a Options,
    /// Absolute path of the grid's folder.
    pub out: &'a Path,
    /// Absolute path of the submission's folder.
    pub folder: &'a Path,
    /// Number of runs.
    pub runs: usize,
    /// Number of elements of the array.
    pub elements: usize,
}

/// What an element does after its options and the user's setup.
///
/// - An array's last element has the array's own id for its job id, which would requeue all of them: elements are
///   called by array and index.
/// - Only the notice of the time limit (USR1) makes an element requeue itself. A termination request (TERM: cancelled,
///   preempted, requeued by someone else) only ends it.
/// - A program that has not stopped shortly before the limit is killed, which costs the steps since its last
///   checkpoint, so that the script is left to requeue the element. Slurm may send the notice up to a minute early.
/// - An element that got nowhere in its whole time would do so again: it ends instead.
const ELEMENT: &str = r#"
first=$(( (SLURM_ARRAY_TASK_ID - 1) * group + 1 ))
last=$(( first + group - 1 ))
(( last <= runs )) || last=$runs

# What this element's runs have come to: results, checkpoints, generated programs.
progress() {
    sed -n "${first},${last}p" "$folder/runs.txt" | while IFS= read -r run; do
        find "$out/$run/result.json" "$out/$run/checkpoint" "$out/$run/completions.jsonl" -maxdepth 1 \
            -printf '%p %s\n' 2>/dev/null
    done | sort
}

program= limit= signalled= watch=
stop() {
    signalled=1
    [[ -z $program ]] || kill -TERM "$program" 2>/dev/null
}
at_limit() {
    limit=1
    stop
    ( sleep "$patience"; kill -KILL "$program" ) >/dev/null 2>&1 &
    watch=$!
}
trap stop TERM INT
trap at_limit USR1

before=$(progress)
"${command[@]}" --cells "$folder/runs.txt" --lines "$first-$last" &
program=$!
[[ -z $signalled ]] || kill -TERM "$program" 2>/dev/null
while :; do
    signalled=
    wait "$program"
    code=$?
    # A signal ends `wait` early; the program has ended only if there was none.
    [[ -n $signalled ]] || break
done
[[ -z $watch ]] || kill "$watch" 2>/dev/null

if [[ -n $limit ]] && (( code == 130 || code == 137 )); then
    if [[ $(progress) == "$before" ]]; then
        echo "stopped by the time limit without any progress since the start: not requeued" >&2
        exit 1
    fi
    echo "stopped by the time limit: requeued" >&2
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" || exit 1
fi
exit "$code"
"#;

/// Script of the array of runs.
pub(super) fn array(job: &Job<'_>) -> String {
    let Job { options, .. } = job;
    let mut script = head(job, job.name, "%a.log");
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(script, "#SBATCH --{name}={value}");
        }
    };
    let number = |value: Option<u32>| value.map(|number| number.to_string());
    let kind = options
        .gpu_type
        .as_ref()
        .map_or_else(String::new, |kind| format!("{kind}:"));
    option("time", options.time.as_ref().map(ToString::to_string));
    option("gres", options.gpus.map(|gpus| format!("gpu:{kind}{gpus}")));
    option("cpus-per-task", number(options.cpus));
    option("mem", options.memory.as_ref().map(ToString::to_string));
    script.push_str(&others(options));
    let limit = options
        .array_limit
        .map_or_else(String::new, |limit| format!("%{limit}"));
    // The later of two equal options counts: what the script relies on comes last.
    let _ = writeln!(
        script,
        "#SBATCH --array=1-{}{limit}\n#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:USR1@{}\n",
        job.elements,
        options.notice()
    );
    script.push_str(&surroundings(job));
    // Otherwise every element would start a thread for each core of its node.
    script.push_str("export RAYON_NUM_THREADS=\"${RAYON_NUM_THREADS:-$SLURM_CPUS_ON_NODE}\"\n");
    for line in &options.setup {
        let _ = writeln!(script, "{line}");
    }
    let words: Vec<String> = [quote(&job.invocation.program)]
        .into_iter()
        .chain(job.invocation.arguments.iter().map(quote))
        .collect();
    let _ = writeln!(
        script,
        "\ncommand=({})\nout={}\nfolder={}\ngroup={} runs={} patience={}",
        words.join(" "),
        quote(job.out),
        quote(job.folder),
        options.group(),
        job.runs,
        options.notice() - options.notice().min(60) / 4
    );
    script.push_str(ELEMENT);
    script
}

/// Script of the job that writes the report.
pub(super) fn report(job: &Job<'_>) -> String {
    let mut script = head(job, &format!("{}-report", job.name), "report.log");
    // Reading records takes seconds and little memory, and a job without a limit may be given a whole node's.
    script.push_str("#SBATCH --time=10\n#SBATCH --mem=2G\n");
    script.push_str(&others(job.options));
    script.push('\n');
    script.push_str(&surroundings(job));
    let program = quote(&job.invocation.program);
    let _ = writeln!(script, "exec {program} report --out {}", quote(job.out));
    script
}

/// First lines of both scripts.
fn head(job: &Job<'_>, name: &str, log: &str) -> String {
    let mut head = format!("#!/usr/bin/env bash\n#SBATCH --job-name={name}\n#SBATCH --output={log}\n");
    for (option, value) in [("partition", &job.options.partition), ("account", &job.options.account)] {
        if let Some(value) = value {
            let _ = writeln!(head, "#SBATCH --{option}={value}");
        }
    }
    head
}

/// The user's own options of `sbatch`.
fn others(options: &Options) -> String {
    let lines = options.sbatch.iter().map(|option| format!("#SBATCH {option}\n"));
    lines.collect()
}

/// The folder and the variables that the program was called with.
fn surroundings(job: &Job<'_>) -> String {
    let mut text = format!("cd -- {} || exit 2\n", quote(&job.invocation.folder));
    for (name, value) in &job.invocation.variables {
        let _ = writeln!(text, "export {name}={}", quote(value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation() -> Invocation {
        Invocation {
            program: "/opt/the program/adept".into(),
            arguments: ["reproduce", "glue", "--out", "it's here"].map(OsString::from).into(),
            variables: vec![("ADEPT_DATASETS".to_owned(), "/data sets".into())],
            folder: "/home/me".into(),
        }
    }

    fn scripts(options: &Options) -> [String; 2] {
        let invocation = invocation();
        let job = Job {
            name: "adept-glue",
            invocation: &invocation,
            options,
            out: Path::new("/home/me/it's here"),
            folder: Path::new("/home/me/it's here/slurm/1"),
            runs: 7,
            elements: 4,
        };
        [array(&job), report(&job)]
    }

    #[test]
    fn options_become_lines_of_sbatch_and_those_relied_on_come_last() {
        let options = Options {
            partition: "gpu".parse().ok(),
            account: "lab".parse().ok(),
            time: "1-12".parse().ok(),
            gpus: Some(2),
            gpu_type: "a100".parse().ok(),
            cpus: Some(8),
            memory: "64G".parse().ok(),
            array_limit: Some(3),
            runs_per_job: Some(2),
            notice: Some(300),
            sbatch: vec!["--qos=long".parse().expect("an option")],
            setup: vec!["module load cuda".to_owned()],
        };
        let [array, report] = scripts(&options);
        let expected = "#!/usr/bin/env bash
#SBATCH --job-name=adept-glue
#SBATCH --output=%a.log
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --time=1-12
#SBATCH --gres=gpu:a100:2
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --qos=long
#SBATCH --array=1-4%3
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300

cd -- /home/me || exit 2
export ADEPT_DATASETS='/data sets'
export RAYON_NUM_THREADS=\"${RAYON_NUM_THREADS:-$SLURM_CPUS_ON_NODE}\"
module load cuda

command=('/opt/the program/adept' reproduce glue --out 'it'\\''s here')
out='/home/me/it'\\''s here'
folder='/home/me/it'\\''s here/slurm/1'
group=2 runs=7 patience=285
";
        assert_eq!(&array[..expected.len().min(array.len())], expected);
        assert_eq!(
            report,
            "#!/usr/bin/env bash
#SBATCH --job-name=adept-glue-report
#SBATCH --output=report.log
#SBATCH --partition=gpu
#SBATCH --account=lab
#SBATCH --time=10
#SBATCH --mem=2G
#SBATCH --qos=long

cd -- /home/me || exit 2
export ADEPT_DATASETS='/data sets'
exec '/opt/the program/adept' report --out '/home/me/it'\\''s here'
"
        );
    }

    #[test]
    fn what_is_not_asked_for_is_left_to_the_cluster() {
        let [array, report] = scripts(&Options::default());
        for option in [
            "--partition",
            "--time",
            "--gres",
            "--cpus-per-task",
            "--mem",
            "--account",
        ] {
            assert!(!array.contains(option), "{option}: {array}");
        }
        assert!(
            array.contains("#SBATCH --array=1-4\n") && array.contains("--signal=B:USR1@120\n"),
            "{array}"
        );
        assert!(array.contains("group=1 runs=7 patience=105\n"), "{array}");
        assert!(!report.contains("--partition"), "{report}");
    }
}
