"""A BERT for classification that pools as sentence encoders do: transformers has no such class of its own.

It is loaded by `AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)`. The parameters have the
names of `BertForSequenceClassification`, but for those of the linear layer on top, which are called `head`: the folder has an
empty `classifier.weight`, so that no class that pools in another way can take it for its own.
"""

from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertModel, BertPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class RefireBertForSequenceClassification(BertPreTrainedModel):
    """BERT, pooled, with a linear layer on top.

    `config.pooling` says how the states of a text's tokens become one vector: by their `mean`, padding left out, or as the
    first token's (`cls`).
    """

    config_class = BertConfig
    # A checkpoint's pooler is kept, but nothing goes through it.
    _keys_to_ignore_on_load_unexpected = [r"bert\.pooler\.", r"classifier\.weight"]

    def __init__(self, config):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.head = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, return_dict=None, **others):
        """Logits, `[batch, labels]`; with `labels` also the loss."""
        outputs = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids, **others)
        states = outputs[0]
        if self.config.pooling == "cls":
            pooled = states[:, 0]
        elif attention_mask is None:
            pooled = states.mean(1)
        else:
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        logits = self.head(self.dropout(pooled))
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
