//! What is said when a loss is not a number: whether the weights came so, overflow, or were trained so.

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::*;

/// Writes `value` over all numbers of the encoder's tensor `name`.
fn overwrite(bench: &Bench, name: &str, value: f32) {
    let path = bench.path("encoder/model.safetensors");
    let bytes = std::fs::read(&path).expect("a checkpoint");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let view = tensors.tensor(name).expect("it has the tensor");
    let numbers = view.data().len() / 4;
    let data: Vec<u8> = (0..numbers).flat_map(|_| value.to_le_bytes()).collect();
    let new = TensorView::new(view.dtype(), view.shape().to_vec(), &data).expect("as many numbers");
    let changed = tensors.iter().map(|(known, view)| {
        let is_it = known == name;
        (known.to_string(), if is_it { new.clone() } else { view })
    });
    let changed = safetensors::serialize(changed, None).expect("well-formed");
    crate::store::write_atomic(&path, &changed).expect("written");
}

/// The error of a training on an encoder with `value` for the last norm of its first layer, in one text.
fn failed(freeze: &str, value: f32, settings: &str) -> String {
    let bench = Bench::new(freeze);
    overwrite(&bench, "encoder.layer.0.output.LayerNorm.weight", value);
    format!("{:?}", failure(bench.tune(settings)))
}

#[test]
fn the_advice_depends_on_whose_weights_they_are() {
    let frozen = r#"{"freeze": {"trainable_layers": 0}}"#;
    for freeze in ["{}", frozen] {
        let error = failed(freeze, f32::NAN, FROZEN);
        let broken = "tensor `encoder.layer.0.output.LayerNorm.weight` is broken: 32 of its 32 values are NaN";
        assert!(error.contains(broken), "{error}");
    }
    let error = failed(frozen, 3e38, FROZEN);
    assert!(
        error.contains("what the frozen layers give is none"),
        "{error}"
    );
    let error = failed("{}", 3e38, FROZEN);
    assert!(error.contains("before anything is trained"), "{error}");
    let error = format!(
        "{:?}",
        failure(Bench::frozen().tune(&FROZEN.replace("0.05", "1e38")))
    );
    assert!(error.contains("training has made"), "{error}");
    assert!(error.contains("set a lower `learning_rate`"), "{error}");
}
