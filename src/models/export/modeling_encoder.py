"""A Roberta for classification that pools as sentence encoders do: transformers has no such class of its own.

It is loaded by `AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)`. The parameters have the
names of `RobertaForSequenceClassification`, but for those of the layers on top, which are called `head`: the folder has an
empty `GUARD`, so that no class that pools in another way can take it for its own.
"""

from torch import nn
from torch.nn import functional
from transformers import RobertaConfig, RobertaModel, RobertaPreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import SequenceClassifierOutput

# What the layer before the last is, if there is one: the function behind it, and whether dropout comes before it.
INNER = None


def dropout_of(config):
    """The probability of dropout before layers on top."""
    for name in ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "cls_dropout", "hidden_dropout_prob"):
        value = getattr(config, name, None)
        if value is not None:
            return value
    return 0.0


class Head(nn.Module):
    """Logits out of the vector of a text."""

    def __init__(self, config):
        super().__init__()
        self.dropout = nn.Dropout(dropout_of(config))
        if INNER is not None:
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.linear = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, x):
        if INNER is not None:
            act, dropout = INNER
            x = ACT2FN[act](self.dense(self.dropout(x) if dropout else x))
        return self.linear(self.dropout(x))


class RefireRobertaForSequenceClassification(RobertaPreTrainedModel):
    """Roberta, pooled, with layers on top.

    `config.pooling` says how the states of a text's tokens become one vector: by their `mean`, padding left out, or as the
    first token's (`cls`).
    """

    config_class = RobertaConfig
    # A checkpoint's pooler is kept, but nothing goes through it.
    _keys_to_ignore_on_load_unexpected = [r"BASE\.pooler", r"GUARD"]

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.BASE = RobertaModel(config)
        if hasattr(self.BASE, "pooler"):
            self.BASE.pooler = None
        self.head = Head(config)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, labels=None, return_dict=None, **others):
        """Logits, `[batch, labels]`; with `labels` also the loss."""
        outputs = self.BASE(input_ids, attention_mask=attention_mask, **others)
        states = outputs[0]
        if self.config.pooling == "cls":
            pooled = states[:, 0]
        elif attention_mask is None:
            pooled = states.mean(1)
        else:
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        logits = self.head(pooled)
        loss = None if labels is None else self.loss(logits, labels)
        if return_dict is False:
            return (logits,) if loss is None else (loss, logits)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def loss(self, logits, labels):
        """What transformers' own classes make small: `config.problem_type` says what the outputs are."""
        if self.config.problem_type == "regression":
            return functional.mse_loss(logits, labels.view_as(logits).to(logits.dtype))
        if self.config.problem_type == "multi_label_classification":
            return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        return functional.cross_entropy(logits, labels)
