//! Numbers that are drawn for a module's parameters.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use super::walk::{Place, in_checkpoint_order};
use crate::models::initial::Initial;
use crate::random::{Random, derive};

/// `module` with numbers for every parameter, drawn from what `rule` says of its name and its shape in a checkpoint. Running
/// statistics stay as they are. Each parameter has a generator of its own, by `seed` and its name.
pub(in crate::models) fn draw<M: Module>(
    module: M,
    name_of: impl Fn(&str) -> String,
    rule: &dyn Fn(&str, &[usize]) -> Initial,
    seed: u64,
) -> M {
    struct Drawer<'r, F> {
        place: Place,
        name_of: F,
        rule: &'r dyn Fn(&str, &[usize]) -> Initial,
        seed: u64,
    }

    impl<F: Fn(&str) -> String> ModuleMapper for Drawer<'_, F> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.place.enter(name, container);
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.place.exit();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.place.is_statistic() {
                return param;
            }
            let name = (self.name_of)(&self.place.path());
            let shape = param.lazy_shape();
            let drawn_as = in_checkpoint_order(&shape, self.place.is_transposed());
            let mut random = Random::new(derive(self.seed, &format!("weights of {name}"), &[]));
            let numbers = (self.rule)(&name, &drawn_as).draw(&drawn_as, &mut random);
            let numbers = match drawn_as[..] {
                [outputs, inputs] if self.place.is_transposed() => {
                    turned(&numbers, outputs, inputs)
                }
                _ => numbers,
            };
            let data = TensorData::new(numbers, shape);
            let (id, tensor) = (param.id, Tensor::from_data(data, &param.lazy_device()));
            param.transform_for_load(tensor, id)
        }
    }

    module.map(&mut Drawer {
        place: Place::default(),
        name_of,
        rule,
        seed,
    })
}

/// `[rows, columns]` → `[columns, rows]`.
fn turned(numbers: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let columns_of = |column| (0..rows).map(move |row| numbers[row * columns + column]);
    (0..columns).flat_map(columns_of).collect()
}
