"""Makes figures.json: figures by scikit-learn and scipy, for one label, several labels and scores.

    pip install scikit-learn==1.9.1 scipy==1.17.1
    python tests/reference/figures.py

metrics.json has most of the figures for one label; here are cases that it lacks, and the accuracy among the first k. A figure that is
null is one for which the library gives NaN or an error; `stated` says for each what refire is to say: a number, or null, which leaves
the figure out and names it as undefined. No other figure is undefined.

- *One label*: logits; the prediction is the first of the largest. Of equal scores scikit-learn ranks the later label first for the
  accuracy among the first k; here it is the earlier one, as in predictions. Without ties both are the same.
- *Several labels*: logits and thresholds; a label is predicted if its probability, the sigmoid of its logit, is at least its threshold.
  Macro means are over all labels, those that never come included; a ratio whose denominator is 0 is 0. Means over samples are
  scikit-learn's `average="samples"`. `map` is the mean of the labels' average precisions, where one that never comes has 0, as
  scikit-learn says. `best_f1` is, label by label, the highest F1 that any threshold gives.
- *Scores*: the figures of several targets are means over the targets; `rmse` is the mean of the targets' roots.
"""

import json
import random
import warnings
from pathlib import Path

import numpy as np
import scipy
import sklearn
from metrics import figures as single_figures
from scipy import stats
from sklearn import metrics

LEFT_OUT, ZERO = None, 0.0


def number(value):
    return None if value is None or not np.isfinite(value) else float(value)


def undefined(compute):
    """What it gives; none if that is NaN or if it refuses."""
    try:
        return number(compute())
    except ValueError:
        return None


# ------------------------------------------------------------------------------------------------------------- one label


def among_first(truth, logits, k):
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float(np.mean([label in row for label, row in zip(truth, order)]))


def single(name, truth, logits):
    logits, truth = np.asarray(logits, dtype=np.float32), np.asarray(truth)
    expected = single_figures(truth, logits)
    for k in (1, 2, 3, 5):
        expected["figures"][f"accuracy@{k}"] = among_first(truth, logits, k)
        if all(len(set(row)) == len(row) for row in logits.tolist()) and 2 < logits.shape[1] and k < logits.shape[1]:
            theirs = metrics.top_k_accuracy_score(truth, logits, k=k, labels=list(range(logits.shape[1])))
            assert theirs == expected["figures"][f"accuracy@{k}"], (name, k)
    stated = {"auroc": LEFT_OUT} if "auroc" not in expected["figures"] else {}
    expected["figures"].setdefault("auroc", None)
    shape = {"name": name, "classes": logits.shape[1], "truth": truth.tolist(), "logits": logits.ravel().tolist()}
    return shape | {"expected": expected, "stated": stated}


def drawn_single(name, samples, classes, skill, seed, decimals=3, labels=None):
    draw = random.Random(seed)
    truth = [draw.choice(labels or range(classes)) for _ in range(samples)]
    rows = [[draw.gauss(skill * (label == column), 1.0) for column in range(classes)] for label in truth]
    return single(name, truth, np.round(rows, decimals))


def singles():
    yield drawn_single("ten labels", 60, 10, 1.2, seed=11)
    yield drawn_single("ten labels of which three come", 40, 10, 1.0, seed=12, labels=[1, 4, 5])
    yield drawn_single("ties among many labels", 40, 8, 1.0, seed=13, decimals=0)
    yield single("constant scores", [0, 1, 2, 2, 1], [[0.5, 0.5, 0.5]] * 5)
    yield single("one sample, right", [2], [[0.1, -0.3, 0.7]])
    yield single("one sample, wrong", [1], [[0.1, -0.3, 0.7]])


# -------------------------------------------------------------------------------------------------------- several labels


def sigmoid(logits):
    logits = logits.astype(np.float64)
    return np.where(logits >= 0, 1 / (1 + np.exp(-np.abs(logits))), np.exp(-np.abs(logits)) / (1 + np.exp(-np.abs(logits))))


