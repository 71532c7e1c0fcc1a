"""What goes wrong on our machine says where, and is found in whatever group it comes."""

from pathlib import Path

import pytest

from node.errors import OperationError, disk_errors, first_of


def test_what_a_disk_refuses_says_what_could_not_be_done_and_where(tmp_path: Path) -> None:
    with pytest.raises(OperationError) as caught, disk_errors("key.disk", "read the key ada"):
        (tmp_path / "none").read_bytes()
    failure = caught.value
    assert (failure.slug, failure.what) == ("key.disk", "Could not read the key ada.")
    assert failure.why == f"{tmp_path / 'none'}: No such file or directory." and failure.do
    with pytest.raises(OperationError) as caught, disk_errors("key.disk", "read the key ada"):
        raise TimeoutError
    assert caught.value.why == "the disk: TimeoutError."


def test_the_first_failure_is_found_however_deep_it_lies() -> None:
    first = KeyError("first")
    assert first_of(ExceptionGroup("", [ExceptionGroup("", [first, ValueError()]), OSError()])) is first
