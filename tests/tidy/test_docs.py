"""Holds that the docs are true: both languages say the same, links lead somewhere, examples run.

The convention for examples: a fenced block marked ```python that begins with >>> is a doctest and runs; any
other block marked ```python must at least compile. Blocks with another mark are not looked at.
"""

import doctest
import re
import textwrap
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def without_blocks(text: str) -> str:
    return FENCE.sub("", text)


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", without_blocks(text), re.MULTILINE)


def run_example(name: str, code: str) -> str:
    """Run one block; return what went wrong, or nothing."""
    if not code.lstrip().startswith(">>>"):
        try:
            compile(textwrap.dedent(code), name, "exec")
        except SyntaxError as error:
            return f"{name}: {error}"
        return ""
    report: list[str] = []
    test = doctest.DocTestParser().get_doctest(code, {}, name, name, 0)
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return "".join(report)


def test_both_readmes_say_the_same(texts: dict[Path, str]) -> None:
    english, chinese = texts[Path("README.md")], texts[Path("README.zh.md")]
    assert headings(english) == headings(chinese), "README.md and README.zh.md differ in their headings"
    assert FENCE.findall(english) == FENCE.findall(chinese), "README.md and README.zh.md differ in their code"


def test_readme_commands_exist(root: Path, texts: dict[Path, str]) -> None:
    doors = set(re.findall(r"\./(scripts/\w+)", texts[Path("README.md")]))
    assert {"scripts/localnet", "scripts/test"} <= doors
    for door in doors:
        assert (root / door).is_file(), f"README.md names {door}, which is not there"


def test_links_lead_somewhere(root: Path, texts: dict[Path, str]) -> None:
    broken = [
        f"{path}: {link}"
        for path, text in texts.items()
        if path.suffix == ".md"
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", without_blocks(text))
        if ":" not in link and not (root / path.parent / link).exists()
    ]
    assert not broken, "\n".join(["links to files that are not there", *broken])


def test_examples_run(texts: dict[Path, str]) -> None:
    failed = [
        wrong
        for path, text in texts.items()
        if path.suffix == ".md"
        for mark, code in FENCE.findall(text)
        if mark == "python" and (wrong := run_example(str(path), code))
    ]
    assert not failed, "\n".join(failed)


def test_a_wrong_example_is_found() -> None:
    assert run_example("a", ">>> 1 + 1\n3\n")
    assert run_example("a", "def\n")
    assert not run_example("a", ">>> 1 + 1\n2\n")
    assert not run_example("a", "x = 1\n")


def test_decisions_are_numbered_and_whole(texts: dict[Path, str]) -> None:
    """Each decision says what it decides, why, and what was refused (docs/adr)."""
    decisions = sorted(path for path in texts if path.match("docs/adr/*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1)), f"gaps or doubles in {numbers}"
    for path in decisions:
        for section in ("## Decision", "## Why", "## Refused"):
            assert section in texts[path], f"{path} has no section {section}"
