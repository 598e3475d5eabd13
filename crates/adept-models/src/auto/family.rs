//! Turns the table of families into the enum [`Family`](super::Family).

/// Generates `Family`. Each line is `Type: "model_type", "title", reader;`, where the reader makes a decoder's
/// architecture of the family's files, or is `None` for an encoder-decoder.
macro_rules! families {
    ($($(#[$doc:meta])* $family:ident: $name:literal, $title:literal, $reader:expr;)*) => {
        /// A family of backbones.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Family {
            $($(#[$doc])* $family,)*
        }

        impl Family {
            /// Every family.
            pub const ALL: &'static [Self] = &[$(Self::$family),*];

            /// Name used as `model_type` in `config.json`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$family => $name,)*
                }
            }

            /// Display name.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$family => $title,)*
                }
            }

            /// Reads the files of a decoder-only family.
            pub(crate) fn reader(self) -> Option<Reader> {
                match self {
                    $(Self::$family => $reader,)*
                }
            }
        }
    };
}

pub(crate) use families;
