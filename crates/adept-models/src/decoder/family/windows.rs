//! Sliding windows in the files of Llama's relatives.

use serde_json::Value;

use crate::decoder::config::Pattern;
use crate::error::ModelError;
use crate::files::Object;
use crate::json::ABSENT;

/// Key of the window.
const WINDOW: &str = "sliding_window";

/// The number of slots that a block with a window sees; `None` if the file says null, `absent` if it says nothing.
pub(super) fn window(file: &Object, absent: Option<usize>) -> Result<Option<usize>, ModelError> {
    match file.get(WINDOW) {
        None if file.is_null(WINDOW) => Ok(None),
        None => Ok(absent),
        Some(found) => {
            let window = found.as_u64().and_then(|window| usize::try_from(window).ok());
            let window = window.filter(|window| *window > 0);
            window
                .map(Some)
                .ok_or_else(|| file.refuse(WINDOW, "a number of slots, or null", found))
        }
    }
}

/// The window unless `use_sliding_window` is false, as it is where it is absent.
pub(super) fn used_window(file: &Object, absent: Option<usize>) -> Result<Option<usize>, ModelError> {
    match file.get("use_sliding_window") {
        Some(Value::Bool(true)) => window(file, absent),
        None | Some(Value::Bool(false)) => Ok(None),
        Some(other) => Err(file.refuse("use_sliding_window", "true or false", other)),
    }
}

/// The blocks with a window: those that `layer_types` lists, or else `usual`.
pub(super) fn windowed(
    file: &Object,
    blocks: usize,
    window: Option<usize>,
    usual: Pattern,
) -> Result<Pattern, ModelError> {
    const KEY: &str = "layer_types";
    let Some(found) = file.get(KEY) else {
        return Ok(if window.is_some() { usual } else { Pattern::Never });
    };
    let expected = format!("full_attention or sliding_attention for each of {blocks} layers");
    let Some(types) = found.as_array().filter(|types| types.len() == blocks) else {
        return Err(file.refuse(KEY, expected, found));
    };
    let is_windowed = |layer: &Value| match layer.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(file.refuse(KEY, &expected, layer)),
    };
    let listed: Vec<bool> = types.iter().map(is_windowed).collect::<Result<_, _>>()?;
    match (window, listed.contains(&true)) {
        (_, false) => Ok(Pattern::Never),
        (Some(_), true) => Ok(Pattern::Listed(listed.into())),
        (None, true) => Err(file.refuse(
            WINDOW,
            "a number of slots, for the layers with sliding_attention",
            ABSENT,
        )),
    }
}
