"""Holds the laws of laws.py over every Python file, and shows for each law that it can fail."""

import ast
from pathlib import Path

import pytest

from tests.tidy.laws import FILE_LINES_MAX, FUNCTION_LINES_MAX, LAWS, Law


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_project_obeys(law: Law, texts: dict[Path, str], trees: dict[Path, ast.Module]) -> None:
    breaches = [
        f"{path}:{line}: {message}"
        for path, tree in trees.items()
        for line, message in law(path, texts[path], tree)
    ]
    assert not breaches, "\n".join([f"{law.__doc__}", *breaches])


DOC = '"""A module."""\n'
PLANTED = {
    "law_file_length": [("node/a.py", DOC + "x = 1\n" * FILE_LINES_MAX)],
    "law_function_length": [
        ("tests/test_a.py", DOC + "def f():\n" + '    """One."""\n' + "    x = 1\n" * FUNCTION_LINES_MAX)
    ],
    "law_module_name": [("node/utils.py", DOC), ("node/helpers/a.py", DOC), ("node/peer_manager.py", DOC)],
    "law_module_docstring": [("node/a.py", "x = 1\n")],
    "law_public_docstring": [
        ("protocol/a.py", DOC + "def f(): ...\n"),
        ("protocol/a.py", DOC + 'class A:\n    """A."""\n    def f(self): ...\n'),
    ],
    "law_core_imports": [
        ("protocol/a.py", DOC + "import time\n"),
        ("protocol/a.py", DOC + "def f():\n    from random import choice\n"),
    ],
    "law_integers": [
        ("protocol/a.py", DOC + "x = 0.5\n"),
        ("protocol/a.py", DOC + "x = 1 / 2\n"),
        ("protocol/a.py", DOC + "x = 1\nx /= 2\n"),
        ("protocol/a.py", DOC + "def f(rate: float): ...\n"),
    ],
    "law_determinism": [
        ("protocol/a.py", DOC + "x = hash('a')\n"),
        ("protocol/a.py", DOC + "x = __import__('time')\n"),
        ("protocol/a.py", DOC + "x = round(3)\n"),
        ("protocol/a.py", DOC + "x = id(3)\n"),
    ],
    "law_set_order": [
        ("protocol/a.py", DOC + "for x in {1, 2}: pass\n"),
        ("protocol/a.py", DOC + "y = [x for x in set((1, 2))]\n"),
        ("protocol/a.py", DOC + "y = set()\nfor x in y: pass\n"),
        ("protocol/a.py", DOC + "def f(y: frozenset[int]):\n    return tuple(y)\n"),
        (
            "protocol/a.py",
            DOC + "class A:\n    y: set[int]\n    def f(self):\n        for x in self.y: pass\n",
        ),
        ("protocol/a.py", DOC + "def f(y: set[int]):\n    for x in y | {1}: pass\n"),
    ],
    "law_assert": [("protocol/a.py", DOC + "def check_a(x):\n    assert x > 0\n")],
}
ALLOWED = [
    ("protocol/a.py", DOC + "def _f(y: set[int]): ...\ndef _g(y: list[int]):\n    for x in y: pass\n"),
    ("protocol/a.py", DOC + "y = {1, 2}\nfor x in sorted(y): pass\nz = all(x > 0 for x in y)\n"),
    ("protocol/a.py", DOC + "x = 7 // 2\n"),
    ("node/a.py", DOC + "import time\nx = 0.5 / 2\n"),
    ("protocol/a.py", DOC + 'class P(Protocol):\n    """A port."""\n    def f(self): ...\n'),
    ("tests/test_a.py", DOC + "def f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 2)),
    ("node/a.py", DOC + "x = 1\n" * (FILE_LINES_MAX - 2)),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_each_law_can_fail(law: Law) -> None:
    for name, text in PLANTED[law.__name__]:
        assert list(law(Path(name), text, ast.parse(text))), f"{law.__name__} does not see:\n{text[:200]}"


def test_what_is_allowed_passes() -> None:
    for name, text in ALLOWED:
        for law in LAWS:
            assert not list(law(Path(name), text, ast.parse(text))), f"{law.__name__} forbids:\n{text[:200]}"
