"""Makes similar.json: the losses of ten AdamW steps of embeddings without dropout, and figures of embeddings, by sentence-transformers.

    pip install torch==2.9.1 transformers==5.23.0 sentence-transformers==6.2.0
    python tests/reference/similar.py

Texts go through the encoder of tests/data/tiny-bert and are pooled by the mean. No two texts are the same, since there refire leaves out
what sentence-transformers takes for negatives. The figures are those of embeddings that are written down, by the evaluators' own functions.
"""

import json
import random
import tempfile
from pathlib import Path

import numpy
import torch
from sentence_transformers import SentenceTransformer, losses, models
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator, InformationRetrievalEvaluator, TripletEvaluator
from tasks import BATCHES, SECONDS, TEXTS, TINY_BERT, WITHOUT_DROPOUT
from transformers import AutoTokenizer, BertConfig, BertModel

HERE = Path(__file__).parent
STEPS, RATE, WEIGHT_DECAY, MAX_LENGTH = 10, 1e-3, 0.01, 24
FIRST = [text or "friendly staff" for text in TEXTS]
SECOND = [text or "so it was" for text in SECONDS]
THIRD = [
    "awful acting", "a lovely film", "bad bad bad", "no place of mine", "the service was slow", "best of all",
    "we hate that plot", "you love it", "terrible and bland", "warm and friendly", "it was dreadful", "that movie was perfect",
]  # fmt: skip
SCORES = [0.9, 0.05, 1.0, -0.5, 0.95, 0.0, 0.45, 0.2, 0.76, 0.1, -0.4, 0.52]
DISTANCE = losses.TripletDistanceMetric.COSINE

# name → which texts a sample has, refire's settings, and sentence-transformers' loss.
CASES = {
    "scores": (2, 'target_column = "score"', losses.CosineSimilarityLoss),
    "ranking": (2, "", losses.MultipleNegativesRankingLoss),
    "ranking, another temperature": (2, "temperature = 0.2", lambda model: losses.MultipleNegativesRankingLoss(model, scale=5.0)),
    "ranking, both ways": (2, "symmetric = true", losses.MultipleNegativesSymmetricRankingLoss),
    "ranking with negatives": (3, 'negative_columns = ["third"]', losses.MultipleNegativesRankingLoss),
    "ranking with negatives, in pieces": (
        3,
        'negative_columns = ["third"]\nmini_batch_size = 5',
        lambda model: losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=5),
    ),
    "triplets": (3, 'negative_columns = ["third"]\nloss = "triplet"', losses.TripletLoss),
    "triplets by cosines": (
        3,
        'negative_columns = ["third"]\nloss = "triplet"\ndistance = "cosine"\nmargin = 0.5',
        lambda model: losses.TripletLoss(model, distance_metric=DISTANCE, triplet_margin=0.5),
    ),
}


def encoder(folder):
    config = BertConfig.from_pretrained(TINY_BERT, **WITHOUT_DROPOUT)
    BertModel.from_pretrained(TINY_BERT, config=config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TINY_BERT).save_pretrained(folder)
    bert = models.Transformer(folder, max_seq_length=MAX_LENGTH)
    return SentenceTransformer(modules=[bert, models.Pooling(32, pooling_mode="mean")], device="cpu")


def case(name):
    members, settings, loss = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        model = encoder(folder)
    loss = loss(model)
    model.train()
    decays = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decays, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    found = []
    for step in range(STEPS):
        rows = BATCHES[step % len(BATCHES)]
        features = [model.tokenize([texts[row] for row in rows]) for texts in (FIRST, SECOND, THIRD)[:members]]
        value = loss(features, torch.tensor([SCORES[row] for row in rows]))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(value.item())
    print(f"{name}: {found[0]:.4f} … {found[-1]:.4f}")
    return {"name": name, "members": members, "settings": settings, "losses": found}


class Written:
    """Gives embeddings that are written down, in place of a model."""

    similarity_fn_name = "cosine"

    def __init__(self, vectors):
        self.vectors = vectors
        self.model_card_data = self

    def encode(self, texts, convert_to_tensor=False, **_):
        found = numpy.array([self.vectors[text] for text in texts], dtype=numpy.float32)
        return torch.tensor(found) if convert_to_tensor else found

    encode_query = encode_document = encode

    def set_evaluation_metrics(self, *_):
        pass


def figures(seed, pairs, firsts, seconds, negatives):
    """Pairs of some of so many first and second texts, as numbers, with a vector each; and what the evaluators say."""
    draw = random.Random(seed)
    count = firsts + seconds + negatives
    vectors = {f"{text}": [round(draw.gauss(0, 1), 4) for _ in range(4)] for text in range(count)}
    rows = []
    for _ in range(pairs):
        row = [draw.randrange(firsts), firsts + draw.randrange(seconds)]
        rows.append(row + ([firsts + seconds + draw.randrange(negatives)] if negatives else []))
    scores = [round(draw.uniform(-1, 1), 2) for _ in rows]
    column = [[str(row[member]) for row in rows] for member in range(3 if negatives else 2)]
    model = Written(vectors)
    expected = {}
    similar = EmbeddingSimilarityEvaluator(column[0], column[1], scores, main_similarity="cosine", write_csv=False)
    expected |= {key: float(value) for key, value in similar(model).items() if key.endswith("_cosine")}
    texts = {str(row[0]): None for row in rows}
    documents = {str(text): None for row in rows for text in row[1:]}
    right = {text: {str(row[1]) for row in rows if str(row[0]) == text} for text in texts}
    search = InformationRetrievalEvaluator(
        {text: text for text in texts}, {text: text for text in documents}, right, write_csv=False,
        mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1, 10], precision_recall_at_k=[1, 5, 10], map_at_k=[10],
        score_functions={"cosine": similar_by_cosine},
    )  # fmt: skip
    for key, value in search(model).items():
        expected[key.removeprefix("cosine_")] = float(value)
    if negatives:
        triplets = TripletEvaluator(*column, write_csv=False)
        expected["cosine_accuracy"] = float(next(value for key, value in triplets(model).items() if key.endswith("cosine_accuracy")))
    return {"vectors": [vectors[str(text)] for text in range(count)], "rows": rows, "scores": scores, "figures": expected}


def similar_by_cosine(one, other):
    one, other = (torch.nn.functional.normalize(torch.as_tensor(side), dim=1) for side in (one, other))
    return one @ other.T


def main():
    tokenizer = AutoTokenizer.from_pretrained(TINY_BERT)
    tokens = [tuple(tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]) for text in FIRST + SECOND + THIRD]
    assert len(set(tokens)) == len(tokens), "two texts are the same"
    reference = {
        "max_length": MAX_LENGTH,
        "learning_rate": RATE,
        "weight_decay": WEIGHT_DECAY,
        "texts": [FIRST, SECOND, THIRD],
        "scores": SCORES,
        "batches": BATCHES,
        "cases": [case(name) for name in CASES],
        "figures": [figures(1, 6, 6, 6, 0), figures(2, 30, 12, 25, 0), figures(3, 40, 25, 20, 15)],
    }
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in reference.items())
    (HERE / "similar.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
