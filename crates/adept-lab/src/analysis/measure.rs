//! The measurement of one finished run, whose record is written as soon as there is something in it.

use std::collections::BTreeMap;

use adept_core::{Adapter, PromptAdapter, file};
use adept_models::Backbone as _;
use adept_train::TrainError;
use adept_train::folder::write_json;
use adept_train::record::{RunResult, Scores, code_commit, code_version};
use burn::tensor::backend::Backend;

use super::record::{self, Lengths, Measured, Subject};
use super::switch::{Offsets, switched};
use super::{
    Analysis, AnalysisError, AnalysisObserver, AttentionRecord, MagnitudeRecord, ShiftRecord, Shifted, SwitchRecord,
    TableName, TokenCounts, attention, magnitude, plan, scoring, shift,
};
use crate::reproduce::Cell;
use crate::run::{LoadedBackbone, PreparedTask};

/// A finished run with what it was trained on.
pub(super) struct Measuring<'a, B: Backend> {
    pub analysis: &'a Analysis,
    pub cell: &'a Cell,
    pub backbone: &'a LoadedBackbone<B>,
    pub task: &'a PreparedTask,
    pub device: &'a B::Device,
}

impl<B: Backend> Measuring<'_, B> {
    /// Measures the run unless its record is complete.
    pub(super) fn measure(&self, result: RunResult, observer: &mut dyn AnalysisObserver) -> Result<(), AnalysisError> {
        if plan::is_measured(self.analysis, self.cell)? {
            return Ok(());
        }
        let adapter = self.adapter()?;
        let subject = Subject {
            folder: self.cell.folder.clone(),
            run: result,
            adapter: record::adapter_sha256(&self.cell.folder)?,
            code_version: code_version(),
            code_commit: code_commit(),
            device: format!("{} {:?}", B::name(self.device), self.device),
        };
        match self.analysis.table {
            TableName::Table1 => self.shifts(subject, &adapter, observer),
            TableName::Table2 => self.magnitude(subject, &adapter),
            TableName::Table11 => self.switch(subject, &adapter, observer),
            TableName::Section34 => self.attention(subject, &adapter, observer),
        }
    }

    /// Table 1.
    fn shifts(
        &self,
        subject: Subject,
        adapter: &Adapter<B>,
        observer: &mut dyn AnalysisObserver,
    ) -> Result<(), AnalysisError> {
        let begun: Option<ShiftRecord> = self.begun()?;
        let training = TokenCounts::of_stored(&self.task.train).map_err(TrainError::from)?;
        let test = TokenCounts::of(&self.task.test.0);
        let positions = self.cell.resolved.config.input.max_source_length;
        let mut record = ShiftRecord {
            subject,
            positions,
            training: Lengths::of(&training),
            test: Lengths::of(&test),
            shifts: begun.map_or_else(BTreeMap::new, |begun| begun.shifts),
        };
        let wanted = plan::shifts_of(self.analysis, self.cell)?;
        let left: Vec<usize> = wanted
            .iter()
            .copied()
            .filter(|shift| !record.shifts.contains_key(shift))
            .collect();
        let adapter = |shift: &usize| shift::shifted(adapter, *shift);
        let name = |shift: &usize| format!("shift {shift}");
        self.passes(&left, wanted.len(), adapter, name, observer, |shift, scores| {
            let reach = shift::reach(&test, &training, positions, *shift);
            record.shifts.insert(*shift, Shifted { scores, reach });
            self.write(&record)
        })?;
        // A run without shifts has a record too.
        self.write(&record)
    }

    /// Table 11.
    fn switch(
        &self,
        subject: Subject,
        adapter: &Adapter<B>,
        observer: &mut dyn AnalysisObserver,
    ) -> Result<(), AnalysisError> {
        let begun: Option<SwitchRecord> = self.begun()?;
        let mut record = SwitchRecord {
            subject,
            test: Lengths::of(&TokenCounts::of(&self.task.test.0)),
            scores: begun.map_or_else(BTreeMap::new, |begun| begun.scores),
        };
        let both = Offsets::BOTH;
        let left: Vec<Offsets> = both
            .into_iter()
            .filter(|offsets| !record.scores.contains_key(offsets))
            .collect();
        let adapter = |offsets: &Offsets| switched(adapter, *offsets);
        self.passes(
            &left,
            both.len(),
            adapter,
            Offsets::to_string,
            observer,
            |offsets, scores| {
                record.scores.insert(*offsets, scores);
                self.write(&record)
            },
        )
    }

    /// Scores the test split with an adapter for each of `left`; `keep` saves each result, so that an interruption loses
    /// at most one of the `total`.
    fn passes<K>(
        &self,
        left: &[K],
        total: usize,
        adapter: impl Fn(&K) -> Option<PromptAdapter<B>>,
        name: impl Fn(&K) -> String,
        observer: &mut dyn AnalysisObserver,
        mut keep: impl FnMut(&K, Scores) -> Result<(), AnalysisError>,
    ) -> Result<(), AnalysisError> {
        let config = &self.cell.resolved.config;
        let set = scoring::test_set(config, self.backbone, self.task)?;
        let batches = set.batches.len();
        for (index, pass) in left.iter().enumerate() {
            let adapter = adapter(pass).ok_or_else(|| self.other_method())?;
            let what = name(pass);
            let mut proceed = |done: usize, _: usize| {
                observer.measuring(self.cell, &what, index * batches + done, left.len() * batches)
            };
            let scores = scoring::score(
                config,
                self.backbone,
                self.task,
                &adapter,
                &set,
                self.device,
                &mut proceed,
            )?;
            let scores = scores.ok_or_else(|| self.interrupted(total - left.len() + index, total))?;
            keep(pass, scores)?;
        }
        Ok(())
    }

    /// Table 2.
    fn magnitude(&self, subject: Subject, adapter: &Adapter<B>) -> Result<(), AnalysisError> {
        let counts = TokenCounts::of_stored(&self.task.train).map_err(TrainError::from)?;
        let found = magnitude::magnitude(&self.backbone.model, adapter, &counts, self.device)?;
        let offsets = found.offsets.ok_or_else(|| self.other_method())?;
        self.write(&MagnitudeRecord {
            subject,
            training: Lengths::of(&counts),
            distinct_tokens: counts.ids.len(),
            embeddings: found.embeddings.summary(),
            offsets: offsets.summary(),
        })
    }

    /// Section 3.4.
    fn attention(
        &self,
        subject: Subject,
        adapter: &Adapter<B>,
        observer: &mut dyn AnalysisObserver,
    ) -> Result<(), AnalysisError> {
        let limit = self.analysis.rows;
        let test = &self.task.test.0;
        let rows = &test[..test.len().min(limit)];
        let mut stopped = false;
        let mut proceed = |done: usize, total: usize| {
            stopped = !observer.measuring(self.cell, "attention", done, total);
            !stopped
        };
        let found = attention::attention(&self.backbone.model, adapter, rows, self.device, &mut proceed)?;
        let Some(found) = found else {
            return Err(match stopped {
                true => self.interrupted(0, 1),
                false => AnalysisError::NoEncoder {
                    backbone: self.backbone.path.clone(),
                    family: self.backbone.model.family().title(),
                },
            });
        };
        let text = |id: &u32| self.backbone.tokenizer.decode(&[*id], false);
        let tokens: Result<Vec<String>, _> = found.example.ids.iter().map(text).collect();
        self.write(&AttentionRecord {
            subject,
            limit,
            attention: found,
            example_tokens: tokens.map_err(TrainError::from)?,
        })
    }

    /// The run's best adapter.
    fn adapter(&self) -> Result<Adapter<B>, AnalysisError> {
        let load = || -> Result<Adapter<B>, TrainError> {
            let best = self.cell.folder.join("best");
            let (adapter, about) = file::load::<B>(&best, &self.backbone.model.sites(), self.device)?;
            about.check_backbone(&self.backbone.fingerprint)?;
            Ok(adapter)
        };
        let adapter = load().map_err(|source| AnalysisError::Run {
            run: self.cell.name(),
            source: Box::new(source),
        })?;
        match self.cell.method.adapter() == Some(adapter.method()) {
            true => Ok(adapter),
            false => Err(self.other_method()),
        }
    }

    /// An earlier record of the run.
    fn begun<T: Measured>(&self) -> Result<Option<T>, TrainError> {
        record::find(&self.analysis.grid.out, self.analysis.table, self.cell)
    }

    fn write<T: Measured>(&self, record: &T) -> Result<(), AnalysisError> {
        let path = record::path(&self.analysis.grid.out, self.analysis.table, self.cell);
        Ok(write_json(&path, record)?)
    }

    fn other_method(&self) -> AnalysisError {
        AnalysisError::OtherMethod {
            path: self.cell.folder.join("best"),
            expected: self.cell.method,
        }
    }

    fn interrupted(&self, done: usize, total: usize) -> AnalysisError {
        AnalysisError::Interrupted {
            run: self.cell.name(),
            done,
            total,
        }
    }
}
