"""Makes rates.json: losses that PyTorch gives while MiniLM unfreezes, layer by layer slower.

    pip install torch==2.9.1 transformers==5.23.0 pandas timm==1.0.31
    python make_rates.py MODEL_FOLDER REVIEWS_CSV

The arguments, the model, the batches and the classifier are those of make_bert.py. The head trains from the first step
on, the last two layers too from step 4, everything from step 8: each parameter has a learning rate of its own, and its
state in the optimizer begins when it does. The scales of timm's layer decay for a transformer of six layers stand beside
them.
"""

import json
import sys
from pathlib import Path

import pandas
import timm
import torch
from timm.optim import param_groups_layer_decay
from transformers import AutoTokenizer

from make_bert import BATCH, BATCHES, MAX_LENGTH, REVIEWS, STRIDE, Classifier

STEPS, PHASES = 12, {0: 0, 4: 2, 8: 7}
LEARNING_RATE, HEAD_RATE, LAYER_DECAY, WEIGHT_DECAY = 1e-4, 1e-3, 0.8, 0.01
LAYERS = 6


def depth(name):
    """How many steps a parameter lies below the head: 0 for the head, 1 for the last layer, 7 for the embeddings."""
    if name.startswith("bert.encoder.layer."):
        return LAYERS - int(name.split(".")[3])
    return LAYERS + 1 if name.startswith("bert.embeddings.") else 0


def groups(model):
    for name, parameter in model.named_parameters():
        rate = HEAD_RATE if name.startswith("classifier.") else LEARNING_RATE * LAYER_DECAY ** depth(name)
        decay = WEIGHT_DECAY if parameter.dim() > 1 else 0.0
        yield {"params": [parameter], "lr": rate, "weight_decay": decay}


def losses(folder, tokenizer, reviews):
    model = Classifier(folder).train()
    model.bert.pooler.requires_grad_(False)
    optimizer = torch.optim.AdamW(groups(model))
    out = []
    for step in range(STEPS):
        if step in PHASES:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(depth(name) <= PHASES[step] and "pooler" not in name)
        rows = [(step % BATCHES * BATCH + index) * STRIDE % REVIEWS for index in range(BATCH)]
        part = reviews.iloc[rows]
        batch = tokenizer(
            list(part["text"]), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        loss = torch.nn.functional.cross_entropy(model(batch), torch.tensor(list(part["label"])))
        optimizer.zero_grad()
        loss.backward()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        out.append(loss.item())
    return out


def timm_scales():
    """What timm multiplies the rates of the embeddings, of each layer and of the head by."""
    vit = timm.create_model("vit_tiny_patch16_224", depth=LAYERS)
    names = {id(parameter): name for name, parameter in vit.named_parameters()}
    scales = {}
    for group in param_groups_layer_decay(vit, layer_decay=LAYER_DECAY):
        for parameter in group["params"]:
            name = names[id(parameter)]
            if name.startswith(("patch_embed.", "blocks.", "head.")):
                scales[".".join(name.split(".")[: 2 if name.startswith("blocks.") else 1])] = group["lr_scale"]
    return list(scales.values())


def main():
    folder, csv = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    reviews = pandas.read_csv(csv)
    reviews = reviews[reviews["source"] == "rotten_tomatoes"].reset_index(drop=True)
    reference = {
        "torch": torch.__version__.split("+")[0],
        "timm": timm.__version__,
        "learning_rate": LEARNING_RATE,
        "head_rate": HEAD_RATE,
        "layer_decay": LAYER_DECAY,
        "weight_decay": WEIGHT_DECAY,
        "scales": timm_scales(),
        "losses": losses(folder, tokenizer, reviews),
    }
    (Path(__file__).parent / "rates.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
