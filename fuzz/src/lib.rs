//! What the fuzz targets share. How an input is judged is the property tests' own code: each reader's `feed` takes any
//! bytes, and must give what they hold or say what is at fault. Data files go to several tasks ([`Feeds`]).

#[path = "../../crates/adept-core/tests/all/feed.rs"]
pub mod adapter;
#[path = "../../crates/adept-models/tests/all/feed.rs"]
pub mod backbone;
#[path = "../../crates/adept-data/tests/all/properties/feed.rs"]
pub mod feed;
#[path = "../../crates/adept-gguf/tests/all/feed.rs"]
pub mod gguf;
#[path = "../../crates/adept-data/tests/all/properties/input.rs"]
pub mod input;
mod memory;
#[path = "../../crates/adept-lab/tests/all/feed.rs"]
pub mod report;
#[path = "../../crates/adept-train/tests/all/feed.rs"]
pub mod run;
#[path = "../../crates/adept-data/tests/all/properties/tokenizer_feed.rs"]
pub mod tokenizer;

use adept_data::Task;
use feed::{Feed, Shape};
pub use memory::{Allowance, built_once, measured, on_a_thread};

/// Tasks that an input is given to, made once a run.
pub struct Feeds(Vec<Feed>);

impl Feeds {
    /// Of forms of files, and of built-in tasks by name and form.
    pub fn new(shapes: &[Shape], built_in: &[(&str, &str)]) -> Self {
        let of_task = |&(name, form): &(&str, &str)| {
            let task = Task::named(name).expect("a built-in task");
            let position = task.card().forms.iter().position(|card| card.name == form);
            Feed::of(
                task.clone(),
                position.expect("one of its forms"),
                shapes.contains(&Shape::Parquet),
            )
        };
        let shapes = shapes.iter().map(|&shape| Feed::new(shape));
        Self(shapes.chain(built_in.iter().map(of_task)).collect())
    }

    /// Gives an input to every task; see [`Feed::check`].
    pub fn check(&self, bytes: &[u8]) {
        for feed in &self.0 {
            drop(feed.check(bytes));
        }
    }
}

/// Lets libraries panic, which the readers take for damaged files where they know of it: only what nobody catches ends
/// the run, as a panic of our own does at once.
pub fn let_libraries_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic
            .location()
            .is_none_or(|place| !place.file().contains("/registry/src/"))
        {
            hook(panic);
        }
    }));
}
