"""Holds that each limit of the core and of a node is named in a test: there it is tried at it and one above.

It does not know whether the test is good.

*Source*: contracts.md 9: each limit tested at limit, limit+1.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LIMIT = re.compile(r"_?[A-Z][A-Z0-9_]*_(MAX|MIN)(_[A-Z]+)?")
"""Limits of a node that no test names yet; most bound a time, a foreign library or a run of load."""


def find_limits(module: str, tree: ast.Module) -> Iterator[tuple[str, int]]:
    """List the limits that a module sets, with their lines."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if LIMIT.fullmatch(name):
                    yield f"{module}.{name}", node.lineno


def find_named(tree: ast.Module) -> Iterator[str]:
    """List what a test names with its module: imported, as an attribute, or as what it sets in its place."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                modules |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in names}
            case ast.Import(names=names):
                modules |= {alias.asname or alias.name: alias.name for alias in names}
    yield from modules.values()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=short), attr=name) if short in modules:
                yield f"{modules[short]}.{name}"
            case ast.Call(args=[ast.Name(id=short), ast.Constant(value=str(name)), *_]) if short in modules:
                yield f"{modules[short]}.{name}"


def find_unnamed(trees: dict[Path, ast.Module]) -> list[str]:
    """List the limits that no test names."""
    named = {name for path, tree in trees.items() if path.parts[0] == "tests" for name in find_named(tree)}
    # Where a module takes a limit from another, tests set it in the place where it is used.
    for path, tree in trees.items():
        module = ".".join(path.with_suffix("").parts)
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                taken = {f"{node.module}.{alias.name}": f"{module}.{alias.name}" for alias in node.names}
                named |= {source for source, target in taken.items() if target in named}
    return [
        f"{path}:{line}: {limit.rpartition('.')[2]} is in no test; try it at the limit and one above"
        for path, tree in trees.items()
        if path.parts[0] in ("protocol", "node")
        for limit, line in find_limits(".".join(path.with_suffix("").parts), tree)
        if limit not in named
    ]


def test_each_limit_is_named_in_a_test(trees: dict[Path, ast.Module]) -> None:
    unnamed = find_unnamed(trees)
    assert not unnamed, "\n".join(["contracts.md 9: each limit tested at limit, limit+1", *unnamed])


def test_a_limit_that_no_test_names_is_found() -> None:
    core = {"protocol/a.py": "ROWS_MAX: Final = 3\nRATE_MAX_PPM = 5\n", "node/b.py": "_ROWS_MIN = 4\n"}
    used = {"protocol/c.py": "from protocol.a import ROWS_MAX\n"}
    for tests, missing in (
        ("", ["protocol/a.py:1", "protocol/a.py:2", "node/b.py:1"]),
        ("from protocol.a import RATE_MAX_PPM, ROWS_MAX\n", ["node/b.py:1"]),
        ("from protocol import a\nfrom node import b\na.ROWS_MAX + b._ROWS_MIN\n", ["protocol/a.py:2"]),
        ("from protocol import c\nset(c, 'ROWS_MAX', 1)\n", ["protocol/a.py:2", "node/b.py:1"]),
        ("ROWS_MAX = 'RATE_MAX_PPM'\n", ["protocol/a.py:1", "protocol/a.py:2", "node/b.py:1"]),
    ):
        files = core | used | {"tests/test_a.py": tests}
        found = find_unnamed({Path(name): ast.parse(text) for name, text in files.items()})
        assert [line.partition(": ")[0] for line in found] == missing
