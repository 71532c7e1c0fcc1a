"""The laws of ARCHITECTURE.md that no other tool holds, each a function from one parsed file to its breaches.

It knows nothing of git, pytest or the file system: test_laws.py feeds it the project, and one planted breach
for each law. A breach is a line number and a message that names the cure.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

Breach = tuple[int, str]
Law = Callable[[Path, str, ast.Module], Iterator[Breach]]
Function = ast.FunctionDef | ast.AsyncFunctionDef

FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
CORE_STDLIB = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "operator",
    "struct",
    "types",
    "typing",
    "unicodedata",
}
CORE_FOREIGN = {"coincurve", "msgpack", "protocol"}
NONDETERMINISTIC_CALLS = {
    "__import__": "import at the top of the file, where import-linter sees it",
    "eval": "write a table or a match",
    "exec": "write a table or a match",
    "float": "money and time are integers; use protocol.money",
    "hash": "use protocol.crypto; hash() differs from process to process",
    "id": "give the object a number of its own; id() differs from process to process",
    "input": "the core has no terminal",
    "open": "the core has no files; take bytes",
    "print": "the core has no terminal; return a value",
    "round": "use protocol.money, where the rounding has a name",
}
ORDER_FREE = {"all", "any", "frozenset", "len", "max", "min", "set", "sorted", "sum"}


def is_core(path: Path) -> bool:
    return path.parts[0] == "protocol"


def is_product(path: Path) -> bool:
    return path.parts[0] in ("protocol", "node")


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def law_file_length(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """A file stays below 700 lines (ARCHITECTURE.md, The tree)."""
    count = text.count("\n")
    if count >= FILE_LINES_MAX:
        yield count, f"{count} lines; split the file where its first sentence says 'and'"


def law_function_length(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """A function stays below 60 lines, its docstring not counted (ARCHITECTURE.md, The tree)."""
    for function in functions(tree):
        count = (function.end_lineno or 0) - function.lineno + 1
        first = function.body[0]
        if ast.get_docstring(function, clean=False) is not None:
            count -= (first.end_lineno or 0) - first.lineno + 1
        if count >= FUNCTION_LINES_MAX:
            yield function.lineno, f"{function.name} has {count} lines; name its steps and call them"


def law_module_name(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """A module's name says what it holds (ARCHITECTURE.md, The tree)."""
    for part in path.with_suffix("").parts:
        for word in FORBIDDEN_NAMES.intersection(part.split("_")):
            yield 1, f"'{word}' names nothing; name the file after what it knows"


