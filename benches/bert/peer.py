"""The same as main.rs in PyTorch with transformers: python peer.py MODEL_FOLDER THREADS [--cpu-time]"""

import sys
import time

import torch
from transformers import BertModel

BATCH, ROUNDS = 32, 7
folder, threads = sys.argv[1], int(sys.argv[2])
clock = time.process_time if "--cpu-time" in sys.argv else time.perf_counter
torch.set_num_threads(threads)


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bert = BertModel.from_pretrained(folder)
        self.dropout = torch.nn.Dropout(0.1)
        self.classifier = torch.nn.Linear(self.bert.config.hidden_size, 2)

    def forward(self, ids, mask):
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(2).to(states.dtype)
        return self.classifier(self.dropout((states * weights).sum(1) / weights.sum(1)))


def batch(tokens):
    ids = (1000 + torch.arange(BATCH * tokens) * 7919 % 20000).reshape(BATCH, tokens)
    return ids, torch.ones_like(ids)


def least(once):
    once()
    return min(once() for _ in range(ROUNDS))


def forward(model, tokens):
    def once():
        ids, mask = batch(tokens)
        start = clock()
        with torch.no_grad():
            model(ids, mask)
        return clock() - start

    return least(once)


def step(model, tokens):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5)
    targets = torch.arange(BATCH) % 2
    gradients = []

    def once():
        start = clock()
        loss = torch.nn.functional.cross_entropy(model(*batch(tokens)), targets)
        optimizer.zero_grad()
        loss.backward()
        gradients.append(clock() - start)
        optimizer.step()
        return clock() - start

    whole = least(once)
    return min(gradients), whole


model = Classifier()
for tokens in (32, 128):
    seconds = forward(model.eval(), tokens)
    print(f"forward {BATCH} x {tokens}: {seconds * 1e3:.1f} ms, {BATCH * tokens / seconds:.0f} tokens/s")
    gradients, whole = step(model.train(), tokens)
    print(f"training step {BATCH} x {tokens}: {whole * 1e3:.1f} ms, {gradients * 1e3:.1f} ms without the optimizer")
