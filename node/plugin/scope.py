"""What the names of a plugin's module mean: imports, functions, constants; and who calls whom.

It reads only; `lint.py` says what is wrong with it.
"""

import ast
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocol.money import Rounding
from protocol.plugin import v1

API: Final = "protocol.plugin.v1"
RANGE_MAX: Final = 10_000
"""Longest loop whose bound is a number."""

BUILTINS: Final = frozenset(
    {
        *("abs", "all", "any", "bool", "bytes", "dict", "divmod", "enumerate", "int", "isinstance", "len"),
        *("list", "max", "min", "range", "reversed", "sorted", "sum", "tuple", "zip"),
    }
)
"""Functions of the language that a plugin may use."""

NOT_CALLED: Final = frozenset({"int", "bytes", "bool"})
"""Of these only as a kind, or with an attribute: int.from_bytes."""

ANNOTATIONS: Final = frozenset({"str", "object"})

WALKERS: Final = frozenset({"tuple", "list", "enumerate", "zip", "reversed", "sum", "divmod"})
ORDER_FREE: Final = frozenset({"sorted", "len", "sum", "min", "max", "all", "any"})

IMPORTABLE: Final[dict[str, frozenset[str]]] = {
    API: frozenset(v1.__all__),
    "typing": frozenset({"Any", "Final", "NoReturn", "TypeAlias", "cast"}),
    "collections.abc": frozenset({"Callable", "Iterator", "Mapping", "Sequence"}),
    "__future__": frozenset({"annotations"}),
}

_CTX: Final = tuple(
    name for one in (v1.Ctx, v1.QueryCtx) for name, _ in inspect.getmembers(one) if not name.startswith("_")
)
ATTRIBUTES: Final = frozenset(
    {
        *_CTX,
        *(member.name for member in Rounding),
        *("fields", "kind"),
        *("append", "count", "extend", "index", "insert", "pop", "reverse", "sort"),
        *("items", "keys", "values", "get", "setdefault", "update"),
        *("to_bytes", "from_bytes", "bit_length", "startswith", "endswith"),
    }
)
"""Attributes that a plugin may use: of its context, and of tuples, lists, dicts, numbers and bytes."""


def is_hidden(name: str) -> bool:
    """Tell whether a name is one of the language's own."""
    return name.startswith("__")


