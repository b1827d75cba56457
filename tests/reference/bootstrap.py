"""Makes bootstrap.json: 95 % intervals of figures by scipy's percentile bootstrap.

    pip install scikit-learn==1.9.1 scipy==1.17.1
    python tests/reference/bootstrap.py

Each interval comes from 4,000 draws, so that its own noise is half of that of the 1,000 draws that refire makes. `spread` is the
standard deviation of the figure over the draws: what an end of an interval may be off by is a share of it.
"""

import json
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics

DRAWS = 4_000


def interval(rows, figure):
    """The interval of a figure of rows, which are drawn together, and how far the figure spreads."""
    found = stats.bootstrap(
        [np.arange(rows)], lambda chosen: figure(chosen), n_resamples=DRAWS, method="percentile", vectorized=False, rng=np.random.default_rng(7)
    )
    low, high = found.confidence_interval
    return {"low": float(low), "high": float(high), "spread": float(found.standard_error)}


def labels():
    random = np.random.default_rng(41)
    truth = random.integers(0, 3, 150)
    logits = (random.normal(0, 1, (150, 3)) + 1.2 * np.eye(3)[truth]).round(3).astype(np.float32)
    wide = logits.astype(np.float64)
    probabilities = np.exp(wide) / np.exp(wide).sum(axis=1, keepdims=True)
    predicted = logits.argmax(axis=1)
    figures = {
        "accuracy": lambda rows: metrics.accuracy_score(truth[rows], predicted[rows]),
        "macro_f1": lambda rows: metrics.f1_score(truth[rows], predicted[rows], average="macro"),
        "log_loss": lambda rows: metrics.log_loss(truth[rows], probabilities[rows], labels=[0, 1, 2]),
    }
    return {"truth": truth.tolist(), "logits": logits.ravel().tolist(), "intervals": {name: interval(150, figure) for name, figure in figures.items()}}


def scores():
    random = np.random.default_rng(42)
    truth = random.normal(0, 1, 120).round(3).astype(np.float32)
    found = (truth + random.normal(0, 0.8, 120)).round(3).astype(np.float32)
    figures = {
        "mae": lambda rows: metrics.mean_absolute_error(truth[rows], found[rows]),
        "pearson": lambda rows: stats.pearsonr(truth[rows], found[rows]).statistic,
        "spearman": lambda rows: stats.spearmanr(truth[rows], found[rows]).statistic,
    }
    return {"truth": truth.tolist(), "found": found.tolist(), "intervals": {name: interval(120, figure) for name, figure in figures.items()}}


def main():
    made = {"scipy": scipy.__version__, "scikit-learn": sklearn.__version__, "labels": labels(), "scores": scores()}
    path = Path(__file__).with_name("bootstrap.json")
    path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
