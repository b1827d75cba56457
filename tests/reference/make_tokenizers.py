"""Makes tokenizers.json and tokenizers/: small tokenizers without a `tokenizer.json`, and what transformers makes of texts with them.

    pip install torch==2.9.1 transformers==5.23.0 sentencepiece==0.2.3 protobuf
    python make_tokenizers.py

The texts follow from FRAGMENTS and a formula, `text` here and in `tokenizers.rs`: 1,000 of them, and 100 pairs of neighbours. Of the ids
of each text four hexadecimal digits of their SHA-256 are kept. All but two cases are `AutoTokenizer` on the folder. The tokenizers of
DeBERTa-v2 are what transformers' `DebertaV2Converter` makes of the same model, because its class leaves out what SentencePiece replaces
characters by; how often that matters is printed. Of a model that merges pairs the converter takes the merges by `generate_merges`, as
it does in transformers 4.
"""

import hashlib
import io
import json
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import sentencepiece
import transformers.convert_slow_tokenizer as slow
from tokenizers import AddedToken, ByteLevelBPETokenizer, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
FILES = HERE / "tokenizers"
TEXTS, PAIRS = 1000, 100
FRAGMENTS = """
The|quick brown fox|jumps|over|lazy dog|don't|naïve|Ünïcödé|déjà|ﬁne|ﬂow|①②|ＡＢＣ|東京タワー|한국어|你好，世界|🤗|👩‍👩‍👧|e\u0301|ẞ|ß|İstanbul|ǅ
\u00a0|\u3000|\t|\u200b|\u200d|\ufeff|\u0000|\u0007|\u007f|\u2028|[CLS]|[SEP]|<s>|</s>|<mask>|[MASK]|<pad>|[PAD]|<unk>|[UNK]|<ent>|[NEW]
``quoted''|1,234,567.89|3,|2024-01-02|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
supercalifragilisticexpialidocious|  |   |▁|_|##ing|½|…|“q”|—|\u0300|हिन्दी|العربية|עברית|ไทย|ộ|🇩🇪|x²|C++|http://a.b/c?d=e&f|@user|#tag|.|!?|''|'|"|<s>NOTUSED
I'll|we're|HELLO|World|running|unhappiness|Straße|ŒUVRE|ﷺ|㌔|℡|\ud7ff|\ue000|\U0010ffff|~|\\|{}|%d
"""
CORPUS = """
the quick brown fox jumps over the lazy dog and runs away from the hounds in the morning light
she sells sea shells on the sea shore while the sun is shining over the quiet harbour
a naïve reader would say that the second act drags but the ending is worth every minute of it
we're running late, I'll call you tomorrow: don't worry about the unhappiness of others
tokenizers split words into smaller pieces, such as un, happi and ness, and put them together again
東京 タワー 한국어 你好 世界 naïve déjà vu café Ünïcödé Straße hello World HELLO 1,234 2024 3.14
"""


def fragments():
    return [part for line in FRAGMENTS.strip("\n").split("\n") for part in line.split("|")] + ["\n", "\r\n"]


