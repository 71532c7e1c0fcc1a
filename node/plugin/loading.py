"""Find the plugins that the settings name, read them, refuse what is wrong, load them; in this order.

A distribution that is installed and not named is not looked at, so nobody becomes part of a node by being a
dependency of something. What is loaded is bound to its source: the modules of the distribution that an entry
point reaches by its imports, and no others, so that a later version beside it changes nothing. Whether a
chain runs it is what the chain says (`protocol.contracts.registry`).

*Source*: contracts.md 3.12.
"""

import ast
import importlib
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NoReturn

from node.errors import OperationError
from node.plugin.lint import lint
from protocol import codec, crypto
from protocol.contracts import BUILTINS, REGISTRY
from protocol.crypto import Domain
from protocol.plugin.schema import with_code
from protocol.vm.contract import Contract

GROUP: Final = "coopd.contracts"
MODULES_MAX: Final = 100
MODULE_BYTES_MAX: Final = 256 * 1024
BREACHES_SHOWN: Final = 20
PROJECT_FILE: Final = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Source:
    """A distribution, and where its modules lie.

    Args:
        entries: (module, name in it) of each version of a contract that it has.
    """

    name: str
    version: str
    root: Path
    entries: tuple[tuple[str, str], ...]

    @property
    def package(self) -> str:
        """Return what a vote calls it."""
        return f"{self.name} {self.version}"


def install_plugins(names: tuple[str, ...]) -> None:
    """Add the contracts of the named distributions to what this process can run; once, before any block.

    Args:
        names: each `name==version`.

    Raises:
        OperationError: plugin.missing, plugin.version, plugin.malformed, plugin.refused, plugin.clash.
    """
    contracts = [contract for name in names for contract in load(find_installed(name))]
    known = {(c.id, c.version) for c in REGISTRY.newer}
    fresh = tuple(contract for contract in contracts if (contract.id, contract.version) not in known)
    _check_apart(fresh)
    REGISTRY.install(fresh)


def find_installed(name: str) -> Source:
    """Find a distribution that is installed here, of exactly the version that is named.

    Raises:
        OperationError: plugin.missing, plugin.version, plugin.malformed.
    """
    wanted, _, version = name.partition("==")
    try:
        found = metadata.distribution(wanted)
    except (metadata.PackageNotFoundError, ValueError):
        raise OperationError(
            "plugin.missing",
            f"The plugin {wanted or name!r} is not installed.",
            "the setting plugins names it, and this Python does not find it.",
            f"install it into {sys.prefix}, or take it out of the settings",
        ) from None
    if not version or found.version != version:
        raise OperationError(
            "plugin.version",
            f"The plugin {wanted} is not of the version that is wanted.",
            f"the setting plugins says {name!r}; {wanted}=={found.version} is installed.",
            "install that version, or name this one: a plugin is always named with its version",
        )
    entries = [(entry.module, entry.attr) for entry in found.entry_points if entry.group == GROUP]
    return _source(wanted, version, Path(str(found.locate_file(""))), entries)


