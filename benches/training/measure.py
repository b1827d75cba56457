"""Runs a command to its end and says what it took: wall time, processor time, memory, and what the rest of the machine did meanwhile."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")

# Seconds between two looks at the memory of a command.
INTERVAL = 0.05


def measured(command: list, folder: Path, environment: dict[str, str]) -> tuple[dict, str]:
    """Figures of `command`, which must succeed, and what it wrote to standard output.

    `peak_memory` is the largest sum of the resident sets of the command and of all that it started, in bytes, looked at twenty times a
    second, and at least the largest resident set of any of them, which the system knows exactly; what processes share counts for each of
    them. `others` says how many of the
    processors the rest of the machine kept busy meanwhile.
    """
    command = [str(part) for part in command]
    with open(folder / "stdout", "w+b") as stdout, open(folder / "stderr", "w+b") as stderr:
        busy, started = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
        memory = Memory(process.pid)
        memory.start()
        try:
            # `wait4` also tells what the command's own children took, which `Popen.wait` does not.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - started
        busy = busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
        memory.stop()
        if process.returncode != 0:
            written = (folder / "stdout").read_text()[-2000:] + (folder / "stderr").read_text()[-4000:]
            sys.exit(f"{' '.join(command)} failed in {folder} with {process.returncode}:\n{written}")
    processor = usage.ru_utime + usage.ru_stime
    figures = {
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_memory": max(memory.peak, usage.ru_maxrss * 1024),
        "others": max(0.0, (busy - processor) / seconds),
    }
    return figures, (folder / "stdout").read_text()


def busy_seconds() -> float:
    """Seconds that all processors together have worked since the machine started, or that another machine has taken from them."""
    # user, nice, system, idle, iowait, irq, softirq, steal
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    numbers = [int(word) for word in words[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) / TICKS


class Memory(threading.Thread):
    """The largest sum of the resident sets of a process and all its descendants."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            self.peak = max(self.peak, sum(resident(pid) for pid in tree(self.pid)))
            self.ended.wait(INTERVAL)

    def stop(self) -> None:
        self.ended.set()
        self.join()


def tree(pid: int) -> list[int]:
    """A process and all its descendants; those that end while one looks are left out."""
    found, places = [], [pid]
    while places:
        pid = places.pop()
        found.append(pid)
        for thread in listed(f"/proc/{pid}/task"):
            try:
                places.extend(int(child) for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
            except OSError:
                continue
    return found


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0
