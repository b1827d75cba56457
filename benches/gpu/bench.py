#!/usr/bin/env python3
"""refire with PyTorch's C++ library on an NVIDIA GPU, beside the same training in PyTorch: MiniLM at two sizes of batch, and MobileNetV2.
Everything trains, from random weights, on made-up data. Prints a table for benches/README.md; takes less than ten minutes.

    LIBTORCH_USE_PYTORCH=1 LIBTORCH_BYPASS_VERSION_CHECK=1 cargo build --release --features libtorch
    benches/gpu/bench.py target/release/refire

It needs a Python with PyTorch 2.9 and torchvision, whose libraries refire uses too. A binary that was built against PyTorch for the processor
alone does as well, because the libraries that are loaded are those of this Python.

It has not been run on a GPU yet. `--device cpu --tiny` runs all of it on the processor in seconds, to see that it works.
"""

import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import torch
import torchvision

import networks

# Everything has to be over by then.
MINUTES = 10

MINILM = {
    "model_type": "bert",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
}

TINY = {"hidden_size": 48, "num_hidden_layers": 1, "intermediate_size": 96, "vocab_size": 1000}

PIPELINE = """
[pipeline]
name = "gpu"
device = "{device}"

[stage.bert]
kind = "pretrained"
source = "bert"
files = ["config.json", "pytorch_model.bin", "tokenizer.json"]

[stage.texts]
kind = "dataset"
source = "texts.csv"

[stage.minilm]
kind = "finetune"
model = "bert"
train = "texts"
task = "text-classification"
pooling = "mean"
max_length = {tokens}
epochs = {epochs}
batch_size = "${{matrix.batch}}"
matrix = {{ batch = [32, 256] }}

[stage.mobilenet]
kind = "pretrained"
architecture = "mobilenet_v2"
source = "mobilenet"
files = ["weights.pth"]

[stage.photos]
kind = "images"
source = "photos"
size = {size}

[stage.mobilenetv2]
kind = "finetune"
model = "mobilenet"
train = "photos"
task = "image-classification"
epochs = {epochs}
batch_size = 32
"""


def main():
    start = time.monotonic()
    options = arguments()
    on_gpu = options.device != "cpu"
    config = MINILM | (TINY if options.tiny else {})
    sizes = {"rows": 5120, "tokens": 128, "images": 640, "size": 160, "epochs": 4}
    if options.tiny:
        sizes = {"rows": 256, "tokens": 16, "images": 16, "size": 32, "epochs": 2}
    peer_device = f"cuda:{options.device.split(':')[-1]}" if on_gpu else "cpu"
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    bert, mobilenet = networks.Bert(config), torchvision.models.mobilenet_v2()
    with tempfile.TemporaryDirectory() as folder:
        texts, photos = write(Path(folder), config, bert, mobilenet, sizes)
        (Path(folder) / "refire.toml").write_text(PIPELINE.format(device=options.device, **sizes))
        ours = refire(options.refire, Path(folder), on_gpu, start + 60 * MINUTES)
    mobilenet = torchvision.models.mobilenet_v2(num_classes=2)
    cases = [
        ("minilm@batch=32", f"MiniLM, 32 × {sizes['tokens']} tokens", bert, texts, 32),
        ("minilm@batch=256", f"MiniLM, 256 × {sizes['tokens']} tokens", bert, texts, 256),
        ("mobilenetv2", f"MobileNetV2, 32 × {sizes['size']}²", mobilenet, photos, 32),
    ]
    print(f"{machine(options.device)}. Samples a second, medians of epochs after the first; PyTorch has all samples on the device.\n")
    print("| training | refire | PyTorch, f32 | PyTorch, bf16 | refire / PyTorch, f32 |")
    print("|---|---:|---:|---:|---:|")
    for stage, name, network, inputs, batch in cases:
        labels = torch.arange(len(inputs)) % 2
        theirs = [networks.rates(network, inputs, labels, batch, sizes["epochs"], peer_device, mixed) for mixed in (False, True)]
        f32, bf16 = (statistics.median(rates[1:]) for rates in theirs)
        print(f"| {name} | {ours[stage]:,.0f} | {f32:,.0f} | {bf16:,.0f} | {ours[stage] / f32:.2f} |", flush=True)
    minutes = (time.monotonic() - start) / 60
    print(f"\n{minutes:.1f} minutes, {minutes <= MINUTES and 'in time' or 'too long'}.")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("refire", type=lambda path: Path(path).resolve(), help="the binary")
    parser.add_argument("--device", default="libtorch-cuda:0", help="as refire calls it")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it works")
    return parser.parse_args()


def machine(device):
    gpu = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}" if device != "cpu" else "no GPU"
    return f"{gpu}, {os.cpu_count()} processors, PyTorch {torch.__version__}"


def write(folder, config, bert, mobilenet, sizes):
    """Models and data, as refire reads them and as tensors."""
    for name in ("bert", "mobilenet", "photos/even", "photos/odd", ".refire"):
        (folder / name).mkdir(parents=True)
    (folder / "bert" / "config.json").write_text(json.dumps(config))
    torch.save(bert.backbone(), folder / "bert" / "pytorch_model.bin")
    torch.save(mobilenet.state_dict(), folder / "mobilenet" / "weights.pth")
    (folder / "bert" / "tokenizer.json").write_text(json.dumps(tokenizer(config["vocab_size"])))
    # Words are numbers, which are also their tokens; two tokens stand around each text.
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(len(SPECIAL), config["vocab_size"], (sizes["rows"], sizes["tokens"] - 2), generator=generator)
    rows = (f"{' '.join(map(str, row))},{index % 2}" for index, row in enumerate(words.tolist()))
    (folder / "texts.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    around = [torch.full((sizes["rows"], 1), SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")]
    texts = torch.cat([around[0], words, around[1]], 1)
    size = sizes["size"]
    noise = random.Random(1)
    for index in range(sizes["images"]):
        pixels = noise.randbytes(3 * size * size)
        header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + len(pixels), 0, 54, 40, size, size, 1, 24, 0, len(pixels), 0, 0, 0, 0)
        (folder / "photos" / ("even", "odd")[index % 2] / f"{index}.bmp").write_bytes(header + pixels)
    photos = torch.randn((sizes["images"], 3, size, size), generator=generator)
    return texts, photos


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tokenizer(size):
    """A token for every number below `size`."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL)} | {str(index): index for index in range(len(SPECIAL), size)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    first, last = ({"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]"))
    return {
        "version": "1.0",
        "added_tokens": [{"id": index, "content": token, **flags} for index, token in enumerate(SPECIAL)],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text, last],
            "pair": [first, text, last, text, last],
            "special_tokens": {token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")},
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }


def refire(binary, folder, on_gpu, deadline):
    """Samples a second of each training by refire."""
    environment = dict(os.environ)
    if on_gpu:
        libraries = Path(torch.__file__).parent / "lib"
        environment["LD_LIBRARY_PATH"] = f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        # What the binary was not linked with, it has to find loaded.
        environment["LD_PRELOAD"] = str(libraries / "libtorch_cuda.so")
    command = [str(binary), "run", "--jobs", "1", "--format", "json"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=deadline - time.monotonic())
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    rates = {}
    for line in run.stdout.splitlines():
        event = json.loads(line)
        if event["event"] == "measured":
            rates.setdefault(event["stage"], []).append(event["samples_per_second"])
    return {stage: statistics.median(of_epochs[1:]) for stage, of_epochs in rates.items()}


if __name__ == "__main__":
    main()
