//! Each way to convolve, against the definition.

use super::*;

/// The definition, term by term.
fn slow(images: &[f32], shape: &Shape, weights: &Weights<'_>) -> Vec<f32> {
    let [height, width] = shape.output_size();
    let input = |image: usize, channel: usize, row: usize, column: usize| {
        let row = row
            .checked_sub(shape.padding[0].0)
            .filter(|row| *row < shape.size[0]);
        let column = column
            .checked_sub(shape.padding[1].0)
            .filter(|column| *column < shape.size[1]);
        match (row, column) {
            (Some(row), Some(column)) => {
                let plane = (image * shape.inputs + channel) * shape.plane();
                images[plane + row * shape.size[1] + column]
            }
            _ => 0.0,
        }
    };
    let batch = images.len() / (shape.inputs * shape.plane());
    let mut results = Vec::new();
    for place in 0..batch * shape.outputs * height * width {
        let (row, column) = (place / width % height, place % width);
        let channel = place / (width * height) % shape.outputs;
        let image = place / (width * height * shape.outputs);
        let mut sum = 0.0_f64;
        for tap in 0..shape.fan_in() {
            let (tap_row, tap_column) = (tap / shape.kernel % shape.kernel, tap % shape.kernel);
            let of = tap / (shape.kernel * shape.kernel);
            let of = channel / (shape.outputs / shape.groups) * (shape.inputs / shape.groups) + of;
            let value = input(
                image,
                of,
                row * shape.stride + tap_row,
                column * shape.stride + tap_column,
            );
            sum += f64::from(value) * f64::from(weights.kernels[channel * shape.fan_in() + tap]);
        }
        #[expect(clippy::cast_possible_truncation, reason = "results are f32")]
        let value = sum as f32 * weights.scale[channel] + weights.shift[channel];
        results.push(match weights.activation {
            Activation::Relu if value < 0.0 => 0.0,
            Activation::Relu6 => value.clamp(0.0, 6.0),
            Activation::Silu => value / (1.0 + (-value).exp()),
            Activation::HardSwish => value * ((value + 3.0) / 6.0).clamp(0.0, 1.0),
            _ => value,
        });
    }
    results
}

/// Numbers between -1 and 1 without a pattern that a wrong index could keep.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from(i16::from_le_bytes([
            state.to_le_bytes()[2],
            state.to_le_bytes()[3],
        ])) / 32768.0
    };
    (0..len).map(next).collect()
}

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::Silu,
    Activation::HardSwish,
];

#[test]
fn functions_of_large_numbers_are_the_identity_or_nothing() {
    let one = |activation, x: f32| {
        let weights = Weights {
            kernels: &[],
            scale: &[100.0],
            shift: &[0.0],
            activation,
        };
        let mut value = [x / 100.0];
        weights.finish(0, &mut value);
        value[0]
    };
    for activation in [Activation::Silu, Activation::HardSwish] {
        for (x, expected) in [
            (-1e30, 0.0),
            (-90.0, 0.0),
            (0.0, 0.0),
            (90.0, 90.0),
            (1e30, 1e30),
        ] {
            let found = one(activation, x);
            assert!(
                (found - expected).abs() <= expected.abs() * 1e-6,
                "{activation:?} of {x}: {found}"
            );
        }
    }
    for x in [-4.0_f32, -2.5, -0.1, 0.3, 2.0, 5.0] {
        let expected = x / (1.0 + (-x).exp());
        assert!((one(Activation::Silu, x) - expected).abs() < 1e-6, "{x}");
    }
}

