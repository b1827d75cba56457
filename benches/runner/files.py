"""How fast a large input is hashed: refire beside b3sum, with the files in memory and with them on disk."""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

INPUTS = {"15,000 files of 10 kB": (15_000, 10_000), "one file of 4 GB": (1, 4_000_000_000)}
HASHES = """[stage.data]
kind = "command"
argv = ["touch", "out"]
files = ["data"]
outputs = { out = "out" }
"""


def tables(options, environment) -> str:
    """One table: the first look at the input, cold and warm, and a look at an input that did not change."""
    rows = []
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        for name, (count, size) in INPUTS.items():
            folder = Path(work) / str(count)
            write(folder, count, size)
            times = measure(folder, options, environment)
            gigabytes = count * size / 1e9
            median = {what: statistics.median(seconds) for what, seconds in times.items()}
            for state in ["cold", "warm"]:
                ours, theirs = median["refire", state], median["b3sum", state]
                rate = f"{gigabytes / ours:.2f} GB/s | {gigabytes / theirs:.2f} GB/s | {theirs / ours:.2f}"
                rows.append(f"| {name}, {state} | {ours:.3f} s | {theirs:.3f} s | {rate} |")
            rows.append(f"| {name}, nothing changed | {median['refire', 'again'] * 1000:.1f} ms | – | – | – | – |")
    head = "| input | refire | b3sum | refire's rate | b3sum's rate | ratio |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    return "### Hashing\n\n" + head + "\n" + "\n".join(rows) + "\n"


def write(folder: Path, count: int, size: int) -> None:
    (folder / ".refire").mkdir(parents=True)
    (folder / "refire.toml").write_text(HASHES)
    for number in range(count):
        path = folder / "data" / f"{number // 1000}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for begin in range(0, size, 1 << 24):
                file.write(os.urandom(min(1 << 24, size - begin)))
    os.sync()
    # Older than the steps in which file systems count time, as data usually is.
    time.sleep(2)


def measure(folder: Path, options, environment) -> dict[tuple[str, str], list[float]]:
    # `status` hashes what the stage reads and runs nothing.
    refire = [str(options.refire), "status"]
    b3sum = ["sh", "-c", "find data -type f -print0 | xargs -0 b3sum"]
    times: dict[tuple[str, str], list[float]] = {}

    def timed(what: tuple[str, str], command: list[str]) -> None:
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        times.setdefault(what, []).append(time.perf_counter() - started)

    for _ in range(options.rounds):
        for state in ["cold", "warm"]:
            for tool, command in [("refire", refire), ("b3sum", b3sum)]:
                forget(folder / ".refire/cache/stat")
                if state == "cold":
                    drop(folder / "data")
                timed((tool, state), command)
                if (tool, state) == ("refire", "warm"):
                    timed((tool, "again"), command)
    return times


def forget(stat: Path) -> None:
    stat.unlink(missing_ok=True)


def drop(data: Path) -> None:
    """Takes the files out of the system's memory, without any right beyond reading them."""
    for path in data.rglob("*.bin"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
