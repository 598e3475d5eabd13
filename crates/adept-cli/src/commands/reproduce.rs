//! `adept reproduce`: a table of the paper, run or resumed, with its report.

use std::path::{Path, PathBuf};

use adept_data::GlueTask;
use adept_train::TrainError;
use adept_train::config::TrainMethod;
use adept_train::observer::Observer;
use adept_train::report::text::{short_fingerprint, thousands};
use adept_train::report::{self, GridRecord};
use adept_train::reproduce::{Cell, Grid, GridError, GridObserver, Plan, State, plan, run_grid, sample, shortened};
use burn::tensor::backend::AutodiffBackend;

use super::settings::overrides;
use super::{Setting, run_failure};
use crate::args::{Glue, Profile, Seeds};
use crate::device::{DeviceName, WithBackend, with_backend};
use crate::failure::{Failure, remark, say};
use crate::interrupt;
use crate::progress::{Loudness, Progress};

/// Steps of the profiles `short` and `tiny`.
const SHORT_STEPS: usize = 1_000;
const TINY_STEPS: usize = 150;

/// Settings of the sample beside its steps: short sentences, a backbone too small for the paper's rates.
const TINY_SETTINGS: &[&str] = &[
    "input.max_source_length=32",
    "input.buckets=16,32",
    "evaluation.batch_size=100",
    "optimizer.full.learning_rate=0.003",
    "optimizer.offset.learning_rate=0.003",
];

/// Prompt lengths of the sample: two fifths of the paper's, which suits its short sentences, with the same budget for
/// every method.
const TINY_SIZES: [(&[TrainMethod], &[&str]); 2] = [
    (&[TrainMethod::Pt], &["adapter.virtual_tokens=40"]),
    (
        &[TrainMethod::Dept, TrainMethod::Adept],
        &["adapter.virtual_tokens=24", "adapter.budget_tokens=40"],
    ),
];

/// The one seed that the sample's backbone is trained with.
const TINY_BACKBONE_SEED: u64 = 42;

const REAL_COMMAND: &str = "cargo xtask reproduce glue --data GLUE --backbone t5-base --tasks sst2,rte";

/// Runs or resumes GLUE.
pub fn glue(setting: &Setting, arguments: Glue) -> Result<(), Failure> {
    let given = arguments.data.is_some();
    match arguments.profile {
        Some(Profile::Tiny) if given => Err(Failure::input(
            "--profile tiny brings its own data and backbone: leave --data and --backbone out, or choose another profile",
        )),
        Some(Profile::Tiny) => with_backend(setting.device, TinyWork { setting, arguments }),
        None if !given => with_backend(setting.device, TinyWork { setting, arguments }),
        Some(_) if !given => Err(Failure::input("this profile needs --data DIR and --backbone DIR").hint(
            format_args!("GLUE's own files and a T5 checkpoint in Hugging Face form, for instance: {REAL_COMMAND}"),
        )),
        profile => with_backend(
            setting.device,
            RealWork {
                setting,
                profile: profile.unwrap_or(Profile::Paper),
                arguments,
            },
        ),
    }
}

/// A reproduction on the user's data and backbone.
struct RealWork<'a> {
    setting: &'a Setting,
    profile: Profile,
    arguments: Glue,
}

impl WithBackend for RealWork<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let arguments = &self.arguments;
        let steps = arguments.steps.map(|steps| steps as usize);
        let (profile, steps) = match self.profile {
            Profile::Short => ("short", steps.or(Some(SHORT_STEPS))),
            _ => ("paper", steps),
        };
        let first = steps.map(shortened).unwrap_or_default();
        let grid = Grid {
            out: arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs/glue")),
            record: GridRecord {
                benchmark: "glue".to_owned(),
                profile: profile.to_owned(),
                sample: false,
            },
            // Both are there: clap lets neither stand without the other, and `glue` looked for one.
            data: arguments.data.clone().unwrap_or_default(),
            backbone: arguments.backbone.clone().unwrap_or_default(),
            tasks: if arguments.tasks.is_empty() {
                GlueTask::ALL.to_vec()
            } else {
                distinct(&arguments.tasks)
            },
            methods: distinct(&arguments.methods),
            seeds: arguments.seeds.clone().unwrap_or_else(|| Seeds::count(3)).0,
            settings: overrides(&arguments.settings, first),
        };
        let done = run_one::<AB>(self.setting, &grid, arguments, &device)?;
        if done { finish(&grid.out) } else { Ok(()) }
    }
}

