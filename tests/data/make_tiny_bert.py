"""Makes tiny-bert/: a BERT of random weights, small enough that tests train it in milliseconds.

    python make_tiny_bert.py

Two layers, 32 wide, lower-cased word pieces: some words, and every letter, digit and common sign, so that any English
text has tokens. It has learnt nothing, but texts with different words get different vectors, so a head on top can learn.
"""

import json
import random
import struct
from pathlib import Path

WIDTH, WIDE, LAYERS, HEADS, POSITIONS = 32, 64, 2, 2, 48
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
good great lovely wonderful superb delicious friendly warm best love excellent perfect
bad awful poor terrible dreadful bland cold worst hate boring slow dirty
the a an and but is was it this that of to in with very not too we they my
food film movie story service place plot acting staff
""".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIGNS = ".,!?'-"
HERE = Path(__file__).parent / "tiny-bert"


def vocabulary():
    pieces = SPECIAL + WORDS + list(SIGNS) + list("0123456789")
    pieces += [letter for letter in LETTERS if letter not in WORDS]
    pieces += ["##" + sign for sign in LETTERS + "0123456789"]
    return {piece: index for index, piece in enumerate(pieces)}


def tokenizer(vocabulary):
    special = [
        {
            "id": vocabulary[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in SPECIAL
    ]
    text = {"Sequence": {"id": "A", "type_id": 0}}
    first, last = ({"SpecialToken": {"id": t, "type_id": 0}} for t in ("[CLS]", "[SEP]"))
    ids = {t: {"id": t, "ids": [vocabulary[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]")}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, text, last],
            "pair": [first, text, last, {"Sequence": {"id": "B", "type_id": 1}}, last],
            "special_tokens": ids,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def shapes(words):
    yield "embeddings.word_embeddings.weight", [words, WIDTH]
    yield "embeddings.position_embeddings.weight", [POSITIONS, WIDTH]
    yield "embeddings.token_type_embeddings.weight", [2, WIDTH]
    yield from norm("embeddings")
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        for name in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.self.{name}", WIDTH, WIDTH)
        yield from linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        yield from norm(f"{layer}.attention.output")
        yield from linear(f"{layer}.intermediate.dense", WIDTH, WIDE)
        yield from linear(f"{layer}.output.dense", WIDE, WIDTH)
        yield from norm(f"{layer}.output")
    yield from linear("pooler.dense", WIDTH, WIDTH)


def linear(name, inputs, outputs):
    yield f"{name}.weight", [outputs, inputs]
    yield f"{name}.bias", [outputs]


def norm(name):
    yield f"{name}.LayerNorm.weight", [WIDTH]
    yield f"{name}.LayerNorm.bias", [WIDTH]


def values(name, shape, generator):
    size = 1
    for side in shape:
        size *= side
    if name.endswith("LayerNorm.weight"):
        return [1.0] * size
    if name.endswith("bias"):
        return [0.0] * size
    return [generator.gauss(0.0, 0.1) for _ in range(size)]


def safetensors(tensors):
    generator, header, data = random.Random(42), {"__metadata__": {"format": "pt"}}, b""
    for name, shape in sorted(tensors):
        numbers = values(name, shape, generator)
        start = len(data)
        data += struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, len(data)]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def main():
    words = vocabulary()
    config = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": WIDE,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": POSITIONS,
        "model_type": "bert",
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": len(words),
    }
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (HERE / "1_Pooling").mkdir(parents=True, exist_ok=True)
    for name, content in [
        ("config.json", config),
        ("tokenizer.json", tokenizer(words)),
        ("tokenizer_config.json", {"pad_token": "[PAD]", "tokenizer_class": "BertTokenizer"}),
        ("1_Pooling/config.json", pooling),
    ]:
        (HERE / name).write_text(json.dumps(content, indent=1) + "\n")
    (HERE / "model.safetensors").write_bytes(safetensors(shapes(len(words))))


if __name__ == "__main__":
    main()
