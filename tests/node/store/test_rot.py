"""Single flipped bits in a database: a short form of what `scripts/rot` does for as long as one likes."""

from pathlib import Path

from tests.node.store.rot import flip_many


def test_no_flipped_bit_passes(tmp_path: Path) -> None:
    found = flip_many(tmp_path, 100, 3)
    assert sum(found.values()) == 100 and found["found"] and found["harmless"]
    assert not found["missed"] and not found["wrong answer"], found