def cross_entropy(truth, logits):
    """The mean over samples and labels, from logits: probabilities of exactly 0 or 1 do not matter."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.maximum(logits, 0) - logits * truth + np.log1p(np.exp(-np.abs(logits)))))


def best_f1(truth, probabilities):
    precision, recall, _ = metrics.precision_recall_curve(truth, probabilities)
    total = precision + recall
    return float(np.max(np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1), 0))) if truth.any() else 0.0


def multi(name, truth, logits, thresholds=None):
    truth, logits = np.asarray(truth), np.asarray(logits, dtype=np.float32)
    labels = truth.shape[1]
    thresholds = np.asarray(thresholds or [0.5] * labels)
    probabilities = sigmoid(logits)
    predicted = (probabilities >= thresholds).astype(int)
    out = {}
    for average in ("micro", "macro", "weighted", "samples"):
        found = metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        out |= {f"{average}_{figure}": found[place] for place, figure in enumerate(("precision", "recall", "f1"))}
    out |= {
        "subset_accuracy": metrics.accuracy_score(truth, predicted),
        "hamming_loss": metrics.hamming_loss(truth, predicted),
        "jaccard": metrics.jaccard_score(truth, predicted, average="samples", zero_division=0),
        "lrap": metrics.label_ranking_average_precision_score(truth, probabilities),
        "map": metrics.average_precision_score(truth, probabilities, average="macro"),
        "micro_ap": metrics.average_precision_score(truth, probabilities, average="micro"),
        "auroc": undefined(lambda: metrics.roc_auc_score(truth, probabilities, average="macro")),
        "micro_auroc": undefined(lambda: metrics.roc_auc_score(truth, probabilities, average="micro")),
        "log_loss": cross_entropy(truth, logits),
    }
    by_label = []
    for label in range(labels):
        yes, score = truth[:, label], probabilities[:, label]
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(yes, predicted[:, label], average="binary", zero_division=0)
        row = {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(yes.sum())}
        row["predicted"] = int(predicted[:, label].sum())
        row["average_precision"] = float(metrics.average_precision_score(yes, score))
        row["auroc"] = undefined(lambda: metrics.roc_auc_score(yes, score)) if 0 < yes.sum() < len(yes) else None
        row["best_f1"] = best_f1(yes, score)
        by_label.append(row)
    stated = {}
    known = [row["auroc"] for row in by_label if row["auroc"] is not None]
    if out["auroc"] is None:
        # The mean over the labels that have one.
        stated["auroc"] = float(np.mean(known)) if known else LEFT_OUT
    if out["micro_auroc"] is None:
        stated["micro_auroc"] = LEFT_OUT
    return {
        "name": name,
        "labels": labels,
        "truth": truth.tolist(),
        "logits": logits.ravel().tolist(),
        "thresholds": thresholds.tolist(),
        "predicted": predicted.tolist(),
        "expected": {"figures": {key: number(out[key]) for key in sorted(out)}, "labels": by_label},
        "stated": stated,
    }


def drawn_multi(name, samples, rates, skill, seed, decimals=3, thresholds=None):
    draw = random.Random(seed)
    truth = [[int(draw.random() < rate) for rate in rates] for _ in range(samples)]
    logits = [[round(draw.gauss(skill * (yes - 0.6), 1.0), decimals) for yes in row] for row in truth]
    return multi(name, truth, logits, thresholds)


def multis():
    yield drawn_multi("three labels", 40, [0.2, 0.5, 0.7], 1.5, seed=21)
    yield drawn_multi("many ties", 40, [0.3, 0.5, 0.5, 0.1], 1.5, seed=22, decimals=0)
    yield drawn_multi("a threshold a label", 40, [0.2, 0.5, 0.7], 1.5, seed=23, thresholds=[0.25, 0.5, 0.8])
    yield drawn_multi("a label that never comes", 30, [0.4, 0.0, 0.6], 1.5, seed=24)
    yield drawn_multi("a label that always comes", 30, [0.4, 1.0, 0.6], 1.5, seed=25)
    truth, distances = [[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 0]], np.array([[1, 2, 3], [3, 2, 1], [5, 4, 3], [1, 1.5, 2]])
    yield multi("no label predicted", truth, -distances)
    yield multi("every label predicted", truth, distances)
    yield multi("no label in the truth", [[0, 0], [0, 0], [0, 0]], [[1, -2], [-3, 2], [-5, -4]])
    yield multi("no label anywhere", [[0, 0], [0, 0], [0, 0]], [[-1, -2], [-3, -2], [-5, -4]])
    yield multi("constant scores at the threshold", [[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 1]], [[0, 0, 0]] * 4)
    yield multi("constant scores below it", [[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 1]], [[-0.5, -0.5, -0.5]] * 4)
    yield multi("all right", [[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 1]], [[2, -1, 3], [-2, -2, -1], [2, 1, -1], [-1, 4, 2]])
    yield multi("sure and wrong", [[1, 0], [0, 1]], [[-90, 90], [90, -90]])
    yield multi("one sample", [[1, 0, 1]], [[2, 1, -1]])


# ---------------------------------------------------------------------------------------------------------------- scores


def correlation(measure, truth, predicted):
    return None if len(truth) < 2 else number(measure(truth, predicted)[0])


def of_target(truth, predicted):
    return {
        "mse": float(metrics.mean_squared_error(truth, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truth, predicted)),
        "mae": float(metrics.mean_absolute_error(truth, predicted)),
        "r2": number(metrics.r2_score(truth, predicted)),
        "pearson": correlation(stats.pearsonr, truth, predicted),
        "spearman": correlation(stats.spearmanr, truth, predicted),
    }


def scores(name, truth, predicted):
    predicted, truth = np.asarray(predicted, dtype=np.float32), np.asarray(truth, dtype=np.float64)
    truth = truth.reshape(predicted.shape)
    exact = predicted.astype(np.float64)
    by_target = [of_target(truth[:, target], exact[:, target]) for target in range(truth.shape[1])]
    # A correlation with what is constant, or of one sample alone, tells of no relation, and so does R² of one sample.
    told = [{figure: ZERO if value is None else value for figure, value in row.items()} for row in by_target]
    mean = {figure: float(np.mean([row[figure] for row in told])) for figure in by_target[0]}
    theirs = {figure: None if any(row[figure] is None for row in by_target) else mean[figure] for figure in by_target[0]}
    assert theirs["r2"] is None or np.isclose(theirs["r2"], metrics.r2_score(truth, exact))
    assert np.isclose(theirs["rmse"], metrics.root_mean_squared_error(truth, exact))
    return {
        "name": name,
        "targets": truth.shape[1],
        "truth": truth.ravel().tolist(),
        "predicted": predicted.ravel().tolist(),
        "expected": {"figures": theirs, "targets": by_target},
        "stated": {figure: mean[figure] for figure, value in theirs.items() if value is None},
    }


def column(values):
    return [[value] for value in values]


def drawn_scores(name, samples, targets, noise, seed, decimals=3, offset=0.0, scale=1.0):
    draw = random.Random(seed)
    truth = [[round(draw.uniform(0, 5), decimals) for _ in range(targets)] for _ in range(samples)]
    predicted = [[round(value + draw.gauss(0, noise), decimals) for value in row] for row in truth]
    moved = [[[offset + scale * value for value in row] for row in rows] for rows in (truth, predicted)]
    return scores(name, *moved)


def all_scores():
    yield drawn_scores("a score", 50, 1, 1.0, seed=31)
    yield drawn_scores("many ties", 50, 1, 1.0, seed=32, decimals=0)
    yield drawn_scores("three targets", 30, 3, 1.5, seed=33)
    yield drawn_scores("far from zero", 40, 1, 1.0, seed=34, decimals=0, offset=1e6)
    yield drawn_scores("tiny", 40, 1, 1.0, seed=35, scale=1e-6)
    yield scores("all right", [1.0, 2.0, 4.0, 3.0], column([1.0, 2.0, 4.0, 3.0]))
    yield scores("upside down", [1.0, 2.0, 4.0, 3.0], column([-1.0, -2.0, -4.0, -3.0]))
    yield scores("in order, but no line", [0.0, 1.0, 2.0, 3.0, 4.0], column([0.0, 1.0, 8.0, 27.0, 64.0]))
    yield scores("constant predictions", [1.0, 2.0, 4.0, 3.0], column([2.5] * 4))
    yield scores("constant predictions, where a mean is rounded", [1.0, 2.0, 4.0], column([0.1] * 3))
    yield scores("constant truth", [2.0] * 4, column([1.0, 2.0, 4.0, 3.0]))
    yield scores("constant truth, all right", [2.0] * 4, column([2.0] * 4))
    yield scores("one of two targets constant", [[1, 5], [2, 5], [4, 5], [3, 5]], [[1.5, 1], [1.75, 2], [5.0, 4], [2.0, 3]])
    yield scores("one sample", [1.0], column([1.5]))
    yield scores("two samples", [1.0, 2.0], column([1.5, 1.25]))


def main():
    warnings.filterwarnings("ignore")
    parts = {"single": singles(), "multi": multis(), "scores": all_scores()}
    versions = {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__}
    lists = [f'"{part}": [\n' + ",\n".join(json.dumps(case, allow_nan=False) for case in cases) + "\n]" for part, cases in parts.items()]
    path = Path(__file__).with_name("figures.json")
    path.write_text(f"{json.dumps(versions)[:-1]},\n" + ",\n".join(lists) + "}\n")


if __name__ == "__main__":
    main()