def noise(text, place):
    """A number that follows from two others: SplitMix64, of which the upper 48 bits are kept."""
    mask = (1 << 64) - 1
    state = (text * 0x9E3779B97F4A7C15 + place * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return (state ^ (state >> 31)) >> 16


def text(number, parts):
    written = ""
    for place in range(1 + noise(number, 0) % 9):
        if noise(number, 10 + place) % 8 == 0:
            written += chr(noise(number, 30 + place) % 0x3100)
        else:
            written += parts[noise(number, 50 + place) % len(parts)]
        written += ["", " ", " ", "  "][noise(number, 70 + place) % 4]
    return written


def digest(encoded):
    return hashlib.sha256(",".join(map(str, encoded)).encode()).hexdigest()[:4]


def sentences():
    lines = CORPUS.strip().split("\n")
    plain = [part for part in fragments() if part.isprintable()]
    lines += [line.strip() for line in Path(__file__).read_text().split("\n") if line.strip().isprintable()]
    return lines * 20 + [" ".join(plain[start : start + 7]) for start in range(0, len(plain), 3)] * 4


def train_wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    both = sentences() + [line.lower() for line in sentences()]
    tokenizer.train_from_iterator(both, trainer)
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (FILES / "bert.txt").write_text("".join(token + "\n" for token, _ in vocab))


def train_bytes():
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(sentences(), vocab_size=400, special_tokens=special, show_progress=False)
    saved = json.loads(tokenizer._tokenizer.to_str())["model"]
    (FILES / "roberta-vocab.json").write_text(json.dumps(saved["vocab"], ensure_ascii=False))
    merges = "".join(" ".join(pair) + "\n" for pair in saved["merges"])
    (FILES / "roberta-merges.txt").write_text("#version: 0.2\n" + merges)


def rules():
    """What characters are replaced by: a part of what SentencePiece's own rules do, which are 300 kB."""
    pairs = [(chr(0xFF21 + n), chr(0x41 + n)) for n in range(26)]
    pairs += [("ﬁ", "fi"), ("ﬂ", "fl"), ("…", "..."), ("½", "1⁄2"), ("①", "1"), ("②", "2"), ("²", "2"), ("℡", "TEL")]
    pairs += [(space, " ") for space in "\t\n\r\u00a0\u3000\u200b\ufeff"] + [("e\u0301", "é"), ("\x07", "")]
    row = lambda word: " ".join(f"{ord(letter):X}" for letter in word)
    return "".join(f"{row(one)}\t{row(other)}\n" for one, other in pairs)


def train_sentencepiece(name, rule, **options):
    with tempfile.TemporaryDirectory() as folder:
        if rule:
            path = Path(folder) / "rules.tsv"
            path.write_text(rules())
            options["normalization_rule_tsv"] = str(path)
        else:
            options["normalization_rule_name"] = "identity"
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences()), model_writer=model, vocab_size=420, hard_vocab_limit=False, minloglevel=2, **options
        )
    (FILES / name).write_bytes(model.getvalue())


def train():
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    train_wordpiece()
    train_bytes()
    train_sentencepiece("fairseq.model", True, model_type="unigram")
    albert = dict(pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols="[CLS],[SEP],[MASK]", user_defined_symbols="(,),-")
    train_sentencepiece("albert.model", True, model_type="unigram", **albert)
    names = dict(pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]")
    ids = dict(pad_id=0, bos_id=1, eos_id=2, unk_id=3)
    train_sentencepiece("deberta.model", True, model_type="unigram", **names, **ids)
    train_sentencepiece("plain.model", False, model_type="unigram", **names, **ids)
    train_sentencepiece("pairs.model", True, model_type="bpe", **names, **ids)


