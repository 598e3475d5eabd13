//! Rows that are the best of several: on each task the runs from one source, chosen by the validation split.

use std::collections::BTreeMap;

use super::paper::PaperTable;
use super::summary::RunSummary;

/// The runs from one source on one task.
struct Alternative<'a> {
    source: &'a str,
    runs: Vec<&'a RunSummary>,
    /// Mean over the seeds of the best validation scores.
    validation: f64,
}

/// The alternatives of every row and task, in the order of the runs.
fn alternatives<'a>(runs: &'a [RunSummary], table: &PaperTable) -> BTreeMap<(String, &'a str), Vec<Alternative<'a>>> {
    let mut all: BTreeMap<(String, &str), Vec<Alternative<'_>>> = BTreeMap::new();
    for run in runs {
        let Some((row, source)) = table.alternative(&run.row) else {
            continue;
        };
        let own = all.entry((row.name().to_owned(), &run.task)).or_default();
        match own.iter_mut().find(|known| known.source == source) {
            Some(known) => known.runs.push(run),
            None => own.push(Alternative {
                source,
                runs: vec![run],
                validation: 0.0,
            }),
        }
    }
    for known in all.values_mut().flatten() {
        let scores = known.runs.iter().filter_map(|run| run.best_validation);
        known.validation = match known.runs.iter().all(|run| run.best_validation.is_some()) {
            true => scores.sum::<f64>() / known.runs.len() as f64,
            false => f64::NEG_INFINITY,
        };
    }
    all
}

/// The best of them, the first at a tie; of those with as many seeds as any.
fn best<'a, 'b>(all: &'b [Alternative<'a>]) -> Option<&'b Alternative<'a>> {
    let seeds = all.iter().map(|known| known.runs.len()).max()?;
    let whole = all.iter().filter(|known| known.runs.len() == seeds);
    whole.reduce(|best, next| if next.validation > best.validation { next } else { best })
}

/// The runs that a table's figures are made of: without those on its sources, and with the chosen ones of rows that are
/// the best of several.
pub(super) fn scored(runs: &[RunSummary], table: &PaperTable) -> Vec<RunSummary> {
    let sources = table.sources_of(table.is_small);
    let is_column = |run: &&RunSummary| !sources.contains(&run.task);
    let mut scored: Vec<RunSummary> = runs.iter().filter(is_column).cloned().collect();
    for ((row, _), all) in alternatives(runs, table) {
        let chosen = best(&all).into_iter().flat_map(|best| &best.runs);
        scored.extend(chosen.map(|run| RunSummary {
            row: row.clone(),
            ..(*run).clone()
        }));
    }
    scored
}

/// Which source each of them is from.
pub(super) fn notes(runs: &[RunSummary], table: &PaperTable) -> Vec<String> {
    let all = alternatives(runs, table);
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((row, task), all) in &all {
        if let Some(best) = best(all) {
            let chosen = format!("{} from {}", table.task_label(task), table.task_label(best.source));
            rows.entry(row).or_default().push(chosen);
        }
    }
    let note = |(row, chosen): (&str, Vec<String>)| {
        format!(
            "{}: the source whose runs have the best validation score, {}.",
            table.method_label(row),
            chosen.join(", ")
        )
    };
    rows.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Benchmark;
    use super::super::tests::run;
    use super::*;

    #[test]
    fn a_row_is_its_best_source_by_validation_and_sources_are_no_columns() {
        let table = PaperTable::of(Benchmark::Table15);
        let with = |source: &str, seed, test, validation| RunSummary {
            best_validation: Some(validation),
            ..run("boolq", &format!("adept_k4-from-{source}"), seed, test)
        };
        let runs = vec![
            with("mnli", 42, 90.0, 60.0),
            with("mnli", 43, 92.0, 62.0),
            with("sst2", 42, 70.0, 80.0),
            with("sst2", 43, 72.0, 70.0),
            // A source that is not done with every seed is not chosen yet.
            with("qqp", 42, 50.0, 99.0),
            run("mnli", "adept", 42, 88.0),
        ];
        let scored = scored(&runs, &table);
        assert!(scored.iter().all(|run| run.task == "boolq"));
        let own = scored.iter().filter(|run| run.row == "adept_k4");
        let tests: Vec<f64> = own.map(|run| run.test).collect();
        assert_eq!(tests, [70.0, 72.0], "not the best on the test split");
        let notes = notes(&runs, &table);
        assert!(notes[0].contains("BoolQ from SST-2"), "{notes:?}");
    }
}
