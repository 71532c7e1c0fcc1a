"""Each rule for the source of plugins refuses what it is there for, says where, and what to do instead."""

import pytest

from node.plugin.lint import CURES, Breach, lint

API = "from protocol.plugin.v1 import Ctx, fail, require\n"

BAD = [
    ("import", "import os\n"),
    ("import", "import importlib\n"),
    ("import", "from os import path\n"),
    ("import", "from protocol.vm.context import Context\n"),
    ("import", "from protocol.plugin import world\n"),
    ("import", "from protocol.plugin.v1 import *\n"),
    ("import", "from protocol.plugin.v1 import partial\n"),
    ("import", "def f():\n    from typing import Any\n"),
    ("name", "def f():\n    return eval('1')\n"),
    ("name", "def f():\n    exec('1')\n"),
    ("name", "def f():\n    return __import__('os')\n"),
    ("name", "def f():\n    return open('a')\n"),
    ("name", "def f(x):\n    return getattr(x, '__class__')\n"),
    ("name", "def f(x):\n    return hash(x)\n"),
    ("name", "def f(x):\n    return id(x)\n"),
    ("name", "def f(x):\n    return round(x)\n"),
    ("name", "def f(x):\n    return vars(x)\n"),
    ("name", "def f():\n    return globals()\n"),
    ("name", "def f():\n    return __builtins__\n"),
    ("name", "def f(x):\n    return type(x)\n"),
    ("name", "def f(x):\n    return print(x)\n"),
    ("attribute", "def f(x):\n    return x.__class__\n"),
    ("attribute", "def f():\n    return ().__class__.__bases__\n"),
    ("attribute", "def f(x):\n    return x.__subclasses__()\n"),
    ("attribute", "def f(x):\n    return x.__globals__\n"),
    ("attribute", API + "def f(ctx: Ctx):\n    return ctx._ctx\n"),
    ("attribute", API + "def f(ctx: Ctx):\n    return ctx.view\n"),
    ("attribute", "def f(x):\n    return x.table\n"),
    ("attribute", "def f(x):\n    return x.format(1)\n"),
    ("attribute", "def f(x):\n    return x.run(1)\n"),
    ("float", "X = 0.5\n"),
    ("float", "def f(x: float): return x\n"),
    ("float", "def f(x):\n    return float(x)\n"),
    ("division", "def f(x):\n    return x / 2\n"),
    ("division", "def f(x):\n    x /= 2\n    return x\n"),
    ("growth", "def f(x):\n    return 2 ** x\n"),
    ("growth", "def f(x):\n    return 1 << x\n"),
    ("growth", "def f(x):\n    return 2 ** 65\n"),
    ("growth", "def f(x):\n    return [0] * x\n"),
    ("growth", "def f(x):\n    return x * b'a'\n"),
    ("set", "def f():\n    return {1, 2}\n"),
    ("set", "def f(x):\n    return set(x)\n"),
    ("set", "def f(x):\n    return {i for i in x}\n"),
    ("set", "def f(x):\n    return frozenset(x)\n"),
    ("dict_order", "def f(d: dict[int, int]):\n    return [i for i in d]\n"),
    ("dict_order", "def f():\n    d = {}\n    for i in d:\n        d[i] = 1\n"),
    ("dict_order", "def f(d: dict[int, int]):\n    return tuple(d)\n"),
    ("dict_order", "def f(x):\n    return [i for i in x.items()]\n"),
    ("dict_order", "def f(x):\n    return list(x.keys())\n"),
    ("dict_order", "def f(d: dict[int, int]):\n    return [*d]\n"),
    ("text", "def f(x):\n    return str(x)\n"),
    ("text", "def f(x):\n    return repr(x)\n"),
    ("text", "def f(x):\n    return f'{x}'\n"),
    ("text", "def f(x):\n    return '%d' % x\n"),
    ("global", "X = 1\ndef f():\n    global X\n    X = 2\n"),
    ("global", "X = []\n"),
    ("global", "X = {}\n"),
    ("global", "X = dict()\n"),
    ("global", "X = (1, [2])\n"),
    ("global", "X = 1\nX = 2\n"),
    ("global", "def f(): pass\ndef f(): pass\n"),
    ("global", "def f(x=[]): return x\n"),
    ("global", "def f(x):\n    x.kind = 1\n"),
    ("global", API + "fail.kind = 1\n"),
    ("global", API + "def f():\n    fail[0] = 1\n"),
    ("shadow", "def sorted(x): return x\n"),
    ("shadow", "def f(len): return len\n"),
    ("shadow", API + "def f():\n    require = 1\n    return require\n"),
    ("shadow", "__all__ = ('f',)\n"),
    ("while", "def f():\n    while True:\n        pass\n"),
    ("range", "def f(n):\n    return [i for i in range(n)]\n"),
    ("range", "def f():\n    for i in range(10_001):\n        pass\n"),
    ("range", "LIMIT = 10_001\ndef f():\n    for i in range(LIMIT):\n        pass\n"),
    ("range", "def f(N):\n    for i in range(N):\n        pass\n"),
    ("recursion", "def f(x):\n    return f(x)\n"),
    ("recursion", "def f(x):\n    return g(x)\ndef g(x):\n    return f(x)\n"),
    ("recursion", "def f(x):\n    g = f\n    return sorted(x, key=g)\n"),
    ("call", "def f(g):\n    return g(g)\n"),
    ("call", "def f(x):\n    return (lambda y: y(y))(x)\n"),
    ("call", "def f(x):\n    return x[0]()\n"),
    ("call", "def f(x):\n    return sorted(x, **x)\n"),
    ("call", "F = sorted\ndef f(x):\n    return F(x)\n"),
    ("call", "def g(x): return x\n@g\ndef f(x): return x\n"),
    ("class", "class A:\n    x = 1\n"),
    ("statement", "def f(x):\n    assert x\n"),
    ("statement", "def f(x):\n    try:\n        return x\n    except Exception:\n        return 1\n"),
    ("statement", "def f(x):\n    raise x\n"),
    ("statement", "def f(x):\n    with x:\n        pass\n"),
    ("statement", "def f(x):\n    yield x\n"),
    ("statement", "async def f(x): return x\n"),
    ("statement", "def f(x):\n    match x:\n        case int(real=y):\n            return y\n"),
    ("statement", "for X in (1, 2):\n    pass\n"),
    ("statement", API + "fail(1)\n"),
    ("identity", "def f(x):\n    return x is 1\n"),
    ("identity", "def f(x, y):\n    return x is not y\n"),
    ("syntax", "def f(:\n"),
]

