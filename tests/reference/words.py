"""Makes words.json: the losses of ten AdamW steps without dropout with a label for each word, by transformers' `BertForTokenClassification`.

    pip install torch==2.9.1 torchvision==0.24.1 timm==1.0.31 transformers==5.23.0
    python tests/reference/words.py

The texts, the encoder and the steps are those of tasks.py; a text's words are what stands between spaces, and word w of text t has the
label (3 t + w) mod 3. Labels are on the first token of a word (`first`), or on all of them (`all`), where tokens behind the first one of a
word with label 0, which is `B-X`, have label 1, which is `I-X`; other tokens have -100. Every training is repeated in double precision,
and must agree.
"""

import json
from pathlib import Path

import torch
import transformers
from make_vision import formula
from tasks import BATCHES, TEXT_RATE, TEXTS, TINY_BERT, WEIGHT_DECAY, WITHOUT_DROPOUT, train
from transformers import AutoTokenizer, BertConfig, BertForTokenClassification

LABELS = ["B-X", "I-X", "O"]
MAX_LENGTH = 16


def words():
    return [text.split() for text in TEXTS]


def labels():
    return [[(3 * text + word) % 3 for word in range(len(row))] for text, row in enumerate(words())]


def encoded(tokenizer, rows, every):
    batch = tokenizer([words()[row] for row in rows], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH, padding=True)
    targets = []
    for place, row in enumerate(rows):
        own, before = [], None
        for word in batch.word_ids(place):
            if word is None:
                own.append(-100)
            elif word != before:
                own.append(labels()[row][word])
            elif every:
                own.append(1 if labels()[row][word] == 0 else labels()[row][word])
            else:
                own.append(-100)
            before = word
        targets.append(own)
    return {key: torch.tensor(value) for key, value in batch.items()}, torch.tensor(targets)


def case(name, every):
    tokenizer = AutoTokenizer.from_pretrained(TINY_BERT)
    head = {part: formula(f"words/classifier.{part}", shape) for part, shape in (("weight", [3, 32]), ("bias", [3]))}

    def at(dtype):
        config = BertConfig.from_pretrained(TINY_BERT, num_labels=3, **WITHOUT_DROPOUT)
        model = BertForTokenClassification.from_pretrained(TINY_BERT, config=config, ignore_mismatched_sizes=True)
        model.classifier.load_state_dict(head)

        def step(model, rows):
            batch, targets = encoded(tokenizer, rows, every)
            out = model(**batch, labels=targets)
            return out.loss, out.logits[batch["attention_mask"] == 1]

        return train(model.to(dtype), step, TEXT_RATE)

    losses, (before, _) = at(torch.float32)
    exact, _ = at(torch.float64)
    worst = max(abs(a - b) / b for a, b in zip(losses, exact))
    print(f"{name}: {losses[0]:.4f} … {losses[-1]:.4f}; single against double precision {worst:.1e}")
    assert worst <= 1e-5, (name, worst)
    return {"name": name, "every_token": every, "losses": losses, "first_logits": [round(logit, 6) for logit in before]}, head


def main():
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    (first, head), (every, _) = case("first", False), case("all", True)
    made = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "settings": {"learning_rate": TEXT_RATE, "weight_decay": WEIGHT_DECAY},
        "max_length": MAX_LENGTH,
        "batches": BATCHES,
        "words": words(),
        "labels": labels(),
        "names": LABELS,
        "head": {part: tensor.tolist() for part, tensor in head.items()},
        "cases": [first, every],
    }
    path = Path(__file__).parent / "words.json"
    path.write_text(json.dumps(made) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
