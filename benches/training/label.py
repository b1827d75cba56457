#!/usr/bin/env python3
"""Labels a table of texts or a folder of photos with ONNX Runtime or OpenVINO, as `refire predict` does; bench.py runs it.

Each thread takes a batch through the network on its own, as refire does it; with `--together` all threads share one batch.
"""

import argparse
import csv
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy

BATCH = 32


def main():
    options = arguments()
    run = {"onnxruntime": onnxruntime, "openvino": openvino}[options.engine](options)
    columns, rows, names, batches, take = texts(options) if options.tokenizer else photos(options)
    logits = numpy.empty((len(rows), len(names)), numpy.float32)

    def label(batch):
        logits[batch] = run(take(batch))

    with ThreadPoolExecutor(options.threads) as pool:
        list(pool.map(label, batches))
    powers = numpy.exp(logits - logits.max(1, keepdims=True))
    shares = powers / powers.sum(1, keepdims=True)
    with open(options.output, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "predicted_label", *(f"predicted_probability_{name}" for name in names)])
        best = logits.argmax(1)
        writer.writerows([*row, names[best[place]], *shares[place].tolist()] for place, row in enumerate(rows))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", required=True)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--together", action="store_true", help="all threads on one batch, batch after batch")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tokenizer", help="for texts")
    parser.add_argument("--size", type=int, help="of photos")
    options = parser.parse_args()
    # How many batches go through the network at a time, and how many threads each of them has.
    options.inner = options.threads if options.together else 1
    options.threads = 1 if options.together else options.threads
    return options


def onnxruntime(options):
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.inner
    session = onnxruntime.InferenceSession(options.network, settings, providers=["CPUExecutionProvider"])
    (name,) = (taken.name for taken in session.get_inputs())
    return lambda numbers: session.run(None, {name: numbers})[0]


def openvino(options):
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": options.precision,
        "NUM_STREAMS": str(options.threads),
        "INFERENCE_NUM_THREADS": str(options.threads * options.inner),
    }
    compiled = openvino.Core().compile_model(options.network.with_suffix(".xml"), "CPU", settings)
    own = threading.local()

    def run(numbers):
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer([numbers], share_inputs=True)[0]

    return run


def texts(options):
    """The texts of a table, in batches of similar length, the longest first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(options.tokenizer)
    tokenizer.enable_truncation(128)
    tokenizer.no_padding()
    with open(options.input, newline="") as file:
        columns, *rows = csv.reader(file)
    text = columns.index("text")
    tokens = [encoding.ids for encoding in tokenizer.encode_batch_fast([row[text] for row in rows])]
    order = sorted(range(len(rows)), key=lambda row: -len(tokens[row]))

    def take(batch):
        numbers = numpy.zeros((len(batch), len(tokens[batch[0]])), numpy.int64)
        for place, row in enumerate(batch):
            numbers[place, : len(tokens[row])] = tokens[row]
        return numbers

    return columns, rows, ["negative", "positive"], cut(order), take


def photos(options):
    """The photos of a folder with a folder for each label."""
    import squares

    listed = squares.listed(options.input)
    names = sorted({path.parent.name for path, _ in listed})
    mean, deviation = (numpy.array(numbers, numpy.float32) for numbers in squares.IMAGENET)
    scale, shift = 1 / (255 * deviation), mean / deviation

    def take(batch):
        pixels = numpy.stack([squares.square(listed[row][0], options.size) for row in batch])
        images = pixels.astype(numpy.float32)
        images *= scale
        images -= shift
        return numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))

    rows = [[path.relative_to(options.input)] for path, _ in listed]
    return ["path"], rows, names, cut(list(range(len(rows)))), take


def cut(order):
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


if __name__ == "__main__":
    main()
