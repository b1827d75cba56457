"""Makes image_training.json: the losses of AdamW's first steps on an image network, batch normalisations training, as PyTorch has them.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_image_training.py

Network, weights and images are those of make_vision.py. In each step the images and their targets are mixed by another share, the
first with the last and so on, as mixup does; a share of 1 leaves them as they are.
"""

import json
from pathlib import Path

import torch
from make_vision import CLASSES, Cifar, formula, images
from torch.nn import functional

SHAPE = [8, 3, 24, 24]
LABELS = [0, 1, 2, 3, 4, 5, 6, 0]
SHARES = [1.0, 0.75, 1.0, 0.9, 0.5, 1.0]
LEARNING_RATE = 1e-5  # small: where a ReLU's input crosses 0, rounding decides, and larger steps magnify that
WEIGHT_DECAY = 0.01
SMOOTHING = 0.1


def main():
    torch.manual_seed(0)
    model = Cifar(3, CLASSES)
    state = {key: tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    model.load_state_dict({key: formula(key, tensor.shape) for key, tensor in state.items()}, strict=False)
    decays = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decays, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    x, y = images(SHAPE), functional.one_hot(torch.tensor(LABELS), CLASSES).float()
    losses = []
    model.train()
    for share in SHARES:
        mixed = share * x + (1 - share) * x.flip(0)
        targets = share * y + (1 - share) * y.flip(0)
        loss = functional.cross_entropy(model(mixed), targets, label_smoothing=SMOOTHING)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made = {
        "name": "resnet20",
        "config": {"architecture": "resnet20", "num_classes": CLASSES},
        "tensors": {key: list(tensor.shape) for key, tensor in state.items()},
        "shape": SHAPE,
        "logits": [],
    }
    steps = {
        "labels": LABELS,
        "shares": SHARES,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "label_smoothing": SMOOTHING,
        "losses": losses,
    }
    with open(Path(__file__).parent / "image_training.json", "w") as file:
        json.dump({"network": made, "steps": steps}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
