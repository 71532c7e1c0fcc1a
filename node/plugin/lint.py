"""Read the source of a plugin and say what in it could be wrong on some machine, or without end.

It is a net for mistakes, not a wall against malice: what a plugin may use is a list, and what is not on it is
refused, so the usual ways out are shut; but a node runs the plugins of its co-operative with its own rights,
and a vote binds their very source. Nothing is imported or run here.

*Source*: contracts.md 3.12. Each rule stands with its cure in `CURES`.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from node.plugin import scope
from node.plugin.scope import API, Unit, is_hidden

CURES: Final = {
    "import": f"import names from {API}, from a few of typing and collections.abc, or from the plugin itself",
    "name": "use what docs/plugins.md lists",
    "attribute": "use what docs/plugins.md lists; names that begin with _ belong to others",
    "float": "count in minor units and parts per million",
    "division": "use // on non-negative numbers, or mul_div, where the rounding has a name",
    "growth": "use a constant exponent, shift or factor of at most 64",
    "set": "use a tuple, or a dict that is walked by sorted()",
    "dict_order": "walk it by sorted(...)",
    "text": "write the text as it is; hand numbers on as numbers",
    "global": "keep what must last in records; a module gives each name one value, a constant",
    "shadow": "take another name",
    "while": "walk a range with a constant bound: for _ in range(LIMIT)",
    "range": "bound it by a constant: range(min(n, LIMIT)), or walk the list itself",
    "recursion": "write a loop with a bound",
    "call": "call a function by its name",
    "class": "use tuples and functions",
    "statement": "leave it out; require() and fail() stop a program",
    "identity": "compare with ==; `is` is for None, True and False",
    "syntax": "correct it",
}


@dataclass(frozen=True, slots=True)
class Breach:
    """Say where a plugin breaks which rule."""

    module: str
    line: int
    rule: str
    what: str

    @property
    def cure(self) -> str:
        """Say what to do instead."""
        return CURES[self.rule]

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: [{self.rule}] {self.what}; {self.cure}"


def lint(sources: Mapping[str, str]) -> tuple[Breach, ...]:
    """Check the modules of a plugin, by name; returns every breach, by module and line."""
    trees: dict[str, ast.Module] = {}
    found: list[Breach] = []
    for module, text in sources.items():
        try:
            trees[module] = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
            line = wrong.lineno if isinstance(wrong, SyntaxError) else None
            found.append(Breach(module, line or 1, "syntax", f"is no Python: {str(wrong)[:80]}"))
    units = {module: Unit.read(module, tree, frozenset(sources)) for module, tree in trees.items()}
    for module, tree in trees.items():
        for node, rule, what in _walk(tree, units[module]):
            found.append(Breach(module, getattr(node, "lineno", 1), rule, what))
    for module, line, names in scope.find_cycles(units):
        found.append(Breach(module, line, "recursion", f"{names} calls itself"))
    return tuple(sorted(dict.fromkeys(found), key=lambda b: (b.module, b.line, b.rule, b.what)))


Found = Iterator[tuple[ast.AST, str, str]]

_STATEMENTS: Final = (
    ast.Assert,
    ast.Raise,
    ast.Try,
    ast.TryStar,
    ast.With,
    ast.AsyncWith,
    ast.AsyncFor,
    ast.AsyncFunctionDef,
    ast.Await,
    ast.Yield,
    ast.YieldFrom,
    ast.Match,
    ast.Delete,
)
_SETS: Final = (ast.Set, ast.SetComp)
_MUTABLE: Final = (ast.List, ast.Dict, ast.ListComp, ast.DictComp, ast.GeneratorExp)
_SHIFT_MAX: Final = 64


def _walk(tree: ast.Module, unit: Unit) -> Found:
    yield from _module(tree, unit)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    annotations = set(scope.list_annotations(tree))
    for node in ast.walk(tree):
        yield from _imports(node, parents, unit)
        yield from _statements(node)
        yield from _numbers(node, unit)
        yield from _texts(node)
        yield from _names(node, unit, node in annotations)
        yield from _orders(node, parents, unit)
        yield from _loops(node, unit)
        yield from _calls(node, parents, unit)


def _module(tree: ast.Module, unit: Unit) -> Found:
    """Check what a module does when it is loaded: imports, constants and functions, each once."""
    for number, node in enumerate(tree.body):
        match node:
            case ast.Import() | ast.ImportFrom():
                continue
            case ast.FunctionDef(name=name):
                names = [name]
            case ast.Assign(targets=targets, value=value):
                names = [t.id for t in targets if isinstance(t, ast.Name)]
                if len(names) != len(targets):
                    yield node, "global", "a module gives a value to what is no name of its own"
                yield from _constant(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                names = [name]
                yield from _constant(value)
            case ast.Expr(value=ast.Constant(value=str())) if number == 0:
                continue
            case ast.ClassDef():
                continue  # refused elsewhere
            case _:
                yield node, "statement", f"{type(node).__name__} runs as the module is loaded"
                continue
        for name in names:
            if unit.counts[name] > 1:
                yield node, "global", f"{name} is given a value more than once"


def _constant(value: ast.expr) -> Found:
    for node in ast.walk(value):
        if isinstance(node, _MUTABLE) or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("list", "dict")
        ):
            yield node, "global", "a value of a module can be changed"


def _imports(node: ast.AST, parents: Mapping[ast.AST, ast.AST], unit: Unit) -> Found:
    if isinstance(node, ast.Import):
        yield node, "import", f"import {', '.join(alias.name for alias in node.names)}"
    if isinstance(node, ast.ImportFrom):
        if not isinstance(parents[node], ast.Module):
            yield node, "import", "an import inside a function"
        module = unit.resolve(node)
        allowed = unit.importable(module)
        for alias in node.names:
            is_known = allowed is not None and (not allowed or alias.name in allowed)
            if not is_known or alias.name == "*" or is_hidden(alias.name):
                yield node, "import", f"{alias.name} of {module}"


def _statements(node: ast.AST) -> Found:
    if isinstance(node, _STATEMENTS):
        yield node, "statement", f"{type(node).__name__.lower()} is not for plugins"
    if isinstance(node, ast.Global | ast.Nonlocal):
        yield node, "global", f"{', '.join(node.names)} is written from inside a function"
    if isinstance(node, ast.ClassDef):
        yield node, "class", f"class {node.name}"
    if isinstance(node, ast.FunctionDef) and node.decorator_list:
        yield node, "call", f"{node.name} has a decorator"
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        for default in (*node.args.defaults, *[d for d in node.args.kw_defaults if d is not None]):
            if not isinstance(default, ast.Constant | ast.Name | ast.UnaryOp | ast.Tuple):
                yield default, "global", "the default of an argument can be changed, or is computed"


def _numbers(node: ast.AST, unit: Unit) -> Found:
    match node:
        case ast.Constant(value=float() | complex()):
            yield node, "float", f"the number {node.value!r}"
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            yield node, "division", "/ makes a float"
        case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
            yield node, "name", "@ has no meaning here"
        case (
            ast.BinOp(op=ast.Pow() | ast.LShift(), right=right)
            | ast.AugAssign(op=ast.Pow() | ast.LShift(), value=right)
        ):
            if not (
                isinstance(right, ast.Constant) and type(right.value) is int and right.value <= _SHIFT_MAX
            ):
                yield node, "growth", "a number may become as long as one likes"
        case ast.BinOp(op=ast.Mult(), left=left, right=right):
            for one, other in ((left, right), (right, left)):
                is_list = isinstance(one, ast.List | ast.Tuple | ast.ListComp) or (
                    isinstance(one, ast.Constant) and type(one.value) in (str, bytes)
                )
                if is_list and not unit.is_bounded(other):
                    yield node, "growth", "a list may become as long as one likes"
        case ast.Compare(ops=ops, comparators=comparators):
            for op, one in zip(ops, comparators, strict=True):
                is_single = isinstance(one, ast.Constant) and (one.value is None or type(one.value) is bool)
                if isinstance(op, ast.Is | ast.IsNot) and not is_single:
                    yield node, "identity", "is compares what differs from process to process"


def _texts(node: ast.AST) -> Found:
    match node:
        case ast.FormattedValue() | ast.JoinedStr():
            yield node, "text", "a text is made of a value"
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str() | bytes())):
            yield node, "text", "a text is made of a value"


def _names(node: ast.AST, unit: Unit, is_annotation: bool) -> Found:
    if isinstance(node, ast.Attribute):
        if node.attr not in scope.ATTRIBUTES:
            yield node, "attribute", f"the attribute {node.attr}"
        if not isinstance(node.ctx, ast.Load):
            yield node, "global", f"the attribute {node.attr} is given a value"
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        root = scope.root_of(node)
        if root is None or root in unit.names:
            yield node, "global", "a part of what is not the function's own is given a value"
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            if node.id in scope.BUILTINS or node.id in unit.imported or is_hidden(node.id):
                yield node, "shadow", f"{node.id} is given another meaning"
        elif node.id in ("float", "complex"):
            yield node, "float", f"the type {node.id}"
        elif node.id in ("set", "frozenset"):
            yield node, "set", f"the type {node.id}"
        elif is_annotation and node.id in scope.ANNOTATIONS:
            return
        elif node.id in ("str", "repr", "format", "ascii", "hex", "bin", "oct", "chr"):
            yield node, "text", f"{node.id} makes a text of a value"
        elif not unit.knows(node.id):
            yield node, "name", f"the name {node.id}"
    if isinstance(node, ast.arg | ast.FunctionDef):
        name = node.arg if isinstance(node, ast.arg) else node.name
        if name in scope.BUILTINS or name in unit.imported or is_hidden(name):
            yield node, "shadow", f"{name} is given another meaning"


def _orders(node: ast.AST, parents: Mapping[ast.AST, ast.AST], unit: Unit) -> Found:
    if isinstance(node, _SETS):
        yield node, "set", "a set has no order"
    walked: list[ast.expr] = []
    if isinstance(node, ast.For | ast.comprehension):
        walked = [node.iter]
    elif isinstance(node, ast.Starred) and isinstance(node.ctx, ast.Load):
        walked = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in scope.WALKERS:
        walked = list(node.args)
    for one in walked:
        if isinstance(one, ast.Name) and one.id in unit.dicts:
            yield one, "dict_order", f"{one.id} is walked in the order in which it was filled"
        if isinstance(one, ast.Dict | ast.DictComp):
            yield one, "dict_order", "a dict is walked in the order in which it was filled"
    match node:
        case ast.Call(func=ast.Attribute(attr="items" | "keys" | "values" as attr)):
            parent = parents[node]
            is_sorted = isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name)
            if not (is_sorted and parent.func.id in scope.ORDER_FREE):  # type: ignore[attr-defined]
                yield node, "dict_order", f".{attr}() is walked in the order in which it was filled"


def _loops(node: ast.AST, unit: Unit) -> Found:
    if isinstance(node, ast.While):
        yield node, "while", "a loop without a visible bound"
    match node:
        case ast.Call(func=ast.Name(id="range"), args=arguments):
            if not all(unit.is_bounded(argument) for argument in arguments):
                yield node, "range", "a range without a visible bound"


def _calls(node: ast.AST, parents: Mapping[ast.AST, ast.AST], unit: Unit) -> Found:
    if isinstance(node, ast.Call):
        match node.func:
            case ast.Name(id=name) if unit.is_callable(name):
                pass
            case ast.Name(id=name) if unit.knows(name):
                yield node, "call", f"{name} is a value that is called"
            case ast.Name() | ast.Attribute():
                pass  # an unknown name, or an attribute that is not on the list, is refused as such
            case _:
                yield node, "call", "what is called is computed"
        for keyword in node.keywords:
            if keyword.arg is None:
                yield node, "call", "** hands on what is not to be seen"
    if isinstance(node, ast.Lambda):
        parent = parents[node]
        if not (isinstance(parent, ast.keyword) and parent.arg == "key"):
            yield node, "call", "a lambda that is no key of an order"
