"""Makes folders with a BERT of random weights, 438 MB as f32, in every way of saving that `main.rs` is to load.

    pip install torch==2.9.1 transformers==5.23.0 safetensors
    python make.py FOLDER [NAME …]
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel


def main():
    out = Path(sys.argv[1])
    made = BertModel(BertConfig())
    types = [torch.float32, torch.float16, torch.bfloat16, torch.float64]
    for name in sys.argv[2:] or ["f32", "f16", "mixed", "pickle", "training", "sharded"]:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        made.config.to_json_file(folder / "config.json")
        state = {key: tensor.contiguous() for key, tensor in made.state_dict().items()}
        if name == "f16":
            state = {key: tensor.half() for key, tensor in state.items()}
        if name == "mixed":
            state = {key: state[key].to(types[n % 4]) for n, key in enumerate(sorted(state))}
        if name == "pickle":
            torch.save(state, folder / "pytorch_model.bin")
        elif name == "training":
            moments = {n: {"exp_avg": t * 2, "exp_avg_sq": t * t} for n, t in enumerate(state.values())}
            saved = {"model": {f"module.{key}": tensor for key, tensor in state.items()}}
            torch.save(saved | {"optimizer": {"state": moments}, "epoch": 3}, folder / "checkpoint.pth")
        elif name == "sharded":
            made.save_pretrained(folder, max_shard_size="100MB")
        else:
            save_file(state, folder / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
