"""Makes metrics.json: figures of classifiers by scikit-learn, for src/train/metrics.

    pip install scikit-learn
    python tests/reference/metrics.py
"""

import json
import pathlib
import random
import warnings

import numpy as np
import sklearn
from sklearn import metrics


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def calibration_error(truth, probabilities, bins=15):
    """scikit-learn has none: the definition of Guo et al. 2017 in numpy."""
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    edges = np.linspace(0, 1, bins + 1)
    error = 0.0
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = (predicted == truth)[inside].mean() - confidence[inside].mean()
            error += abs(gap) * inside.mean()
    return error


def figures(truth, logits):
    classes = logits.shape[1]
    probabilities = softmax(logits.astype(np.float64))
    predicted = probabilities.argmax(axis=1)
    average = {"average": "binary" if classes == 2 else "macro", "zero_division": 0}
    labels = list(range(classes))
    out = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "precision": metrics.precision_score(truth, predicted, **average),
        "recall": metrics.recall_score(truth, predicted, **average),
        "f1": metrics.f1_score(truth, predicted, **average),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro", zero_division=0),
        "micro_f1": metrics.f1_score(truth, predicted, average="micro", zero_division=0),
        "weighted_f1": metrics.f1_score(truth, predicted, average="weighted", zero_division=0),
        "mcc": metrics.matthews_corrcoef(truth, predicted),
        "ece": calibration_error(truth, probabilities),
        "log_loss": metrics.log_loss(truth, probabilities, labels=labels),
    }
    if len(set(truth)) == classes:
        score = probabilities[:, 1] if classes == 2 else probabilities
        out["auroc"] = metrics.roc_auc_score(truth, score, multi_class="ovr")
    by_class = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    return {
        "figures": {name: float(figure) for name, figure in sorted(out.items())},
        "classes": [list(map(float, row)) for row in zip(*by_class)],
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
    }


def case(name, truth, logits):
    logits = np.asarray(logits, dtype=np.float32)
    return {
        "name": name,
        "classes": logits.shape[1],
        "truth": [int(label) for label in truth],
        "logits": [float(logit) for logit in logits.ravel()],
        "expected": figures(np.asarray(truth), logits),
    }


def drawn(name, samples, classes, skill, seed, decimals=3):
    """Random logits that favour the true label; few decimals, so that scores tie."""
    draw = random.Random(seed)
    truth = [draw.choices(range(classes), weights=range(1, classes + 1))[0] for _ in range(samples)]
    logits = [
        [round(draw.gauss(skill * (label == column), 1.0), decimals) for column in range(classes)]
        for label in truth
    ]
    return case(name, truth, logits)


def main():
    warnings.filterwarnings("ignore")
    cases = [
        drawn("two labels", 60, 2, 1.0, seed=1),
        drawn("two labels, many ties", 60, 2, 1.0, seed=2, decimals=0),
        drawn("four labels", 80, 4, 1.2, seed=3),
        drawn("four labels, many ties", 80, 4, 1.2, seed=4, decimals=0),
        drawn("very sure of itself", 40, 3, 60.0, seed=5),
        case("one label in the truth", [1, 1, 1, 1], [[0, 1], [1, 0], [0, 2], [0, 3]]),
        case("one label in the predictions", [0, 1, 0, 1], [[0, 1], [0, 2], [0, 3], [0, 0.5]]),
        case("a label that never occurs", [0, 1, 1, 0], [[2, 1, 0], [0, 1, 0], [3, 1, 0], [2, 1, -1]]),
        case("sure and wrong", [0, 1], [[-90, 90], [90, -90]]),
    ]
    path = pathlib.Path(__file__).with_name("metrics.json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f'{{"scikit-learn": "{sklearn.__version__}", "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
