//! The eight tasks of GLUE (Wang et al. 2018) as tables: names, columns, labels, metrics and splits (tasks.md).

use crate::{DataError, Metric, SplitRule};

/// A task of GLUE.
///
/// A text field with nothing in it is refused in CoLA, SST-2, MRPC and RTE, whose official files were read whole and
/// have none. In the other tasks it is kept as it stands, as Hugging Face's loader does, and counted in
/// [`DataFile::empty_fields`](crate::DataFile::empty_fields).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GlueTask {
    /// Corpus of Linguistic Acceptability.
    Cola,
    /// Stanford Sentiment Treebank, two classes.
    Sst2,
    /// Microsoft Research Paraphrase Corpus.
    Mrpc,
    /// Semantic Textual Similarity Benchmark, the one task with a number for a target.
    Stsb,
    /// Quora Question Pairs.
    Qqp,
    /// Multi-Genre Natural Language Inference.
    Mnli,
    /// Question-answering Natural Language Inference.
    Qnli,
    /// Recognising Textual Entailment.
    Rte,
}

/// What a task is, in one row.
#[derive(Debug)]
pub(super) struct Spec {
    /// The reference's name, and the hub's configuration name.
    pub name: &'static str,
    /// The name in the paper's tables, and of the folder in the official archive.
    pub display: &'static str,
    /// What stands before each text in the source.
    pub markers: &'static [&'static str],
    /// Text columns of the TSV files.
    pub tsv_texts: &'static [&'static str],
    /// Label column of the TSV files.
    pub tsv_label: &'static str,
    /// Text fields of the hub's JSONL and parquet files; their label is always `label`.
    pub hub_texts: &'static [&'static str],
    /// Class names in the order of their numbers; none for STS-B.
    pub classes: &'static [&'static str],
    pub metrics: &'static [Metric],
    pub split: SplitRule,
    /// Whether a text with nothing in it is an error.
    pub refuses_empty: bool,
    /// Whether rows without a label, or cut short before it, are left out and counted instead of refused. Only QQP's
    /// official files hold such rows; leaving them out gives the hub's 363,846 training rows.
    pub skips_unlabelled: bool,
}

const DIGITS: [&str; 3] = ["0", "1", "2"];
const ACCURACY: &[Metric] = &[Metric::Accuracy];
const ACCURACY_F1: &[Metric] = &[Metric::Accuracy, Metric::F1];
const SENTENCES: &[&str] = &["sentence1", "sentence2"];
const SENTENCE_MARKERS: &[&str] = &["sentence1:", "sentence2:"];

static COLA: Spec = Spec {
    name: "cola",
    display: "CoLA",
    markers: &["sentence:"],
    tsv_texts: &["sentence"],
    tsv_label: "is_acceptable",
    hub_texts: &["sentence"],
    classes: &["unacceptable", "acceptable"],
    metrics: &[Metric::Matthews],
    split: SplitRule::HalveValidation,
    refuses_empty: true,
    skips_unlabelled: false,
};
static SST2: Spec = Spec {
    name: "sst2",
    display: "SST-2",
    markers: &["sentence:"],
    tsv_texts: &["sentence"],
    tsv_label: "label",
    hub_texts: &["sentence"],
    classes: &["negative", "positive"],
    metrics: ACCURACY,
    split: SplitRule::HoldOutTrain,
    refuses_empty: true,
    skips_unlabelled: false,
};
static MRPC: Spec = Spec {
    name: "mrpc",
    display: "MRPC",
    markers: SENTENCE_MARKERS,
    tsv_texts: &["#1 String", "#2 String"],
    tsv_label: "Quality",
    hub_texts: SENTENCES,
    classes: &["not_equivalent", "equivalent"],
    metrics: ACCURACY_F1,
    split: SplitRule::HalveValidation,
    refuses_empty: true,
    skips_unlabelled: false,
};
static STSB: Spec = Spec {
    name: "stsb",
    display: "STS-B",
    markers: SENTENCE_MARKERS,
    tsv_texts: SENTENCES,
    tsv_label: "score",
    hub_texts: SENTENCES,
    classes: &[],
    metrics: &[Metric::Pearson, Metric::Spearman],
    split: SplitRule::HalveValidation,
    refuses_empty: false,
    skips_unlabelled: false,
};
static QQP: Spec = Spec {
    name: "qqp",
    display: "QQP",
    markers: &["question1:", "question2:"],
    tsv_texts: &["question1", "question2"],
    tsv_label: "is_duplicate",
    hub_texts: &["question1", "question2"],
    classes: &["not_duplicate", "duplicate"],
    metrics: ACCURACY_F1,
    split: SplitRule::HoldOutTrain,
    refuses_empty: false,
    skips_unlabelled: true,
};
static MNLI: Spec = Spec {
    name: "mnli",
    display: "MNLI",
    markers: &["premise:", "hypothesis:"],
    tsv_texts: SENTENCES,
    tsv_label: "gold_label",
    hub_texts: &["premise", "hypothesis"],
    classes: &["entailment", "neutral", "contradiction"],
    metrics: ACCURACY,
    split: SplitRule::MismatchedMatched,
    refuses_empty: false,
    skips_unlabelled: false,
};
static QNLI: Spec = Spec {
    name: "qnli",
    display: "QNLI",
    markers: &["question:", "sentence:"],
    tsv_texts: &["question", "sentence"],
    tsv_label: "label",
    hub_texts: &["question", "sentence"],
    classes: &["entailment", "not_entailment"],
    metrics: ACCURACY,
    split: SplitRule::HoldOutTrain,
    refuses_empty: false,
    skips_unlabelled: false,
};
static RTE: Spec = Spec {
    name: "rte",
    display: "RTE",
    markers: SENTENCE_MARKERS,
    tsv_texts: SENTENCES,
    tsv_label: "label",
    hub_texts: SENTENCES,
    classes: &["entailment", "not_entailment"],
    metrics: ACCURACY,
    split: SplitRule::HalveValidation,
    refuses_empty: true,
    skips_unlabelled: false,
};

