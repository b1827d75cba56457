"""Makes tags.json: figures of entities by seqeval, in its default mode and in its strict one, on tags drawn at random.

    pip install seqeval==1.2.2
    python tests/reference/tags.py

Each case has a scheme, its labels, and texts of true and of predicted tags: valid ones of which some are exchanged at random, so that
there are tags that cannot stand where they do. seqeval's strict mode has no IO; there, what refire says must be its default. Where there
is no entity at all, seqeval fails or gives NaN; what refire says then is 0, as seqeval does where a ratio's denominator is 0.
"""

import json
import random
import warnings
from pathlib import Path

import numpy
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB1, IOB2, IOBES

AVERAGES = {"micro avg", "macro avg", "weighted avg"}
SCHEMES = {"IO": None, "IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES}
TYPES = ["LOC", "PER", "a-b"]


def tags_of(scheme, length, kind, before):
    """The tags of an entity of so many words behind a text that ends with the tag `before`."""
    if scheme == "IO":
        return [f"I-{kind}"] * length
    if scheme == "IOB1":
        first = "B" if before[2:] == kind else "I"
        return [f"{first}-{kind}"] + [f"I-{kind}"] * (length - 1)
    if scheme == "IOB2":
        return [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
    if length == 1:
        return [f"S-{kind}"]
    return [f"B-{kind}"] + [f"I-{kind}"] * (length - 2) + [f"E-{kind}"]


def text(draw, scheme):
    tags = []
    for _ in range(draw.randrange(0, 6)):
        if draw.random() < 0.4:
            tags += ["O"] * draw.randrange(1, 3)
        else:
            tags += tags_of(scheme, draw.randrange(1, 4), draw.choice(TYPES), tags[-1] if tags else "O")
    return tags


def noisy(draw, tags, labels, share):
    return [draw.choice(labels) if draw.random() < share else tag for tag in tags]


def figures(report, prefix=""):
    all_types = report.get("micro avg", {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
    return {
        f"{prefix}f1": float(all_types["f1-score"]),
        f"{prefix}precision": float(all_types["precision"]),
        f"{prefix}recall": float(all_types["recall"]),
    }


def report_of(truth, said, **how):
    try:
        report = classification_report(truth, said, output_dict=True, zero_division=0, **how)
    except ValueError:
        return {}
    return report if set(report) - AVERAGES else {}


def case(name, scheme, truth, said):
    labels = sorted({tag for tags in truth + said for tag in tags} | {"O"})
    default = report_of(truth, said)
    strict = report_of(truth, said, mode="strict", scheme=SCHEMES[scheme]) if SCHEMES[scheme] else default
    expected = figures(default) | figures(strict, "strict_")
    expected["macro_f1"] = float(default.get("macro avg", {"f1-score": 0.0})["f1-score"])
    expected["accuracy"] = float(accuracy_score(truth, said))
    types = {}
    for kind in sorted(set(default) - AVERAGES):
        own, other = default[kind], strict.get(kind, {"precision": 0.0, "recall": 0.0, "f1-score": 0.0})
        types[kind] = {
            "precision": float(own["precision"]),
            "recall": float(own["recall"]),
            "f1": float(own["f1-score"]),
            "strict_precision": float(other["precision"]),
            "strict_recall": float(other["recall"]),
            "strict_f1": float(other["f1-score"]),
            "support": int(own["support"]),
        }
    return {"name": name, "scheme": scheme, "labels": labels, "truth": truth, "said": said, "figures": expected, "types": types}


def cases():
    draw = random.Random(7)
    for scheme in SCHEMES:
        prefixes = {"IO": "I", "IOB1": "BI", "IOB2": "BI", "IOBES": "BIES"}[scheme]
        labels = ["O"] + [f"{prefix}-{kind}" for prefix in prefixes for kind in TYPES]
        for share in (0.0, 0.1, 0.4, 1.0):
            truth = [text(draw, scheme) for _ in range(24)]
            truth = [noisy(draw, tags, labels, share / 4) for tags in truth]
            said = [noisy(draw, tags, labels, share) for tags in truth]
            yield case(f"{scheme}, {share}", scheme, truth, said)
    outside = [["O", "O"], ["O"]]
    yield case("nothing there", "IOB2", outside, [["B-PER", "O"], ["O"]])
    yield case("nothing said", "IOB2", [["B-PER", "O"], ["O"]], outside)
    yield case("nothing at all", "IOB2", outside, outside)


def main():
    warnings.simplefilter("ignore")
    lines = ",\n".join(json.dumps(made) for made in cases())
    head = json.dumps({"seqeval": "1.2.2", "numpy": numpy.__version__})[:-1]
    path = Path(__file__).parent / "tags.json"
    path.write_text(f'{head}, "cases": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