#[test]
fn every_way_gives_what_the_definition_gives() {
    let shape = Shape {
        inputs: 5,
        outputs: 5,
        groups: 1,
        size: [9, 14],
        kernel: 1,
        stride: 1,
        padding: [(0, 0); 2],
    };
    let mut shapes = vec![
        shape,
        Shape {
            outputs: 7,
            ..shape
        },
        Shape { stride: 2, ..shape },
    ];
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 2), (3, 3), (2, 2)] {
        for padding in [[(kernel / 2, kernel / 2); 2], [(0, 1), (1, 2)], [(0, 0); 2]] {
            for depthwise in [false, true] {
                let outputs = if depthwise { 5 } else { 3 };
                shapes.push(Shape {
                    outputs,
                    groups: if depthwise { 5 } else { 1 },
                    kernel,
                    stride,
                    padding,
                    ..shape
                });
            }
        }
    }
    // Larger than a tile, and smaller than a block.
    shapes.push(Shape {
        size: [40, 33],
        ..shape
    });
    shapes.push(Shape {
        size: [40, 33],
        kernel: 3,
        padding: [(1, 1); 2],
        ..shape
    });
    shapes.push(Shape {
        size: [1, 1],
        groups: 5,
        kernel: 3,
        padding: [(1, 1); 2],
        ..shape
    });
    for (index, shape) in shapes.iter().enumerate() {
        let images = numbers(2 * shape.inputs * shape.plane(), 1);
        let kernels = numbers(shape.outputs * shape.fan_in(), 2);
        let (scale, shift) = (numbers(shape.outputs, 3), numbers(shape.outputs, 4));
        let weights = Weights {
            kernels: &kernels,
            scale: &scale,
            shift: &shift,
            activation: ACTIVATIONS[index % ACTIVATIONS.len()],
        };
        let (fast, slow) = (
            convolve(&images, shape, &weights),
            slow(&images, shape, &weights),
        );
        assert_eq!(fast.len(), slow.len(), "{shape:?}");
        for (fast, slow) in fast.iter().zip(&slow) {
            assert!((fast - slow).abs() < 1e-5, "{shape:?}: {fast}, not {slow}");
        }
    }
}

#[test]
fn an_image_gives_the_same_bits_in_any_batch_and_on_any_number_of_threads() {
    for (depthwise, kernel) in [(false, 1), (false, 3), (true, 3)] {
        let shape = Shape {
            inputs: 24,
            outputs: 24,
            groups: if depthwise { 24 } else { 1 },
            size: [30, 31],
            kernel,
            stride: 1,
            padding: [(kernel / 2, kernel / 2); 2],
        };
        let images = numbers(5 * 24 * 30 * 31, 1);
        let kernels = numbers(24 * shape.fan_in(), 2);
        let weights = Weights {
            kernels: &kernels,
            scale: &[1.0; 24],
            shift: &[0.0; 24],
            activation: Activation::Identity,
        };
        let together = convolve(&images, &shape, &weights);
        let alone = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .expect("a pool");
        let alone = alone.install(|| convolve(&images[4 * 24 * 30 * 31..], &shape, &weights));
        assert_eq!(together[4 * 24 * 30 * 31..], alone);
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    let ways = [(false, 1), (false, 3), (true, 3)];
    for ((depthwise, kernel), activation) in ways
        .into_iter()
        .flat_map(|way| ACTIVATIONS.map(|activation| (way, activation)))
    {
        let shape = Shape {
            inputs: 4,
            outputs: 4,
            groups: if depthwise { 4 } else { 1 },
            size: [9, 9],
            kernel,
            stride: 1,
            padding: [(kernel / 2, kernel / 2); 2],
        };
        for place in ["image", "kernels", "scale", "shift"] {
            let mut images = numbers(4 * 81, 1);
            let mut kernels = numbers(4 * shape.fan_in(), 2);
            let (mut scale, mut shift) = ([1.0; 4], [0.0; 4]);
            match place {
                "image" => images[40] = f32::NAN,
                "kernels" => kernels[0] = f32::NAN,
                "scale" => scale[0] = f32::NAN,
                _ => shift[0] = f32::NAN,
            }
            let weights = Weights {
                kernels: &kernels,
                scale: &scale,
                shift: &shift,
                activation,
            };
            let results = convolve(&images, &shape, &weights);
            assert!(results[40].is_nan(), "{shape:?} {activation:?}: {place}");
            let expected = slow(&images, &shape, &weights);
            let kept = |(a, b): (&f32, &f32)| a.is_nan() == b.is_nan();
            assert!(results.iter().zip(&expected).all(kept), "{place}");
        }
    }
}
