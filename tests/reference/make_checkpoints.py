"""Makes checkpoints/: the weights of one small BERT as programs save them, for `src/models/network/tests/saved.rs`.

    pip install torch==2.9.1 transformers==5.23.0 safetensors
    python make_checkpoints.py

Number `i` of the tensor that is number `n` in the order of the names is ((7919 i + 104729 n) mod 1000 - 500) / 2500, so that both sides can
compute it; `mixed` and `sharded` hold it in the types that TYPES deals out. Nothing is trained: what a training script would have beside
the weights is there with other numbers.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

HERE = Path(__file__).parent / "checkpoints"
CONFIG = BertConfig(
    vocab_size=8,
    hidden_size=4,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=4,
    max_position_embeddings=6,
    pad_token_id=0,
)
TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def model():
    made = BertForMaskedLM(CONFIG)
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    with torch.no_grad():
        for number, (name, tensor) in enumerate(sorted(weights(made, tied).items())):
            count = tensor.numel()
            formula = [((7919 * i + 104729 * number) % 1000 - 500) / 2500 for i in range(count)]
            tensor.copy_(torch.tensor(formula, dtype=torch.float64).reshape(tensor.shape))
    return made


def weights(made, without=()):
    state = made.state_dict()
    return {name: state[name] for name in state if name not in without}


def other(state):
    return {name: tensor * 0.5 for name, tensor in state.items()}


def optimizer(state):
    first = next(iter(state.values()))
    moments = {"step": torch.tensor(3.0), "exp_avg": first * 2, "exp_avg_sq": first * first}
    return {"state": {0: moments}, "param_groups": [{"lr": 1e-3, "params": [0]}]}


def under(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def mixed(state):
    names = enumerate(sorted(state))
    return {name: state[name].to(TYPES[number % 4]) for number, name in names}


def main():
    HERE.mkdir(exist_ok=True)
    made = model()
    state = weights(made)
    plain = weights(made, {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"})

    def save(name, saved):
        torch.save(saved, HERE / name)

    # transformers' own: tied tensors under both names.
    save("tied.bin", state)
    # PyTorch's way of before 1.6, half precision.
    torch.save(
        {name: tensor.half() for name, tensor in state.items()},
        HERE / "legacy.bin",
        _use_new_zipfile_serialization=False,
    )
    # Lightning, with torch.compile and a metric, on a model in the attribute `model`.
    lightning = under("model._orig_mod.", plain) | {"loss_fn.weight": torch.ones(2)}
    save(
        "lightning.ckpt",
        {
            "epoch": 1,
            "state_dict": lightning,
            "optimizer_states": [optimizer(plain)],
            "lr_schedulers": [],
            "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
            "hyper_parameters": {"lr": 1e-3},
        },
    )
    # torchvision's training script, in DistributedDataParallel, with PyTorch's averages of the weights.
    averages = under("module.", other(plain)) | {"n_averaged": torch.tensor(7)}
    save(
        "averaged.pth",
        {
            "model": under("module.", plain),
            "optimizer": optimizer(plain),
            "lr_scheduler": {"last_epoch": 1},
            "epoch": 1,
            "model_ema": averages,
        },
    )
    save_file(mixed(plain), HERE / "mixed.safetensors", {"format": "pt"})
    # What `safetensors.torch.save_model` writes: of a tied tensor one name is left out and noted in the metadata. Here it is the one by
    # which a BERT without its head knows the tensor.
    embedding, decoder = "bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"
    noted = {embedding: decoder, "format": "pt"}
    kept = {name: tensor for name, tensor in state.items() if name not in (embedding, "cls.predictions.decoder.bias")}
    save_file({name: tensor.clone() for name, tensor in kept.items()}, HERE / "tied.safetensors", noted)
    names = sorted(mixed(plain))
    halves = {"1": names[::2], "2": names[1::2]}
    index = {}
    for number, part in halves.items():
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: mixed(plain)[name] for name in part}, HERE / file)
        index.update(dict.fromkeys(part, file))
    index = {"metadata": {"total_size": 0}, "weight_map": index}
    (HERE / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    config = CONFIG.to_dict() | {"architectures": ["BertForMaskedLM"]}
    kept = ["architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers"]
    kept += ["num_attention_heads", "intermediate_size", "max_position_embeddings", "pad_token_id"]
    (HERE / "config.json").write_text(json.dumps({key: config[key] for key in kept}, indent=1) + "\n")
    for file in HERE.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()
