"""Makes tasks.json and tasks.safetensors: the losses of ten AdamW steps without dropout, for every task that needs one vector a sample.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python tests/reference/tasks.py

Texts go through the encoder of tests/data/tiny-bert; the first weights of each head are in tasks.safetensors, as
`CASE/classifier.weight` and `CASE/classifier.bias`. Images and the weights of their networks follow make_vision.py's formulas. The
losses are those of transformers' own classes where these have them: `BertForSequenceClassification` and `ViTForImageClassification` by
their `problem_type`, which is cross-entropy, `BCEWithLogitsLoss` or `MSELoss`, each the mean over all of a batch's numbers. Where they
have none (`pos_weight`, the mean absolute error, Huber's loss, pooling by the mean, ResNets for CIFAR-10), torch's are used on logits.

Every training is repeated in double precision, and must agree: so rounding has no part in the numbers.
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from make_vision import Cifar, formula, images
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, ViTConfig, ViTForImageClassification

HERE = Path(__file__).parent
TINY_BERT = HERE.parent / "data" / "tiny-bert"
STEPS, WEIGHT_DECAY = 10, 0.01
TEXT_RATE, VIT_RATE = 1e-3, 1e-3
RESNET_RATE = 2e-6  # small: where a ReLU's input crosses 0, rounding decides, and larger steps magnify that
MAX_LENGTH = 24
WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

# One batch of eight and one of four, in turn: a mean over a batch must not take them for equally long.
BATCHES = [[0, 5, 2, 7, 4, 1, 6, 3], [11, 8, 10, 9]]

TEXTS = [
    "good food and friendly acting",
    "a bad film, not lovely",
    "very very very very very very very very very very very very very very very very very very very very very very very good",
    "place",
    "the warm service was superb!",
    "awful",
    "we love this story but the plot is boring",
    "they hate it",
    "delicious? wonderful? best?",
    "slow, dirty and cold; the worst place of 1987",
    "it was not too bad",
    "",
]
SECONDS = [
    "the food is lovely and the staff warm",
    "a film of terrible plot",
    "good very good very good very good very good very good very good very good very good very good very good very good",
    "my place is not with you, it is in that movie with all of them and that is the best story that we love to love",
    "service",
    "it was dreadful; the acting poor, the plot bland and the story boring, and we hate that it is so slow and so dirty",
    "",
    "they love it",
    "perfect!",
    "a place of 1987",
    "it was good",
    "this film",
]
CLASSES = [2, 0, 2, 1, 2, 0, 1, 0, 2, 0, 1, 1]
# The second row has no label, the fourth has all but one; the last label never comes.
SETS = [[0], [], [0, 2], [0, 1, 2, 3], [0, 3], [1], [1, 2], [1, 3], [0], [1, 2, 3], [2], [3]]
LABELS = 5
POS_WEIGHT = [1.0, 3.0, 0.5, 10.0, 1.0]
SCORES = [4.5, 0.25, 5.0, 2.5, 4.75, 0.0, 2.25, 1.0, 3.8, 0.5, 2.0, 2.6]
SEVERAL = [[score, 1.0 - score / 2.0, round((score - 2.0) ** 2, 6)] for score in SCORES]


def multi_hot(sets):
    return [[float(label in row) for label in range(LABELS)] for row in sets]


def huber(logits, targets):
    return functional.huber_loss(logits, targets, delta=1.0)


def weighted(logits, targets):
    return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor(POS_WEIGHT).to(logits))


# What torch computes on logits.
LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "bce": functional.binary_cross_entropy_with_logits,
    "bce_pos_weight": weighted,
    "mse": functional.mse_loss,
    "mae": functional.l1_loss,
    "huber": huber,
}
# What transformers' classes compute themselves, by their problem_type.
PROBLEMS = {"cross_entropy": "single_label_classification", "bce": "multi_label_classification", "mse": "regression"}


def train(model, step, rate):
    """The losses of the steps, and the logits of the first batch before and after them."""
    model.train()
    decays = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decays, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    losses, before = [], evaluated(model, step)
    for number in range(STEPS):
        loss, _ = step(model, BATCHES[number % len(BATCHES)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, (before, evaluated(model, step))


def evaluated(model, step):
    """What the model gives for the first batch when it does not train."""
    with torch.no_grad():
        _, logits = step(model.eval(), BATCHES[0])
    model.train()
    return logits.flatten().tolist()


def trained(name, build, forward, loss, targets, rate):
    """Trains what `build` makes in single and in double precision."""

    def at(dtype):
        # Classes are whole numbers; a single score a sample has no column of its own.
        wanted = torch.tensor(targets) if loss == "cross_entropy" else torch.tensor(targets, dtype=dtype)

        def step(model, rows):
            logits, found = forward(model, rows, dtype, wanted[rows] if loss in PROBLEMS else None)
            if found is None:
                found = LOSSES[loss](logits.reshape(wanted[rows].shape) if loss != "cross_entropy" else logits, wanted[rows])
            return found, logits

        return train(build().to(dtype), step, rate)

    losses, logits = at(torch.float32)
    exact, exact_logits = at(torch.float64)
    worst = max(abs(a - b) / b for a, b in zip(losses, exact))
    print(f"{name}: {losses[0]:.4f} … {losses[-1]:.4f}; single against double precision {worst:.1e}")
    assert worst <= 1e-5, (name, worst)
    farthest = max(abs(a - b) for pair in zip(logits, exact_logits) for a, b in zip(*pair))
    assert farthest <= 1e-4, (name, farthest)
    return {
        "settings": {"learning_rate": rate, "weight_decay": WEIGHT_DECAY},
        "loss": loss,
        "targets": targets,
        "batches": BATCHES,
        "losses": losses,
        "first_logits": [round(logit, 6) for logit in logits[0]],
        "last_logits": [round(logit, 6) for logit in logits[1]],
    }


# ------------------------------------------------------------------------------------------------------------------ texts


def encoded(rows, seconds, **more):
    """The texts of these rows, or their pairs, as tokens."""
    first, second = ([column[row] for row in rows] if column else None for column in (TEXTS, seconds))
    tokenizer = AutoTokenizer.from_pretrained(TINY_BERT)
    return tokenizer(first, second, truncation="longest_first", max_length=MAX_LENGTH, **more)


def text_case(name, task, loss, targets, outputs, heads, seconds=None, pooling="pooler"):
    config = BertConfig.from_pretrained(TINY_BERT, num_labels=outputs, problem_type=PROBLEMS.get(loss), **WITHOUT_DROPOUT)
    head = {part: formula(f"{name}/classifier.{part}", shape) for part, shape in (("weight", [outputs, 32]), ("bias", [outputs]))}
    heads |= {f"{name}/classifier.{part}": tensor for part, tensor in head.items()}

    def build():
        model = BertForSequenceClassification.from_pretrained(TINY_BERT, config=config)
        model.classifier.load_state_dict(head)
        return model

    def forward(model, rows, dtype, wanted):
        batch = encoded(rows, seconds, padding=True, return_tensors="pt")
        if pooling == "pooler":
            out = model(**batch, labels=wanted)
            return out.logits, out.loss
        states = model.bert(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(2).to(dtype)
        return model.classifier((states * mask).sum(1) / mask.sum(1)), None

    made = {"name": name, "task": task, "outputs": outputs, "pairs": seconds is not None, "pooling": pooling}
    made |= {"problem_type": PROBLEMS.get(loss)}
    return made | trained(name, build, forward, loss, targets, TEXT_RATE)


def tokens(seconds):
    found = encoded(range(len(TEXTS)), seconds)
    return {name: found[name] for name in ("input_ids", "token_type_ids")}


def texts(heads):
    sets = multi_hot(SETS)
    single, multi, number = "text-classification", "text-multi-label", "text-regression"
    yield text_case("one text", single, "cross_entropy", CLASSES, 3, heads)
    yield text_case("pairs", single, "cross_entropy", CLASSES, 3, heads, SECONDS)
    yield text_case("pairs, mean", single, "cross_entropy", CLASSES, 3, heads, SECONDS, "mean")
    yield text_case("several labels", multi, "bce", sets, LABELS, heads)
    yield text_case("several labels of pairs, pos_weight", multi, "bce_pos_weight", sets, LABELS, heads, SECONDS)
    yield text_case("several labels, pos_weight, mean", multi, "bce_pos_weight", sets, LABELS, heads, pooling="mean")
    yield text_case("a score", number, "mse", SCORES, 1, heads)
    yield text_case("a score of pairs", number, "mse", SCORES, 1, heads, SECONDS)
    yield text_case("a score of pairs, mean", number, "mse", SCORES, 1, heads, SECONDS, "mean")
    yield text_case("several scores", number, "mse", SEVERAL, 3, heads)
    yield text_case("a score, mean absolute error", number, "mae", SCORES, 1, heads, pooling="mean")
    yield text_case("several scores, Huber", number, "huber", SEVERAL, 3, heads, pooling="mean")


# ----------------------------------------------------------------------------------------------------------------- images


def vit(outputs, loss):
    """A small Vision Transformer by formula: how to build it, its config and its tensors as transformers writes them."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    sizes |= {"image_size": 16, "patch_size": 8, "num_labels": outputs, "problem_type": PROBLEMS.get(loss)}
    with tempfile.TemporaryDirectory() as folder:
        ViTForImageClassification(ViTConfig(**sizes)).save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        state = {key: formula(key, tensor.shape) for key, tensor in load_file(path).items()}
        save_file(state, path, metadata={"format": "pt"})
        config = json.loads((Path(folder) / "config.json").read_text())
        model = ViTForImageClassification.from_pretrained(folder)
    first = {key: tensor.clone() for key, tensor in model.state_dict().items()}

    def build():
        model.to(torch.float32).load_state_dict(first)
        return model

    return build, config, state, [12, 3, 16, 16], VIT_RATE


