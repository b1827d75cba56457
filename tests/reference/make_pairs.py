"""Makes pair_states.json: what transformers' BertModel gives for pairs of texts, by tests/data/tiny-bert.

    pip install torch==2.9.1 transformers==5.23.0
    python make_pairs.py

Last hidden states and the pooler's output for a batch of pairs of different lengths, and of one text alone, with the token
types that the tokenizer gives them.
"""

import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

PAIRS = [
    ("a good film", "the acting is great"),
    ("bad food", "it was not good at all, and we hate the place"),
    ("we love it", None),
    ("was it slow?", "no"),
]


def main():
    here = Path(__file__).parent
    folder = here.parent / "data/tiny-bert"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    rows = [tokenizer(*(text for text in pair if text is not None)) for pair in PAIRS]
    rows = [{key: row[key] for key in ("input_ids", "token_type_ids", "attention_mask")} for row in rows]
    assert any(1 in row["token_type_ids"] for row in rows)
    batch = tokenizer.pad(rows, return_tensors="pt")
    with torch.no_grad():
        given = model(**batch)
    lengths = batch["attention_mask"].sum(1).tolist()
    numbers = lambda tensor: [float(f"{number:.9g}") for number in tensor.flatten().tolist()]
    reference = {
        "torch": torch.__version__.split("+")[0],
        "samples": [
            {
                "texts": [text for text in pair if text is not None],
                "ids": row["input_ids"],
                "types": row["token_type_ids"],
                "states": numbers(states[:length]),
                "pooled": numbers(pooled),
            }
            for pair, row, states, pooled, length in zip(
                PAIRS, rows, given.last_hidden_state, given.pooler_output, lengths
            )
        ],
    }
    (here / "pair_states.json").write_text(json.dumps(reference) + "\n")


if __name__ == "__main__":
    main()
