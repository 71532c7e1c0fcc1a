"""A documented session: its commands in order with what they showed, and how two runs of it are compared.

What differs from run to run (ids, heights, times, gas) is taken out of both sides before they are compared.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = "~/.local/share/coopd/localnet"
_BLOCK = re.compile(r"^```console\n.*?^```\n", re.DOTALL | re.MULTILINE)
_VARIABLE = (
    (r"tx1[0-9a-z]{20,}", "tx1..."),
    (r"0x[0-9a-f]{8}\.\.\.", "0x..."),
    (r"\b[0-9a-f]{64}\b", "FINGERPRINT"),
    (r"(?<=block )[0-9,]+|(?<=height )[0-9,]+", "N"),
    (r"\b[0-9,]+(?= gas)|\b[0-9,]+(?= ms)|\b[0-9,]+(?= movements)", "N"),
    (r"20[0-9]{2}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2})?", "DATE"),
    (r"(?<=since day )[0-9,]+", "N"),
    (r"[0-9]+ of 3 operators.*", "OPERATORS"),
    (r"/[^ ]*/receipts/[0-9a-f]+\.json", "RECEIPT"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the output that the document shows for it."""

    command: str
    shown: str
    line: int


def read_steps(document: str) -> list[Step]:
    """Read the commands of all console blocks: a line with `$ `, and what follows it."""
    steps: list[Step] = []
    is_inside = False
    for number, line in enumerate(document.splitlines(), 1):
        if line.startswith("```"):
            is_inside = line == "```console"
        elif is_inside and line.startswith("$ "):
            steps.append(Step(line[2:], "", number))
        elif is_inside:
            last = steps[-1]
            steps[-1] = Step(last.command, f"{last.shown}{line}\n", last.line)
    return steps


def normalise(text: str) -> str:
    for pattern, instead in _VARIABLE:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def run_step(
    step: Step, home: Path, folder: Path, bin_folder: Path, settings: dict[str, str] | None = None
) -> str:
    """Run a command as it stands in the document, on a cluster in a folder of its own.

    Args:
        settings: what the document puts into the environment.
    """
    done = subprocess.run(
        ["sh", "-c", step.command.replace(HOME, str(home))],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "COOP_HOME": str(home / "coop"),
            "COOPD_LOCALNET": str(home),
            **(settings or {}),
            "NO_COLOR": "1",
            "LANG": "C.UTF-8",
            "COLUMNS": "110",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout.replace(str(home), HOME)


def check_page(page: Path, shown: dict[int, str], normalise: Callable[[str], str] = normalise) -> None:
    """Compare what a run showed with what the page says, or, when asked to, write it there.

    Args:
        shown: by the line of the command.
    """
    document = page.read_text(encoding="utf-8")
    if os.environ.get("WRITE_WALKTHROUGH"):
        page.write_text(rewrite(document, shown), encoding="utf-8")
        return
    for step in read_steps(document):
        lines = [normalise(text).splitlines() for text in (step.shown, shown[step.line])]
        difference = "\n".join(unified_diff(*lines, "the page", "the run", lineterm="", n=0))
        assert not difference, f"{page.name}:{step.line}: {step.command}\n{difference}"


def walk(
    page: Path, home: Path, folder: Path, bin_folder: Path, settings: dict[str, str] | None = None
) -> None:
    """Run all commands of a page and compare what they show."""
    steps = read_steps(page.read_text(encoding="utf-8"))
    check_page(page, {step.line: run_step(step, home, folder, bin_folder, settings) for step in steps})


def make_programs(folder: Path) -> Path:
    """Make `coop` and `coopd` of this checkout, and the `pip` of this Python, to be put on the path."""
    folder.mkdir()
    for name, module in (("coop", "node.cli.coop"), ("coopd", "node.__main__")):
        path = folder / name
        start = f'{sys.executable} -c "from {module} import main; main()" "$@"'
        path.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT}:$PYTHONPATH exec {start}\n")
        path.chmod(0o755)
    pip = folder / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    pip.chmod(0o755)
    return folder


def rewrite(document: str, shown: dict[int, str]) -> str:
    """Return the document with the outputs of a run in place of its own, by the line of the command."""
    lines: list[str] = []
    is_inside = is_command = False
    for number, line in enumerate(document.splitlines(), 1):
        if line.startswith("```"):
            is_inside, is_command = line == "```console", False
        if is_inside and line.startswith("$ "):
            is_command = True
            lines += [line, *shown[number].rstrip("\n").splitlines()]
        elif not (is_inside and is_command):
            lines.append(line)
    return "\n".join(lines) + "\n"


def read_blocks(document: str) -> list[str]:
    """Return the console blocks of a document, in order."""
    return _BLOCK.findall(document)


def copy_blocks(source: str, target: str) -> str:
    """Return the target with the console blocks of the source in the places of its own, which are as many."""
    blocks = iter(read_blocks(source))
    return _BLOCK.sub(lambda _: next(blocks), target)
