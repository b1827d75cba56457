"""The same graph of trivial stages, written for each runner: every stage writes its number to a file."""

import json
from pathlib import Path

TOOLS = ["refire", "make", "ninja", "snakemake", "dvc"]


class Graph:
    """A chain, or a first stage with a fan of stages behind it. The last stage also reads `leaf.txt`."""

    def __init__(self, shape: str, size: int):
        self.shape, self.size = shape, size

    def needs(self, stage: int) -> int | None:
        """The stage that `stage` needs; none for the first, which reads `root.txt`."""
        if stage == 0:
            return None
        return stage - 1 if self.shape == "chain" else 0

    def is_leaf(self, stage: int) -> bool:
        return stage == self.size - 1

    def files(self, stage: int) -> list[str]:
        """The files that a stage depends on, where all stages share a folder."""
        needs = self.needs(stage)
        files = ["root.txt" if needs is None else f"out/{needs}"]
        return files + ["leaf.txt"] if self.is_leaf(stage) else files

    def command(self, stage: int, folder: str = "out/") -> str:
        """No two stages make the same, so that no runner can take one result for another."""
        words = "cat leaf.txt" if self.is_leaf(stage) else f"echo {stage}"
        return f"{words} > {folder}{stage}"

    def write(self, tool: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "root.txt").write_text("root\n")
        edit(folder, 0)
        getattr(self, tool)(folder)

    def refire(self, folder: Path) -> None:
        (folder / ".refire").mkdir()
        with open(folder / "refire.toml", "w") as file:
            for stage in range(self.size):
                needs, command = self.needs(stage), self.command(stage, folder="")
                local = [name for name in self.files(stage) if name.endswith(".txt")]
                file.write(f'[stage.s{stage}]\nkind = "command"\nargv = ["sh", "-c", "{command}"]\n')
                if needs is not None:
                    file.write(f'inputs = {{ in = "s{needs}" }}\n')
                if local:
                    file.write(f"files = {json.dumps(local)}\n")
                file.write(f'outputs = {{ out = "{stage}" }}\n\n')

    def make(self, folder: Path) -> None:
        (folder / "out").mkdir()
        with open(folder / "Makefile", "w") as file:
            targets = " ".join(f"out/{stage}" for stage in range(self.size))
            file.write(f"all: {targets}\n")
            for stage in range(self.size):
                file.write(f"out/{stage}: {' '.join(self.files(stage))}\n\t@{self.command(stage)}\n")

    def ninja(self, folder: Path) -> None:
        with open(folder / "build.ninja", "w") as file:
            file.write("rule run\n  command = $cmd\n")
            for stage in range(self.size):
                file.write(f"build out/{stage}: run {' '.join(self.files(stage))}\n  cmd = {self.command(stage)}\n")

    def snakemake(self, folder: Path) -> None:
        with open(folder / "Snakefile", "w") as file:
            targets = [f"out/{stage}" for stage in range(self.size)]
            file.write(f"rule all:\n    input: {json.dumps(targets)}\n")
            for stage in range(self.size):
                file.write(
                    f"rule s{stage}:\n    input: {json.dumps(self.files(stage))}\n    output: 'out/{stage}'\n"
                    f"    shell: '{self.command(stage)}'\n"
                )

    def dvc(self, folder: Path) -> None:
        (folder / "out").mkdir()
        stages = {
            f"s{stage}": {"cmd": self.command(stage), "deps": self.files(stage), "outs": [f"out/{stage}"]}
            for stage in range(self.size)
        }
        (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))


def edit(folder: Path, number: int) -> None:
    """Gives `leaf.txt` another content."""
    (folder / "leaf.txt").write_text(f"leaf {number}\n")


def command(tool: str, refire: Path) -> list[str]:
    """What brings a graph up to date with at most two stages at once."""
    return {
        "refire": [str(refire), "run", "-j", "2"],
        "make": ["make", "-j", "2", "-s"],
        "ninja": ["ninja", "-j", "2", "--quiet"],
        "snakemake": ["snakemake", "--cores", "2", "--quiet", "all"],
        # DVC runs one stage at a time.
        "dvc": ["dvc", "repro", "--quiet"],
    }[tool]
