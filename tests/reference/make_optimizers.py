"""Writes optimizers.json: what the optimizers of torch, timm and transformers make of a vector, a matrix and a kernel in six steps.

    python3 tests/reference/make_optimizers.py > tests/reference/optimizers.json

torch 2.9.1, timm 1.0.31, transformers 5.23.0. Linear layers are written as Burn has them, with a row for each input. Muon computes in 32 bits
here, not in the 16 that torch takes.
"""

import json

import timm.optim
import torch
from transformers.optimization import Adafactor

RATE, DECAY, STEPS = 0.1, 0.05, 6


def plain(tensor):
    """Nine digits, which say all of 32 bits."""
    return [float(f"{number:.9g}") for number in tensor.detach().flatten().tolist()]


def numbers(size, seed):
    """So many numbers between -1 and 1 that any language can make; here they are written down anyway."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(size, generator=generator) * 2 - 1


def muon(parameters, **settings):
    torch.Tensor.bfloat16 = lambda tensor: tensor.float()
    return torch.optim.Muon(parameters, adjust_lr_fn="match_rms_adamw", **settings)


MAKERS = {
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "sgd momentum": lambda p, **s: torch.optim.SGD(p, momentum=0.9, **s),
    "sgd nesterov": lambda p, **s: torch.optim.SGD(p, momentum=0.9, nesterov=True, **s),
    "lion": timm.optim.Lion,
    "adafactor": lambda p, **s: Adafactor(p, scale_parameter=False, relative_step=False, **s),
    "lamb": lambda p, **s: timm.optim.Lamb(p, max_grad_norm=None, **s),
}


def case(rule, shape, decays, seed):
    hidden = len(shape) > 1
    size = torch.Size(shape).numel()
    before = numbers(size, seed)
    gradients = [numbers(size, seed * 100 + step) * (step % 3 + 0.2) for step in range(STEPS)]
    kept = list(shape)
    if rule == "muon" and hidden:
        # A kernel is a matrix with a row for each channel that it makes.
        shape = [shape[0], size // shape[0]]
    weights = torch.nn.Parameter(before.clone().reshape(shape))
    make = (muon if hidden else torch.optim.AdamW) if rule == "muon" else MAKERS[rule]
    optimizer = make([weights], lr=RATE, weight_decay=DECAY if decays else 0.0)
    for gradient in gradients:
        weights.grad = gradient.clone().reshape(shape)
        optimizer.step()
    return {
        "rule": rule,
        "shape": kept,
        "decays": decays,
        "hidden": hidden,
        "before": plain(before),
        "gradients": [plain(gradient) for gradient in gradients],
        "after": plain(weights),
    }


def main():
    cases = []
    for rule in [*MAKERS, "muon"]:
        for seed, (shape, decays) in enumerate(
            [([5], False), ([3, 4], True), ([4, 3], True), ([3, 2, 2, 2], True)], start=1
        ):
            cases.append(case(rule, shape, decays, seed))
    print(json.dumps({"rate": RATE, "weight_decay": DECAY, "cases": cases}))


main()
