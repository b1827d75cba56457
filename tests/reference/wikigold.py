"""Tunes the encoder of pipelines/ner-wikigold.toml by transformers, as the pipeline does it, and prints seqeval's figures on its test part.

    pip install torch==2.9.1 transformers==5.23.0 seqeval==1.2.2 polars==2.1.0
    refire run pipelines/ner-wikigold.toml -S data=DATA
    for port in encoder split.train split.test; do refire get pipelines/ner-wikigold.toml $port FOLDER/$port -S data=DATA; done
    python tests/reference/wikigold.py [--frozen] FOLDER SEED...

FOLDER holds the model and the two tables that the pipeline itself takes, so that both sides learn from the same sentences and are asked
about the same ones. What is the same: AdamW with its decay on everything but biases and norms, the clipping, the warm-up and the linear
schedule, batches of sentences of like length, dropout of the checkpoint, labels on the first token of each word. What is not: the order of
the sentences, the dropout's and the new head's random numbers; and a sentence beyond 128 tokens is cut here, where refire has windows.
With `--frozen` it is the profile of that name: only the head trains, on states of the encoder without its dropout.
"""

import json
import random
import sys
import time

import polars
import torch
from seqeval.metrics import f1_score, precision_score, recall_score
from transformers import AutoTokenizer, BertForTokenClassification, get_linear_schedule_with_warmup

BATCH, MAX_LENGTH, WARMUP, DECAY = 16, 128, 0.1, 0.01
# Epochs and learning rate.
WHOLE, FROZEN = (6, 1e-4), (30, 1e-2)
# Shuffled sentences that are sorted by length at a time, in batches.
WINDOW = 50


def sentences(folder, part):
    rows = polars.read_parquet(f"{folder}/split.{part}/table.parquet").to_dicts()
    return [(row["words"], row["tags"]) for row in rows]


def encoded(tokenizer, labels, rows):
    batch = tokenizer([words for words, _ in rows], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH, padding=True)
    targets = []
    for place, (_, tags) in enumerate(rows):
        own, before = [], None
        for word in batch.word_ids(place):
            own.append(-100 if word is None or word == before else labels.index(tags[word]))
            before = word
        targets.append(own)
    return {key: torch.tensor(value) for key, value in batch.items()}, torch.tensor(targets)


def batches(rows):
    rows = random.sample(rows, len(rows))
    size = WINDOW * BATCH
    ordered = [row for start in range(0, len(rows), size) for row in sorted(rows[start : start + size], key=lambda row: len(row[0]))]
    cut = [ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH)]
    return random.sample(cut, len(cut))


class Network:
    """The network, and what it gives for batches of sentences; where the encoder is frozen, its states are computed once."""

    def __init__(self, folder, frozen, labels):
        self.tokenizer = AutoTokenizer.from_pretrained(f"{folder}/encoder")
        self.model = BertForTokenClassification.from_pretrained(f"{folder}/encoder", num_labels=len(labels))
        self.frozen, self.labels, self.states = frozen, labels, {}

    def parameters(self):
        return list((self.model.classifier if self.frozen else self.model).parameters())

    def logits(self, rows):
        """The logits of the first tokens of all words, and the labels of these."""
        inputs, targets = encoded(self.tokenizer, self.labels, rows)
        if not self.frozen:
            logits = self.model(**inputs).logits
            return [(logits[place][own != -100], own[own != -100]) for place, own in enumerate(targets)]
        new = [row for row, (words, _) in enumerate(rows) if tuple(words) not in self.states]
        if new:
            self.model.bert.eval()
            with torch.no_grad():
                states = self.model.bert(**inputs).last_hidden_state
            for row in new:
                self.states[tuple(rows[row][0])] = states[row][targets[row] != -100]
        heads = [self.model.classifier(self.model.dropout(self.states[tuple(words)])) for words, _ in rows]
        return [(head, own[own != -100]) for head, own in zip(heads, targets)]

    def loss(self, rows):
        logits, targets = zip(*self.logits(rows))
        return torch.nn.functional.cross_entropy(torch.cat(logits), torch.cat(targets))


def measured(network, rows):
    network.model.eval()
    said, truth = [], []
    for start in range(0, len(rows), 32):
        part = rows[start : start + 32]
        with torch.no_grad():
            logits = network.logits(part)
        for (row, _), (_, tags) in zip(logits, part):
            own = [network.labels[label] for label in row.argmax(-1).tolist()]
            said.append(own + ["O"] * (len(tags) - len(own)))
            truth.append(tags)
    figures = {"f1": f1_score, "precision": precision_score, "recall": recall_score}
    return {name: float(figure(truth, said)) for name, figure in figures.items()}


def tuned(folder, seed, frozen, states):
    torch.manual_seed(seed)
    random.seed(seed)
    train, test = sentences(folder, "train"), sentences(folder, "test")
    labels = sorted({tag for _, tags in train for tag in tags})
    epochs, rate = FROZEN if frozen else WHOLE
    network = Network(folder, frozen, labels)
    network.states = states
    parameters = network.parameters()
    decay = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": decay, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    steps = epochs * -(-len(train) // BATCH)
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    start = time.time()
    for epoch in range(epochs):
        total = 0.0
        for rows in batches(train):
            network.model.train()
            loss = network.loss(rows)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.item() * BATCH / len(train)
        print(f"seed {seed}, epoch {epoch + 1}: loss {total:.4f}, {time.time() - start:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps({"seed": seed, **measured(network, test)}), flush=True)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--frozen"]
    shared = {}
    for number in arguments[1:]:
        tuned(arguments[0], int(number), "--frozen" in sys.argv, shared)
