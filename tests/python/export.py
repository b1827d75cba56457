"""Tunes small models with refire, exports them, loads them with transformers, sentence-transformers, torchvision and timm, and compares the
logits.

    pip install -r requirements.txt
    python export.py PATH/TO/refire

The networks begin with random weights that the libraries themselves save: as safetensors, as zip pickles and as legacy pickles.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Nothing is fetched, and a question finds nobody to answer it.
os.environ["HF_HUB_OFFLINE"] = "1"
sys.stdin = open(os.devnull)

import numpy
import sentence_transformers
import timm
import torch
import torchvision
import transformers
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

TOLERANCE = 1e-4
TINY_BERT = Path(__file__).parent.parent / "data" / "tiny-bert"
REFIRE = Path(sys.argv[1]).resolve()

TEXT = """
[stage.network]
kind = "pretrained"
source = "network"
files = [{files}]

[stage.data]
kind = "dataset"
source = "reviews.csv"

[stage.frozen]
kind = "freeze"
model = "network"
trainable_layers = 0

[stage.tune]
kind = "finetune"
model = "frozen"
train = "data"
task = "text-classification"
labels = ["bad", "good", "neither"]
pooling = "{pooling}"
max_length = 12
epochs = 1
learning_rate = 1e-3

[stage.out]
kind = "export"
model = "tune"
"""

IMAGE = """
[stage.network]
kind = "pretrained"
source = "network"
{pretrained}

[stage.data]
kind = "images"
source = "photos"
{prepared}

[stage.tune]
kind = "finetune"
model = "network"
train = "data"
task = "image-classification"
epochs = 1
batch_size = 4
learning_rate = 1e-3

