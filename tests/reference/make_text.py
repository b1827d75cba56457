"""Makes text.json: hidden states and logits that transformers gives for tokens and weights made by formulas.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python make_text.py

Every tensor is filled by make_vision.py's formula over its name, so that the test can make the same weights; names and shapes are written
as transformers saves them. `made` has an encoder of each architecture without a head, which Rust's own tests take for small models, too;
`cases` have the heads. A batch has a text that fills it, one that is padded on the right and one that is padded on the left; the first
has a padding token in its midst, which its mask does not leave out.
"""

import json
import tempfile
from pathlib import Path

import torch
import transformers
from make_vision import formula
from safetensors.torch import load_file, save_file
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

LABELS = 3
TOKENS = 7
LENGTHS = (7, 4, 5)

# What a config says of no network, and what is so unless it is said.
LEFT_OUT = ("_name_or_path", "add_cross_attention", "bos_token_id", "eos_token_id", "transformers_version", "use_cache")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 24}
MADE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 180}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def roberta():
    made = {**MADE, **NO_DROPOUT, "max_position_embeddings": 50, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    small = {**SMALL, **NO_DROPOUT, "max_position_embeddings": 12}
    one = {**small, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    yield "roberta", "Roberta", "Model", made
    yield "roberta, gelu", "Roberta", "ForSequenceClassification", one
    yield "roberta, silu", "Roberta", "ForSequenceClassification", {**one, "hidden_act": "silu", "pad_token_id": 0}
    yield "xlm-roberta, gelu_new", "XLMRoberta", "ForTokenClassification", {**one, "hidden_act": "gelu_new"}
    yield "camembert, relu", "Camembert", "ForMaskedLM", {**small, "hidden_act": "relu", "pad_token_id": 3, "max_position_embeddings": 11}


def distilbert():
    def sizes(of):
        named = {"dim": "hidden_size", "hidden_dim": "intermediate_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads"}
        renamed = {own: of[name] for own, name in named.items()}
        return {**renamed, "vocab_size": of["vocab_size"], "dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}

    small = {**sizes(SMALL), "max_position_embeddings": 9}
    yield "distilbert", "DistilBert", "Model", {**sizes(MADE), "max_position_embeddings": 48}
    yield "distilbert, gelu", "DistilBert", "ForSequenceClassification", small
    yield "distilbert, relu", "DistilBert", "ForTokenClassification", {**small, "activation": "relu"}
    yield "distilbert, gelu", "DistilBert", "ForMaskedLM", {**small, "pad_token_id": 2}
    yield "distilbert, relu", "DistilBert", "ForMaskedLM", {**small, "activation": "relu"}


def mpnet():
    small = {**SMALL, **NO_DROPOUT, "max_position_embeddings": 10}
    yield "mpnet", "MPNet", "Model", {**MADE, **NO_DROPOUT, "max_position_embeddings": 50, "layer_norm_eps": 1e-5}
    yield "mpnet, gelu", "MPNet", "ForSequenceClassification", small
    yield "mpnet, relu", "MPNet", "ForTokenClassification", {**small, "hidden_act": "relu", "layer_norm_eps": 1e-5}
    # The id of padding is 1 in its embeddings, whatever the config says.
    yield "mpnet, gelu_new", "MPNet", "ForMaskedLM", {**small, "hidden_act": "gelu_new", "pad_token_id": 5}


def mpnet_buckets():
    """The kinds of the distances from 0 to 599, backward and forward."""
    distances = torch.arange(600)
    return [MPNetEncoder.relative_position_bucket(sign * distances).tolist() for sign in (-1, 1)]


FAMILIES = (roberta, distilbert, mpnet)


def batch(config):
    """Token ids, which of them are tokens, and their types."""
    padding, rows, mask = config.pad_token_id or 0, [], []
    for row, length in enumerate(LENGTHS):
        text = [(11 * row + 5 * place + 4) % config.vocab_size for place in range(length)]
        text = [token if token != padding else token + 1 for token in text]
        if row == 0:
            text[3] = padding
        left = TOKENS - length if row == 2 else 0
        right = TOKENS - length - left
        rows.append([padding] * left + text + [padding] * right)
        mask.append([0] * left + [1] * length + [0] * right)
    types = None
    if getattr(config, "type_vocab_size", 0) > 1:
        types = [[(row + place) % 3 % 2 for place in range(TOKENS)] for row in range(len(LENGTHS))]
    return rows, mask, types


def case(name, family, kind, settings):
    """What a network gives with every tensor of its checkpoint filled by the formula."""
    config = getattr(transformers, f"{family}Config")(**settings, **({"num_labels": LABELS} if "Classification" in kind else {}))
    build = getattr(transformers, f"{family}{kind}")
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        build(config).save_pretrained(folder)
        written = json.loads((Path(folder) / "config.json").read_text())
        path = Path(folder) / "model.safetensors"
        state = load_file(path)
        save_file({key: formula(key, tensor.shape) for key, tensor in state.items()}, path, metadata={"format": "pt"})
        model, loading = build.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    ids, mask, types = batch(config)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    if types:
        inputs["token_type_ids"] = torch.tensor(types)
    with torch.no_grad():
        found = model.eval()(**inputs, output_hidden_states=True)
    headless = kind in ("Model", "ForPreTraining")
    hidden = found.last_hidden_state if kind == "Model" else found.hidden_states[-1]
    print(f"{name}, {kind}: {sum(tensor.numel() for tensor in state.values())} numbers, mean |state| {hidden.abs().mean():.2f}")
    return {
        "name": name,
        "config": {key: value for key, value in written.items() if value is not None and key not in LEFT_OUT},
        "tensors": {key: list(tensor.shape) for key, tensor in state.items()},
        "masked": kind == "ForMaskedLM",
        "ids": ids,
        "mask": mask,
        "types": types,
        "hidden": [round(number, 6) for number in hidden.flatten().tolist()],
        "logits": None if headless else [round(number, 6) for number in found.logits.flatten().tolist()],
    }


def main():
    found = [(kind, case(name, family, kind, settings)) for make in FAMILIES for name, family, kind, settings in make()]
    made = [case for kind, case in found if kind == "Model"]
    cases = [case for kind, case in found if kind != "Model"]
    with open(Path(__file__).parent / "text.json", "w") as file:
        json.dump({"made": made, "cases": cases, "mpnet_buckets": mpnet_buckets()}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
