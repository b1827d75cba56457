"""Makes initial.json: what transformers, torchvision and timm draw the weights of new networks from.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_initial.py

Of each tensor below the head, over eight networks: the mean and the standard deviation of its numbers, the share of them that is
further than two standard deviations from 0, and which rows are zeros. Constant tensors have neither spread nor share. The ResNet for
CIFAR-10 is drawn as `_weights_init` in akamaster/pytorch_resnet_cifar10 says.
"""

import json
import tempfile
from pathlib import Path

import timm
import torch
import torchvision
from make_vision import Cifar
from safetensors.torch import load_file
from transformers import (
    BertConfig,
    BertModel,
    ConvNextConfig,
    ConvNextModel,
    ConvNextV2Config,
    ConvNextV2Model,
    DeiTConfig,
    DeiTModel,
    ViTConfig,
    ViTModel,
)

DRAWN = 8
HEADS = ("classifier.", "fc.", "linear.", "head.fc.")
LEFT_OUT = ("mask_token", "num_batches_tracked", "running_mean", "running_var")


def cifar():
    network = Cifar(3, 10)
    for module in network.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            torch.nn.init.kaiming_normal_(module.weight)
    return network


def saved(network):
    """Its tensors by the names that a checkpoint has."""
    if not hasattr(network, "save_pretrained"):
        return network.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return load_file(Path(folder) / "model.safetensors")


def statistics(tensors):
    numbers = torch.stack([tensor.double() for tensor in tensors])
    spread = float(numbers.std())
    found = {"shape": list(tensors[0].shape), "mean": round(float(numbers.mean()), 8), "std": round(spread, 8)}
    if spread > 0:
        found["beyond"] = round(float((numbers.abs() > 2 * spread).double().mean()), 6)
    if numbers.dim() == 3 and spread > 0:
        zeros = (numbers == 0).all(dim=2).all(dim=0).nonzero().flatten().tolist()
        found |= {"zero_rows": zeros} if zeros else {}
    return found


def network(name, make, config):
    states = []
    for seed in range(DRAWN):
        torch.manual_seed(seed)
        states.append(saved(make()))
    names = [name for name in states[0] if not name.startswith(HEADS) and not name.endswith(LEFT_OUT)]
    tensors = {name: statistics([state[name] for state in states]) for name in names}
    return {"name": name, "config": config, "tensors": tensors}


def main():
    sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    bert = {**sizes, "vocab_size": 300, "max_position_embeddings": 40, "pad_token_id": 3, "initializer_range": 0.05}
    image = {**sizes, "image_size": 32, "patch_size": 8}
    convnext = {"hidden_sizes": [16, 24], "depths": [1, 1], "num_stages": 2, "layer_scale_init_value": 0.25, "initializer_range": 0.03}
    made = [
        network("bert", lambda: BertModel(BertConfig(**bert)), {"model_type": "bert", **bert}),
        network("vit", lambda: ViTModel(ViTConfig(**image), add_pooling_layer=False), {"model_type": "vit", **image}),
        network("deit", lambda: DeiTModel(DeiTConfig(**image), add_pooling_layer=False), {"model_type": "deit", **image}),
        network("mobilenet_v2", torchvision.models.mobilenet_v2, {"architecture": "mobilenet_v2"}),
        network("resnet18", torchvision.models.resnet18, {"architecture": "resnet18"}),
        network("efficientnet_lite0", lambda: timm.create_model("efficientnet_lite0"), {"architecture": "efficientnet_lite0"}),
        network("convnext", lambda: ConvNextModel(ConvNextConfig(**convnext)), {"model_type": "convnext", **convnext}),
        network("convnextv2", lambda: ConvNextV2Model(ConvNextV2Config(**convnext)), {"model_type": "convnextv2", **convnext}),
        network("test_convnext", lambda: timm.create_model("test_convnext"), {"architecture": "test_convnext"}),
        network("resnet20", cifar, {"architecture": "resnet20"}),
    ]
    with open(Path(__file__).parent / "initial.json", "w") as file:
        json.dump({"drawn": DRAWN, "networks": made}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