GOOD = [
    API + "LIMIT = 50\ndef f(ctx: Ctx, n: int) -> int:\n    return sum([i for i in range(min(n, LIMIT))])\n",
    "def f(x: dict[int, str]) -> tuple:\n    return tuple([x[k] for k in sorted(x)])\n",
    "def f(x):\n    return sorted(x.items(), key=lambda i: i[1])\n",
    "def f(x):\n    return 7 // 2 * 2 ** 63 + (1 << 55)\n",
    "def f(x):\n    return x is None or x is True\n",
    "def f(x):\n    y = [0] * 50\n    y[0] = x\n    return y\n",
    "def f(x: bytes) -> int:\n    return int.from_bytes(x, 'big')\n",
]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_what_is_refused(rule: str, text: str) -> None:
    found = lint({"bad": text})
    assert rule in [breach.rule for breach in found], found


@pytest.mark.parametrize("text", GOOD)
def test_what_is_allowed(text: str) -> None:
    assert lint({"good": text}) == ()


def test_every_rule_has_an_example_and_a_cure() -> None:
    assert {rule for rule, _ in BAD} == set(CURES)


def test_a_breach_names_place_rule_and_cure() -> None:
    (breach,) = lint({"bad": "X = 1\n\nY = 0.5\n"})
    assert breach == Breach("bad", 3, "float", "the number 0.5")
    assert str(breach) == f"bad:3: [float] the number 0.5; {CURES['float']}"


def test_recursion_over_modules() -> None:
    one = "from a.two import g\ndef f(x):\n    return g(x)\n"
    two = "from a.one import f\ndef g(x):\n    return f(x)\n"
    assert {b.rule for b in lint({"a": "", "a.one": one, "a.two": two})} == {"recursion"}