/// The strings that the reference measures STS-B's target length by: 0.0, 0.2, … 5.0.
static STSB_LENGTH_LABELS: [&str; 26] = [
    "0.0", "0.2", "0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4", "2.6", "2.8", "3.0",
    "3.2", "3.4", "3.6", "3.8", "4.0", "4.2", "4.4", "4.6", "4.8", "5.0",
];

impl GlueTask {
    /// All eight, in the order of the paper's tables.
    pub const ALL: [Self; 8] = [
        Self::Mnli,
        Self::Qqp,
        Self::Qnli,
        Self::Sst2,
        Self::Stsb,
        Self::Mrpc,
        Self::Rte,
        Self::Cola,
    ];

    pub(super) fn spec(self) -> &'static Spec {
        match self {
            Self::Cola => &COLA,
            Self::Sst2 => &SST2,
            Self::Mrpc => &MRPC,
            Self::Stsb => &STSB,
            Self::Qqp => &QQP,
            Self::Mnli => &MNLI,
            Self::Qnli => &QNLI,
            Self::Rte => &RTE,
        }
    }

    /// The reference's name, for example `sst2`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The name in the paper's tables, for example `SST-2`.
    pub fn display_name(self) -> &'static str {
        self.spec().display
    }

    /// The strings a target can be; none for STS-B, whose targets are numbers.
    pub fn labels(self) -> Option<&'static [&'static str]> {
        static LABELS: [&str; 3] = DIGITS;
        match self.spec().classes.len() {
            0 => None,
            classes => Some(&LABELS[..classes]),
        }
    }

    /// The strings whose longest one, in tokens, is the width of the task's targets: its labels, and for STS-B
    /// 0.0, 0.2, … 5.0.
    pub fn length_labels(self) -> &'static [&'static str] {
        self.labels().unwrap_or(&STSB_LENGTH_LABELS)
    }

    /// The task's metrics. The first chooses the best checkpoint.
    pub fn metrics(self) -> &'static [Metric] {
        self.spec().metrics
    }

    /// The metric of the paper's tables. For CoLA the paper says accuracy, but its figures are Matthews correlations.
    pub fn report_metric(self) -> Metric {
        self.metrics()[0]
    }

    /// How its three splits come from the official ones.
    pub fn split_rule(self) -> SplitRule {
        self.spec().split
    }
}

impl std::str::FromStr for GlueTask {
    type Err = DataError;

    /// Reads a name in any case, with or without hyphens: `sst2`, `SST-2`.
    fn from_str(name: &str) -> Result<Self, DataError> {
        let plain = plain_name(name);
        Self::ALL
            .into_iter()
            .find(|task| task.name() == plain)
            .ok_or_else(|| DataError::UnknownTask {
                found: name.to_string(),
                expected: Self::ALL.map(Self::name).join(", "),
            })
    }
}

impl std::fmt::Display for GlueTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A task's or folder's name without what varies between writers: case, hyphens, underscores.
pub(super) fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}
