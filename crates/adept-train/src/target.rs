//! Training targets: an adapter on a frozen backbone, or the whole backbone.
//!
//! The loop knows one [`Target`]: a module to train, and how it combines with frozen parts into a backbone and an
//! adapter. A frozen backbone shares its storage with the one it was created from, and none of its parameters is
//! tracked.

use std::path::Path;

use adept_core::{Adapter, AdapterConfig, AdapterMetadata, FoldError, FoldedPrompt, Intervention, Unchanged};
use adept_models::{Backbone as _, unfreeze};
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::AutodiffBackend;

use crate::TrainError;
use crate::model::TaskModel;
use crate::trained::Trained;

/// A backbone that can be trained on `AB` and evaluated on its inner backend.
pub trait TrainBackbone<AB: AutodiffBackend>: TaskModel<AB> + AutodiffModule<AB, InnerModule = Self::Inner> {
    /// The same backbone without autodiff.
    type Inner: TaskModel<AB::InnerBackend>;
}

impl<AB, M> TrainBackbone<AB> for M
where
    AB: AutodiffBackend,
    M: TaskModel<AB> + AutodiffModule<AB>,
    M::InnerModule: TaskModel<AB::InnerBackend>,
{
    type Inner = M::InnerModule;
}

/// A backbone and a method's intervention, without autodiff.
pub type InnerParts<AB, M> = (
    <M as TrainBackbone<AB>>::Inner,
    Box<dyn Intervention<<AB as AutodiffBackend>::InnerBackend>>,
);

/// A backbone and the adapter of a teacher.
pub type TeacherParts<'a, AB, M> = (
    &'a <M as TrainBackbone<AB>>::Inner,
    &'a Adapter<<AB as AutodiffBackend>::InnerBackend>,
);

/// A training target.
pub trait Target<AB: AutodiffBackend> {
    /// The backbone it belongs to.
    type Backbone: TrainBackbone<AB>;
    /// The module whose parameters are trained.
    type Trained: AutodiffModule<AB>;

    /// Configuration of the trained adapter; `None` if the backbone itself is trained.
    fn adapter(&self) -> Option<&AdapterConfig>;

    /// The initial module.
    fn initial(&self) -> Self::Trained;

    /// Backbone and adapter for a tracked forward pass.
    fn parts<'a>(&'a self, trained: &'a Self::Trained) -> (&'a Self::Backbone, &'a dyn Intervention<AB>);

    /// Backbone and adapter without autodiff, for evaluation on one of the run's tasks.
    fn inner_parts(&self, trained: &Self::Trained, task: usize) -> InnerParts<AB, Self::Backbone>;

    /// The backbone, and the adapter that the run learns from on one of its tasks; `None` without distillation.
    fn teacher(&self, task: usize) -> Option<TeacherParts<'_, AB, Self::Backbone>> {
        let _ = task;
        None
    }

    /// Writes the trained module to the folder `path`, which is created.
    fn save(&self, trained: &Self::Trained, path: &Path) -> Result<(), TrainError>;

    /// Writes what one of the run's tasks uses of the trained module to the folder `path`, to be loaded as if it was
    /// trained on that task alone. Nothing where that is the whole, as after full fine-tuning.
    fn save_task(&self, trained: &Self::Trained, task: usize, about: &Trained, path: &Path) -> Result<(), TrainError>;

    /// Loads what [`Self::save`] wrote.
    fn load(&self, path: &Path, device: &AB::Device) -> Result<Self::Trained, TrainError>;
}

