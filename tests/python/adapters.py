"""Tunes small models with adapters in refire, exports them merged and for peft, loads both there, lets peft save its own folder, reads that
back, and compares the logits.

    pip install -r requirements.txt
    python adapters.py PATH/TO/refire
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from export import IMAGE, TEXT, TINY_BERT, compare, photos, refire, squares, vit
from peft import PeftModel
from transformers import AutoConfig, AutoModelForImageClassification, AutoModelForSequenceClassification
from transformers import AutoModelForTokenClassification, AutoTokenizer

ADAPTED = """
[stage.frozen]
kind = "lora"
model = "network"
r = 4
lora_alpha = 8
{lora}
"""

MORE = """
[stage.adapter]
kind = "export"
model = "tune"
adapter = true
"""

BACK = """
[stage.theirs]
kind = "pretrained"
source = "theirs"
files = ["adapter_config.json", "adapter_model.safetensors"]

[stage.back]
kind = "lora"
model = "{base}"
adapter = "theirs"
labels = {labels}
"""

TEXTS = ["good food", "a bad film", "very very " * 3 + "good", "place", "the warm service was superb", "awful"]


def pipeline(text, lora):
    """`text` with adapters in place of what it freezes; its training changes enough to be seen."""
    frozen = '\n[stage.frozen]\nkind = "freeze"\nmodel = "network"\ntrainable_layers = 0\n'
    adapted = ADAPTED.format(lora=lora)
    if frozen in text:
        text = text.replace(frozen, adapted)
    else:
        text = text.replace("[stage.tune]", f"{adapted}\n[stage.tune]").replace('kind = "finetune"\nmodel = "network"', 'kind = "finetune"\nmodel = "frozen"')
    text = text.replace("epochs = 1\n", "epochs = 3\n").replace("learning_rate = 1e-3", "learning_rate = 2e-2")
    return text + MORE


def run(folder, text):
    (folder / ".refire").mkdir(exist_ok=True)
    (folder / "refire.toml").write_text(text)
    refire(folder, "run")


def predicted(folder, model, inputs, *more):
    refire(folder, "predict", model, inputs, "-o", "said.jsonl", *more)
    return [json.loads(line) for line in (folder / "said.jsonl").read_text().splitlines()]


def logits(rows):
    return torch.tensor([[value for name, value in row.items() if name.startswith("logit_")] for row in rows])


def adapted(folder, of_class):
    """The base model with the exported adapter, by peft."""
    refire(folder, "get", "adapter", "adapter")
    config = AutoConfig.from_pretrained(folder / "adapter")
    base = of_class.from_pretrained(folder / "network", config=config)
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    # Every tensor of the file has a place.
    loading = model.load_adapter(folder / "adapter", "again")
    assert not loading.unexpected_keys, loading
    return model


def text(folder, name, network, lora, pooling="pooler"):
    network.save_pretrained(folder / "network")
    (folder / "network" / "tokenizer.json").write_bytes((TINY_BERT / "tokenizer.json").read_bytes())
    rows = [f"{word},{label}" for word in TEXTS for label in ("good", "bad", "neither")]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "new.csv").write_text("\n".join(["text", *TEXTS]) + "\n")
    task = 'task = "text-classification"\nlabels = ["bad", "good", "neither"]'
    files = '"config.json", "model.safetensors", "tokenizer.json"'
    written = pipeline(TEXT.format(task=task, pooling=pooling, files=files), lora)
    run(folder, written)
    ours = logits(predicted(folder, "tune", "new.csv", "--logits"))
    refire(folder, "get", "out", "merged")
    tokens = AutoTokenizer.from_pretrained(folder / "merged")(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        merged = AutoModelForSequenceClassification.from_pretrained(folder / "merged").eval()
        compare(f"{name}, merged", ours, merged(**tokens).logits)
        model = adapted(folder, AutoModelForSequenceClassification)
        compare(f"{name}, peft", ours, model(**tokens).logits)
        base = AutoModelForSequenceClassification.from_pretrained(folder / "network", num_labels=3).eval()
        assert (base.base_model(**tokens)[0] - merged.base_model(**tokens)[0]).abs().max() > 0.01, "adapters have learnt nothing"
    # And the other way: what peft saves, on a model that refire has pooled as transformers does.
    model.save_pretrained(folder / "theirs")
    (folder / "labelled").mkdir()
    for file in (folder / "network").iterdir():
        (folder / "labelled" / file.name).write_bytes(file.read_bytes())
    (folder / "labelled" / "refire.json").write_text(json.dumps({"pooling": pooling}))
    back = BACK.format(base="labelled", labels='["bad", "good", "neither"]')
    labelled = '\n[stage.labelled]\nkind = "pretrained"\nsource = "labelled"\nfiles = ["config.json", "model.safetensors", "tokenizer.json", "refire.json"]\n'
    run(folder, written + labelled + back)
    refire(folder, "get", "back", "back")
    compare(f"{name}, back", ours, logits(predicted(folder, "./back", "new.csv", "--logits")))


def words(folder):
    transformers.BertModel(transformers.BertConfig.from_pretrained(TINY_BERT)).save_pretrained(folder / "network")
    (folder / "network" / "tokenizer.json").write_bytes((TINY_BERT / "tokenizer.json").read_bytes())
    names = ["B-X", "I-X", "O"]
    tagged = [[(word, names[(row + place) % 3]) for place, word in enumerate(text.split())] for row, text in enumerate(TEXTS)]
    lines = ["\n".join(f"{word} {tag}" for word, tag in text) for text in tagged]
    (folder / "words.conll").write_text("\n\n".join(lines) + "\n")
    (folder / "new.jsonl").write_text("".join(json.dumps({"words": text.split()}) + "\n" for text in TEXTS))
    task = 'task = "token-classification"\nlabels = ["B-X", "I-X", "O"]'
    text = TEXT.replace('pooling = "{pooling}"\n', "").replace("reviews.csv", "words.conll")
    run(folder, pipeline(text.format(task=task, files='"config.json", "model.safetensors", "tokenizer.json"'), ""))
    rows = predicted(folder, "tune", "new.jsonl", "--logits")
    model = adapted(folder, AutoModelForTokenClassification)
    tokenizer = AutoTokenizer.from_pretrained(folder / "adapter")
    ours, theirs = [], []
    for text, row in zip(TEXTS, rows):
        batch = tokenizer([text.split()], is_split_into_words=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            found = model(**batch).logits[0]
        said = batch.word_ids(0)
        first = [said.index(word) for word in sorted({word for word in said if word is not None})]
        theirs += found[first].tolist()
        ours += [[row[f"logit_{name}"][word] for name in names] for word in range(len(first))]
    compare("a tag a word, peft", torch.tensor(ours), torch.tensor(theirs))


def image(folder, lora):
    processor = {"size": {"height": 64, "width": 64}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    pretrained = vit(folder, processor)
    photos(folder, (97, 160))
    task = 'task = "image-classification"'
    run(folder, pipeline(IMAGE.format(pretrained=pretrained, prepared='model = "network"', task=task, column="kind"), lora))
    rows = predicted(folder, "tune", "photos", "--logits")
    model = adapted(folder, AutoModelForImageClassification)
    pixels = squares(folder / "adapter", folder, rows)
    with torch.no_grad():
        compare(f"Vision Transformer, {lora}, peft", logits(rows), model(pixel_values=pixels).logits)


def main():
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    bert = transformers.BertModel(transformers.BertConfig.from_pretrained(TINY_BERT))
    distilbert = transformers.DistilBertModel(
        transformers.DistilBertConfig(vocab_size=bert.config.vocab_size, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=32)
    )
    cases = [
        ("BERT", bert, "", "pooler"),
        ("BERT, DoRA", bert, "use_dora = true", "pooler"),
        ("BERT, rsLoRA", bert, 'use_rslora = true\ntarget_modules = ["query", "value"]\nmodules_to_save = ["embeddings.LayerNorm"]', "pooler"),
        ("DistilBERT", distilbert, "", "cls"),
    ]
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            text(Path(folder), *case)
    with tempfile.TemporaryDirectory() as folder:
        words(Path(folder))
    for lora in ("", 'use_dora = true\ntarget_modules = ["query", "output.dense"]'):
        with tempfile.TemporaryDirectory() as folder:
            image(Path(folder), lora)


if __name__ == "__main__":
    main()
