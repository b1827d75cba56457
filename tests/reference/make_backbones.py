"""Makes backbones.json: logits and pooled vectors that transformers, timm and torchvision give for images and weights by the formulas
of make_vision.py, of small networks of the architectures that are not in vision.json.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_backbones.py

`made` are networks that all tests which walk the registry run on; `alike` are others of the same architectures, for what they differ in:
activations, settings, sizes of images that no patch divides. `outlines` are digests over the names and shapes of what is below the head
of every network that is known by name.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import timm
import torch
import torchvision
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
    outputs = {"logits": numbers(logits)}
    # Of wide networks the logits are enough.
    if seen[0].numel() <= 256:
        outputs["pooled"] = numbers(seen[0])
    return {"name": name, "config": config, "tensors": tensors, "shape": shape, **outputs}


def of_transformers(name, model, shape):
    """One of transformers' networks, by the names that it saves its tensors under."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        path = Path(folder) / "model.safetensors"
        saved = load_file(path)
        state = {key: tensor for key, tensor in saved.items() if not key.endswith("num_batches_tracked")}
        made = {key: formula(key, tensor.shape) for key, tensor in state.items()}
        save_file({**saved, **made}, path, metadata={"format": "pt"})
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


def dinov2(name, shape, **settings):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "mlp_ratio": 2, "image_size": 20, "patch_size": 5}
    config = transformers.Dinov2Config(num_labels=CLASSES, **(sizes | settings))
    return of_transformers(name, transformers.Dinov2ForImageClassification(config), shape)


def dinov2s():
    made = [dinov2("dinov2", [2, 3, 20, 20], num_hidden_layers=3)]
    alike = [
        *(dinov2(f"dinov2, {act}", [1, 3, 20, 20], hidden_act=act) for act in ("gelu_new", "quick_gelu", "relu", "silu")),
        dinov2("dinov2, larger", [1, 3, 34, 27]),
        dinov2("dinov2, smaller", [1, 3, 12, 13], image_size=33),
        dinov2("dinov2, swiglu", [1, 3, 20, 20], use_swiglu_ffn=True, mlp_ratio=3, layer_norm_eps=1e-3),
        dinov2("dinov2, without", [1, 3, 20, 25], qkv_bias=False, use_mask_token=False),
    ]
    return made, alike


def towers(name, shape, kind, **settings):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 24, "image_size": 20, "patch_size": 5}
    config = getattr(transformers, f"{kind}Config")(num_labels=CLASSES, vision_config=sizes | settings)
    config.text_config = {"model_type": config.text_config.model_type}
    return of_transformers(name, getattr(transformers, f"{kind}ForImageClassification")(config), shape)


def clips():
    made = [
        towers("clip", [2, 3, 20, 20], "CLIP", num_hidden_layers=3),
        towers("siglip", [2, 3, 20, 20], "Siglip", num_hidden_layers=3),
    ]
    alike = [
        *(towers(f"clip, {act}", [1, 3, 20, 20], "CLIP", hidden_act=act) for act in ("gelu", "gelu_new", "relu")),
        *(towers(f"siglip, {act}", [1, 3, 20, 20], "Siglip", hidden_act=act, vision_use_head=False) for act in ("gelu", "quick_gelu")),
        towers("clip, odd", [1, 3, 23, 23], "CLIP", image_size=23, layer_norm_eps=1e-3),
        towers("siglip, odd", [1, 3, 23, 23], "Siglip", image_size=23, layer_norm_eps=1e-3),
    ]
    return made, alike


def resnet(name, shape, **settings):
    sizes = {"embedding_size": 8, "hidden_sizes": [16, 24], "depths": [1, 2], **settings}
    config = transformers.ResNetConfig(num_labels=CLASSES, **sizes)
    return of_transformers(name, transformers.ResNetForImageClassification(config), shape)


def resnets():
    made = [resnet("resnet", [2, 3, 37, 50], downsample_in_first_stage=True, layer_type="basic")]
    alike = [
        *(resnet(f"resnet, {act}", [1, 3, 37, 33], hidden_act=act, layer_type="basic", depths=[1, 1]) for act in ("gelu", "silu", "tanh")),
        resnet("resnet, bottleneck", [2, 3, 65, 37]),
        resnet("resnet, stride first", [2, 3, 65, 37], downsample_in_bottleneck=True),
        grouped([1, 3, 37, 50]),
    ]
    return made, alike