def resnet20(outputs, _):
    empty = Cifar(3, outputs).state_dict().items()
    state = {key: formula(key, tensor.shape) for key, tensor in empty if not key.endswith("num_batches_tracked")}

    def build():
        model = Cifar(3, outputs)
        model.load_state_dict(state, strict=False)
        return model

    return build, {"architecture": "resnet20", "num_classes": outputs}, state, [12, 3, 24, 24], RESNET_RATE


def image_case(name, task, network, loss, targets, outputs):
    build, config, state, shape, rate = network(outputs, loss)
    photos = images(shape)

    def forward(model, rows, dtype, wanted):
        if network is vit:
            out = model(photos[rows].to(dtype), labels=wanted)
            return out.logits, out.loss
        return model(photos[rows].to(dtype)), None

    made = {"name": name, "task": task, "outputs": outputs}
    tensors = {key: list(tensor.shape) for key, tensor in state.items()}
    made["network"] = {"name": network.__name__, "config": config, "tensors": tensors, "shape": shape, "logits": []}
    return made | trained(name, build, forward, loss, targets, rate)


def all_images():
    sets = multi_hot(SETS)
    multi, number = "image-multi-label", "image-regression"
    yield image_case("several labels of an image", multi, vit, "bce", sets, LABELS)
    yield image_case("several labels of an image, pos_weight", multi, resnet20, "bce_pos_weight", sets, LABELS)
    yield image_case("a score of an image", number, vit, "mse", SCORES, 1)
    yield image_case("a score of an image, ResNet", number, resnet20, "mse", SCORES, 1)
    yield image_case("several scores of an image", number, vit, "mse", SEVERAL, 3)


def main():
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    heads = {}
    reference = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "pos_weight": POS_WEIGHT,
        "huber_delta": 1.0,
        "max_length": MAX_LENGTH,
        "texts": TEXTS,
        "seconds": SECONDS,
        "tokens": {"texts": tokens(None), "pairs": tokens(SECONDS)},
        "text": list(texts(heads)),
        "image": list(all_images()),
    }
    save_file(heads, HERE / "tasks.safetensors")
    cases = {kind: ",\n".join(json.dumps(case, ensure_ascii=False) for case in reference.pop(kind)) for kind in ("text", "image")}
    head = json.dumps(reference)[:-1]
    lists = "".join(f',\n"{kind}": [\n{lines}\n]' for kind, lines in cases.items())
    (HERE / "tasks.json").write_text(f"{head}{lists}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
