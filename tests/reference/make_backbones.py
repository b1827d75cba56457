"""Makes backbones.json: logits and pooled vectors that transformers, timm and torchvision give for images and weights by the formulas
of make_vision.py, of small networks of the architectures that are not in vision.json.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_backbones.py

`made` are networks that all tests which walk the registry run on; `alike` are others of the same architectures, for what they differ in:
activations, settings, sizes of images that no patch divides.
"""

import json
import tempfile
from pathlib import Path

import timm
import torch
import transformers
from make_vision import formula, images
from safetensors.torch import load_file, save_file

CLASSES = 2
# What transformers writes into config.json that no network follows from, or that is its default everywhere.
LEFT_OUT = ("transformers_version", "dtype", "label2id", "num_channels", "initializer_range", "out_features", "out_indices", "stage_names")


def numbers(tensor):
    return [float(f"{float(number):.6g}") for number in tensor.flatten()]


def found(name, model, classifier, config, state, shape):
    """What the network gives, and what its classifier takes."""
    seen = []
    classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = model.eval()(images(shape))
    logits = getattr(logits, "logits", logits)
    tensors = {key: list(tensor.shape) for key, tensor in state.items()}
    outputs = {"logits": numbers(logits), "pooled": numbers(seen[0])}
    return {"name": name, "config": config, "tensors": tensors, "shape": shape, **outputs}


def of_transformers(name, model, shape):
    """One of transformers' networks, by the names that it saves its tensors under."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        path = Path(folder) / "model.safetensors"
        state = load_file(path)
        save_file({key: formula(key, tensor.shape) for key, tensor in state.items()}, path, metadata={"format": "pt"})
        model = type(model).from_pretrained(folder)
    config = {key: value for key, value in config.items() if key not in LEFT_OUT}
    return found(name, model, model.classifier, config, state, shape)


def filled(name, model, classifier, shape):
    """A network of torchvision or timm, by its name there."""
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    model.load_state_dict({key: formula(key, tensor.shape) for key, tensor in state.items()}, strict=False)
    return found(name, model, classifier, {"architecture": name, "num_classes": CLASSES}, state, shape)


def of_timm(name, shape):
    model = timm.create_model(name, num_classes=CLASSES)
    return filled(name, model, model.get_classifier(), shape)


def convnext(name, shape, version="", **settings):
    settings = {"hidden_sizes": [8, 12], "depths": [1, 2], "num_stages": 2, **settings}
    config = getattr(transformers, f"ConvNext{version}Config")(num_labels=CLASSES, **settings)
    return of_transformers(name, getattr(transformers, f"ConvNext{version}ForImageClassification")(config), shape)


def convnexts():
    deep = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1], "num_stages": 4, "patch_size": 2}
    made = [
        convnext("convnext", [2, 3, 37, 50], **deep),
        convnext("convnextv2", [2, 3, 37, 50], "V2", **deep),
        of_timm("test_convnext", [2, 3, 65, 97]),
        of_timm("convnextv2_atto", [1, 3, 65, 97]),
    ]
    alike = [
        *(convnext(f"convnext, {act}", [1, 3, 21, 18], hidden_act=act, **SHALLOW) for act in ACTIVATIONS),
        convnext("convnext, patches of 3", [1, 3, 32, 41], patch_size=3, layer_norm_eps=0.01),
        convnext("convnext, unscaled", [2, 3, 19, 16], layer_scale_init_value=0.0, layer_norm_eps=1e-6, **SHALLOW),
        convnext("convnextv2, quick_gelu", [2, 3, 19, 16], "V2", hidden_act="quick_gelu", **SHALLOW),
    ]
    return made, alike


SHALLOW = {"hidden_sizes": [8], "depths": [1], "num_stages": 1}
ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "tanh")


def main():
    made, alike = [], []
    for family in (convnexts,):
        of_made, of_alike = family()
        made += of_made
        alike += of_alike
    with open(Path(__file__).parent / "backbones.json", "w") as file:
        lines = {kind: ",\n".join(json.dumps(one, separators=(",", ":")) for one in ones) for kind, ones in (("made", made), ("alike", alike))}
        file.write(f'{{"made":[\n{lines["made"]}\n],"alike":[\n{lines["alike"]}\n]}}\n')


if __name__ == "__main__":
    main()