def grouped(shape):
    """The smallest network that has the groups of a ResNeXt."""
    name = "resnext50_32x4d"
    model = getattr(torchvision.models, name)(num_classes=CLASSES)
    return filled(name, model, model.fc, shape)


def efficientnets():
    return [of_timm("efficientnet_b0", [1, 3, 65, 97])], [of_timm("tf_efficientnet_lite1", [1, 3, 65, 97]), of_timm("tf_efficientnet_b1", [1, 3, 66, 47])]


def mobilenets():
    def network(name):
        model = getattr(torchvision.models, name)(num_classes=CLASSES)
        return filled(name, model, model.classifier[3], [1, 3, 65, 97])

    return [network("mobilenet_v3_small")], [network("mobilenet_v3_large")]


def swin(name, shape, **settings):
    sizes = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4, "drop_path_rate": 0.0}
    config = transformers.SwinConfig(num_labels=CLASSES, **(sizes | settings))
    return of_transformers(name, transformers.SwinForImageClassification(config), shape)


def swins():
    alike = [
        *(swin(f"swin, {act}", [1, 3, 17, 17], hidden_act=act, depths=[2], num_heads=[2]) for act in ("gelu_new", "quick_gelu", "relu", "silu")),
        swin("swin, odd", [2, 3, 37, 50], window_size=5, layer_norm_eps=1e-3, mlp_ratio=2.5, depths=[2, 1], patch_size=3),
        swin("swin, positions", [1, 3, 32, 32], use_absolute_embeddings=True, qkv_bias=False, depths=[1, 1]),
    ]
    return [swin("swin", [2, 3, 32, 32])], alike


def regnet(name, shape, **settings):
    sizes = {"embedding_size": 10, "hidden_sizes": [12, 24], "depths": [1, 2], "groups_width": 4, **settings}
    config = transformers.RegNetConfig(num_labels=CLASSES, **sizes)
    return of_transformers(name, transformers.RegNetForImageClassification(config), shape)


def regnets():
    alike = [
        *(regnet(f"regnet, {act}", [1, 3, 21, 18], hidden_act=act, hidden_sizes=[8], depths=[1]) for act in ("gelu", "silu", "tanh")),
        regnet("regnet, x", [2, 3, 37, 50], layer_type="x", downsample_in_first_stage=False, groups_width=1000),
    ]
    return [regnet("regnet", [2, 3, 37, 50])], alike


def outline(name):
    """A digest over a line for each parameter below the head."""
    with torch.device("meta"):
        theirs = hasattr(torchvision.models, name) and not name.startswith(("convnext", "efficientnet"))
        model = getattr(torchvision.models, name)() if theirs else timm.create_model(name)
    head = model.get_classifier() if hasattr(model, "get_classifier") else list(model.modules())[-1]
    of_head = {id(parameter) for parameter in head.parameters()}
    lines = sorted(f"{key} {list(tensor.shape)}" for key, tensor in model.named_parameters() if id(tensor) not in of_head)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


NAMED = (
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "test_convnext"),
    *(f"convnext_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge")),
    *(f"convnextv2_{size}" for size in ("atto", "femto", "pico", "nano", "tiny", "base", "large")),
    *(f"{kind}efficientnet_{size}" for size in ("lite0", "lite1", "lite2", "b0", "b1", "b2", "b3", "b4") for kind in ("", "tf_")),
)
SHALLOW = {"hidden_sizes": [8], "depths": [1], "num_stages": 1}
ACTIVATIONS = ("gelu_new", "gelu_pytorch_tanh", "quick_gelu", "relu", "silu", "tanh")


def main():
    made, alike = [], []
    for family in (convnexts, dinov2s, clips, resnets, efficientnets, mobilenets, swins, regnets):
        of_made, of_alike = family()
        made += of_made
        alike += of_alike
    with open(Path(__file__).parent / "backbones.json", "w") as file:
        lines = {kind: ",\n".join(json.dumps(one, separators=(",", ":")) for one in ones) for kind, ones in (("made", made), ("alike", alike))}
        outlines = json.dumps({name: outline(name) for name in NAMED}, indent=0)
        file.write(f'{{"made":[\n{lines["made"]}\n],"alike":[\n{lines["alike"]}\n],"outlines":{outlines}}}\n')


if __name__ == "__main__":
    main()
