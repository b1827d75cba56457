"""Makes pairs.json: pairs of texts as token ids, cut to a length by each of transformers' strategies.

    pip install torch==2.9.1 transformers==5.23.0
    python tests/reference/pairs.py

The tokenizers are that of tests/data/tiny-bert (`[CLS] A [SEP] B [SEP]`, token types 0 and 1) and one as RoBERTa's
(`<s> A </s></s> B </s>`, token types all 0) with few pieces, which pairs.json holds itself. A row is a list as the fields say;
what transformers refuses, with the message `refused`, has no ids.

transformers 5 cuts as the Rust crate `tokenizers` does: `longest_first` first takes tokens of the longer text; where both have to give,
they are left equally long, and an odd token stays with the longer one, of equally long ones with the second. transformers' tokenizers in
Python (`PythonBackend.truncate_sequences`, and BERT's own first code) leave it with the first text: `python_differs` says for how many
of the pairs that matters. `only_first` and `only_second` are refused if that text would have no token left.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import transformers
from transformers import AutoTokenizer, RobertaTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.tokenization_python import PythonBackend

HERE = Path(__file__).parent
STRATEGIES = ["longest_first", "only_first", "only_second"]
WORDS = "the food is good and the staff warm but that film was a boring story of love we hate with not very bad acting".split()
OTHERS = "they love this place it was superb with delicious food and a friendly service to me of my wonderful perfect best".split()
# Words of the first and the second text; the vocabulary has them all.
SIZES = [(0, 0), (0, 6), (6, 0), (1, 1), (3, 2), (2, 12), (12, 2), (9, 10), (10, 9), (10, 10), (11, 20), (20, 11), (1, 21), (22, 1)]
LENGTHS = [6, 9, 16, 21, 48]
TOO_SHORT = "Truncation error: Sequence to truncate too short to respect the provided max_length"


def roberta():
    """A tokenizer of RoBERTa's making: bytes, the spaces before words, and some pieces."""
    merges = "Ġ t|h e|Ġt he|o o|oo d|Ġ g|Ġg ood|a n|an d|Ġ and|o v|Ġ w|a s|Ġw as|i t|Ġ f|Ġf ood|e r|i n|in g|Ġ l|Ġl ov"
    merges = [tuple(merge.split(" ")) for merge in merges.split("|")]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *bytes_to_unicode().values(), *(a + b for a, b in merges), "<mask>"]
    return RobertaTokenizer(vocab={piece: index for index, piece in enumerate(pieces)}, merges=merges)


def encode(tokenizer, first, second, length, strategy):
    # As a batch: alone, transformers takes an empty second text for none.
    try:
        found = tokenizer([first], [second], truncation=strategy, max_length=length, return_token_type_ids=True)
    except Exception as error:
        assert str(error) == TOO_SHORT, error
        return [None, None]
    return [found["input_ids"][0], found["token_type_ids"][0]]


def by_python(tokenizer, first, second, length):
    """What transformers' Python code leaves of the two texts by `longest_first`."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (first, second)]
    remove = len(ids[0]) + len(ids[1]) + tokenizer.num_special_tokens_to_add(pair=True) - length
    right = SimpleNamespace(truncation_side="right")
    one, two, _ = PythonBackend.truncate_sequences(right, *ids, remove, "longest_first")
    return one + two


def main():
    transformers.logging.set_verbosity_error()
    made = {"bert": AutoTokenizer.from_pretrained(HERE.parent / "data" / "tiny-bert"), "roberta": roberta()}
    rows, differs = [], {name: 0 for name in made}
    for name, tokenizer in made.items():
        special = set(tokenizer.all_special_ids)
        for one, two in SIZES:
            first, second = " ".join(WORDS[:one]), " ".join(OTHERS[:two])
            for length in LENGTHS:
                for strategy in STRATEGIES:
                    row = [name, first, second, length, strategy, *encode(tokenizer, first, second, length, strategy)]
                    rows.append(row)
                ids = [i for i in rows[-3][5] if i not in special]
                if ids != by_python(tokenizer, first, second, length):
                    differs[name] += 1
    fields = ["tokenizer", "first", "second", "max_length", "strategy", "ids", "token_type_ids"]
    count = len(SIZES) * len(LENGTHS)
    reference = {"transformers": transformers.__version__, "python_differs": {name: [odd, count] for name, odd in differs.items()}}
    reference |= {"refused": TOO_SHORT, "roberta": json.loads(made["roberta"]._tokenizer.to_str()), "fields": fields}
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    text = json.dumps(reference, ensure_ascii=False, separators=(",", ":"))[:-1]
    (HERE / "pairs.json").write_text(f'{text},\n"rows":[\n{lines}\n]}}\n', encoding="utf-8")
    print(reference["python_differs"], len(rows), "rows")


if __name__ == "__main__":
    main()
