"""Gives the tidy tests the tracked files of the project, read and parsed once."""

import ast
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def list_tracked(root: Path) -> list[Path]:
    """List the files that git tracks or would track, or every file outside hidden folders without git."""
    found = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if found.returncode == 0:
        names = [Path(name) for name in found.stdout.decode().split("\0") if name]
    else:
        paths = (path.relative_to(root) for path in root.rglob("*"))
        names = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    return sorted(name for name in names if (root / name).is_file())


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def texts() -> dict[Path, str]:
    """Map each tracked text file, relative to the root, to its content; published vectors are left out."""
    found = {}
    for name in list_tracked(ROOT):
        if name.parts[:2] == ("tests", "vectors"):
            continue
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


@pytest.fixture(scope="session")
def trees(texts: dict[Path, str]) -> dict[Path, ast.Module]:
    """Map each Python file to its syntax; what does not parse is left to ruff, which says it once."""
    found = {}
    for path, text in texts.items():
        if path.suffix == ".py":
            with suppress(SyntaxError):
                found[path] = ast.parse(text)
    return found
