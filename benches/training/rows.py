"""What is measured: the rows of the table, and for each of them the commands of refire and of its peers."""

import dataclasses
import json
from pathlib import Path

from data import Data, columns

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Row:
    """A training, or the labelling of samples by what such a training has made."""

    name: str
    title: str
    kind: str  # "photos", "texts"
    epochs: int
    learning_rate: float
    batch: int = 32
    architecture: str = "mobilenet_v2"
    size: int = 160
    tokens: int = 128
    parts: str = ""  # what the names of the tables with texts begin with
    frozen: bool = False
    labels: bool = False  # whether samples are labelled, and not trained on

    def described(self, data: Data) -> str:
        """What the table says of it."""
        count = data.count(self.kind, "many" if self.labels else self.parts + "train")
        times = "" if self.labels else f", {self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        return self.title.format(photos=f"{count:,} photos of {self.size}²", texts=f"{count:,} texts") + times

    def tiny(self) -> "Row":
        """The same with less to do."""
        return dataclasses.replace(self, epochs=min(self.epochs, 2), size=self.size // 2)


ROWS = [
    Row("mobilenet", "MobileNetV2, all layers, {photos}", "photos", 1, 3e-4),
    Row("mobilenet-224", "MobileNetV2, all layers, {photos}", "photos", 1, 3e-4, size=224),
    Row("resnet18", "ResNet-18, all layers, {photos}", "photos", 1, 3e-4, architecture="resnet18"),
    Row("efficientnet-lite0", "EfficientNet-Lite0, all layers, {photos}", "photos", 1, 3e-4, architecture="tf_efficientnet_lite0"),
    Row("mobilenet-frozen", "MobileNetV2, frozen, {photos}", "photos", 10, 1e-3, frozen=True),
    Row("minilm", "MiniLM, all layers, {texts}", "texts", 2, 3e-5),
    # Half as many at a time, because eight of them take PyTorch 3.9 GB already.
    Row("minilm-512", "MiniLM, all layers, {texts} of 512 tokens", "texts", 1, 3e-5, batch=16, tokens=512, parts="long-"),
    Row("minilm-frozen", "MiniLM, frozen, {texts}", "texts", 10, 1e-3, frozen=True),
    Row("predict-minilm", "MiniLM, {texts} labelled", "texts", 10, 1e-3, frozen=True, labels=True),
    Row("predict-mobilenet", "MobileNetV2, {photos} labelled", "photos", 10, 1e-3, frozen=True, labels=True),
]

# The models that samples are labelled with.
TUNED = {"texts": "minilm", "photos": "mobilenet"}

PIPELINE = """[pipeline]
name = "bench"
seed = 42

{data}
[stage.network]
kind = "pretrained"
{network}
{freeze}
[stage.tune]
kind = "finetune"
model = "{model}"
train = "train"
{task}
epochs = {epochs}
batch_size = {batch}
learning_rate = {learning_rate}

[stage.held-out]
kind = "evaluate"
model = "tune"
{input} = "test"
metrics = ["accuracy"]
bootstrap = 0
"""

FREEZE = """
[stage.frozen]
kind = "freeze"
model = "network"
trainable_layers = 0
"""


def pipeline(row: Row, data: Data) -> str:
    """The file that makes refire train what `row` says."""
    if row.kind == "photos":
        sources = [f'kind = "images"\nsource = {quoted(data.photos(part))}\nsize = {row.size}' for part in ("train", "test")]
        weights = data.weights(row.architecture)
        network = f'architecture = "{row.architecture}"\nsource = {quoted(weights.parent)}\nfiles = [{quoted(weights.name)}]'
        # Features of photos that change at random could not be kept.
        task = 'task = "image-classification"' + ("" if row.frozen else "\nhflip = 0.5")
    else:
        sources = [f'kind = "dataset"\nsource = {quoted(data.texts(row.parts + part))}' for part in ("train", "test")]
        files = ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        network = f"source = {quoted(data.minilm)}\nfiles = {json.dumps(files)}"
        task = f'task = "text-classification"\nlabels = ["negative", "positive"]\npooling = "mean"\nmax_length = {row.tokens}'
    return PIPELINE.format(
        data="\n".join(f"[stage.{part}]\n{source}\n" for part, source in zip(("train", "test"), sources)),
        network=network,
        freeze=FREEZE if row.frozen else "",
        model="frozen" if row.frozen else "network",
        task=task,
        epochs=row.epochs,
        batch=row.batch,
        learning_rate=row.learning_rate,
        input="images" if row.kind == "photos" else "table",
    )


def quoted(text) -> str:
    return json.dumps(str(text))


def contenders(row: Row, options) -> list[str]:
    """Who takes part in a row, by the names that the table has."""
    ours = ["refire"] if options.refire else []
    if row.labels:
        theirs = [f"ONNX Runtime, {precision}" for precision in options.precisions if precision == "f32"]
        return ours + theirs + [f"OpenVINO, {precision}" for precision in options.precisions]
    layouts = options.layouts if row.kind == "photos" else ["channels-last"]
    marks = {"channels-last": "", "default": ", default layout"}
    return ours + [f"PyTorch, {precision}{marks[layout]}" for precision in options.precisions for layout in layouts]


def command(row: Row, contender: str, data: Data, folder: Path, options) -> list:
    """What is timed; it writes into `folder` alone, which is empty."""
    if contender == "refire":
        return refire(row, data, folder, options)
    if row.labels:
        return label(row, contender, data, folder, options)
    return train(row, contender, data, folder / "tuned.safetensors", options)


def refire(row: Row, data: Data, folder: Path, options) -> list:
    if row.labels:
        return [options.refire, "predict", data.model(TUNED[row.kind]), samples(row, data), "-o", folder / "labelled.csv", "--prefix", "predicted_"]
    (folder / ".refire").mkdir()
    (folder / "refire.toml").write_text(pipeline(row, data))
    return [options.refire, "run", "--format", "json"]


def samples(row: Row, data: Data) -> Path:
    """What is to be labelled."""
    return data.photos("many") if row.kind == "photos" else data.texts("many")


def train(row: Row, contender: str, data: Data, save: Path, options) -> list:
    """PyTorch's side of a training."""
    words = contender.split(", ")
    given = {
        "threads": options.threads,
        "precision": words[1],
        "epochs": row.epochs,
        "batch": row.batch,
        "learning-rate": row.learning_rate,
        "save": save,
    }
    if row.kind == "photos":
        script = "torch_photos.py"
        given |= {"train": data.photos("train"), "test": data.photos("test"), "size": row.size, "loading": options.loading}
        given |= {"architecture": row.architecture, "weights": data.weights(row.architecture)}
        given |= {"layout": "default" if "default layout" in words else "channels-last"}
    else:
        script = "torch_texts.py"
        given |= {"train": data.texts(row.parts + "train"), "test": data.texts(row.parts + "test"), "tokens": row.tokens, "model": data.minilm}
    return [options.python, HERE / script, *flags(given), *(["--frozen"] if row.frozen else [])]


def label(row: Row, contender: str, data: Data, folder: Path, options) -> list:
    """ONNX Runtime's or OpenVINO's side of labelling."""
    engine, precision = contender.split(", ")
    given = {
        "engine": engine.lower().replace(" ", ""),
        "precision": precision,
        "network": data.onnx(TUNED[row.kind]),
        "threads": options.threads,
        "input": samples(row, data),
        "output": folder / "labelled.csv",
    }
    given |= {"size": row.size} if row.kind == "photos" else {"tokenizer": data.minilm / "tokenizer.json"}
    return [options.python, HERE / "label.py", *flags(given), *(["--together"] if options.together else [])]


def flags(given: dict) -> list:
    return [word for name, value in given.items() for word in (f"--{name}", value)]


def said(row: Row, contender: str, stdout: str, data: Data, folder: Path) -> dict:
    """What a command has said or written: accuracy, and seconds of its parts where it tells them."""
    if row.labels:
        if row.kind == "photos":
            # Not everyone has them in the same order.
            labelled = sorted(zip(*columns(folder / "labelled.csv", "path", "predicted_label")))
            predicted, true = [label for _, label in labelled], [Path(path).parent.name for path, _ in labelled]
        else:
            predicted, true = columns(folder / "labelled.csv", "predicted_label", "label")
        return {"accuracy": sum(map(str.__eq__, predicted, true)) / len(true), "labels": predicted}
    if contender != "refire":
        return json.loads(stdout.splitlines()[-1])
    events = [json.loads(line) for line in stdout.splitlines()]
    ended = {event["stage"]: event for event in events if event["event"] == "stage_finished"}
    assert all(event["outcome"] == "ran" for event in ended.values()), ended
    figures = {"accuracy": ended["held-out"]["metrics"]["accuracy"], "training_seconds": ended["tune"]["seconds"]}
    figures["stage_seconds"] = {stage: event["seconds"] for stage, event in ended.items()}
    if not row.frozen:
        rates = [event["samples_per_second"] for event in events if event["event"] == "measured" and event["stage"] == "tune"]
        figures["epochs_seconds"] = sum(data.count(row.kind, row.parts + "train") / rate for rate in rates)
    return figures
