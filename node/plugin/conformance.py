"""Say whether a plugin keeps its promises: the rules for its source, and the same chain everywhere.

Each version runs the same random programs in processes of their own, under two hash seeds, plainly and with
`-O`, on each interpreter that is named; every block must end with the same root. Nothing but a failed program
may come out of a method, no invariant may break, the books must balance, every method must be seen to
succeed, and its gas must be near that of a transfer. What it cannot see is in docs/plugins.md.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.errors import OperationError
from node.plugin.lint import lint
from node.plugin.loading import Source, load, read_modules
from node.plugin.trial import open_source

PROGRAMS: Final = 800
SEEDS: Final = ("0", "4294967295")
GAS_BAND: Final = 3.0
GAS_SAMPLES_MIN: Final = 5
"""Fewer successes say nothing about time."""
RUN_TIMEOUT_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Args:
        lines: for people.
        problems: none: the plugin conforms.
    """

    lines: tuple[str, ...]
    problems: tuple[str, ...]


def check(place: str, programs: int = PROGRAMS, pythons: tuple[str, ...] = ()) -> Report:
    """Check a plugin: the folder of its project, or name==version of an installed one.

    Args:
        programs: random programs of each run.
        pythons: interpreters that have what the core needs; this one is always tried.

    Raises:
        OperationError: plugin.missing, plugin.version, plugin.malformed.
    """
    source = open_source(place)
    breaches = [str(breach) for module, _ in source.entries for breach in lint(read_modules(source, module))]
    if breaches:
        return Report((f"{source.package}: the source breaks rules",), tuple(dict.fromkeys(breaches)))
    sys.path.insert(0, str(source.root))
    contracts = load(source)
    lines, problems = [f"{source.package}: the source keeps the rules"], list[str]()
    for contract in contracts:
        title = f"contract {contract.id} {contract.name} version {contract.version}"
        lines += [title, f"  fingerprint {contract.compute_fingerprint().hex()}"]
        told, found = _compare(source, place, contract.version, programs, pythons)
        lines += [f"  {line}" for line in told]
        problems += [f"{title}: {problem}" for problem in found]
    return Report(tuple(lines), tuple(problems))


def _compare(
    source: Source, place: str, version: int, programs: int, pythons: tuple[str, ...]
) -> tuple[list[str], list[str]]:
    """Run the same trial in different processes; returns what to tell, and the problems."""
    lines, problems = [], list[str]()
    first: dict[str, Any] = {}
    ratios: dict[str, list[float]] = {}
    for python in dict.fromkeys((sys.executable, *pythons)):
        for seed in SEEDS:
            for flags in ((), ("-O",)):
                name = f"{Path(python).name if python != sys.executable else 'this Python'}, seed {seed}"
                name += " -O" if flags else ""
                found = _run(python, flags, seed, place, version, programs)
                first = first or found
                same = next((n for n, pair in enumerate(_pairs(first, found)) if pair[0] != pair[1]), None)
                if same is not None:
                    problems.append(f"{name}: block {same + 1} has another root")
                problems += found["problems"]
                for method, told in found["methods"].items():
                    ratios.setdefault(method, []).extend([] if told["ratio"] is None else [told["ratio"]])
        lines.append(f"{python}: {len(first['roots'])} blocks, {len(SEEDS)} hash seeds, plain and -O")
    for name, told in first["methods"].items():
        # What else the machine does makes one run of several dear, so it is their median that counts.
        ratio: float | None = statistics.median(ratios[name]) if ratios[name] else None
        failed = sum(told["codes"].values())
        gas = "no gas measured" if ratio is None else f"gas x {ratio:.2f} of a transfer"
        lines.append(f"{name:<20} {told['ok']:>6} succeeded {failed:>6} failed   {gas}")
        if not told["ok"]:
            problems.append(f"{name} never succeeded: nothing is known about it; try more programs")
        is_measured = told["ok"] >= GAS_SAMPLES_MIN
        if ratio is not None and is_measured and not 1 / GAS_BAND <= ratio <= GAS_BAND:
            problems.append(
                f"{name}: one gas takes {ratio:.2f} times that of a transfer; change its base gas"
            )
    return lines, list(dict.fromkeys(problems))


def _pairs(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return zip(one["roots"], other["roots"], strict=True)


def _run(
    python: str, flags: tuple[str, ...], seed: str, place: str, version: int, programs: int
) -> dict[str, Any]:
    here = Path(__file__).resolve().parents[2]
    paths = [str(here), *[path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]]
    command = [python, *flags, "-m", "node.plugin.trial", place, str(version), str(programs)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_SECONDS,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        raise OperationError(
            "plugin.malformed",
            f"The plugin was not tried: {python} ended with {done.returncode}.",
            f"{last[0]}.",
            "name an interpreter that has coincurve and msgpack, or correct the plugin",
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
