"""The pages of the walks through the village show the same in both languages: commands and outputs, in order.

Their runs are tests/cluster/test_walkthrough.py, test_bank.py and test_voting_walkthrough.py.
WRITE_WALKTHROUGH=1 updates a translation.
"""

import os

import pytest

from tests.cluster.walkthrough import ROOT, copy_blocks, read_blocks

PAGES = ("walkthrough", "walkthrough-2", "bank-walkthrough", "bank-walkthrough-2", "voting-walkthrough")


@pytest.mark.parametrize("name", PAGES)
def test_a_translation_has_the_commands_and_outputs_of_its_page(name: str) -> None:
    page, translation = (ROOT / "docs" / f"{name}{ending}" for ending in (".md", ".zh.md"))
    english, chinese = page.read_text(encoding="utf-8"), translation.read_text(encoding="utf-8")
    assert len(read_blocks(english)) == len(read_blocks(chinese)), "translate what was added or taken out"
    if os.environ.get("WRITE_WALKTHROUGH"):
        translation.write_text(copy_blocks(english, chinese), encoding="utf-8")
        chinese = translation.read_text(encoding="utf-8")
    assert read_blocks(english) == read_blocks(chinese), "run it with WRITE_WALKTHROUGH=1, read what differs"


def test_a_block_is_copied_to_its_own_place() -> None:
    english = "A\n```console\n$ one\n1\n```\nB\n```console\n$ two\n```\n"
    chinese = "甲\n```console\n$ old\n```\n乙\n```console\n$ two\n```\n丙\n"
    assert read_blocks(chinese) != read_blocks(english)
    assert copy_blocks(english, chinese) == (
        "甲\n```console\n$ one\n1\n```\n乙\n```console\n$ two\n```\n丙\n"
    )