/// An adapter on a frozen backbone.
#[derive(Debug)]
pub struct AdapterTarget<AB: AutodiffBackend, M: TrainBackbone<AB>> {
    frozen: M,
    inner: M::Inner,
    initial: Adapter<AB>,
    metadata: AdapterMetadata,
    folds_vocabulary: bool,
    teachers: Vec<Adapter<AB::InnerBackend>>,
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> AdapterTarget<AB, M> {
    /// Freezes the backbone; its storage is shared, not copied.
    pub fn new(backbone: &M::Inner, adapter: Adapter<AB>, metadata: AdapterMetadata) -> Self {
        let frozen = Module::<AB>::no_grad(M::from_inner(backbone.clone()));
        Self {
            frozen,
            inner: backbone.clone(),
            initial: adapter,
            metadata,
            folds_vocabulary: false,
            teachers: Vec::new(),
        }
    }

    /// Learns from these adapters, one for each of the run's tasks.
    #[must_use]
    pub fn with_teachers(self, teachers: Vec<Adapter<AB::InnerBackend>>) -> Self {
        Self { teachers, ..self }
    }

    /// Evaluations read a vocabulary table into which the offsets are folded before each of them.
    ///
    /// # Errors
    /// See [`adept_core::fold()`].
    pub fn folding_vocabulary(mut self) -> Result<Self, FoldError> {
        let row = self.inner.embedding_weight().narrow(0, 0, 1);
        FoldedPrompt::new(&self.initial.valid(), row)?;
        self.folds_vocabulary = true;
        Ok(self)
    }

    /// The backbone on the autodiff backend, for testing that nothing in it is tracked.
    pub fn frozen(&self) -> &M {
        &self.frozen
    }
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> Target<AB> for AdapterTarget<AB, M> {
    type Backbone = M;
    type Trained = Adapter<AB>;

    fn adapter(&self) -> Option<&AdapterConfig> {
        Some(&self.metadata.config)
    }

    fn initial(&self) -> Adapter<AB> {
        self.initial.clone()
    }

    fn parts<'a>(&'a self, trained: &'a Adapter<AB>) -> (&'a M, &'a dyn Intervention<AB>) {
        (&self.frozen, trained)
    }

    fn inner_parts(&self, trained: &Adapter<AB>, task: usize) -> (M::Inner, Box<dyn Intervention<AB::InnerBackend>>) {
        let adapter = trained.valid().folded();
        if let Some(of_task) = adapter.of_task(task) {
            return (self.inner.clone(), of_task);
        }
        let adapter: Box<dyn Intervention<_>> = if self.folds_vocabulary {
            let folded = FoldedPrompt::new(&adapter, self.inner.embedding_weight());
            Box::new(folded.expect("a trained adapter folds as its initial one does"))
        } else {
            Box::new(adapter)
        };
        (self.inner.clone(), adapter)
    }

    fn teacher(&self, task: usize) -> Option<TeacherParts<'_, AB, M>> {
        Some((&self.inner, self.teachers.get(task)?))
    }

    fn save(&self, trained: &Adapter<AB>, path: &Path) -> Result<(), TrainError> {
        Ok(adept_core::file::save(path, &trained.valid(), &self.metadata)?)
    }

    fn save_task(&self, trained: &Adapter<AB>, task: usize, about: &Trained, path: &Path) -> Result<(), TrainError> {
        let (adapter, config) = (trained.valid(), &self.metadata.config);
        let alone = adapter.alone(config, task);
        let (config, adapter) = alone.unwrap_or_else(|| (config.clone(), adapter));
        let metadata = AdapterMetadata {
            config,
            task: Some(about.task.clone()),
            trained: Some(about.to_map()),
            ..self.metadata.clone()
        };
        Ok(adept_core::file::save(path, &adapter, &metadata)?)
    }

    fn load(&self, path: &Path, device: &AB::Device) -> Result<Adapter<AB>, TrainError> {
        Ok(adept_core::file::load::<AB>(path, &self.inner.sites(), device)?.0)
    }
}

/// Writes a backbone to a folder.
pub type SaveBackbone<M> = Box<dyn Fn(&M, &Path) -> Result<(), TrainError>>;
/// Loads a backbone from a folder.
pub type LoadBackbone<M> = Box<dyn Fn(&Path) -> Result<M, TrainError>>;

/// All parameters of a backbone (method `full`).
pub struct FullTarget<AB: AutodiffBackend, M: TrainBackbone<AB>> {
    initial: M::Inner,
    save: SaveBackbone<M::Inner>,
    load: LoadBackbone<M::Inner>,
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> FullTarget<AB, M> {
    /// Trains a copy of the backbone: the first step creates new tensors, the given ones are not modified.
    pub fn new(backbone: &M::Inner, save: SaveBackbone<M::Inner>, load: LoadBackbone<M::Inner>) -> Self {
        Self {
            initial: backbone.clone(),
            save,
            load,
        }
    }
}

impl<AB: AutodiffBackend, M: TrainBackbone<AB>> Target<AB> for FullTarget<AB, M> {
    type Backbone = M;
    type Trained = M;

    fn adapter(&self) -> Option<&AdapterConfig> {
        None
    }

    fn initial(&self) -> M {
        unfreeze::<AB, M>(M::from_inner(self.initial.clone()))
    }

    fn parts<'a>(&'a self, trained: &'a M) -> (&'a M, &'a dyn Intervention<AB>) {
        (trained, &Unchanged)
    }

    fn inner_parts(&self, trained: &M, _task: usize) -> (M::Inner, Box<dyn Intervention<AB::InnerBackend>>) {
        (trained.valid(), Box::new(Unchanged))
    }

    fn save(&self, trained: &M, path: &Path) -> Result<(), TrainError> {
        (self.save)(&trained.valid(), path)
    }

    fn save_task(&self, _: &M, _: usize, _: &Trained, _: &Path) -> Result<(), TrainError> {
        Ok(())
    }

    fn load(&self, path: &Path, _device: &AB::Device) -> Result<M, TrainError> {
        Ok(unfreeze::<AB, M>(M::from_inner((self.load)(path)?)))
    }
}
