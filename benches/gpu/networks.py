"""The networks of bench.py in PyTorch, as one writes them to be fast: attention in one kernel, images channels last. The tensors of the BERT
are called as transformers calls them, so that refire reads its weights."""

import math
import time

import torch
from torch import nn
from torch.nn import functional


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))


class Output(nn.Module):
    """A layer whose result is added to what came before, and normalised."""

    def __init__(self, inputs, width, dropout):
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, before):
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, wide = config["hidden_size"], config["intermediate_size"]
        self.dropout = config["attention_probs_dropout_prob"]
        self.attention = nn.ModuleDict(
            {
                "self": SelfAttention(width, config["num_attention_heads"]),
                "output": Output(width, width, config["hidden_dropout_prob"]),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, wide)})
        self.output = Output(wide, width, config["hidden_dropout_prob"])

    def forward(self, x, mask):
        batch, tokens, width = x.shape
        attention = self.attention["self"]
        query, key, value = (
            layer(x).view(batch, tokens, attention.heads, -1).transpose(1, 2)
            for layer in (attention.query, attention.key, attention.value)
        )
        dropout = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        x = self.attention["output"](seen.transpose(1, 2).reshape(batch, tokens, width), x)
        return self.output(functional.gelu(self.intermediate["dense"](x)), x)


class Embeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = nn.Embedding(config["vocab_size"], width)
        self.position_embeddings = nn.Embedding(config["max_position_embeddings"], width)
        self.token_type_embeddings = nn.Embedding(config["type_vocab_size"], width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])

    def forward(self, ids):
        places = self.position_embeddings.weight[: ids.shape[1]]
        return self.dropout(self.LayerNorm(self.word_embeddings(ids) + places + self.token_type_embeddings.weight[0]))


class Bert(nn.Module):
    """A BERT with a classifier on the mean of its tokens."""

    def __init__(self, config, labels=2):
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = [Layer(config) for _ in range(config["num_hidden_layers"])]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.dropout = nn.Dropout(config["hidden_dropout_prob"])
        self.classifier = nn.Linear(config["hidden_size"], labels)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids):
        return self.classifier(self.dropout(self.pooled(ids)))

    def pooled(self, ids):
        """The mean of the tokens of each text."""
        real = ids != 0
        x = self.embeddings(ids)
        for layer in self.encoder["layer"]:
            x = layer(x, real[:, None, None, :])
        weights = real.unsqueeze(2).to(x.dtype)
        return (x * weights).sum(1) / weights.sum(1)

    def backbone(self):
        """Its weights without the classifier."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("classifier.")}


def rates(network, inputs, labels, batch, epochs, device, mixed):
    """Samples a second of each epoch of tuning everything: AdamW, gradients clipped, a rate that falls to 0, as refire does it."""
    network = network.to(device).train()
    if inputs.dim() == 4:
        network, inputs = network.to(memory_format=torch.channels_last), inputs.contiguous(memory_format=torch.channels_last)
    inputs, labels = inputs.to(device), labels.to(device)
    on_gpu = device.startswith("cuda")
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-5, weight_decay=0.01, fused=on_gpu)
    steps = epochs * -(-len(labels) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    found = []
    for _ in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(labels), device=device).split(batch):
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed):
                loss = functional.cross_entropy(network(inputs[rows]).float(), labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        # Reading the loss waits until the device has done everything.
        assert math.isfinite(loss.item())
        found.append(len(labels) / (time.perf_counter() - start))
    return found
