"""The page of properties names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_property_of_the_page_has_its_test() -> None:
    page = (ROOT / "docs" / "properties.md").read_text()
    found = re.findall(r"\| ([\w/]+\.py), `(test_\w+)` \|", page)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(found) == len(rows) - 1
    for file, name in found:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}: no {name}"
