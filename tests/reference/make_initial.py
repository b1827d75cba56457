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
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    ConvNextV2Config,
    ConvNextV2Model,
    DebertaV2Config,
    DebertaV2Model,
    DeiTConfig,
    DeiTModel,
    Dinov2Config,
    Dinov2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    RegNetConfig,
    RegNetModel,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    SiglipVisionConfig,
    SiglipVisionModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTModel,
)

DRAWN = 8
HEADS = ("classifier.weight", "classifier.bias", "classifier.1.", "classifier.3.", "fc.", "linear.", "head.fc.")
LEFT_OUT = ("num_batches_tracked", "running_mean", "running_var")


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
    roberta = {**bert, "pad_token_id": 2}
    distilbert = {"dim": 48, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "vocab_size": 300, "max_position_embeddings": 40}
    mpnet = {**bert, "pad_token_id": 1}
    narrow = {**bert, "embedding_size": 24}
    modernbert = {**sizes, "vocab_size": 300, "max_position_embeddings": 40, "pad_token_id": 3, "initializer_range": 0.05}
    special = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None}
    distances = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8, "norm_rel_ebd": "layer_norm"}
    deberta = {**narrow, **distances, "conv_kernel_size": 3}
    convnext = {"hidden_sizes": [16, 24], "depths": [1, 1], "num_stages": 2, "layer_scale_init_value": 0.25, "initializer_range": 0.03}
    dinov2 = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "mlp_ratio": 2, "image_size": 32, "patch_size": 8}
    dinov2 |= {"layerscale_value": 0.5, "initializer_range": 0.03}
    clip = {**image, "initializer_factor": 1.5, "initializer_range": 0.03}
    gated = dinov2 | {"use_swiglu_ffn": True}
    stages = {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 1]}
    swin = {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "patch_size": 4, "image_size": 32, "window_size": 4}
    swin |= {"use_absolute_embeddings": True, "initializer_range": 0.03}
    made = [
        network("bert", lambda: BertModel(BertConfig(**bert)), {"model_type": "bert", **bert}),
        network("roberta", lambda: RobertaModel(RobertaConfig(**roberta), add_pooling_layer=False), {"model_type": "roberta", **roberta}),
        network("distilbert", lambda: DistilBertModel(DistilBertConfig(**distilbert)), {"model_type": "distilbert", **distilbert}),
        network("mpnet", lambda: MPNetModel(MPNetConfig(**mpnet), add_pooling_layer=False), {"model_type": "mpnet", **mpnet}),
        network("electra", lambda: ElectraModel(ElectraConfig(**narrow)), {"model_type": "electra", **narrow}),
        network("albert", lambda: AlbertModel(AlbertConfig(**narrow)), {"model_type": "albert", **narrow}),
        network("modernbert", lambda: ModernBertModel(ModernBertConfig(**modernbert, **special)), {"model_type": "modernbert", **modernbert}),
        network("deberta-v2", lambda: DebertaV2Model(DebertaV2Config(**deberta)), {"model_type": "deberta-v2", **deberta}),
        network("vit", lambda: ViTModel(ViTConfig(**image), add_pooling_layer=False), {"model_type": "vit", **image}),
        network("deit", lambda: DeiTModel(DeiTConfig(**image), add_pooling_layer=False), {"model_type": "deit", **image}),
        network("mobilenet_v2", torchvision.models.mobilenet_v2, {"architecture": "mobilenet_v2"}),
        network("resnet18", torchvision.models.resnet18, {"architecture": "resnet18"}),
        network("efficientnet_lite0", lambda: timm.create_model("efficientnet_lite0"), {"architecture": "efficientnet_lite0"}),
        network("convnext", lambda: ConvNextModel(ConvNextConfig(**convnext)), {"model_type": "convnext", **convnext}),
        network("convnextv2", lambda: ConvNextV2Model(ConvNextV2Config(**convnext)), {"model_type": "convnextv2", **convnext}),
        network("dinov2", lambda: Dinov2Model(Dinov2Config(**dinov2)), {"model_type": "dinov2", **dinov2}),
        network("dinov2, gated", lambda: Dinov2Model(Dinov2Config(**gated)), {"model_type": "dinov2", **gated}),
        network("clip", lambda: CLIPVisionModel(CLIPVisionConfig(**clip)), {"model_type": "clip_vision_model", **clip}),
        network("siglip", lambda: SiglipVisionModel(SiglipVisionConfig(**image)), {"model_type": "siglip_vision_model", **image}),
        network("resnet", lambda: ResNetModel(ResNetConfig(**stages)), {"model_type": "resnet", **stages}),
        network("regnet", lambda: RegNetModel(RegNetConfig(**stages, groups_width=8)), {"model_type": "regnet", **stages, "groups_width": 8}),
        network("swin", lambda: SwinModel(SwinConfig(**swin), add_pooling_layer=False), {"model_type": "swin", **swin}),
        network("mobilenet_v3_small", torchvision.models.mobilenet_v3_small, {"architecture": "mobilenet_v3_small"}),
        network("test_convnext", lambda: timm.create_model("test_convnext"), {"architecture": "test_convnext"}),
        network("resnet20", cifar, {"architecture": "resnet20"}),
    ]
    with open(Path(__file__).parent / "initial.json", "w") as file:
        json.dump({"drawn": DRAWN, "networks": made}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
