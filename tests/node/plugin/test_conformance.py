"""The kit lets a good plugin pass, and says of a bad one what is wrong; its exit code tells which."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.plugin import conformance
from node.plugin.conformance import GAS_SAMPLES_MIN, check

SAMPLE = Path(__file__).parents[2] / "plugin_sample"
HEAD = "from protocol.plugin.v1 import U8, Ctx, Field, Method, Records, Invariant, Signed, contract\n"


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith(("coop_rosca", "tried_")):
            del sys.modules[name]


def write(folder: Path, name: str, run: str, more: str = "") -> str:
    method = "Method(1, 'go', (Field('n', U8),), U8, (Signed(),), 100, _go, 'Go.')"
    text = f"{HEAD}{run}\nCONTRACT = contract(3_000, 'tried', 1, 'Tried.', methods=({method},){more})\n"
    (folder / f"{name}.py").write_text(text)
    lines = ["[project]", f'name = "{name}"', 'version = "1.0"', '[project.entry-points."coopd.contracts"]']
    (folder / "pyproject.toml").write_text("\n".join([*lines, f'one = "{name}:CONTRACT"']) + "\n")
    return str(folder)


def test_the_sample_conforms() -> None:
    report = check(str(SAMPLE))
    assert report.problems == (), report
    assert any("pay_out" in line for line in report.lines)


def test_what_breaks_a_rule_is_not_tried(tmp_path: Path) -> None:
    place = write(tmp_path, "tried_rule", "def _go(ctx: Ctx, n: int) -> int:\n    return n / 2\n")
    (problem,) = check(place).problems
    assert "tried_rule:3: [division]" in problem


def test_what_raises_and_never_succeeds(tmp_path: Path) -> None:
    place = write(tmp_path, "tried_bug", "def _go(ctx: Ctx, n: int) -> int:\n    return (1, 2)[n + 2]\n")
    found = " ".join(check(place, programs=16).problems)
    assert "go: its code raised" in found and "go never succeeded" in found


def test_an_invariant_that_breaks(tmp_path: Path) -> None:
    run = (
        "COUNT = Records(3_000, 1, 'count', (), (Field('n', U8),), 'A number.')\n"
        "def _small(changes) -> bool:\n"
        "    return all([after is None or after[0] < 3 for _, _, after in changes])\n"
        "def _go(ctx: Ctx, n: int) -> int:\n    ctx.put(COUNT, (), n)\n    return n\n"
    )
    more = ", records=(COUNT,), invariants=(Invariant('small', COUNT, _small, 'Small.'),)"
    found = check(write(tmp_path, "tried_invariant", run, more), programs=64).problems
    assert found == ("contract 3000 tried version 1: go: broke the invariant small",)


def test_gas_that_is_too_cheap(tmp_path: Path) -> None:
    run = "def _go(ctx: Ctx, n: int) -> int:\n    return sum([i * i for i in range(9_000)]) % 100\n"
    found = check(write(tmp_path, "tried_gas", run), programs=64).problems
    assert len(found) == 1 and "change its base gas" in found[0]


def test_another_root_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"roots": ["a", "b"], "methods": {}, "problems": []}
    answers = iter([first, {**first, "roots": ["a", "c"]}, first, first])

    def run(*_: object) -> dict[str, Any]:
        return next(answers)

    monkeypatch.setattr(conformance, "_run", run)
    source = conformance.open_source(str(SAMPLE))
    _, problems = conformance._compare(source, str(SAMPLE), 1, 8, ())
    assert problems == ["this Python, seed 0 -O: block 2 has another root"]


def test_the_command_ends_with_its_verdict(tmp_path: Path) -> None:
    place = write(tmp_path, "tried_exit", "def _go(ctx: Ctx, n: int) -> int:\n    return id(n)\n")
    code = "from node.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "contract", "check", place], capture_output=True, text=True
    )
    assert done.returncode == 1 and "[name] the name id" in done.stdout


@pytest.mark.parametrize("successes", [GAS_SAMPLES_MIN - 1, GAS_SAMPLES_MIN])
def test_gas_is_judged_by_so_many_successes_and_not_by_fewer(
    successes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"ok": successes, "codes": {}, "ratio": 2 * conformance.GAS_BAND}
    found = {"roots": [], "problems": [], "methods": {"go": told}}
    monkeypatch.setattr(conformance, "_run", lambda *_: found)
    problems = check(str(SAMPLE)).problems
    assert any("change its base gas" in problem for problem in problems) is (successes == GAS_SAMPLES_MIN)
