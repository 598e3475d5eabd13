//! Groups runs by backbone and by settings.

use super::Report;
use super::summary::RunSummary;

/// A backbone and the runs that used it.
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneUse {
    /// Its name.
    pub name: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// Its number of parameters.
    pub parameters: usize,
    /// Names of the runs.
    pub used_by: String,
}

/// Settings and the runs that share them.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingUse {
    /// The preset.
    pub preset: String,
    /// Optimiser steps.
    pub steps: usize,
    /// Overridden settings.
    pub overrides: Vec<String>,
    /// Names of the runs.
    pub used_by: String,
}

impl Report {
    /// The backbones, in order of first use.
    pub(super) fn backbones(&self) -> Vec<BackboneUse> {
        let groups = self.grouped(|run| (run.backbone.clone(), run.fingerprint.clone(), run.backbone_parameters));
        let group = |((name, fingerprint, parameters), used_by)| BackboneUse {
            name,
            fingerprint,
            parameters,
            used_by,
        };
        groups.into_iter().map(group).collect()
    }

    /// The settings, in order of first use.
    pub(super) fn settings(&self) -> Vec<SettingUse> {
        let groups = self.grouped(|run| (run.preset.clone(), run.steps, run.overrides.clone()));
        let group = |((preset, steps, overrides), used_by)| SettingUse {
            preset,
            steps,
            overrides,
            used_by,
        };
        groups.into_iter().map(group).collect()
    }

    fn grouped<K: PartialEq>(&self, key: impl Fn(&RunSummary) -> K) -> Vec<(K, String)> {
        let mut groups: Vec<(K, Vec<String>)> = Vec::new();
        for run in &self.runs {
            let own = key(run);
            // One name for all seeds of a task and method keeps the list short.
            let name = format!(
                "{} {}",
                self.table.task_label(&run.task),
                self.table.method_label(&run.row)
            );
            match groups.iter_mut().find(|group| group.0 == own) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => groups.push((own, vec![name])),
            }
        }
        let only = groups.len() == 1;
        let describe = |names: Vec<String>| if only { "all runs".to_owned() } else { names.join(", ") };
        groups.into_iter().map(|(key, names)| (key, describe(names))).collect()
    }
}

impl RunSummary {
    /// Trainable parameters as a percentage of all parameters.
    #[must_use]
    pub fn share(&self) -> f64 {
        // Counts are read from a file and may be arbitrary: floats do not overflow when added.
        let (trainable, backbone) = (self.trainable_parameters as f64, self.backbone_parameters as f64);
        let all = if self.method == "full" {
            backbone
        } else {
            backbone + trainable
        };
        100.0 * trainable / all.max(1.0)
    }
}
