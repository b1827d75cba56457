//! All numbers of a module, running statistics too, by their paths: out of it and back into it, bit by bit.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::walk::Place;

/// Path in the module → numbers, as they lie there.
pub(in crate::models) fn numbers<M: Module>(module: &M) -> BTreeMap<String, TensorData> {
    #[derive(Default)]
    struct Visitor(Place, BTreeMap<String, TensorData>);

    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.path(), param.val().to_data());
        }
    }

    let mut visitor = Visitor::default();
    module.visit(&mut visitor);
    visitor.1
}

/// `module` with the numbers that `numbers` has for a path in place of its own. None if it has no place for some of them.
pub(in crate::models) fn with_numbers<M: Module>(
    module: M,
    numbers: BTreeMap<String, TensorData>,
) -> Option<M> {
    struct Mapper(Place, BTreeMap<String, TensorData>);

    impl ModuleMapper for Mapper {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = self.0.path();
            let fits = |data: &TensorData| data.shape()[..] == param.lazy_shape()[..];
            if !self.1.get(&path).is_some_and(fits) {
                return param;
            }
            let Some(data) = self.1.remove(&path) else {
                return param;
            };
            let (id, tensor) = (param.id, Tensor::from_data(data, &param.lazy_device()));
            param.transform_for_load(tensor, id)
        }
    }

    let mut mapper = Mapper(Place::default(), numbers);
    let module = module.map(&mut mapper);
    mapper.1.is_empty().then_some(module)
}
