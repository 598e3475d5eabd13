//! Turns the table of families into types: one variant each in [`Family`](super::Family) and [`Model`](super::Model).

/// Generates `Family`, `Model` and everything that dispatches on the family. Each line is
/// `Type: "model_type", "title", module, kind;`. Names are resolved at the call site.
macro_rules! families {
    ($($(#[$doc:meta])* $family:ident: $name:literal, $title:literal, $module:ident, $kind:ident;)*) => {
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

            fn kind(self) -> Kind {
                match self {
                    $(Self::$family => kind!($kind),)*
                }
            }
        }

        /// A backbone of any family, chosen by its `config.json`.
        #[derive(Module, Debug)]
        pub enum Model<B: Backend> {
            $($(#[$doc])* $family(crate::$family<B>),)*
        }

        /// Opens a checkpoint without loading its weights.
        ///
        /// # Errors
        /// Unreadable files and unknown families.
        pub fn open(path: &Path) -> Result<Opened, ModelError> {
            let family = Family::of(path)?;
            Ok(match family {
                $(Family::$family => {
                    let (config, checkpoint) = crate::$module::open(path)?;
                    Opened { family, config: Box::new(config), checkpoint }
                })*
            })
        }

        impl<B: Backend> Model<B> {
            /// Loads a checkpoint in Hugging Face's format; no parameter requires gradients.
            ///
            /// ```no_run
            /// use adept_models::{Backbone, Family, Loaded, Model};
            /// use burn_flex::Flex;
            ///
            /// let Loaded { model, fingerprint } = Model::<Flex>::load("Llama-3.2-1B".as_ref(), &Default::default())?;
            /// assert_eq!(model.family(), Family::Llama);
            /// println!("{} tokens, {} channels, weights {fingerprint}", model.vocab_size(), model.d_model());
            /// # Ok::<(), adept_models::ModelError>(())
            /// ```
            ///
            /// # Errors
            /// Unreadable files, tensors that do not fit, and unknown families.
            pub fn load(
                path: &Path,
                device: &B::Device,
            ) -> Result<Loaded<Self>, ModelError> {
                Self::load_in(path, device, Precision::F32)
            }

            /// Like [`load`](Self::load), with the maps of the blocks prepared for a precision, one at a time: a model in
            /// a lower precision is never whole in memory in float32.
            ///
            /// # Errors
            /// As in [`load`](Self::load).
            pub fn load_in(
                path: &Path,
                device: &B::Device,
                precision: Precision,
            ) -> Result<Loaded<Self>, ModelError> {
                Ok(match Family::of(path)? {
                    $(Family::$family => {
                        let Loaded { model, fingerprint } =
                            <crate::$family<B> as Pretrained<B>>::load(path, device, precision)?;
                        Loaded { model: Self::$family(model), fingerprint }
                    })*
                })
            }

            /// Saves the model as a checkpoint of f32 values.
            ///
            /// # Errors
            /// Files that cannot be written.
            pub fn save_pretrained(&self, path: &Path) -> Result<(), ModelError> {
                match self {
                    $(Self::$family(model) => {
                        Pretrained::<B>::save(model, path, StoredType::F32)
                    })*
                }
            }

            /// The family of the model.
            pub fn family(&self) -> Family {
                match self {
                    $(Self::$family(_) => Family::$family,)*
                }
            }

            /// The model's configuration.
            pub fn config(&self) -> &dyn ModelConfig {
                match self {
                    $(Self::$family(model) => Pretrained::<B>::config(model),)*
                }
            }

            /// The dropout rate in its configuration.
            pub fn dropout_rate(&self) -> f64 {
                self.config().dropout_rate()
            }

            /// The padding token.
            pub fn pad_id(&self) -> u32 {
                match self {
                    $(Self::$family(model) => model.pad_id(),)*
                }
            }

            /// The end tokens, from `generation_config.json` and `config.json`.
            pub fn eos_ids(&self) -> &[u32] {
                self.config().eos_token_ids()
            }
        }

        impl<B: Backend> AnyBackbone<B> for Model<B> {
            fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output {
                match self {
                    $(Self::$family(model) => visitor.$kind(model),)*
                }
            }
        }

        $(impl<B: Backend> AnyBackbone<B> for crate::$family<B> {
            fn by_kind<V: Visitor<B>>(&self, visitor: V) -> V::Output {
                visitor.$kind(self)
            }
        })*

        impl<B: Backend> Backbone<B> for Model<B> {
            fn d_model(&self) -> usize {
                match self {
                    $(Self::$family(model) => model.d_model(),)*
                }
            }

            fn vocab_size(&self) -> usize {
                match self {
                    $(Self::$family(model) => model.vocab_size(),)*
                }
            }

            fn embed(&self, ids: Tensor<B, 2, Int>) -> Tensor<B, 3> {
                match self {
                    $(Self::$family(model) => model.embed(ids),)*
                }
            }

            fn embedding_weight(&self) -> Tensor<B, 2> {
                match self {
                    $(Self::$family(model) => model.embedding_weight(),)*
                }
            }

            fn sites(&self) -> ModelSites {
                self.config().sites()
            }

            fn places(&mut self) -> Places<'_, B> {
                match self {
                    $(Self::$family(model) => model.places(),)*
                }
            }

            fn attach_side(&mut self, side: &SideNetwork<B>) {
                match self {
                    $(Self::$family(model) => model.attach_side(side),)*
                }
            }

            fn attach_networks(&mut self, networks: SourceNetworks<B>) {
                match self {
                    $(Self::$family(model) => model.attach_networks(networks),)*
                }
            }
        }
    };
}

/// The kind given in a line of the table.
macro_rules! kind {
    (seq2seq) => {
        Kind::Seq2seq
    };
    (causal) => {
        Kind::Causal
    };
}

pub(crate) use {families, kind};
