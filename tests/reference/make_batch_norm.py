"""Makes batch_norm.json: losses and running statistics that PyTorch gives while the last third of a network trains.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_batch_norm.py

A ResNet-20 with weights, images and labels by the formulas of make_vision.py. Its blocks below `layer3` are frozen as torchvision's
users freeze them: no gradients, and batch normalisations in evaluation mode. Images are small, and batches of eight and of three take
turns, so that it counts how the variance over a small batch is estimated.
"""

import json
from pathlib import Path

import torch

from make_vision import CLASSES, Cifar, formula, values

STEPS, SIZES, SIDE, LEARNING_RATE, WEIGHT_DECAY = 10, (8, 3), 8, 1e-3, 0.01
WATCHED = ["layer3.0.bn1", "layer3.2.bn2"]


def main():
    model = Cifar(3, CLASSES)
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    model.load_state_dict({key: formula(key, tensor.shape) for key, tensor in state.items()}, strict=False)
    model.train()
    for name, module in model.named_modules():
        if not name.startswith(("layer3", "linear")) and name:
            module.eval()
    trained = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("layer3", "linear")))
        if parameter.requires_grad:
            decay = WEIGHT_DECAY if parameter.dim() > 1 else 0.0
            trained.append({"params": [parameter], "weight_decay": decay})
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE)
    losses = []
    for step in range(STEPS):
        size = SIZES[step % len(SIZES)]
        images = torch.from_numpy(2.0 * values(f"images {step}", [size, 3, SIDE, SIDE])).to(torch.float32)
        labels = torch.tensor([(step + index) % CLASSES for index in range(size)])
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = model.state_dict()
    reference = {
        "torch": torch.__version__.split("+")[0],
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "sizes": SIZES,
        "side": SIDE,
        "classes": CLASSES,
        "tensors": {key: list(tensor.shape) for key, tensor in state.items()},
        "losses": losses,
        "statistics": {
            f"{name}.{field}": [round(number, 7) for number in after[f"{name}.{field}"].tolist()]
            for name in WATCHED
            for field in ("running_mean", "running_var")
        },
    }
    with open(Path(__file__).parent / "batch_norm.json", "w") as file:
        json.dump(reference, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
