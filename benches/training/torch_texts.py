#!/usr/bin/env python3
"""Tunes MiniLM on a table of texts and measures it on another; bench.py runs it.

The network is that of benches/gpu, with attention in one call, and starts some seconds earlier than transformers. Texts of similar length
are in a batch together, as `group_by_length` of transformers has it.
"""

import csv
import json
import math
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import peer

sys.path.append(str(Path(__file__).parent.parent / "gpu"))
import networks  # noqa: E402

# So many batches are sorted by length at a time.
WINDOW = 50


def main():
    options = peer.arguments(model=Path, tokens=int, train=Path, test=Path)
    clock = peer.Clock()
    with clock.span("training"):
        tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
        tokenizer.enable_truncation(options.tokens)
        tokenizer.no_padding()
        train = read(options.train, tokenizer)
        model = network(options.model)
        if options.frozen:
            model.eval().requires_grad_(False)
            with clock.span("features"):
                features = outputs(model.pooled, train[0], options)
            head = torch.nn.Sequential(model.dropout, model.classifier).requires_grad_(True)
            peer.train_head(head, features, train[1], options)
        else:
            with clock.span("epochs"):
                tune(model, train, options)
        save_file(model.state_dict(), options.save)
    with clock.span("measuring"):
        test = read(options.test, tokenizer)
        logits = outputs(model.eval(), test[0], options)
    peer.finish(clock, logits, test[1])


def read(path, tokenizer):
    """The tokens of all texts of a table, and the places of their labels."""
    csv.field_size_limit(1 << 24)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    encodings = tokenizer.encode_batch_fast([row["text"] for row in rows])
    labels = torch.tensor([("negative", "positive").index(row["label"]) for row in rows])
    return [torch.tensor(encoding.ids) for encoding in encodings], labels


def network(folder):
    """MiniLM with the weights of a folder and a new head for two labels."""
    config = json.loads((folder / "config.json").read_text())
    with torch.device("meta"):
        model = networks.Bert(config)
    state = load_file(folder / "model.safetensors")
    state["classifier.weight"] = torch.nn.init.normal_(torch.empty(2, config["hidden_size"]), std=0.02)
    state["classifier.bias"] = torch.zeros(2)
    missing, unused = model.load_state_dict(state, strict=False, assign=True)
    assert not missing and all(name.startswith("pooler.") or name.endswith("position_ids") for name in unused), (missing, unused)
    return model


def padded(tokens, rows):
    return torch.nn.utils.rnn.pad_sequence([tokens[row] for row in rows], batch_first=True)


def tune(model, train, options):
    tokens, labels = train
    training = peer.Training(model.train(), options, options.epochs * math.ceil(len(labels) / options.batch))
    for _ in range(options.epochs):
        batches = []
        for window in torch.randperm(len(labels)).split(WINDOW * options.batch):
            ordered = sorted(window.tolist(), key=lambda row: len(tokens[row]))
            batches += [ordered[start : start + options.batch] for start in range(0, len(ordered), options.batch)]
        for place in torch.randperm(len(batches)).tolist():
            training.step(padded(tokens, batches[place]), labels[batches[place]])


def outputs(model, tokens, options):
    """What a network gives for each text; the longest come first."""
    order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
    found = [None] * len(tokens)
    with torch.inference_mode(), peer.mixed(options.precision):
        for start in range(0, len(order), options.batch):
            rows = order[start : start + options.batch]
            for row, numbers in zip(rows, model(padded(tokens, rows)).float()):
                found[row] = numbers
    return torch.stack(found).clone()


if __name__ == "__main__":
    main()
