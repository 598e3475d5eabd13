//! Runs of earlier submissions that Slurm still holds.

use std::collections::BTreeMap;
use std::path::Path;

use adept_train::folder::read_json;

use super::submit::{JOBS, Jobs, LIST, call, submissions};
use super::{SlurmError, list};

/// A run that waits in Slurm's queue or is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRun {
    /// The run's name.
    pub run: String,
    /// The array's id.
    pub job: String,
}

/// The runs of a grid's earlier submissions that are in the queue. Slurm is not asked if there are no submissions.
///
/// # Errors
/// A submission's files that cannot be read; `squeue` fails.
pub fn queued(out: &Path) -> Result<Vec<QueuedRun>, SlurmError> {
    let mut earlier: Vec<(Jobs, Vec<String>)> = Vec::new();
    for (_, folder) in submissions(out)? {
        let jobs = folder.join(JOBS);
        if jobs.exists() {
            earlier.push((read_json(&jobs)?, list::read(&folder.join(LIST))?));
        }
    }
    if earlier.is_empty() {
        return Ok(Vec::new());
    }
    let queue = call(
        "squeue",
        &["--me", "--noheader", "--array", "--format=%F|%K|%j"],
        None,
        0,
    )?;
    let queue = elements(&queue);
    let mut runs = Vec::new();
    for (jobs, names) in &earlier {
        // Ids begin anew when a cluster is set up anew; the name keeps other jobs of the same number apart.
        let indices = queue.get(&(jobs.array.as_str(), jobs.name.as_str()));
        for index in indices.into_iter().flatten() {
            let group = names
                .chunks(jobs.runs_per_job.max(1))
                .nth(index - 1)
                .unwrap_or_default();
            runs.extend(group.iter().map(|run| QueuedRun {
                run: run.clone(),
                job: jobs.array.clone(),
            }));
        }
    }
    Ok(runs)
}

/// Elements in the queue by the array's id and name.
fn elements(queue: &str) -> BTreeMap<(&str, &str), Vec<usize>> {
    let mut elements: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for line in queue.lines() {
        let mut parts = line.trim().splitn(3, '|');
        if let (Some(id), Some(index), Some(name)) = (parts.next(), parts.next(), parts.next())
            // A job that is no array has `N/A` here.
            && let Some(index) = index.parse().ok().filter(|index| *index > 0)
        {
            elements.entry((id, name)).or_default().push(index);
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_array_and_name() {
        let found = elements("12|1|adept-glue\n12|3|adept-glue\n13|N/A|adept-glue-report\n7|2|other|name\n\n");
        let expected = [(("12", "adept-glue"), vec![1, 3]), (("7", "other|name"), vec![2])];
        assert_eq!(found, expected.into());
    }
}
