//! What the parameters of adapters are called: as peft writes them, behind the name of the layer.

use super::layer::Adapter;

/// The path of a parameter in an adapter → its name behind that of the layer.
const PARTS: [(&str, &str); 3] = [
    ("a.weight", "lora_A.weight"),
    ("b.weight", "lora_B.weight"),
    ("magnitude", "lora_magnitude_vector"),
];

/// What the name of one parameter of every adapter ends with.
pub(in crate::models) const FIRST: &str = ".lora_A.weight";

/// What the name of an adapted weight ends with.
const WEIGHT: &str = ".weight";

/// The path of the weight that an adapter at `path` belongs to, and what its parameter there is called behind the layer's name; none for a
/// path into no adapter.
pub(in crate::models) fn of_path(path: &str) -> Option<(String, &'static str)> {
    let behind = format!("{WEIGHT}.{}.", Adapter::FIELD);
    let (layer, part) = path.split_once(&behind)?;
    let (_, name) = PARTS.iter().find(|(field, _)| *field == part)?;
    Some((format!("{layer}{WEIGHT}"), name))
}

/// The name of the parameter `part` of the adapter of the layer that has the weight `weight`.
pub(in crate::models) fn beside(weight: &str, part: &str) -> String {
    let layer = layer(weight).unwrap_or(weight);
    format!("{layer}.{part}")
}

/// The layer that has this weight; none if it is called otherwise.
pub(in crate::models) fn layer(weight: &str) -> Option<&str> {
    weight.strip_suffix(WEIGHT)
}

/// The layer that the parameter `name` adapts, and which of its parameters that is; none if it is no adapter's.
pub(in crate::models) fn adapted_layer(name: &str) -> Option<(&str, &'static str)> {
    PARTS.iter().find_map(|(_, part)| {
        let layer = name.strip_suffix(part)?.strip_suffix('.')?;
        Some((layer, *part))
    })
}

/// Whether a tensor is an adapter's.
pub(in crate::models) fn is_adapter(name: &str) -> bool {
    adapted_layer(name).is_some()
}

/// `rename` of a name, where it knows the names of layers, and not those of their adapters.
pub(in crate::models) fn renamed(name: &str, rename: impl Fn(&str) -> String) -> String {
    match adapted_layer(name) {
        Some((layer, part)) => beside(&rename(&format!("{layer}{WEIGHT}")), part),
        None => rename(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_named_behind_their_layers() {
        let path = "backbone.encoder.layer.0.query.weight.lora.a.weight";
        let (weight, part) = of_path(path).expect("an adapter's");
        assert_eq!(weight, "backbone.encoder.layer.0.query.weight");
        assert_eq!(beside("x.query.weight", part), "x.query.lora_A.weight");
        assert_eq!(of_path("backbone.encoder.query.weight"), None);
        assert_eq!(
            adapted_layer("x.query.lora_magnitude_vector"),
            Some(("x.query", "lora_magnitude_vector"))
        );
        assert!(!is_adapter("x.query.weight"));
        assert!(!is_adapter("lora_A.weight"));
    }

    #[test]
    fn names_of_other_libraries_hold_for_adapters_too() {
        let rename = |name: &str| name.replace("fc1.weight", "wide.weight");
        assert_eq!(
            renamed("mlp.fc1.lora_B.weight", rename),
            "mlp.wide.lora_B.weight"
        );
        assert_eq!(renamed("mlp.fc1.bias", rename), "mlp.fc1.bias");
    }
}