def find_project(folder: Path) -> Source:
    """Find the plugin whose project lies in a folder: `pyproject.toml` beside its modules, or beside `src`.

    Raises:
        OperationError: plugin.malformed.
    """
    try:
        project = tomllib.loads((folder / PROJECT_FILE).read_text("utf-8"))["project"]
        points: dict[str, str] = project["entry-points"][GROUP]
        entries = [(text.partition(":")[0], text.partition(":")[2]) for text in points.values()]
        name, version = str(project["name"]), str(project["version"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as wrong:
        _refuse(str(folder), f"{folder / PROJECT_FILE} has no entry points {GROUP!r}: {wrong}")
    root = folder / "src" if (folder / "src").is_dir() else folder
    return _source(name, version, root.absolute(), entries)


def _source(name: str, version: str, root: Path, entries: list[tuple[str, str]]) -> Source:
    if not entries:
        _refuse(name, f"it has no entry point of the group {GROUP!r}")
    for module, attribute in entries:
        if not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            _refuse(name, f"the entry point {module}:{attribute} is not module:NAME")
    return Source(name, version, root, tuple(sorted(entries)))


def load(source: Source) -> tuple[Contract, ...]:
    """Read, check and load every version of a contract that a distribution has.

    Raises:
        OperationError: plugin.malformed, plugin.refused with every breach of the rules.
    """
    read = [(read_modules(source, module), module, attribute) for module, attribute in source.entries]
    for modules, _, _ in read:
        breaches = lint(modules)
        if breaches:
            shown = "; ".join(str(breach) for breach in breaches[:BREACHES_SHOWN])
            raise OperationError(
                "plugin.refused",
                f"The plugin {source.package} is refused: it breaks {len(breaches)} rules for plugins.",
                shown,
                "have its author correct it: coopd contract check shows all of it",
            )
    return tuple(_load(source, modules, module, attribute) for modules, module, attribute in read)


def _load(source: Source, modules: dict[str, str], module: str, attribute: str) -> Contract:
    try:
        loaded: Any = importlib.import_module(module)
        contract = getattr(loaded, attribute)
    except Exception as wrong:
        _refuse(source.name, f"{module} cannot be loaded: {type(wrong).__name__}: {wrong}")
    for name in modules:
        found = getattr(sys.modules.get(name), "__file__", None)
        if found is None or Path(found).resolve() != find_file(source, name).resolve():
            _refuse(source.name, f"the module {name} was loaded from {found}, not from {source.root}")
    if not isinstance(contract, Contract):
        _refuse(source.name, f"{module}:{attribute} is no contract")
    return with_code(contract, compute_code_hash(modules))


def read_modules(source: Source, module: str) -> dict[str, str]:
    """Read a module and all modules of its distribution that it reaches by imports, by name.

    Raises:
        OperationError: plugin.malformed: one is not there, or there are too many or too large ones.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if len(found) == MODULES_MAX:
            _refuse(source.name, f"it has more than {MODULES_MAX} modules")
        path = find_file(source, name)
        try:
            data = path.read_bytes()
            found[name] = data.decode("utf-8")
        except (OSError, UnicodeDecodeError) as wrong:
            _refuse(source.name, f"the module {name} cannot be read: {wrong}")
        if len(data) > MODULE_BYTES_MAX:
            _refuse(source.name, f"the module {name} has {len(data)} bytes, limit {MODULE_BYTES_MAX}")
        parent = name.rpartition(".")[0]
        waiting += [parent] if parent else []
        waiting += _list_imports(source, name, path, found[name])
    return dict(sorted(found.items()))


def _list_imports(source: Source, name: str, path: Path, text: str) -> list[str]:
    """List the modules of the same package that a module imports; others are the lint's affair."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    top, found = name.split(".")[0], []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = parts[: len(parts) - node.level + (path.name == "__init__.py")]
                base = ".".join([*kept, base] if base else kept)
            found += [base, *[f"{base}.{alias.name}" for alias in node.names]]
    return [one for one in found if one.split(".")[0] == top and find_file(source, one).is_file()]


def find_file(source: Source, module: str) -> Path:
    """Return where a module of a distribution lies."""
    path = source.root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def compute_code_hash(modules: dict[str, str]) -> bytes:
    """Compute the digest of modules: names and text, ascending by name."""
    value = tuple((name, crypto.sha256(text.encode())) for name, text in sorted(modules.items()))
    return crypto.digest(Domain.CONTRACT_SCHEMA, codec.encode(value))


def _check_apart(contracts: tuple[Contract, ...]) -> None:
    """Check that no plugin has a number or a name of another contract.

    Raises:
        OperationError: plugin.clash.
    """
    taken = {c.id: c.name for c in (*BUILTINS, *REGISTRY.newer)}
    versions: set[tuple[int, int]] = set()
    for contract in contracts:
        other = taken.get(contract.id)
        is_twice = (contract.id, contract.version) in versions
        names = {name: number for number, name in taken.items()}
        if (
            is_twice
            or other not in (None, contract.name)
            or names.get(contract.name, contract.id) != contract.id
        ):
            raise OperationError(
                "plugin.clash",
                "Two contracts of this node have one number or one name.",
                f"contract {contract.id}, {contract.name!r}, version {contract.version} is there twice, or is"
                f" {other or contract.name!r} already.",
                "take one of the plugins out of the settings",
            )
        versions.add((contract.id, contract.version))
        taken[contract.id] = contract.name


def _refuse(name: str, why: str) -> NoReturn:
    raise OperationError(
        "plugin.malformed",
        f"The plugin {name} cannot be used.",
        f"{why}.",
        "see docs/plugins.md, or take it out of the settings",
    )
