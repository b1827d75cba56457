//! Walks over a module: where its parameters are, what they are called and how PyTorch lays them out.

use std::collections::BTreeMap;

use burn::module::{Flag, Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::error::{Context, Result};

/// Burn's and PyTorch's names for the statistics of a batch normalisation.
const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";

/// Where a walk over a module is.
#[derive(Default)]
pub(super) struct Place(Vec<(String, String)>);

impl Place {
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_string(), container.to_string()));
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    /// The path without the variants of enums, which no checkpoint knows.
    pub(super) fn path(&self) -> String {
        let names = self
            .0
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"));
        names
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(".")
    }

    /// The field of a batch normalisation that this is.
    fn field_of_norm(&self) -> Option<&str> {
        let (name, container) = self.0.last()?;
        (container == "Struct:BatchNorm").then_some(name)
    }

    /// Whether this is no parameter, but what a batch normalisation has seen.
    pub(super) fn is_statistic(&self) -> bool {
        self.field_of_norm()
            .is_some_and(|field| field == MEAN || field == VARIANCE)
    }

    /// Whether this is a weight that Burn keeps as `[in, out]`, but PyTorch as `[out, in]`.
    pub(super) fn is_transposed(&self) -> bool {
        self.0
            .last()
            .is_some_and(|(name, container)| container == "Struct:Linear" && name == "weight")
    }
}

pub(super) fn in_checkpoint_order(shape: &[usize], transposed: bool) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if transposed {
        shape.reverse();
    }
    shape
}

/// `[rows, columns]` → `[columns, rows]`.
pub(super) fn transpose(data: &TensorData, name: &str) -> Result<TensorData> {
    let values = data
        .as_slice::<f32>()
        .or_stage(|| format!("tensor `{name}` is not made of numbers"))?;
    let (rows, columns) = (data.shape()[0], data.shape()[1]);
    let mut turned = Vec::with_capacity(values.len());
    for column in 0..columns {
        turned.extend((0..rows).map(|row| values[row * columns + column]));
    }
    Ok(TensorData::new(turned, [columns, rows]))
}

/// A parameter, seen without touching its values.
pub(in crate::models) struct Seen {
    /// Its path in the module.
    pub(in crate::models) path: String,
    /// Its shape in the checkpoint.
    pub(in crate::models) shape: Vec<usize>,
    /// Its identity.
    pub(in crate::models) id: ParamId,
    /// Whether it is the weight of a linear layer.
    pub(in crate::models) is_linear: bool,
}

/// The parameters of `module`, in its order, without initialising any; running statistics are none.
pub(in crate::models) fn parameters<M: Module>(module: &M) -> Vec<Seen> {
    #[derive(Default)]
    struct Visitor(Place, Vec<Seen>);

    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.0.is_statistic() {
                self.1.push(Seen {
                    path: self.0.path(),
                    shape: in_checkpoint_order(&param.lazy_shape(), self.0.is_transposed()),
                    id: param.id,
                    is_linear: self.0.is_transposed(),
                });
            }
        }
    }

    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.1
}

/// A batch normalisation in a module.
pub(in crate::models) struct Norm {
    /// Its factors.
    pub(in crate::models) weight: ParamId,
    /// What it adds.
    pub(in crate::models) bias: ParamId,
    /// Whether it takes the statistics of the batch, and keeps count of them, where gradients are kept.
    pub(in crate::models) training: ParamId,
    /// Its running mean and variance.
    pub(in crate::models) statistics: [(&'static str, ParamId); 2],
}

/// The batch normalisations of `module`, in its order.
pub(in crate::models) fn norms<M: Module>(module: &M) -> Vec<Norm> {
    #[derive(Default)]
    struct Visitor(Place, BTreeMap<String, ParamId>, Vec<Norm>);

    impl Visitor {
        fn see(&mut self, id: ParamId) {
            let Some(field) = self.0.field_of_norm() else {
                return;
            };
            self.1.insert(field.to_string(), id);
            let id = |field: &str| self.1.get(field).copied();
            let shape = id("gamma").zip(id("beta"));
            if let (Some((weight, bias)), Some(training), Some(mean), Some(variance)) =
                (shape, id("training"), id(MEAN), id(VARIANCE))
            {
                self.2.push(Norm {
                    weight,
                    bias,
                    training,
                    statistics: [(MEAN, mean), (VARIANCE, variance)],
                });
                self.1.clear();
            }
        }
    }

    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.see(param.id);
        }

        fn visit_flag(&mut self, flag: &Param<Flag>) {
            self.see(flag.id);
        }
    }

    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.2
}
