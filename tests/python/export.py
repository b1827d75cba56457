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
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
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
{task}
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
table = "list"
label_column = "{column}"
{prepared}

[stage.list]
kind = "dataset"
source = "photos.csv"

[stage.tune]
kind = "finetune"
model = "network"
train = "data"
{task}
epochs = 1
batch_size = 4
learning_rate = 1e-3

[stage.out]
kind = "export"
model = "tune"
"""

# task → its settings, what transformers calls it, and what its outputs are called.
TEXTS = {
    "text-classification": ('labels = ["bad", "good", "neither"]', "single_label_classification", ["bad", "good", "neither"]),
    "text-multi-label": (
        'label_separator = "|"\nthreshold = 0.4',
        "multi_label_classification",
        ["bad", "good", "long"],
    ),
    "text-regression": ('target_columns = ["score", "length"]', "regression", ["score", "length"]),
}

# The same of images; their targets are in a column of the table that lists them.
IMAGES = {
    "image-classification": ("kind", "", "single_label_classification", ["cats", "dogs"]),
    "image-multi-label": ("seen", 'label_separator = "|"\nthreshold = 0.4', "multi_label_classification", ["cats", "dogs", "many"]),
    "image-regression": ("number", "", "regression", ["label"]),
}


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
DISTANCES = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True}

# encoder → transformers' prefix of its classes, its settings beside the sizes, and how its classifiers may pool.
ENCODERS = {
    "RoBERTa": ("Roberta", {**SIZES, "max_position_embeddings": 50}, ("cls", "mean")),
    "MPNet": ("MPNet", {**SIZES, "max_position_embeddings": 50, "pad_token_id": 1}, ("cls", "mean")),
    "DistilBERT": ("DistilBert", {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}, ("cls", "mean")),
    "ELECTRA": ("Electra", {**SIZES, "embedding_size": 16}, ("cls", "mean")),
    "ALBERT": ("Albert", {**SIZES, "embedding_size": 16}, ("pooler", "cls", "mean")),
    "ModernBERT": ("ModernBert", {**SIZES, "local_attention": 4, "num_hidden_layers": 3}, ("cls", "mean")),
    "DeBERTa": ("DebertaV2", {**SIZES, **DISTANCES, "position_biased_input": False, "type_vocab_size": 0}, ("cls", "mean")),
}


def tiny(folder, encoder):
    """A tiny network that has learnt nothing, with the tokenizer of a tiny BERT."""
    bert = transformers.BertConfig.from_pretrained(TINY_BERT)
    if encoder == "BERT":
        network = transformers.BertModel(bert)
    else:
        family, settings, _ = ENCODERS[encoder]
        special = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, **settings}
        config = getattr(transformers, f"{family}Config")(vocab_size=bert.vocab_size, **special)
        network = getattr(transformers, f"{family}Model")(config)
        # Large enough that texts differ.
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if parameter.dim() > 1:
                    parameter.mul_(5)
    network.save_pretrained(folder / "network")
    tokenizer = json.loads((TINY_BERT / "tokenizer.json").read_text())
    # MPNet takes token 1 for padding whatever its config says: the two tokens have each other's ids.
    if network.config.pad_token_id == 1:
        vocab, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
        vocab["[PAD]"], vocab["[UNK]"] = vocab["[UNK]"], vocab["[PAD]"]
        tokenizer["added_tokens"] = sorted(({**token, "id": vocab[token["content"]]} for token in added), key=lambda token: token["id"])
    (folder / "network" / "tokenizer.json").write_text(json.dumps(tokenizer))


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
    logits = [[value for name, value in row.items() if name.startswith(("logit_", "prediction"))] for row in rows]
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
    if pooling == "mean":
        # As it was saved before there was a tokenizer.json, which the export has to have.
        vocab = json.loads((TINY_BERT / "tokenizer.json").read_text())["model"]["vocab"]
        (folder / "network" / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocab, key=vocab.get)))
    else:
        (folder / "network" / "tokenizer.json").write_bytes((TINY_BERT / "tokenizer.json").read_bytes())
    files = [path.name for path in (folder / "network").iterdir()]
    assert ("model.safetensors.index.json" in files) == (pooling == "cls"), files
    words = ["good food", "a bad film", "very very " * 9 + "good", "place", "the warm service was superb", "awful"]
    rows = [f"{word},{label}" for word in words for label in ("good", "bad", "neither")]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "new.csv").write_text("\n".join(["text", *words]) + "\n")
    task = 'task = "text-classification"\nlabels = ["bad", "good", "neither"]'
    out, ours, _ = exported(folder, TEXT.format(task=task, pooling=pooling, files=", ".join(f'"{name}"' for name in files)), "new.csv")
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


def task_of_texts(folder, task, pairs, pooling, encoder="BERT"):
    """A tiny network that is tuned to `task`, on texts or, where `pairs` says how these are cut, on pairs."""
    settings, problem, names = TEXTS[task]
    tiny(folder, encoder)
    firsts = ["good food", "a bad film", "very very " * 5 + "good", "place", "the warm service was superb", "awful"]
    seconds = ["the plot", "very bad " * 6, "a good place " * 3, "awful food", "warm", "a film"]
    # The text that is not cut leaves room for the other one.
    whole = {"only_first": seconds, "only_second": firsts}.get(pairs, [])
    whole[:] = [" ".join(text.split()[:3]) for text in whole]
    targets = [("good", "good|long", 0.5, 1), ("bad", "bad", 1.5, 2), ("neither", "", -1, 0)] * 2
    header = "text,second,label,labels,score,length"
    rows = [",".join(map(str, (*sample[:2], *sample[2]))) for sample in zip(firsts, seconds, targets)]
    (folder / "reviews.csv").write_text("\n".join([header, *rows]) + "\n")
    new = ["text,second", *map(",".join, zip(firsts, seconds))]
    (folder / "new.csv").write_text("\n".join(new) + "\n")
    if pairs:
        settings += f'\ntext_pair_column = "second"\ntruncation = "{pairs}"'
    pipeline = TEXT.format(task=f'task = "{task}"\n{settings}', pooling=pooling, files='"config.json", "model.safetensors", "tokenizer.json"')
    if encoder != "BERT":
        # What begins near 0 is to be more than that where there are two layers on top.
        pipeline = pipeline.replace("learning_rate = 1e-3", "learning_rate = 5e-2")
    out, ours, rows = exported(folder, pipeline, "new.csv")
    model = AutoModelForSequenceClassification.from_pretrained(out, trust_remote_code=pooling != "pooler").eval()
    texts = (firsts, seconds) if pairs else (firsts,)
    tokens = AutoTokenizer.from_pretrained(out)(*texts, padding=True, truncation=pairs or True, return_tensors="pt")
    assert tokens["input_ids"].shape[1] == 12 and (not pairs or tokens["token_type_ids"].max() == 1), tokens
    name = f"{encoder}, {task}, {f'pairs cut {pairs}' if pairs else 'texts'}, {pooling}"
    with torch.no_grad():
        compare(name, ours, model(**tokens).logits)
    check_outputs(out, model, problem, names, tokens, rows)
    text = (out / "README.md").read_text()
    assert ("Pairs of texts" in text) == bool(pairs) and (not pairs or f'truncation="{pairs}"' in text), text
    has_modules = (out / "modules.json").exists()
    assert has_modules == (pooling != "pooler") or encoder != "BERT", out
    if has_modules and pairs in (None, "longest_first"):
        sentences = sentence_transformers.SentenceTransformer(str(out), device="cpu")
        samples = list(zip(firsts, seconds)) if pairs else firsts
        compare(f"sentence-transformers, {task}", ours, sentences.encode(samples, convert_to_tensor=True).cpu())


def masks(folder, encoder="BERT"):
    """A tiny network that is tuned to fill masks."""
    tiny(folder, encoder)
    texts = ["the film was good food", "a bad film", "very " * 15 + "good place", "awful"]
    (folder / "reviews.csv").write_text("\n".join(["text", *texts]) + "\n")
    pipeline = TEXT.replace('pooling = "{pooling}"\n', "")
    task = 'task = "fill-mask"\nmask_probability = 0.5'
    (folder / "refire.toml").write_text(pipeline.format(task=task, files='"config.json", "model.safetensors", "tokenizer.json"'))
    (folder / ".refire").mkdir()
    refire(folder, "run")
    refire(folder, "get", "out", "out")
    new = ["the [MASK] was good [MASK]", "a bad film", "[MASK] film"]
    (folder / "new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in new))
    refire(folder, "predict", "tune", "new.jsonl", "-o", "said.jsonl")
    rows = [json.loads(line) for line in (folder / "said.jsonl").read_text().splitlines()]
    model, loading = AutoModelForMaskedLM.from_pretrained(folder / "out", output_loading_info=True)
    # The pooler is kept for what is tuned next.
    unexpected = {name for name in loading["unexpected_keys"] if not name.startswith("bert.pooler.")}
    assert not loading["missing_keys"] and not unexpected and not loading["mismatched_keys"], loading
    tokenizer = AutoTokenizer.from_pretrained(folder / "out")
    for text, row in zip(new, rows):
        batch = tokenizer([text], truncation=True, return_tensors="pt")
        with torch.no_grad():
            found = model.eval()(**batch).logits[0].softmax(1)[batch["input_ids"][0] == tokenizer.convert_tokens_to_ids("[MASK]")]
        best = found.max(1)
        assert row["tokens"] == tokenizer.convert_ids_to_tokens(best.indices.tolist()), (row, best)
        if row["tokens"]:
            compare(f"{encoder}, masks", torch.tensor(row["probabilities"]), best.values)
        # A network of random weights may take a mask for what stands behind it.
        assert "[MASK]" in row["tokens"] or "[MASK]" not in row["filled"], row


def words(folder, encoder="BERT"):
    """A tiny network that is tuned to tags of words."""
    tiny(folder, encoder)
    texts = ["the 7th film was good food", "a bad film", "very " * 15 + "good place", "awful"]
    names = ["B-X", "I-X", "O"]
    tagged = [[(word, names[(row + place) % 3]) for place, word in enumerate(text.split())] for row, text in enumerate(texts)]
    lines = ["\n".join(f"{word} {tag}" for word, tag in text) for text in tagged]
    (folder / "words.conll").write_text("\n\n".join(lines) + "\n")
    (folder / "new.jsonl").write_text("".join(json.dumps({"words": text.split()}) + "\n" for text in texts))
    task = 'task = "token-classification"\nlabels = ["B-X", "I-X", "O"]'
    pipeline = TEXT.replace('pooling = "{pooling}"\n', "").replace("reviews.csv", "words.conll")
    (folder / "refire.toml").write_text(pipeline.format(task=task, files='"config.json", "model.safetensors", "tokenizer.json"'))
    (folder / ".refire").mkdir()
    refire(folder, "run")
    refire(folder, "get", "out", "out")
    refire(folder, "predict", "tune", "new.jsonl", "-o", "said.jsonl", "--logits")
    rows = [json.loads(line) for line in (folder / "said.jsonl").read_text().splitlines()]
    model, loading = AutoModelForTokenClassification.from_pretrained(folder / "out", output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"] and not loading["mismatched_keys"], loading
    assert list(model.config.id2label.values()) == names, model.config
    tokenizer = AutoTokenizer.from_pretrained(folder / "out")
    ours, theirs = [], []
    for text, row in zip(texts, rows):
        batch = tokenizer([text.split()], is_split_into_words=True, truncation=True, return_tensors="pt")
        assert batch["input_ids"].shape[1] <= 12
        with torch.no_grad():
            logits = model.eval()(**batch).logits[0]
        said = batch.word_ids(0)
        first = [said.index(word) for word in sorted({word for word in said if word is not None})]
        theirs += logits[first].tolist()
        ours += [[row[f"logit_{name}"][word] for name in names] for word in range(len(first))]
        best = [names[label] for label in logits[first].argmax(1).tolist()]
        assert row["labels"] == best + ["O"] * (len(text.split()) - len(best)), (row, best)
        for entity in row["entities"]:
            assert entity["text"] == " ".join(text.split()[entity["start"] : entity["end"]]) and 0 < entity["score"] <= 1, entity
    compare(f"{encoder}, a tag a word", torch.tensor(ours), torch.tensor(theirs))


def embeddings(folder, pooling, size, encoder="BERT"):
    """A tiny network that is tuned to give embeddings, of its own size or of another."""
    tiny(folder, encoder)
    texts = ["good food", "a bad film", "very very " * 9 + "good", "place", "the warm service was superb", "awful"]
    rows = [f"{first},{second}" for first, second in zip(texts, reversed(texts))]
    (folder / "reviews.csv").write_text("\n".join(["text,second", *rows]) + "\n")
    (folder / "new.csv").write_text("\n".join(["text", *texts]) + "\n")
    task = 'task = "sentence-similarity"\ntext_pair_column = "second"'
    if size:
        task += f"\nembedding_size = {size}"
    pipeline = TEXT.format(task=task, pooling=pooling, files='"config.json", "model.safetensors", "tokenizer.json"')
    if not size:
        pipeline = pipeline.replace("trainable_layers = 0", "trainable_layers = 1")
    out, _, rows = exported(folder, pipeline, "new.csv")
    model = sentence_transformers.SentenceTransformer(str(out), device="cpu")
    assert model.max_seq_length == 12, model
    ours = torch.tensor([row["embedding"] for row in rows])
    compare(f"{encoder}, embeddings, {pooling}, {size}", ours, model.encode(texts, convert_to_tensor=True).cpu())
    encoder = transformers.AutoModel.from_pretrained(out)
    assert not hasattr(encoder.config, "auto_map"), encoder.config
    text = (out / "README.md").read_text()
    assert "cut at 12 " in text and f"embedding of {size or 32} numbers" in text, text


def check_outputs(out, model, problem, names, inputs, rows):
    """config.json says what the outputs are, so that transformers computes the right loss; refire's labels are those by the thresholds
    that the README names."""
    assert model.config.problem_type == problem and list(model.config.id2label.values()) == names, model.config
    with torch.no_grad():
        logits = model(**inputs).logits
        if problem == "single_label_classification":
            targets = torch.zeros(len(logits), dtype=torch.long)
            expected = torch.nn.functional.cross_entropy(logits, targets)
        elif problem == "regression":
            targets = torch.ones_like(logits) / 3
            expected = torch.nn.functional.mse_loss(logits, targets)
        else:
            targets = (torch.arange(logits.numel()) % 2).view_as(logits).float()
            expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            said = [[name for name, logit in zip(names, row) if logit.sigmoid() >= 0.4] for row in logits]
            assert said == [row["labels"] for row in rows], (said, rows)
        # A regression of one number takes its targets without a second dimension.
        loss = model(**inputs, labels=targets.squeeze(1) if targets.shape[-1:] == (1,) else targets).loss
    assert abs(loss - expected) < 1e-6, (loss, expected)
    text = (out / "README.md").read_text()
    for place, name in enumerate(names):
        assert f"{place}. `{name}`" + (", from 0.4 on" if "multi" in problem else "\n") in text, text


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
    rows = ["path,kind,seen,number"]
    for label in ("cats", "dogs"):
        (folder / "photos" / label).mkdir(parents=True)
        rows += [f"{label}/{index}.png,{label},{label}{'|many' if index % 2 else ''},{index / 4}" for index in range(6)]
        for index in range(6):
            height, width = sorted(noise.integers(*sizes, 2))
            coarse = Image.fromarray(noise.integers(0, 255, (9, 9, 3), dtype=numpy.uint8))
            coarse.resize((int(width), int(height)), Image.Resampling.BICUBIC).save(folder / "photos" / label / f"{index}.png")
    (folder / "photos.csv").write_text("\n".join(rows) + "\n")


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


def image(folder, name, pretrained, prepared, load, task="image-classification"):
    """An image network whose weights are in `folder`, loaded by `load`, on photos that are `prepared` so."""
    photos(folder, (97, 160))
    column, settings, problem, names = IMAGES[task]
    settings = f'task = "{task}"\n{settings}'
    pipeline = IMAGE.format(pretrained=pretrained, prepared=prepared, task=settings, column=column)
    out, ours, rows = exported(folder, pipeline, "photos")
    model = load(out).eval()
    pixels = squares(out, folder, rows)
    with torch.no_grad():
        found = model(pixels)
    compare(f"{name}, {task}", ours, getattr(found, "logits", found))
    config = json.loads((out / "config.json").read_text())
    if not isinstance(model, transformers.PreTrainedModel):
        assert config["label_names"] == names, config
    else:
        assert config["problem_type"] == problem and list(config["id2label"].values()) == names, config
        check_outputs(out, model, problem, names, {"pixel_values": pixels}, rows)


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
    return model


def vit(folder, processor):
    """A small Vision Transformer whose photos look as `processor` says."""
    return of_transformers(folder, transformers.ViTForImageClassification(transformers.ViTConfig(**TOWER)), processor)


TOWER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "image_size": 64, "patch_size": 16}


def of_transformers(folder, model, processor):
    """Saves the weights of `model`, whose photos look as `processor` says; the settings of the stage that reads it."""
    model.save_pretrained(folder / "network")
    (folder / "network" / "preprocessor_config.json").write_text(json.dumps(processor))
    return 'files = ["config.json", "model.safetensors", "preprocessor_config.json"]'


def image_networks():
    """A small network of each other architecture of images that transformers has, as it is published."""
    convnext = {"hidden_sizes": [8, 16], "depths": [1, 2], "num_stages": 2, "layer_scale_init_value": 0.5}
    resnet = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]}
    dino = {key: value for key, value in TOWER.items() if key != "intermediate_size"} | {"image_size": 112, "layerscale_value": 0.5}
    swin = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4}
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 10}
    return {
        "ConvNeXt": transformers.ConvNextModel(transformers.ConvNextConfig(**convnext)),
        "ConvNeXt V2": transformers.ConvNextV2ForImageClassification(transformers.ConvNextV2Config(**convnext)),
        "DINOv2": transformers.Dinov2Model(transformers.Dinov2Config(**dino)),
        "DINOv2, gated": transformers.Dinov2Model(transformers.Dinov2Config(**dino, use_swiglu_ffn=True, use_mask_token=False)),
        "CLIP": transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=TOWER)),
        "CLIP's vision tower": transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**TOWER)),
        "CLIP's vision tower with a projection": transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**TOWER)),
        "SigLIP": transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=TOWER)),
        "SigLIP's vision tower": transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**TOWER)),
        "ResNet": transformers.ResNetModel(transformers.ResNetConfig(**resnet)),
        "Swin Transformer": transformers.SwinModel(transformers.SwinConfig(**swin)),
        "RegNet": transformers.RegNetModel(transformers.RegNetConfig(**resnet, groups_width=8)),
        "ResNet, basic": transformers.ResNetForImageClassification(transformers.ResNetConfig(**resnet, layer_type="basic")),
    }


def whole(out):
    """The export as transformers loads it, with every tensor in its place."""
    model, loading = AutoModelForImageClassification.from_pretrained(out, output_loading_info=True)
    # A normalisation computes the same whatever number of batches it has seen.
    missing = [key for key in loading["missing_keys"] if not key.endswith("num_batches_tracked")]
    assert not missing and not loading["unexpected_keys"] and not loading["mismatched_keys"], loading
    return model


def main():
    torch.manual_seed(0)
    models = torchvision.models
    for pooling in ("pooler", "mean", "cls"):
        with tempfile.TemporaryDirectory() as folder:
            text(Path(folder), pooling)
    for task in TEXTS:
        for pairs, pooling in ((None, "pooler"), (None, "mean"), ("longest_first", "mean"), ("only_first", "cls"), ("only_second", "pooler")):
            with tempfile.TemporaryDirectory() as folder:
                task_of_texts(Path(folder), task, pairs, pooling)
    with tempfile.TemporaryDirectory() as folder:
        words(Path(folder))
    for pooling, size in (("mean", None), ("cls", None), ("mean", 8)):
        with tempfile.TemporaryDirectory() as folder:
            embeddings(Path(folder), pooling, size)
    with tempfile.TemporaryDirectory() as folder:
        masks(Path(folder))
    for encoder, (_, _, poolings) in ENCODERS.items():
        for pooling in poolings:
            with tempfile.TemporaryDirectory() as folder:
                task_of_texts(Path(folder), "text-classification", None, pooling, encoder)
        for task in (words, masks):
            with tempfile.TemporaryDirectory() as folder:
                task(Path(folder), encoder)
        with tempfile.TemporaryDirectory() as folder:
            embeddings(Path(folder), "mean", 8, encoder)
    for task in ("image-multi-label", "image-regression"):
        outputs = len(IMAGES[task][-1])
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            network = strict(models.resnet18(num_classes=outputs))
            image(folder, "resnet18", bare(folder, "resnet18", models.resnet18()), "size = 64", network, task)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pretrained = bare(folder, "tf_efficientnet_lite0", timm.create_model("tf_efficientnet_lite0"))
            image(folder, "tf_efficientnet_lite0", pretrained, "size = 64", by_timm, task)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            processor = {"size": {"height": 64, "width": 64}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
            network = AutoModelForImageClassification.from_pretrained
            image(folder, "Vision Transformer", vit(folder, processor), 'model = "network"', network, task)
    for name in ("mobilenet_v2", "mobilenet_v3_small", "resnet18", "resnet50"):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pretrained = bare(folder, name, getattr(models, name)(), legacy=name == "resnet18")
            image(folder, name, pretrained, "size = 96", strict(getattr(models, name)(num_classes=2)))
    for load in (by_timm, strict(timm.create_model("tf_efficientnet_lite0", num_classes=2))):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            pretrained = bare(folder, "tf_efficientnet_lite0", timm.create_model("tf_efficientnet_lite0"))
            image(folder, "tf_efficientnet_lite0", pretrained, "size = 96", load)
    for name in ("test_convnext", "convnextv2_atto", "efficientnet_b0", "resnet26"):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            image(folder, name, bare(folder, name, timm.create_model(name)), "size = 96", by_timm)
    shares = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}, "crop_pct": 0.9}
    bit = {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 70}, "crop_size": 64}
    both = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 64, "width": 64}}
    for name, model in image_networks().items():
        processor = both if "SigLIP" in name else bit if "CLIP" in name or "DINO" in name else shares
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            image(folder, name, of_transformers(folder, model, processor), 'model = "network"', whole)
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
