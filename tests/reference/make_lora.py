"""Makes lora.json: the losses of thirty AdamW steps with peft's adapters, without dropout.

    pip install torch==2.9.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 timm==1.0.31 torchvision==0.24.1
    python tests/reference/make_lora.py

The weights of the networks and the first numbers of the adapters follow make_vision.py's formula, by the names under which refire keeps
them: those of the model, and behind them peft's `lora_A.weight`, `lora_B.weight` and `lora_magnitude_vector`. What trains is what peft lets
train: the adapters, the head and `modules_to_save`.

Every training is repeated in double precision, and must agree: so rounding has no part in the numbers.
"""

import json
import random
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from make_vision import formula, images
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, ViTConfig, ViTForImageClassification

HERE = Path(__file__).parent
STEPS, RATE, WEIGHT_DECAY, LABELS = 30, 1e-3, 0.01, 3
BATCHES = [[0, 5, 2, 7, 4, 1, 6, 3], [11, 8, 10, 9]]
CLASSES = [2, 0, 2, 1, 2, 0, 1, 0, 2, 0, 1, 1]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "num_labels": LABELS}
WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
VOCABULARY, LONGEST = 40, 12

# What peft calls a parameter of an adapter, and what it writes into a file.
NAMES = [(".lora_A.default.weight", ".lora_A.weight"), (".lora_B.default.weight", ".lora_B.weight")]
NAMES += [(".lora_magnitude_vector.default.weight", ".lora_magnitude_vector"), (".modules_to_save.default.", ".")]
# What transformers 5 calls a part of a Vision Transformer, and what it is called in files.
NAMES += [("vit.layers.", "vit.encoder.layer."), (".mlp.fc1.", ".intermediate.dense."), (".mlp.fc2.", ".output.dense.")]
NAMES += [(".attention.o_proj.", ".attention.output.dense.")]
NAMES += [(f".attention.{name[0]}_proj.", f".attention.attention.{name}.") for name in ("query", "key", "value")]

ADAPTERS = {
    "all-linear": {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"},
    "query and value, rsLoRA": {"r": 3, "lora_alpha": 5, "target_modules": ["query", "value"], "use_rslora": True},
    "DoRA": {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "use_dora": True},
    "modules to save": {"r": 2, "lora_alpha": 4, "target_modules": ["query"]},
}
SAVED = {"bert": ["embeddings.LayerNorm", "intermediate.dense"], "vit": ["layernorm_after"]}
VIT = {"query": "q_proj", "value": "v_proj"}


def model_of(network):
    """A small network by formula, its config and its tensors as transformers writes them."""
    if network == "bert":
        config = BertConfig(vocab_size=VOCABULARY, max_position_embeddings=LONGEST, **SIZES, **WITHOUT_DROPOUT)
        model = BertForSequenceClassification(config)
    else:
        model = ViTForImageClassification(ViTConfig(image_size=16, patch_size=8, **SIZES, **WITHOUT_DROPOUT))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = Path(folder) / "model.safetensors"
        state = {key: formula(key, tensor.shape) for key, tensor in load_file(path).items()}
        save_file(state, path, metadata={"format": "pt"})
        config = json.loads((Path(folder) / "config.json").read_text())
        return type(model).from_pretrained(folder), config, state


def written(name):
    """What a parameter of a network with adapters is called in a file."""
    name = name.removeprefix("base_model.model.")
    for inside, outside in NAMES:
        name = name.replace(inside, outside)
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def adapted(network, settings, dtype):
    """The network with adapters by formula."""
    model, config, state = model_of(network)
    if network == "vit" and isinstance(settings["target_modules"], list):
        settings = settings | {"target_modules": [VIT[name] for name in settings["target_modules"]]}
    # peft adds to the list.
    settings = settings | {"modules_to_save": list(settings["modules_to_save"])}
    model = get_peft_model(model, LoraConfig(task_type="SEQ_CLS" if network == "bert" else None, bias="none", **settings))
    adapters = {}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            adapters[written(name)] = formula(written(name), list(parameter.shape))
            parameter.data.copy_(adapters[written(name)])
    return model.to(dtype), config, state, adapters


def train(network, settings, batch, dtype):
    model, config, state, adapters = adapted(network, settings, dtype)
    model.train()
    trained = [(written(name), parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    decays = [parameter for _, parameter in trained if parameter.ndim > 1]
    others = [parameter for _, parameter in trained if parameter.ndim <= 1]
    groups = [{"params": decays, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    losses = []
    for number in range(STEPS):
        rows = BATCHES[number % len(BATCHES)]
        loss = model(**batch(rows, dtype), labels=torch.tensor(CLASSES)[rows]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, config, {**state, **adapters}, sorted(name for name, _ in trained), adapters


def tokens():
    draw = random.Random(1)
    return [[1, *draw.choices(range(4, VOCABULARY), k=draw.randint(1, LONGEST - 2)), 2] for _ in CLASSES]


def of_texts(texts):
    def batch(rows, _):
        longest = max(len(texts[row]) for row in rows)
        ids = [texts[row] + [0] * (longest - len(texts[row])) for row in rows]
        mask = [[1] * len(texts[row]) + [0] * (longest - len(texts[row])) for row in rows]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}

    return batch


def of_images(photos):
    return lambda rows, dtype: {"pixel_values": photos[rows].to(dtype)}


def case(network, name, settings, batch):
    saved = ["classifier", *(SAVED[network] if name == "modules to save" else [])]
    settings = settings | {"modules_to_save": saved, "lora_dropout": 0.0}
    losses, config, tensors, trained, adapters = train(network, settings, batch, torch.float32)
    exact, *_ = train(network, settings, batch, torch.float64)
    worst = max(abs(a - b) / b for a, b in zip(losses, exact))
    print(f"{network}, {name}: {losses[0]:.4f} … {losses[-1]:.4f}; single against double precision {worst:.1e}")
    assert worst <= 3e-4, (name, worst)
    layers = sorted({key.rsplit(".lora_", 1)[0] for key in adapters})
    return {
        "name": f"{network}, {name}",
        "network": {
            "name": network,
            "config": config,
            "tensors": {key: list(tensor.shape) for key, tensor in tensors.items()},
            "shape": [len(CLASSES), 3, 16, 16],
            "logits": [],
        },
        "settings": settings,
        "layers": layers,
        "trained": trained,
        "losses": losses,
    }


def main():
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    texts = tokens()
    batches = {"bert": of_texts(texts), "vit": of_images(images([len(CLASSES), 3, 16, 16]))}
    cases = [case(network, name, settings, batch) for network, batch in batches.items() for name, settings in ADAPTERS.items()]
    head = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "learning_rate": RATE,
        "weight_decay": WEIGHT_DECAY,
        "batches": BATCHES,
        "classes": CLASSES,
        "tokens": texts,
    }
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "lora.json").write_text(f'{json.dumps(head)[:-1]},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
