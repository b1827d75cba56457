"""Makes masked.json and masked.safetensors: the losses of ten AdamW steps of masked language modelling without dropout.

    pip install torch==2.9.1 transformers==5.23.0
    python tests/reference/masked.py

`BertForMaskedLM` has the encoder of tests/data/tiny-bert; the first weights of its head are in masked.safetensors, drawn so that no part
of it is without effect. The last layer is tied to the embedding of tokens. Which tokens are masked, and by what, is in masked.json.
Every training is repeated in double precision, and must agree.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tasks import TEXTS
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

HERE = Path(__file__).parent
TINY_BERT = HERE.parent / "data" / "tiny-bert"
STEPS, RATE, WEIGHT_DECAY = 10, 1e-3, 0.01
BATCHES = [[0, 5, 2, 7, 4, 1, 6], [9, 8, 10]]


def samples(tokenizer):
    """Each text once a step: its tokens with masks, and what stood there; -100 for the others."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for step in range(STEPS):
        batch = []
        for row in BATCHES[step % len(BATCHES)]:
            ids = tokenizer(TEXTS[row], truncation=True, max_length=24)["input_ids"]
            labels = [-100] * len(ids)
            for place in range(1, len(ids) - 1):
                if torch.rand(1, generator=generator).item() < 0.4:
                    labels[place] = ids[place]
                    share = torch.rand(1, generator=generator).item()
                    if share < 0.8:
                        ids[place] = tokenizer.mask_token_id
                    elif share < 0.9:
                        ids[place] = int(torch.randint(len(tokenizer), (1,), generator=generator))
            batch.append({"ids": ids, "labels": labels})
        found.append(batch)
    return found


def build(dtype):
    config = BertConfig.from_pretrained(TINY_BERT)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    model = BertForMaskedLM(config)
    state = {name.removeprefix("bert."): tensor for name, tensor in load_file(TINY_BERT / "model.safetensors").items()}
    missing = model.bert.load_state_dict(state, strict=False).missing_keys
    assert not missing, missing
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.cls.named_parameters():
            if not name.startswith("predictions.decoder.weight"):
                around = 1.0 if name.endswith("LayerNorm.weight") else 0.0
                parameter.copy_(around + 0.1 * torch.randn(parameter.shape, generator=generator))
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    return model.to(dtype)


def train(model, batches, pad):
    model.train()
    decays = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decays, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    losses = []
    for batch in batches:
        longest = max(len(sample["ids"]) for sample in batch)
        fill = lambda key, value: torch.tensor([s[key] + [value] * (longest - len(s[key])) for s in batch])
        mask = torch.tensor([[1] * len(s["ids"]) + [0] * (longest - len(s["ids"])) for s in batch])
        loss = model(input_ids=fill("ids", pad), attention_mask=mask, labels=fill("labels", -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    tokenizer = AutoTokenizer.from_pretrained(TINY_BERT)
    batches = samples(tokenizer)
    model = build(torch.float32)
    head = {f"cls.{name}": tensor.detach().clone() for name, tensor in model.cls.named_parameters() if "decoder" not in name}
    save_file(head, HERE / "masked.safetensors")
    losses = train(model, batches, tokenizer.pad_token_id)
    exact = train(build(torch.float64), batches, tokenizer.pad_token_id)
    worst = max(abs(one - other) / other for one, other in zip(losses, exact))
    assert worst < 1e-5, worst
    found = {"learning_rate": RATE, "weight_decay": WEIGHT_DECAY, "batches": batches, "losses": losses}
    (HERE / "masked.json").write_text(json.dumps(found) + "\n")
    print(losses, worst, sorted(head))


if __name__ == "__main__":
    main()