[stage.out]
kind = "export"
model = "tune"
"""


def refire(folder, *arguments):
    run = subprocess.run([REFIRE, *map(str, arguments)], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, f"refire {arguments}:\n{run.stderr}"


def exported(folder, pipeline, inputs):
    """Runs the pipeline; the export by the stage, which is the one by the verb, and the logits of `inputs` by it."""
    (folder / ".refire").mkdir()
    (folder / "refire.toml").write_text(pipeline)
    refire(folder, "run")
    refire(folder, "get", "out", "stage")
    refire(folder, "export", "tune", "verb")
    files = {path.relative_to(folder / "verb"): path.read_bytes() for path in (folder / "verb").rglob("*") if path.is_file()}
    for path, content in files.items():
        assert (folder / "stage" / path).read_bytes() == content, path
    refire(folder, "predict", "tune", inputs, "-o", "stage.jsonl", "--logits")
    refire(folder, "predict", "./verb", inputs, "-o", "verb.jsonl", "--logits")
    lines = (folder / "verb.jsonl").read_text()
    assert lines == (folder / "stage.jsonl").read_text()
    rows = [json.loads(line) for line in lines.splitlines()]
    logits = [[value for name, value in row.items() if name.startswith("logit_")] for row in rows]
    return folder / "verb", torch.tensor(logits), rows


def compare(name, ours, theirs):
    difference = (ours - theirs).abs().max().item()
    print(f"{name}: {list(ours.shape)} logits, max |Δ| {difference:.1e}, mean |logit| {theirs.abs().mean().item():.2f}")
    assert ours.shape == theirs.shape and difference <= TOLERANCE, name


def text(folder, pooling):
    """A tiny BERT, pooled by `pooling`."""
    config = transformers.BertConfig.from_pretrained(TINY_BERT)
    torch.manual_seed(1)
    # In several files for one of them.
    size = "40KB" if pooling == "cls" else "5GB"
    transformers.BertModel(config).save_pretrained(folder / "network", max_shard_size=size)
    (folder / "network" / "tokenizer.json").write_bytes((TINY_BERT / "tokenizer.json").read_bytes())
    files = [path.name for path in (folder / "network").iterdir()]
    assert ("model.safetensors.index.json" in files) == (pooling == "cls"), files
    words = ["good food", "a bad film", "very very " * 9 + "good", "place", "the warm service was superb", "awful"]
    rows = [f"{word},{label}" for word in words for label in ("good", "bad", "neither")]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "new.csv").write_text("\n".join(["text", *words]) + "\n")
    out, ours, _ = exported(folder, TEXT.format(pooling=pooling, files=", ".join(f'"{name}"' for name in files)), "new.csv")
    check_readme(out)
    own = {} if pooling == "pooler" else {"trust_remote_code": True}
    for trust in ({"trust_remote_code": False}, {}) if own else ():
        try:
            AutoModelForSequenceClassification.from_pretrained(out, **trust)
            raise AssertionError("it must not load as a network that pools in another way")
        except RuntimeError as error:
            assert "mismatch" in str(error), error
    model, loading = AutoModelForSequenceClassification.from_pretrained(out, output_loading_info=True, **own)
    assert not loading["missing_keys"] and not loading["unexpected_keys"] and not loading["mismatched_keys"], loading
    # A question about trust would be an error: there is nobody to answer it.
    tokenizer = AutoTokenizer.from_pretrained(out)
    batch = tokenizer(words, padding=True, truncation=True, return_tensors="pt")
    assert batch["input_ids"].shape[1] == 12 and model.config.id2label == {0: "bad", 1: "good", 2: "neither"}
    with torch.no_grad():
        compare(f"BERT, {pooling}", ours, model.eval()(**batch).logits)
    if own:
        sentences = sentence_transformers.SentenceTransformer(str(out), device="cpu")
        compare(f"sentence-transformers, {pooling}", ours, sentences.encode(words, convert_to_tensor=True).cpu())
    # What `refire get` copies has the encoder's own file beside the head's: transformers reads the index of both.
    if pooling == "pooler":
        refire(folder, "get", "tune", "tuned")
        assert (folder / "tuned" / "model.safetensors.index.json").exists()
        plain = AutoModelForSequenceClassification.from_pretrained(folder / "tuned").eval()
        with torch.no_grad():
            compare("BERT, in two files", ours, plain(**batch).logits)


def check_readme(out):
    """The README names the tokenizer, where texts are cut, and the labels in order; everybody can read the files."""
    text = (out / "README.md").read_text()
    assert "`tokenizer.json`" in text and "cut at 12 " in text, text
    places = [text.index(f"{place}. `{label}`") for place, label in enumerate(("bad", "good", "neither"))]
    assert places == sorted(places), text
    for path in out.rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o777 == 0o644, path


def photos(folder, sizes):
    """Photos of two classes, of heights and widths from a range, none higher than wide: Pillow 13 resizes those in another order."""
    noise = numpy.random.default_rng(1)
    for label in ("cats", "dogs"):
        (folder / "photos" / label).mkdir(parents=True)
        for index in range(6):
            height, width = sorted(noise.integers(*sizes, 2))
            coarse = Image.fromarray(noise.integers(0, 255, (9, 9, 3), dtype=numpy.uint8))
            coarse.resize((int(width), int(height)), Image.Resampling.BICUBIC).save(folder / "photos" / label / f"{index}.png")


def squares(out, folder, rows):
    """The photos as transformers' processor makes them by what the folder says. Where timm's words say it as well, torchvision must come
    to the same by them."""
    opened = [Image.open(folder / "photos" / row["path"]) for row in rows]
    processed = AutoImageProcessor.from_pretrained(out, backend="pil")(opened, return_tensors="pt")["pixel_values"]
    settings = json.loads((out / "config.json").read_text()).get("pretrained_cfg")
    if settings is None:
        return processed
    size = settings["input_size"][1]
    interpolation = torchvision.transforms.InterpolationMode(settings["interpolation"])
    steps = [
        torchvision.transforms.Resize(int(size / settings["crop_pct"]), interpolation),
        torchvision.transforms.CenterCrop(size),
        torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize(settings["mean"], settings["std"]),
    ]
    tensors = torch.stack([torchvision.transforms.Compose(steps)(photo) for photo in opened])
    assert (tensors - processed).abs().max() < 1e-5
    return tensors


def image(folder, name, pretrained, prepared, load):
    """An image network whose weights are in `folder`, loaded by `load`, on photos that are `prepared` so."""
    photos(folder, (97, 160))
    out, ours, rows = exported(folder, IMAGE.format(pretrained=pretrained, prepared=prepared), "photos")
    model = load(out)
    with torch.no_grad():
        found = model.eval()(squares(out, folder, rows))
    compare(name, ours, getattr(found, "logits", found))


def bare(folder, architecture, model, legacy=False):
    """Saves the weights of `model` as a pickle; the settings of the stage that reads it."""
    (folder / "network").mkdir()
    torch.save(model.state_dict(), folder / "network" / "weights.pth", _use_new_zipfile_serialization=not legacy)
    return f'architecture = "{architecture}"\nfiles = ["weights.pth"]'


def strict(model):
    """Loads the state dict of an export into `model`: every name and every size has to be right."""

    def load(out):
        model.load_state_dict(load_file(out / "model.safetensors"), strict=True)
        return model

    return load


def by_timm(out):
    """The export as the local model that timm takes it for."""
    model = timm.create_model(f"local-dir:{out}", pretrained=True)
    assert model.num_classes == 2
    return model


def vit(folder, processor):
    """A small Vision Transformer whose photos look as `processor` says."""
    settings = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.ViTConfig(image_size=64, patch_size=16, **settings)
    transformers.ViTForImageClassification(config).save_pretrained(folder / "network")
    (folder / "network" / "preprocessor_config.json").write_text(json.dumps(processor))
    return 'files = ["config.json", "model.safetensors", "preprocessor_config.json"]'


def main():
    torch.manual_seed(0)
    models = torchvision.models
    for pooling in ("pooler", "mean", "cls"):
        with tempfile.TemporaryDirectory() as folder:
            text(Path(folder), pooling)
    for name in ("mobilenet_v2", "resnet18", "resnet50"):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pretrained = bare(folder, name, getattr(models, name)(), legacy=name == "resnet18")
            image(folder, name, pretrained, "size = 96", strict(getattr(models, name)(num_classes=2)))
    for load in (by_timm, strict(timm.create_model("tf_efficientnet_lite0", num_classes=2))):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pretrained = bare(folder, "tf_efficientnet_lite0", timm.create_model("tf_efficientnet_lite0"))
            image(folder, "tf_efficientnet_lite0", pretrained, "size = 96", load)
    square = {"size": {"height": 64, "width": 64}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    cropped = {"feature_extractor_type": "DeiTFeatureExtractor", "size": 75, "crop_size": 64}
    clip = {"image_processor_type": "CLIPImageProcessor", "size": 70, "crop_size": 64, "rescale_factor": 0.01}
    as_asked = 'model = "network"'
    for processor, prepared in [(square, as_asked), (cropped, as_asked), (clip, as_asked), (square, "size = 64\nresize = { squash = 70 }")]:
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            name = f"Vision Transformer, {processor['size']}, {prepared!r}"
            image(folder, name, vit(folder, processor), prepared, AutoModelForImageClassification.from_pretrained)


if __name__ == "__main__":
    main()