def law_module_docstring(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """A module says what it is and what it does not know (ARCHITECTURE.md, Docstrings)."""
    if text.strip() and not ast.get_docstring(tree):
        yield 1, "no module docstring; say what it is, what it deliberately does not know, where to look next"


def law_public_docstring(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """A public class or function of the core has a docstring (ARCHITECTURE.md, Docstrings)."""
    if not is_core(path):
        return
    scopes: list[ast.Module | ast.ClassDef] = [tree]
    scopes += [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    for scope in scopes:
        ports = isinstance(scope, ast.ClassDef) and any("Protocol" in ast.unparse(b) for b in scope.bases)
        for node in scope.body:
            if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_") or ports:
                continue
            if not ast.get_docstring(node) and not is_overload(node):
                yield node.lineno, f"{node.name} has no docstring; one imperative line with the unit will do"


def is_overload(node: Function | ast.ClassDef) -> bool:
    return any(ast.unparse(d).endswith(("overload", ".setter")) for d in node.decorator_list)


def law_core_imports(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """The core imports a short list of pure modules (law 1)."""
    if not is_core(path):
        return
    allowed = CORE_STDLIB | CORE_FOREIGN
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                roots = [alias.name.split(".")[0] for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                roots = [module.split(".")[0]]
            case _:
                continue
        for root in roots:
            if root not in allowed:
                yield node.lineno, f"imports {root}; hand its result in as an argument or an input"


def law_integers(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """No float and no true division in the core (law 7)."""
    if not is_core(path):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()):
                yield node.lineno, "float literal; use minor units, ppm or basis points"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "true division; use // on numbers that are not negative, or protocol.money"
            case ast.arg(annotation=ast.Name(id="float")) | ast.AnnAssign(annotation=ast.Name(id="float")):
                yield node.lineno, "float in a signature; use an integer with its unit in the name"


def law_determinism(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """No call in the core whose answer differs between processes (laws 1 and 7)."""
    if not is_core(path):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in NONDETERMINISTIC_CALLS:
                yield node.lineno, f"{name}(): {NONDETERMINISTIC_CALLS[name]}"


def law_set_order(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """Nothing in the core depends on the order of a set (law 7)."""
    if not is_core(path):
        return
    shared = {name for name in set_names(tree) if name.startswith(".")}
    top = ast.Module([node for node in tree.body if not isinstance(node, Function | ast.ClassDef)], [])
    lines = {source.lineno for source in walked(tree) if is_set(source, shared)}
    lines |= {source.lineno for source in walked(top) if is_set(source, set_names(top))}
    for scope in functions(tree):
        names = shared | set_names(top) | set_names(scope)
        lines |= {source.lineno for source in walked(scope) if is_set(source, names)}
    for line in sorted(lines):
        yield line, "walks a set, whose order differs; walk sorted(...) of it"


def walked(scope: ast.AST) -> list[ast.expr]:
    """List what loops, comprehensions and list() or tuple() go through where the order can matter."""
    free: set[ast.AST] = set()
    for node in ast.walk(scope):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[inner, *_]) if name in ORDER_FREE:
                free.add(inner)
    sources: list[ast.expr] = []
    for node in ast.walk(scope):
        match node:
            case ast.For(iter=source):
                sources.append(source)
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() if node not in free:
                sources += [generator.iter for generator in node.generators]
            case ast.Call(func=ast.Name(id="list" | "tuple" | "iter" | "enumerate"), args=[source, *_]):
                if node not in free:
                    sources.append(source)
    return sources


def set_names(scope: ast.AST) -> set[str]:
    """Collect the names that a scope declares or fills as sets; attributes with a dot before them."""
    found = set()
    for node in ast.walk(scope):
        match node:
            case ast.ClassDef(body=body):
                fields = [line for line in body if isinstance(line, ast.AnnAssign)]
                found |= {"." + ast.unparse(f.target) for f in fields if is_set_type(f.annotation)}
            case ast.AnnAssign(target=target, annotation=kind) if is_set_type(kind):
                found.add(set_name(target))
            case ast.arg(arg=name, annotation=ast.expr() as kind) if is_set_type(kind):
                found.add(name)
            case ast.Assign(targets=[target], value=value) if is_set(value, set()):
                found.add(set_name(target))
    return found


def set_name(node: ast.expr) -> str:
    return f".{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def is_set_type(kind: ast.expr) -> bool:
    return re.match(r"(set|frozenset|AbstractSet|Set|MutableSet)\b", ast.unparse(kind)) is not None


def is_set(value: ast.expr, names: set[str]) -> bool:
    match value:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), right=right):
            return is_set(left, names) or is_set(right, names)
        case ast.Name() | ast.Attribute():
            return set_name(value) in names
    return False


def law_assert(path: Path, text: str, tree: ast.Module) -> Iterator[Breach]:
    """An assert states what only our own bug can break, never a rule (law 8)."""
    if not is_product(path):
        return
    for function in functions(tree):
        # A private function may be handed what is already checked, or what we wrote ourselves.
        if not function.name.startswith(("check_", "decode_", "verify_")):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Assert):
                yield node.lineno, f"assert in {function.name}, which judges outside data; raise Rejected"


LAWS: tuple[Law, ...] = (
    law_file_length,
    law_function_length,
    law_module_name,
    law_module_docstring,
    law_public_docstring,
    law_core_imports,
    law_integers,
    law_determinism,
    law_set_order,
    law_assert,
)