/// The sample: a random backbone is trained on made-up sentences, then the adapters on that backbone.
struct TinyWork<'a> {
    setting: &'a Setting,
    arguments: Glue,
}

impl WithBackend for TinyWork<'_> {
    fn run<AB: AutodiffBackend>(self, device: AB::Device) -> Result<(), Failure> {
        let arguments = &self.arguments;
        let available = [GlueTask::Sst2, GlueTask::Rte];
        let tasks = if arguments.tasks.is_empty() {
            available.to_vec()
        } else {
            distinct(&arguments.tasks)
        };
        if let Some(task) = tasks.iter().find(|task| !available.contains(task)) {
            let message = format!("the sample has the tasks sst2 and rte only, not {task}");
            return Err(Failure::input(message).hint(format_args!("with real data: {REAL_COMMAND}")));
        }
        let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs/glue-tiny"));
        if self.setting.loudness != Loudness::Quiet {
            remark(
                "No data and no backbone are given: this is a smoke-sized sample, made-up sentences and a tiny random\n\
                 backbone. It shows that everything works; it is not the paper's setting.",
            );
        }
        let sample = sample::prepare::<AB::InnerBackend>(&out.join("sample"), &device).map_err(run_failure)?;
        let mut first = shortened(arguments.steps.map_or(TINY_STEPS, |steps| steps as usize));
        first.extend(TINY_SETTINGS.iter().map(ToString::to_string));
        let backbone_grid = Grid {
            out,
            record: GridRecord {
                benchmark: "glue".to_owned(),
                profile: "tiny".to_owned(),
                sample: true,
            },
            data: sample.data,
            backbone: sample.backbone,
            tasks: vec![GlueTask::Sst2],
            methods: vec![TrainMethod::Full],
            seeds: vec![TINY_BACKBONE_SEED],
            settings: overrides(&arguments.settings, first),
        };
        let methods = distinct(&arguments.methods);
        if !run_one::<AB>(self.setting, &backbone_grid, arguments, &device)? {
            return say("then the other methods on the backbone that this trains");
        }
        let trained = format!("seed-{TINY_BACKBONE_SEED}");
        for (of, sizes) in TINY_SIZES {
            let adapter_grid = Grid {
                backbone: backbone_grid.out.join("sst2").join("full").join(&trained).join("best"),
                tasks: tasks.clone(),
                methods: methods.iter().copied().filter(|method| of.contains(method)).collect(),
                seeds: arguments.seeds.clone().unwrap_or_else(|| Seeds::count(2)).0,
                settings: sizes
                    .iter()
                    .map(ToString::to_string)
                    .chain(backbone_grid.settings.iter().cloned())
                    .collect(),
                ..backbone_grid.clone()
            };
            if !adapter_grid.methods.is_empty() {
                run_one::<AB>(self.setting, &adapter_grid, arguments, &device)?;
            }
        }
        finish(&backbone_grid.out)?;
        if self.setting.loudness != Loudness::Quiet {
            remark(format_args!(
                "This was a smoke-sized sample. For real data and a real backbone:\n  {REAL_COMMAND}"
            ));
        }
        Ok(())
    }
}

