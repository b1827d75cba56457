"""What the scripts in PyTorch beside this file share: settings, steps of training as refire takes them, and what they print in the end."""

import argparse
import contextlib
import json
import math
import time

import torch
from torch.nn import functional

WEIGHT_DECAY = 0.01


def arguments(**defaults: type) -> argparse.Namespace:
    """Settings that all scripts have, and more of these types."""
    parser = argparse.ArgumentParser()
    for name, kind in ({"threads": int, "precision": str, "epochs": int, "batch": int, "learning_rate": float, "save": str} | defaults).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, required=True)
    parser.add_argument("--frozen", action="store_true", help="train the head alone, on features that are computed once")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    return options


def mixed(precision: str):
    """Where products are made in bfloat16, if they are to be."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


class Training:
    """AdamW with a learning rate that falls to 0; biases and the weights of norms do not shrink; gradients are clipped."""

    def __init__(self, model: torch.nn.Module, options: argparse.Namespace, steps: int):
        self.model, self.precision = model, options.precision
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in self.parameters if parameter.dim() > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [parameter for parameter in self.parameters if parameter.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: max(0.0, 1 - step / steps))

    def step(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with mixed(self.precision):
            logits = self.model(inputs)
        loss = functional.cross_entropy(logits.float(), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        self.schedule.step()
        return loss


def train_head(head: torch.nn.Module, features: torch.Tensor, labels: torch.Tensor, options: argparse.Namespace) -> None:
    """Trains a head on features."""
    steps = options.epochs * math.ceil(len(labels) / options.batch)
    training = Training(head.train(), options, steps)
    for _ in range(options.epochs):
        for rows in torch.randperm(len(labels)).split(options.batch):
            training.step(features[rows], labels[rows])


class Clock:
    """The seconds of named spans, which may come more than once."""

    def __init__(self):
        self.spans: dict[str, float] = {}

    @contextlib.contextmanager
    def span(self, name: str):
        start = time.perf_counter()
        yield
        self.spans[name] = self.spans.get(name, 0.0) + time.perf_counter() - start


def finish(clock: Clock, logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Prints what bench.py reads: the share of right answers, and seconds."""
    assert torch.isfinite(logits).all()
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    print(json.dumps({"accuracy": accuracy, **{f"{name}_seconds": seconds for name, seconds in clock.spans.items()}}))
