//! Rates beside those of `transformers` 5.23 and PyTorch 2.9.

use super::*;

fn rates(shape: Shape, warmup: u64, details: Details) -> Vec<f64> {
    let schedule = Schedule {
        shape,
        details,
        peak: 10.0,
        warmup,
        total: 10,
    };
    (0..10).map(|step| schedule.rate(step)).collect()
}

/// Ten steps up to 10: what `get_scheduler` gives, and `OneCycleLR(pct_start=warmup / 10)`.
#[expect(clippy::unreadable_literal, reason = "as the libraries print them")]
#[test]
fn rates_are_those_of_transformers_and_pytorch() {
    let none = Details::default();
    let cycles = Details {
        num_cycles: Some(2),
        ..none
    };
    let power = Details {
        power: Some(2.0),
        lr_end: Some(1.0),
        ..none
    };
    let timescale = Details {
        timescale: Some(5),
        ..none
    };
    let decay = Details {
        num_decay_steps: Some(4),
        ..none
    };
    let straight = Details {
        decay_type: Some(Decay::Linear),
        ..decay
    };
    let root = Details {
        decay_type: Some(Decay::OneMinusSqrt),
        min_lr_ratio: Some(0.1),
        ..decay
    };
    #[rustfmt::skip]
    let expected = [
        (Shape::Constant, 0, none, [10.0; 10]),
        (Shape::ConstantWithWarmup, 4, none, [0.0, 2.5, 5.0, 7.5, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
        (Shape::Linear, 2, none, [0.0, 5.0, 10.0, 8.75, 7.5, 6.25, 5.0, 3.75, 2.5, 1.25]),
        (Shape::Cosine, 2, none, [0.0, 5.0, 10.0, 9.6194, 8.53553, 6.91342, 5.0, 3.08658, 1.46447, 0.380602]),
        (Shape::CosineWithRestarts, 2, cycles, [0.0, 5.0, 10.0, 8.53553, 5.0, 1.46447, 10.0, 8.53553, 5.0, 1.46447]),
        (Shape::CosineWithRestarts, 0, none, [10.0, 9.75528, 9.04508, 7.93893, 6.54508, 5.0, 3.45492, 2.06107, 0.954915, 0.244717]),
        (Shape::Polynomial, 2, power, [0.0, 5.0, 10.0, 7.89062, 6.0625, 4.51562, 3.25, 2.26562, 1.5625, 1.14062]),
        (Shape::Polynomial, 0, none, [10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]),
        (Shape::InverseSqrt, 2, none, [0.0, 5.0, 10.0, 8.16497, 7.07107, 6.32456, 5.7735, 5.34522, 5.0, 4.71405]),
        (Shape::InverseSqrt, 2, timescale, [0.0, 5.0, 10.0, 9.12871, 8.45154, 7.90569, 7.45356, 7.07107, 6.742, 6.45497]),
        (Shape::InverseSqrt, 0, none, [10.0, 9.9995, 9.999, 9.9985, 9.998, 9.9975, 9.997, 9.9965, 9.996, 9.9955]),
        (Shape::WarmupStableDecay, 2, decay, [0.0, 5.0, 10.0, 10.0, 10.0, 10.0, 10.0, 8.53553, 5.0, 1.46447]),
        (Shape::WarmupStableDecay, 2, straight, [0.0, 5.0, 10.0, 10.0, 10.0, 10.0, 10.0, 7.5, 5.0, 2.5]),
        (Shape::WarmupStableDecay, 0, root, [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 5.5, 3.63604, 2.20577]),
        (Shape::WarmupStableDecay, 2, root, [1.0, 5.5, 10.0, 10.0, 10.0, 10.0, 10.0, 5.5, 3.63604, 2.20577]),
        (Shape::OneCycle, 0, none, [0.4, 5.2, 10.0, 9.50485, 8.11746, 6.11262, 3.88742, 1.88258, 0.495194, 4e-05]),
        (Shape::OneCycle, 5, none, [0.4, 1.80589, 5.2, 8.59411, 10.0, 9.04509, 6.5451, 3.45494, 0.954951, 4e-05]),
    ];
    for (shape, warmup, details, expected) in expected {
        assert_eq!(details.check(shape, Some(10.0)), Ok(()));
        for (found, expected) in rates(shape, warmup, details).iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-5 * expected.max(1.0),
                "{shape:?}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn whatever_the_lengths_a_rate_is_a_number_that_is_not_above_the_peak() {
    let shapes = [
        Shape::Linear,
        Shape::Cosine,
        Shape::Constant,
        Shape::ConstantWithWarmup,
        Shape::CosineWithRestarts,
        Shape::Polynomial,
        Shape::InverseSqrt,
        Shape::WarmupStableDecay,
        Shape::OneCycle,
    ];
    for shape in shapes {
        let name = serde_json::to_value(shape).expect("a word");
        assert_eq!(name, shape.name());
        for total in 0..6 {
            for warmup in 0..8 {
                let schedule = Schedule {
                    shape,
                    details: Details::default(),
                    peak: 1.0,
                    warmup,
                    total,
                };
                for step in 0..12 {
                    let rate = schedule.rate(step);
                    assert!((0.0..=1.0).contains(&rate), "{schedule:?} {step}: {rate}");
                }
            }
        }
    }
}

#[test]
fn a_detail_of_another_shape_is_refused() {
    let details = Details {
        num_cycles: Some(2),
        ..Details::default()
    };
    let refused = details.check(Shape::Cosine, None).expect_err("not its own");
    assert!(refused.contains("cosine_with_restarts"), "{refused}");
    let details = Details {
        lr_end: Some(0.1),
        ..Details::default()
    };
    assert!(details.check(Shape::Polynomial, Some(0.1)).is_err());
}

#[test]
fn cosine_does_not_climb_again() {
    let schedule = Schedule {
        shape: Shape::Cosine,
        details: Details::default(),
        peak: 1.0,
        warmup: 0,
        total: 4,
    };
    assert!((4..12).all(|step| schedule.rate(step).abs() < 1e-12));
}

/// The rates after each of these figures, by `ReduceLROnPlateau` of PyTorch 2.9 from a rate of 1.
#[test]
fn rates_on_a_plateau_are_those_of_pytorch() {
    let none = Details::default();
    let of = |factor, patience| Details {
        factor: Some(factor),
        patience: Some(patience),
        ..none
    };
    let cooling = Details {
        cooldown: Some(2),
        min_lr: Some(0.05),
        ..of(0.1, 0)
    };
    let coarse = Details {
        threshold: Some(0.1),
        ..of(0.5, 0)
    };
    let cases: [(bool, Details, &[f64], &[f64]); 3] = [
        (
            true,
            of(0.5, 1),
            &[0.5, 0.6, 0.6, 0.60001, 0.7, 0.7, 0.69, 0.7, 0.7, 0.7],
            &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125],
        ),
        (
            false,
            cooling,
            &[1.0, 0.9, 0.95, 0.9, 0.91, 0.92, 0.8, 0.8, 0.8, 0.8],
            &[1.0, 1.0, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05],
        ),
        (
            false,
            coarse,
            &[1.0, 0.95, 0.93, 0.85, 0.84, 0.83],
            &[1.0, 0.5, 0.25, 0.25, 0.125, 0.0625],
        ),
    ];
    for (higher_is_better, details, figures, expected) in cases {
        let schedule = Schedule {
            shape: Shape::ReduceLrOnPlateau,
            details,
            peak: 1.0,
            warmup: 0,
            total: 10,
        };
        let rate = |count| schedule.on_plateau(higher_is_better, figures[..count].iter().copied());
        let found: Vec<f64> = (1..=figures.len()).map(rate).collect();
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-12, "{found:?}");
    }
}
