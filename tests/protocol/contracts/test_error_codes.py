"""Every error code of every builtin, and of the kernel, is asked for by name in at least one test.

A name that a test reads from the module that defines the code counts, except where it is only imported; so a
code that nobody provokes is seen, and so is a test that goes.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from protocol.contracts import BUILTINS
from protocol.errors import USER_ASSERT_BASE, Code

TESTS = Path(__file__).parents[2]


def list_named(source: str) -> Iterator[object]:
    """List the values of what a test module names and has imported from the core."""
    tree = ast.parse(source)
    modules: dict[str, ModuleType] = {}
    values: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("protocol"):
            module = import_module(node.module)
            for name in node.names:
                found = getattr(module, name.name, None)
                if found is None:
                    found = import_module(f"{node.module}.{name.name}")
                if isinstance(found, ModuleType):
                    modules[name.asname or name.name] = found
                else:
                    values[name.asname or name.name] = found
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = modules.get(node.value.id) or values.get(node.value.id)
            yield getattr(owner, node.attr, None)
        elif isinstance(node, ast.Name):
            yield values.get(node.id)


def find_unasked(sources: list[str]) -> list[str]:
    """Return what no source asks for, as `contract.NAME`."""
    values = [value for source in sources for value in list_named(source)]
    kernel = {value for value in values if isinstance(value, Code)}
    named = {value for value in values if type(value) is int}
    kernel |= {Code.OK, *([Code.ASSERT] if USER_ASSERT_BASE in named else [])}
    unasked = [f"kernel.{code.name}" for code in Code if code not in kernel]
    for contract in BUILTINS:
        unasked += [f"{contract.name}.{e.name}" for e in contract.errors if e.code not in named]
    return unasked


def test_every_code_is_asked_for() -> None:
    assert find_unasked([path.read_text() for path in sorted(TESTS.rglob("test_*.py"))]) == []


def test_a_code_that_nobody_asks_for_is_seen() -> None:
    source = "from protocol.contracts.shares import records as s\nassert code == s.SOLVENCY"
    unasked = find_unasked([source])
    assert "shares.SOLVENCY" not in unasked and "shares.YEARLY_CAP" in unasked
    imported = "from protocol.contracts.shares.records import YEARLY_CAP"
    assert "shares.YEARLY_CAP" in find_unasked([imported])