/// Plans, prints the plan and runs it; says whether it ran.
fn run_one<AB: AutodiffBackend>(
    setting: &Setting,
    grid: &Grid,
    arguments: &Glue,
    device: &AB::Device,
) -> Result<bool, Failure> {
    let plan = plan(grid).map_err(grid_failure)?;
    let text = describe(
        grid,
        &plan,
        setting.device,
        arguments.plan || setting.loudness == Loudness::Verbose,
    );
    if arguments.plan {
        say(text)?;
        return Ok(false);
    }
    if setting.loudness != Loudness::Quiet {
        remark(text);
    }
    interrupt::listen()?;
    let mut watching = Watching {
        loudness: setting.loudness,
        out: &grid.out,
    };
    let failed = run_grid::<AB>(grid, &plan, arguments.keep_going, device, &mut watching).map_err(grid_failure)?;
    if failed.is_empty() {
        return Ok(true);
    }
    Err(Failure::run(format!(
        "{} of {} runs failed: {}",
        failed.len(),
        plan.cells.len(),
        failed.join(", ")
    ))
    .hint("the same command tries them again"))
}

/// The table and where the report is.
fn finish(out: &Path) -> Result<(), Failure> {
    let report = report::build(out).map_err(Failure::run)?;
    say(report.results_table().trim_end())?;
    say("")?;
    for name in ["report.html", "report.md", "results.json"] {
        say(out.join(name).display())?;
    }
    Ok(())
}

/// A plan in words.
fn describe(grid: &Grid, plan: &Plan, device: DeviceName, every_run: bool) -> String {
    let (new, begun, done) = (
        plan.count(State::New),
        plan.count(State::Begun),
        plan.count(State::Done),
    );
    let mut lines = vec![
        format!(
            "GLUE on {} ({}, {} parameters), device {device}, in {}",
            grid.backbone.display(),
            short_fingerprint(plan.fingerprint.as_str()),
            thousands(plan.backbone_parameters),
            grid.out.display()
        ),
        format!("  runs: {new} to do, {begun} to resume, {done} done and skipped"),
    ];
    for (method, counts) in &plan.parameters {
        let counts: Vec<String> = counts.iter().map(|count| thousands(*count)).collect();
        lines.push(format!(
            "  {:<6} trains {} parameters",
            method.to_string(),
            counts.join(" or ")
        ));
    }
    if let Some(cell) = plan.cells.first() {
        let changes: Vec<String> = cell
            .resolved
            .overrides
            .iter()
            .filter(|change| {
                grid.settings
                    .iter()
                    .any(|set| set.split('=').next() == Some(change.key.as_str()))
            })
            .map(|change| format!("{}={} ({})", change.key, change.value, change.preset))
            .collect();
        let preset = cell.resolved.config.preset;
        lines.push(match changes.len() {
            0 => format!("  preset {preset}, nothing changed"),
            _ => format!("  preset {preset}, changed (preset's value): {}", changes.join(", ")),
        });
    }
    if every_run {
        for cell in &plan.cells {
            let state = match cell.state {
                State::New => "to do",
                State::Begun => "to resume",
                State::Done => "done",
            };
            lines.push(format!(
                "  {:<9} {}, {} steps",
                state,
                cell.name(),
                cell.resolved.config.train.steps
            ));
        }
    }
    lines.join("\n")
}

struct Watching<'a> {
    loudness: Loudness,
    out: &'a Path,
}

impl GridObserver for Watching<'_> {
    fn begin(&mut self, cell: &Cell, position: usize, total: usize) -> Box<dyn Observer> {
        let label = format!("[{}/{total}] {} {} {}", position + 1, cell.task, cell.method, cell.seed);
        Box::new(Progress::new(self.loudness, label))
    }

    fn failed(&mut self, cell: &Cell, cause: &TrainError) {
        remark(format_args!(
            "{} failed and is left out: {cause}",
            self.out.join(cell.name()).display()
        ));
    }
}

fn grid_failure(cause: GridError) -> Failure {
    match cause {
        GridError::Train(cause) => run_failure(cause),
        GridError::Run { run, source } => run_failure(*source).context(run),
        GridError::Report(_) => Failure::run(cause),
        GridError::Coordinate { .. } | GridError::OtherGrid { .. } => Failure::input(cause),
    }
}

/// The values without repetitions, in their order.
fn distinct<T: PartialEq + Copy>(values: &[T]) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(*value);
        }
    }
    kept
}
