"""Moves the best of several tuned models to ./best.

    python3 best.py METRIC [lowest]

./models/INSTANCE is a tuned model, ./scores/INSTANCE/metrics.json holds its figures on the validation samples. The
highest METRIC wins, or the lowest; of two that are equal, the one that comes first in alphabetical order.
"""

import json
import sys
from pathlib import Path


def main(metric, order="highest"):
    sign = {"highest": -1, "lowest": 1}[order]
    scores = {}
    for file in Path("scores").glob("*/metrics.json"):
        figures = json.loads(file.read_text(encoding="utf-8"))["figures"]
        if metric not in figures:
            sys.exit(f"{file} has no `{metric}`, but {', '.join(figures)}")
        scores[file.parent.name] = figures[metric]
    ranking = sorted(scores, key=lambda name: (sign * scores[name], name))
    for name in ranking:
        print(f"{scores[name]:.4f}  {name}")
    Path("models", ranking[0]).rename("best")


main(*sys.argv[1:])