BPE = {"vocab.json": "roberta-vocab.json", "merges.txt": "roberta-merges.txt"}
MASK = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
CASES = {
    "bert": ({"vocab.txt": "bert.txt"}, {"config.json": {"model_type": "bert"}}),
    "bert, cased": (
        {"vocab.txt": "bert.txt"},
        {
            "tokenizer_config.json": {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": False,
                "strip_accents": True,
                "tokenize_chinese_chars": False,
            },
            "special_tokens_map.json": {"mask_token": "[MASK]", "additional_special_tokens": ["<ent>"]},
            "added_tokens.json": {"[NEW]": 500, "déjà": 501},
        },
    ),
    "electra, accents": (
        {"vocab.txt": "bert.txt"},
        {"config.json": {"model_type": "electra"}, "tokenizer_config.json": {"strip_accents": False}},
    ),
    "mpnet": ({"vocab.txt": "bert.txt"}, {"config.json": {"model_type": "mpnet"}}),
    "roberta": (BPE, {"config.json": {"model_type": "roberta"}}),
    "roberta, prefix": (
        BPE,
        {
            "tokenizer_config.json": {
                "tokenizer_class": "RobertaTokenizer",
                "add_prefix_space": True,
                "mask_token": MASK,
                "additional_special_tokens": ["<ent>", "[NEW]"],
            }
        },
    ),
    "roberta, added": (
        BPE,
        {
            "tokenizer_config.json": {
                "tokenizer_class": "RobertaTokenizerFast",
                "mask_token": "<mask>",
                "added_tokens_decoder": {
                    "4": {**{key: MASK[key] for key in MASK if key != "__type"}, "special": True},
                    "400": {"content": "déjà", "lstrip": False, "rstrip": True, "single_word": True, "normalized": True, "special": False},
                },
            }
        },
    ),
    "xlm-roberta": ({"sentencepiece.bpe.model": "fairseq.model"}, {"config.json": {"model_type": "xlm-roberta"}}),
    "camembert": ({"sentencepiece.bpe.model": "fairseq.model"}, {"config.json": {"model_type": "camembert"}}),
    "albert": ({"spiece.model": "albert.model"}, {"config.json": {"model_type": "albert"}}),
    "albert, accents": (
        {"spiece.model": "albert.model"},
        {"tokenizer_config.json": {"tokenizer_class": "AlbertTokenizer", "do_lower_case": False, "keep_accents": True}},
    ),
    "deberta-v2": ({"spm.model": "deberta.model"}, {"config.json": {"model_type": "deberta-v2"}}),
    "deberta-v2, punctuation": (
        {"spm.model": "plain.model"},
        {"tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": True, "split_by_punct": True}},
    ),
    "deberta-v2, pairs": ({"tokenizer.model": "pairs.model"}, {"tokenizer_config.json": {"tokenizer_class": "DebertaV2Tokenizer"}}),
}


class Extractor:
    """What transformers' converter wants of one that knows merges."""

    def __init__(self, path):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=path)

    def extract(self, scores):
        vocab = {self.pieces.id_to_piece(index): index for index in range(self.pieces.get_piece_size())}
        return vocab, slow.generate_merges(vocab, scores)


def converted(folder, settings):
    (path,) = folder.glob("*.model")
    original = SimpleNamespace(
        vocab_file=str(path),
        do_lower_case=settings.get("do_lower_case", False),
        split_by_punct=settings.get("split_by_punct", False),
        convert_tokens_to_ids=lambda token: ["[PAD]", "[CLS]", "[SEP]", "[UNK]"].index(token),
    )
    converter = slow.DebertaV2Converter(original)
    converter.SpmExtractor = Extractor
    tokenizer = converter.converted()
    special = ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def encoder(folder, name, extra):
    settings = extra.get("tokenizer_config.json", {})
    if name.startswith("deberta"):
        tokenizer = converted(folder, settings)
        return lambda *texts: (lambda made: (made.ids, made.type_ids))(tokenizer.encode(*texts))
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(*texts):
        made = tokenizer(*texts, return_token_type_ids=True)
        return made["input_ids"], made["token_type_ids"]

    return encode


def main():
    train()
    parts = fragments()
    texts = [text(number, parts) for number in range(TEXTS)]
    out = {"fragments": parts, "cases": []}
    for name, (files, extra) in CASES.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            for to, source in files.items():
                shutil.copy(FILES / source, folder / to)
            for to, contents in extra.items():
                (folder / to).write_text(json.dumps(contents))
            encode = encoder(folder, name, extra)
            single = [encode(written) for written in texts]
            pairs = [encode(texts[number], texts[number + 1]) for number in range(PAIRS)]
            if name == "deberta-v2":
                by_class = AutoTokenizer.from_pretrained(folder)
                same = sum(by_class(written)["input_ids"] == ids for written, (ids, _) in zip(texts, single))
                print(f"DebertaV2Tokenizer gives the same ids for {same} of {TEXTS} texts")
        out["cases"].append(
            {
                "name": name,
                "files": files,
                "written": extra,
                "singles": "".join(digest(ids) for ids, _ in single),
                "pairs": "".join(digest(ids + types) for ids, types in pairs),
                "longest": max(len(ids) for ids, _ in single),
            }
        )
        print(name, out["cases"][-1]["longest"], sum(len(ids) for ids, _ in single))
    (HERE / "tokenizers.json").write_text(json.dumps(out, indent=1, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
