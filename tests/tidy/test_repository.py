"""Holds what concerns the files as a whole: what they may name, must have, and what builds from them."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# The patterns are written so that they do not match themselves.
FOREIGN = {
    "a folder of one machine; use a path relative to the project": r"(?<![\w.])/(?:work|root|home|Users)/\w",
    "a folder beside the project; copy what is needed to tests/vectors": r"\.\./(?:shared)\b",
    "a host of packages; name the package alone": r"(?i)\bpy[p]i\b|python[h]osted|npm[j]s|crates[.]io",
}
DEBT = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b(?!\(#\d+\))")


def find(pattern: str, texts: dict[Path, str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


@pytest.mark.parametrize("cure", FOREIGN)
def test_no_foreign_names(cure: str, texts: dict[Path, str]) -> None:
    """A clone on any machine reads the same (README.md)."""
    found = find(FOREIGN[cure], texts)
    assert not found, "\n".join([f"names {cure}", *found])


def test_debt_has_an_issue(texts: dict[Path, str]) -> None:
    found = find(DEBT.pattern, texts)
    assert not found, "\n".join(["open work without its issue; write the mark as MARK(#12)", *found])


@pytest.mark.parametrize(
    "text",
    ["see /" + "root/x", "in /" + "home/ann", "../" + "shared/a", "from Py" + "PI", "# TO" + "DO later"],
)
def test_patterns_can_match(text: str) -> None:
    assert any(find(pattern, {Path("a"): text}) for pattern in [*FOREIGN.values(), DEBT.pattern])


def test_debt_with_an_issue_passes() -> None:
    assert not find(DEBT.pattern, {Path("a"): "# TO" + "DO(#12) later"})


def test_changelog_exists(texts: dict[Path, str]) -> None:
    assert "## Unreleased" in texts[Path("CHANGELOG.md")], "CHANGELOG.md needs a section Unreleased"


def test_lock_is_hashed_and_bare(texts: dict[Path, str]) -> None:
    """Every package of the lock carries a hash and no address (docs/adr, one lock file)."""
    lock = texts[Path("requirements.lock")]
    assert "://" not in lock, "the lock holds an address; make it again as scripts/lock does"
    entries = re.split(r"\n(?=\S)", lock.strip())
    bare = [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert not bare, f"no hash for {bare}"


def test_lock_holds_what_the_project_names(root: Path, texts: dict[Path, str]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["dev"] + extras["build"]
    locked = set(re.findall(r"^([\w.-]+)==", texts[Path("requirements.lock")], re.MULTILINE))
    missing = [name for name in wanted if re.split(r"[^\w.-]", name)[0] not in locked]
    assert not missing, f"{missing} are not in requirements.lock; run scripts/lock"


def test_doors_can_be_opened(root: Path, texts: dict[Path, str]) -> None:
    doors = [path for path in texts if path.parts[0] in ("scripts", ".ci") and not path.suffix]
    assert len(doors) >= 5
    for door in doors:
        assert texts[door].startswith("#!"), f"{door} has no first line that names its interpreter"
        assert (root / door).stat().st_mode & 0o111, f"{door} is not executable; chmod +x"


def test_image_copies_what_exists(root: Path, texts: dict[Path, str]) -> None:
    """Each source of a COPY is in the tree and let in by .dockerignore."""
    admitted = set(re.findall(r"^!(\S+)", texts[Path(".dockerignore")], re.MULTILINE))
    copies = re.findall(r"^COPY ((?!--from)\S.*)$", texts[Path("Dockerfile")], re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()[:-1] if not source.startswith("--")]
    assert sources
    for source in sources:
        assert (root / source).exists(), f"the Dockerfile copies {source}, which is not there"
        assert source in admitted, f"the Dockerfile copies {source}, which .dockerignore keeps out"


def test_image_leaves_the_tools_of_development_out(root: Path, texts: dict[Path, str]) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {re.split(r"[^\w.-]", name)[0] for name in extras["dev"] + extras["build"]}
    removed = re.search(r"pip uninstall --yes((?:\s+\\?\s*[\w.-]+)+)", texts[Path("Dockerfile")])
    assert removed
    listed = set(re.findall(r"[\w.-]+", removed[1]))
    assert names <= listed, f"the Dockerfile does not remove {sorted(names - listed)}"


def error_codes(trees: dict[Path, ast.Module]) -> Iterator[tuple[int, str]]:
    """Walk the members of the enumerations of error codes in the core: each number with its place."""
    for path, tree in trees.items():
        if path.parts[0] != "protocol":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef) or not node.name.endswith("Code"):
                continue
            for line in node.body:
                match line:
                    case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=int(number))):
                        yield number, f"{path} {node.name}.{name}"


def test_error_codes_are_unique(trees: dict[Path, ast.Module]) -> None:
    """A code means one thing for ever (protocol/errors.py)."""
    codes = list(error_codes(trees))
    counts = Counter(number for number, _ in codes)
    doubles = [f"{number} {place}" for number, place in codes if counts[number] > 1]
    assert codes
    assert not doubles, "\n".join(
        ["codes with two meanings; give the newer one the next free number", *doubles]
    )
