//! What the fuzz targets share: an input is given to several tasks, each of which must load it or say what is at fault.
//! How an input is judged is the property tests' own (`crates/adept-data/tests/properties/feed.rs`).

#[path = "../../crates/adept-data/tests/properties/feed.rs"]
pub mod feed;

use adept_data::Task;
use feed::{Feed, Shape};

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

/// Lets the parquet decoder panic, which the reader takes for a damaged file; a panic of our own still ends the run.
pub fn let_the_decoder_panic() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_none_or(|place| place.file().contains("adept-data")) {
            hook(panic);
        }
    }));
}
