#!/usr/bin/env python3
"""refire beside make, ninja, snakemake and DVC on the same graphs, and beside b3sum on the same files.

    benches/runner/bench.py --refire target/release/refire

Prints the tables of benches/README.md. All runners are measured in turn, round after round, so that whatever else the
machine does meets all of them; the figures are medians. A measurement that took longer than `--patience` seconds is
made once and marked. Missing peers are installed: with apt what apt has, with pip into a virtual environment.
"""

import argparse
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import files
import graphs

CASES = ["no-op", "one leaf edited", "first run"]
PIP = {"dvc": "dvc==3.67.1", "snakemake": "snakemake==9.27.0"}
APT = {"make": "make", "ninja": "ninja-build", "b3sum": "b3sum"}


def main() -> None:
    options = arguments()
    environment = install(options.peers)
    print(f"Machine: {machine()}. Rounds: {options.rounds}.\n", flush=True)
    if "graphs" in options.parts:
        for case, table in graph_tables(options, environment).items():
            print(f"### {case}\n\n{table}\n", flush=True)
    if "files" in options.parts:
        print(files.tables(options, environment), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refire", type=lambda path: Path(path).resolve(), required=True, help="the binary")
    parser.add_argument("--parts", nargs="+", default=["graphs", "files"], choices=["graphs", "files"])
    parser.add_argument("--tools", nargs="+", default=graphs.TOOLS, choices=graphs.TOOLS)
    parser.add_argument("--shapes", nargs="+", default=["chain", "fan"], choices=["chain", "fan"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 100, 1000, 10000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=20.0, help="seconds; what takes longer is measured once")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache/refire/peers", help="where pip installs")
    parser.add_argument("--work", type=Path, default=None, help="folder for what is measured; default a temporary one")
    return parser.parse_args()


def install(peers: Path) -> dict[str, str]:
    """Installs what is missing; returns the environment to measure in."""
    environment = os.environ | {"DVC_NO_ANALYTICS": "true", "PATH": f"{peers / 'bin'}:{os.environ['PATH']}"}
    # Each runner is measured with a cache and a state of its own.
    environment.pop("REFIRE_CACHE_DIR", None)

    def missing(names):
        return [package for name, package in names.items() if not shutil.which(name, path=environment["PATH"])]

    if missing(PIP):
        subprocess.run([sys.executable, "-m", "venv", peers], check=True)
        subprocess.run([peers / "bin/pip", "install", "--quiet", *missing(PIP)], check=True)
    if missing(APT):
        root = [] if os.getuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "install", "-qq", "-y", *missing(APT)], check=True)
    return environment


def machine() -> str:
    """`4 cores, AMD EPYC`."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores / {models[0] if models else platform.processor()}"


def graph_tables(options: argparse.Namespace, environment: dict[str, str]) -> dict[str, str]:
    """A table for each case: a row for each graph, a column for each runner."""
    rows: dict[str, list[list[str]]] = {case: [] for case in CASES}
    # Nothing is removed before the end: ext4 is slow to make files in the minutes after many were removed.
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for shape, size in itertools.product(options.shapes, options.sizes):
            # Only refire and ninja are meant for graphs of this size.
            tools = [tool for tool in options.tools if size <= 1000 or tool in ["refire", "ninja"]]
            place = Path(work) / f"{shape}-{size}"
            times = measure(graphs.Graph(shape, size), tools, options, environment, place)
            for case in CASES:
                cells = [cell(times, tool, case) for tool in options.tools]
                cells.append(ratio(times, case))
                rows[case].append([f"{shape} of {size:,}", *cells])
                print(rows[case][-1], case, file=sys.stderr, flush=True)
    return {case: table(["graph", *options.tools, "refire / ninja"], rows[case]) for case in CASES}


def measure(graph, tools, options, environment, work: Path) -> dict[tuple[str, str], list[float]]:
    """Seconds of every round, by runner and case."""
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for tool in tools:
            folder = work / f"{tool}-{number}"
            ready = work / f"{tool}-ready"
            run = lambda: timed(graphs.command(tool, options.refire), folder, environment)
            slow = times.get((tool, "first run"), [0.0])[0] > options.patience
            if slow:
                ready.rename(folder)
            else:
                graph.write(tool, folder)
                if tool == "dvc":
                    subprocess.run(["dvc", "init", "--no-scm", "--quiet"], cwd=folder, env=environment, check=True)
                times.setdefault((tool, "first run"), []).append(run())
            for case in ["no-op", "one leaf edited"]:
                known = times.setdefault((tool, case), [])
                if known and known[0] > options.patience:
                    continue
                if case == "one leaf edited":
                    graphs.edit(folder, number + 1)
                known.append(run())
            if times[tool, "first run"][0] > options.patience:
                folder.rename(ready)
    return times


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Wall seconds of a command that must succeed."""
    started = time.perf_counter()
    end = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
    seconds = time.perf_counter() - started
    if end.returncode != 0:
        sys.exit(f"{command} failed in {folder}:\n{end.stderr.decode()[-2000:]}")
    return seconds


def cell(times, tool: str, case: str) -> str:
    known = times.get((tool, case))
    if not known:
        return "–"
    mark = "" if len(known) > 1 else "¹"
    return duration(statistics.median(known)) + mark


def ratio(times, case: str) -> str:
    """How many times as long as ninja refire takes."""
    ours, theirs = times.get(("refire", case)), times.get(("ninja", case))
    return f"{statistics.median(ours) / statistics.median(theirs):.1f}" if ours and theirs else "–"


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
