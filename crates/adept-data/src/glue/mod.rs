//! GLUE.
use crate::{DataError, Metric, SplitRule, TaskData};
use std::path::Path;
/// The eight tasks of GLUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlueTask {
    /// CoLA.
    Cola,
    /// SST-2.
    Sst2,
    /// MRPC.
    Mrpc,
    /// STS-B.
    Stsb,
    /// QQP.
    Qqp,
    /// MNLI.
    Mnli,
    /// QNLI.
    Qnli,
    /// RTE.
    Rte,
}
impl GlueTask {
    /// All.
    pub const ALL: [GlueTask; 8] = [
        Self::Mnli,
        Self::Qqp,
        Self::Qnli,
        Self::Sst2,
        Self::Stsb,
        Self::Mrpc,
        Self::Rte,
        Self::Cola,
    ];
    /// Reference name.
    pub fn name(self) -> &'static str {
        todo!()
    }
    /// Name in the paper's tables.
    pub fn display_name(self) -> &'static str {
        todo!()
    }
    /// Label strings, None for STS-B.
    pub fn labels(self) -> Option<&'static [&'static str]> {
        todo!()
    }
    /// Strings whose longest sets the target length (labels; for STS-B 0.0, 0.2, … 5.0).
    pub fn length_labels(self) -> &'static [&'static str] {
        todo!()
    }
    /// Metrics, the first chooses the checkpoint.
    pub fn metrics(self) -> &'static [Metric] {
        todo!()
    }
    /// What the paper reports.
    pub fn report_metric(self) -> Metric {
        todo!()
    }
    /// How its splits are made.
    pub fn split_rule(self) -> SplitRule {
        todo!()
    }
}
impl std::str::FromStr for GlueTask {
    type Err = DataError;
    fn from_str(name: &str) -> Result<Self, DataError> {
        todo!("{name}")
    }
}
impl std::fmt::Display for GlueTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
/// How STS-B's scores become targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StsbRounding {
    /// One decimal, as the published reference does.
    #[default]
    Tenth,
    /// The nearest multiple of 0.2, as T5 does.
    Fifth,
}
/// Loading options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// STS-B.
    pub stsb: StsbRounding,
}
/// The target text of a score.
pub fn stsb_target(score: f32, rounding: StsbRounding) -> String {
    todo!("{score} {rounding:?}")
}
/// Loads a task.
pub fn load_glue(task: GlueTask, root: &Path, options: &LoadOptions) -> Result<TaskData, DataError> {
    todo!("{task} {root:?} {options:?}")
}
