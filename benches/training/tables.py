"""What was measured, as the table of benches/README.md, and the machine that it was measured on."""

import json
import platform
import statistics
import subprocess
from pathlib import Path

from measure import measured

# What speeds up networks on a processor, as the kernel and as people call it.
FLAGS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
    "amx_int8": "AMX INT8",
}
VERSIONS = """
import json, platform, onnxruntime, openvino, PIL, timm, torch, torchvision
print(json.dumps({"Python": platform.python_version(), "PyTorch": torch.__version__, "torchvision": torchvision.__version__,
    "timm": timm.__version__, "ONNX Runtime": onnxruntime.__version__, "OpenVINO": openvino.__version__.split("-")[0],
    "Pillow": PIL.__version__}))
"""
STARTS = {"PyTorch": "import torch", "PyTorch with torchvision": "import torch, torchvision"}

# From so many busy processors on the rest of the machine is said to have been at work.
BUSY = 0.1

HEAD = ["", "who", "whole command", "training", "its epochs", "memory", "accuracy", "refire / it"]


def machine(options, environment: dict[str, str]) -> dict:
    """The processor, what it can, and which versions of everything run."""
    lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    info = {name.strip(): value.strip() for name, value in lines}
    flags = info.get("flags", "").split()
    versions = json.loads(subprocess.run([options.python, "-c", VERSIONS], env=environment, capture_output=True, text=True, check=True).stdout)
    if options.refire:
        said = subprocess.run([options.refire, "--version"], capture_output=True, text=True, check=True).stdout
        versions = {"refire": said.split()[-1]} | versions
    return {
        "model": info.get("model name", platform.processor()),
        "kind": [info.get(name) for name in ("cpu family", "model", "stepping")],
        "cores": options.threads,
        "flags": [name for flag, name in FLAGS.items() if flag in flags],
        "versions": versions,
        "starts": {name: start(code, options, environment) for name, code in STARTS.items()},
    }


def start(code: str, options, environment: dict[str, str]) -> dict:
    """What a script takes that does nothing but import: the median of three."""
    taken = [measured([options.python, "-c", code], options.out, environment)[0] for _ in range(3)]
    for name in ("stdout", "stderr"):
        (options.out / name).unlink()
    return {name: statistics.median(figures[name] for figures in taken) for name in ("seconds", "peak_memory")}


def written(record: dict) -> str:
    measurements = record["measurements"]
    parts = [sentence(record), markdown(HEAD, list(lines(measurements)))]
    busy = {name: worst for name in names(measurements, "row") if (worst := most_others(measurements, name)) >= BUSY}
    if busy:
        worst = ", ".join(f"`{name}` {others:.1f}" for name, others in busy.items())
        parts.append(f"Measured beside other work, which kept up to so many processors busy during a command: {worst}.")
    agreed = [measurement["same_labels_as_refire"] for measurement in measurements if "same_labels_as_refire" in measurement]
    if agreed:
        parts.append(f"The peers' labels are those of refire for at least {min(agreed):.2%} of the samples.")
    return "\n\n".join(parts) + "\n"


def sentence(record: dict) -> str:
    machine, settings = record["machine"], record["settings"]
    kind = ", ".join(map(str, machine["kind"]))
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    starts = "; ".join(f"{name} {figures['seconds']:.1f} s and {size(figures['peak_memory'])}" for name, figures in machine["starts"].items())
    return (
        f"Machine: {machine['cores']} cores of {machine['model']} (family, model, stepping {kind}) with {', '.join(machine['flags'])}. {versions}. "
        f"Medians of {settings['pairs']} rounds{', all in small' if settings['tiny'] else ''}; in the last column the median of the "
        f"rounds' ratios of whole commands, the least and the greatest. Importing alone takes: {starts}."
    )


def lines(measurements: list[dict]):
    """A line of the table for everyone who takes part in a row."""
    for name in names(measurements, "row"):
        of_row = [measurement for measurement in measurements if measurement["row"] == name]
        for contender in names(of_row, "contender"):
            own = [measurement for measurement in of_row if measurement["contender"] == contender]
            yield [
                own[0]["title"] if contender == of_row[0]["contender"] else "",
                contender,
                seconds(own, "seconds"),
                seconds(own, "training_seconds"),
                seconds(own, "epochs_seconds"),
                size(statistics.median(measurement["peak_memory"] for measurement in own)),
                f"{statistics.median(measurement['accuracy'] for measurement in own):.3f}",
                ratio(of_row, contender),
            ]


def names(measurements: list[dict], key: str) -> list[str]:
    """The values of a key in the order in which they first come."""
    return list(dict.fromkeys(measurement[key] for measurement in measurements))


def ratio(of_row: list[dict], contender: str) -> str:
    """How many times as long as `contender` refire takes, round by round."""
    times = {who: {m["round"]: m["seconds"] for m in of_row if m["contender"] == who} for who in ("refire", contender)}
    ratios = [ours / times[contender][number] for number, ours in times["refire"].items() if number in times[contender]]
    if contender == "refire" or not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def most_others(measurements: list[dict], row: str) -> float:
    return max(measurement["others"] for measurement in measurements if measurement["row"] == row)


def seconds(own: list[dict], name: str) -> str:
    found = [measurement[name] for measurement in own if name in measurement]
    return f"{statistics.median(found):.1f} s" if found else "–"


def size(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    table = [head, ["---", "---", *["---:"] * (len(head) - 2)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)
