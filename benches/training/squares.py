"""Photos as the squares that a network takes, by Pillow."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from PIL import Image

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def listed(folder: Path) -> list[tuple[Path, int]]:
    """All photos of a folder with a folder for each label, and the places of their labels."""
    names = sorted(label.name for label in folder.iterdir())
    return [(path, names.index(path.parent.name)) for path in sorted(folder.glob("*/*"))]


def square(path: Path, size: int) -> numpy.ndarray:
    """The middle of a photo whose shorter side is resized to 256 / 224 of `size`, as torchvision's transforms make it; rows of pixels of
    three bytes."""
    with Image.open(path) as photo:
        photo = photo.convert("RGB")
    length = size * 256 // 224
    shorter = min(photo.size)
    width, height = (length * side // shorter for side in photo.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    box = (left, top, left + size, top + size)
    return numpy.asarray(photo.resize((width, height), Image.Resampling.BILINEAR).crop(box))


def decoded(paths: list[Path], size: int, threads: int) -> numpy.ndarray:
    """The squares of photos, by several threads: Pillow gives the interpreter free while it works."""
    squares = numpy.empty((len(paths), size, size, 3), numpy.uint8)

    def decode(place):
        squares[place] = square(paths[place], size)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, range(len(paths))))
    return squares
