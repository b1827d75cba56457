#!/usr/bin/env python3
"""What PyTorch writes before anything is timed; bench.py runs it:

    torch_export.py weights FOLDER MOBILENET_PTH EFFICIENTNET_PTH    weights of networks for photos, by the names of torchvision and timm
    torch_export.py texts FOLDER MINILM TUNED                        MiniLM with the head of a tuned one, for ONNX Runtime and OpenVINO
    torch_export.py photos FOLDER SIZE TUNED                         the same of MobileNetV2
"""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent


def weights(folder, mobilenet, efficientnet):
    sys.path.append(str(HERE.parent.parent / "tests" / "reference"))
    from make_vision import timm_name

    state = torch.load(efficientnet, weights_only=True)
    torch.manual_seed(42)
    states = {
        "mobilenet_v2": torch.load(mobilenet, weights_only=True),
        "tf_efficientnet_lite0": {timm_name(name): tensor for name, tensor in state.items()},
        "resnet18": torchvision.models.resnet18().state_dict(),
    }
    for name, state in states.items():
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, Path(folder) / f"{name}.safetensors")


def texts(folder, minilm, tuned):
    import torch_texts

    model = torch_texts.network(Path(minilm)).eval()
    model.classifier = head(tuned, model.classifier.in_features)
    ids = torch.tensor([[101, 2204, 2833, 102], [101, 2919, 102, 0]])
    write(model, ids, {"ids": {0: "texts", 1: "tokens"}, "logits": {0: "texts"}}, Path(folder) / "minilm.onnx")


def photos(folder, size, tuned):
    folder = Path(folder)
    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(load_file(folder / "mobilenet_v2.safetensors"))
    model.classifier = head(tuned, 1280)
    images = torch.randn(2, 3, int(size), int(size))
    write(model.eval(), images, {"images": {0: "photos"}, "logits": {0: "photos"}}, folder / "mobilenet.onnx")


def head(tuned, width):
    """The layer with two outputs out of the files of a model, or out of one file."""
    tuned = Path(tuned)
    files = [tuned] if tuned.is_file() else sorted(tuned.glob("*.safetensors"))
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    # An embedding of two rows has no bias.
    layers = {name: name.removesuffix("weight") + "bias" for name, tensor in tensors.items() if tensor.shape == (2, width)}
    ((weight, bias),) = ((weight, bias) for weight, bias in layers.items() if bias in tensors)
    layer = torch.nn.Linear(width, 2)
    layer.load_state_dict({"weight": tensors[weight], "bias": tensors[bias]})
    return layer


def write(model, example, axes, path):
    """`path`, and beside it what OpenVINO makes of it, without numbers of 16 bits."""
    import openvino

    inputs = [name for name in axes if name != "logits"]
    torch.onnx.export(model, (example,), path, input_names=inputs, output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)
    openvino.save_model(openvino.convert_model(path), path.with_suffix(".xml"), compress_to_fp16=False)


if __name__ == "__main__":
    {"weights": weights, "texts": texts, "photos": photos}[sys.argv[1]](*sys.argv[2:])
