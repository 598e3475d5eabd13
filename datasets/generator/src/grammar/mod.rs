//! From meaning to words: noun phrases ([`np`]), clauses ([`event`], [`realise`]), random ones ([`sample`]), and the
//! sentence's final form ([`text`]).

pub mod event;
pub mod np;
pub mod realise;
pub mod sample;
pub mod text;

pub use event::{Event, Front, Style};
pub use np::{Det, Head, Np};
pub use realise::{clause, inverted, sentence};
pub use sample::{Detail, Sampler};
pub use text::{Role, Tag, Token, join};
