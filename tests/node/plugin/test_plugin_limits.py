"""Every limit on a plugin's source, at it and one above."""

from pathlib import Path

import pytest

from node.errors import OperationError
from node.plugin.lint import _SHIFT_MAX, lint
from node.plugin.loading import MODULE_BYTES_MAX, MODULES_MAX, find_project, read_modules
from node.plugin.scope import RANGE_MAX


@pytest.mark.parametrize(
    ("text", "limit", "rule"),
    [
        ("def f(x):\n    return x << {}\n", _SHIFT_MAX, "growth"),
        ("def f(x):\n    return x ** {}\n", _SHIFT_MAX, "growth"),
        ("def f(x):\n    return [x] * {}\n", RANGE_MAX, "growth"),
    ],
)
def test_a_number_at_its_limit_and_one_above(text: str, limit: int, rule: str) -> None:
    assert not list(lint({"m": text.format(limit)}))
    assert [breach.rule for breach in lint({"m": text.format(limit + 1)})] == [rule]


def write_project(folder: Path, modules: int, size: int) -> None:
    lines = ["[project]", 'name = "m"', 'version = "1.0"']
    lines += ['[project.entry-points."coopd.contracts"]', 'one = "m:CONTRACT"']
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n")
    package = folder / "m"
    package.mkdir(exist_ok=True)
    imports = [f"import m.part{i}\n" for i in range(1, modules)]
    (package / "__init__.py").write_text("".join(imports).ljust(size, "\n"))
    for i in range(1, modules):
        (package / f"part{i}.py").write_text("")


def read(folder: Path, modules: int, size: int) -> dict[str, str]:
    write_project(folder, modules, size)
    return read_modules(find_project(folder), "m")


def test_the_modules_of_a_plugin(tmp_path: Path) -> None:
    assert len(read(tmp_path, MODULES_MAX, 0)) == MODULES_MAX
    with pytest.raises(OperationError) as refused:
        read(tmp_path, MODULES_MAX + 1, 0)
    assert refused.value.slug == "plugin.malformed" and f"than {MODULES_MAX} modules" in refused.value.why


def test_the_bytes_of_a_module(tmp_path: Path) -> None:
    assert len(read(tmp_path, 1, MODULE_BYTES_MAX)["m"]) == MODULE_BYTES_MAX
    with pytest.raises(OperationError) as refused:
        read(tmp_path, 1, MODULE_BYTES_MAX + 1)
    assert refused.value.slug == "plugin.malformed" and f"limit {MODULE_BYTES_MAX}" in refused.value.why