def root_of(node: ast.expr) -> str | None:
    """Return the name at the root of a chain of subscripts, or None."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def list_annotations(tree: ast.Module) -> Iterator[ast.AST]:
    """Walk all nodes inside annotations."""
    for node in ast.walk(tree):
        roots: list[ast.expr | None] = []
        if isinstance(node, ast.FunctionDef):
            roots = [node.returns]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            roots = [node.annotation]
            if isinstance(node, ast.AnnAssign) and _is_alias(node):
                roots.append(node.value)
        for root in roots:
            if root is not None:
                yield from ast.walk(root)


def _is_alias(node: ast.AnnAssign) -> bool:
    return isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"


@dataclass(frozen=True, slots=True)
class Unit:
    """The names of one module.

    Args:
        modules: of the plugin.
        imported: name to (module, name there).
        functions: name to its definition, nested ones included.
        names: all names that the module itself gives a value, and its imports.
        counts: how often the module gives each of its names a value.
        dicts: names that hold a dict somewhere.
        inner: names that are given a value inside a function or a list that is made.
        constants: names of the module that are plain numbers.
    """

    module: str
    modules: frozenset[str]
    imported: Mapping[str, tuple[str, str]]
    functions: Mapping[str, ast.FunctionDef]
    names: frozenset[str]
    counts: Counter[str]
    dicts: frozenset[str]
    inner: frozenset[str]
    constants: Mapping[str, int]

    @classmethod
    def read(cls, module: str, tree: ast.Module, modules: frozenset[str]) -> "Unit":
        """Read a module."""
        imported: dict[str, tuple[str, str]] = {}
        counts: Counter[str] = Counter()
        for node in tree.body:
            if isinstance(node, ast.ImportFrom):
                source = _resolve(module, node, modules)
                for alias in node.names:
                    imported[alias.asname or alias.name] = (source, alias.name)
                    counts[alias.asname or alias.name] += 1
            elif isinstance(node, ast.FunctionDef):
                counts[node.name] += 1
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                counts.update(t.id for t in targets if isinstance(t, ast.Name))
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        return cls(
            module,
            modules,
            imported,
            functions,
            frozenset(counts),
            counts,
            frozenset(_list_dicts(tree)),
            frozenset(_list_inner(tree)),
            dict(_list_constants(tree)),
        )

    def resolve(self, node: ast.ImportFrom) -> str:
        """Return the module that an import names."""
        return _resolve(self.module, node, self.modules)

    def importable(self, module: str) -> frozenset[str] | None:
        """Return the names that may be imported of a module; none: all of them; None: it may not be."""
        if module in self.modules:
            return frozenset()
        return IMPORTABLE.get(module)

    def knows(self, name: str) -> bool:
        """Tell whether a name means something here."""
        if is_hidden(name):
            return False
        return name in BUILTINS or name in self.names or name in self.inner or name in self.functions

    def is_bounded(self, node: ast.expr) -> bool:
        """Tell whether a number has a bound that can be seen, and is not too high."""
        match node:
            case ast.Constant(value=int(value)):
                return value <= RANGE_MAX
            case ast.Name(id=name):
                is_constant = name.isupper() and name not in self.inner
                return is_constant and self.constants.get(name, 0) <= RANGE_MAX
            case ast.UnaryOp(operand=operand):
                return self.is_bounded(operand)
            case ast.Call(func=ast.Name(id="len")):
                return True
            case ast.Call(func=ast.Name(id="min"), args=arguments):
                return any(self.is_bounded(argument) for argument in arguments)
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.FloorDiv() | ast.Mod(), left=left, right=right):
                return self.is_bounded(left) and self.is_bounded(right)
        return False

    def is_callable(self, name: str) -> bool:
        """Tell whether a name is that of a function, which can be seen; not a value that may be one."""
        if name in self.inner and name not in self.functions:
            return False
        if name in BUILTINS:
            return name not in NOT_CALLED
        return name in self.functions or name in self.imported


def _resolve(module: str, node: ast.ImportFrom, modules: frozenset[str]) -> str:
    if not node.level:
        return node.module or ""
    # A relative import begins at the package; a package is a module whose name others begin with.
    is_package = any(other.startswith(f"{module}.") for other in modules)
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*kept, node.module] if node.module else kept)


def _list_dicts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_dict(value):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                if ast.unparse(annotation).startswith(("dict", "Mapping")) or (value and _is_dict(value)):
                    yield name
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                if ast.unparse(annotation).startswith(("dict", "Mapping")):
                    yield name


def _list_inner(tree: ast.Module) -> Iterator[str]:
    top = {t for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign) for t in ast.iter_child_nodes(n)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node not in top:
            yield node.id


def _list_constants(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int(value))):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=int(value))):
                yield name, value


def _is_dict(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "dict"
    return isinstance(value, ast.Dict | ast.DictComp)


def find_cycles(units: Mapping[str, Unit]) -> Iterator[tuple[str, int, str]]:
    """Find functions that call themselves, over others too: module, line, name."""
    edges: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for module, unit in units.items():
        for name, function in unit.functions.items():
            used = [n.id for n in ast.walk(function) if isinstance(n, ast.Name)]
            edges[module, name] = [
                unit.imported.get(other, (module, other))
                for other in used
                if other != name or _calls(function)
            ]
    for start in edges:
        seen: dict[tuple[str, str], None] = {}
        waiting = list(edges[start])
        while waiting:
            one = waiting.pop()
            if one in seen or one not in edges:
                continue
            seen[one] = None
            waiting += edges[one]
        if start in seen:
            yield start[0], units[start[0]].functions[start[1]].lineno, start[1]


def _calls(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(n, ast.Name) and n.id == function.name and isinstance(n.ctx, ast.Load)
        for n in ast.walk(function)
    )
