//! Shared by methods with parameters for each of several tasks.

use super::prompt::refuse;
use crate::{CoreError, Method};

/// Largest number of tasks in one adapter. [`validate`] says it in its message.
const MOST: usize = 4096;

/// Checks a number of tasks, which files and configurations have under the name `field`.
pub(super) fn validate(method: Method, field: &'static str, tasks: usize) -> Result<(), CoreError> {
    match (1..=MOST).contains(&tasks) {
        true => Ok(()),
        false => Err(refuse(method, field, "from 1 to 4096", tasks)),
    }
}

/// Refuses to use an adapter of several tasks as if it had one.
///
/// # Panics
/// If there are several.
pub(super) fn assert_one(tasks: usize) {
    assert!(tasks == 1, "the adapter has {tasks} tasks: choose one with `of_task`");
}
