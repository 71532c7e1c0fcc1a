"""A snapshot that could not be made is told, in as many characters as a log bears."""

from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import trio

from node.config import Config
from node.snapshot.folder import SnapshotFolder
from node.snapshot.maker import WHY_CHARS_MAX, SnapshotMaker


@pytest.mark.parametrize("said", [WHY_CHARS_MAX, WHY_CHARS_MAX + 1])
async def test_why_it_failed_is_told_in_so_many_characters(
    said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    async def fail(command: list[str], **_: object) -> CompletedProcess[bytes]:
        return CompletedProcess(command, 1, b"o", b"e" * (said - 1))

    monkeypatch.setattr(trio, "run_process", fail)
    await SnapshotMaker(Config(tmp_path), SnapshotFolder(tmp_path))._make(7)
    [event] = logged
    assert event["event"] == "snapshot.failed" and event["height"] == 7
    assert event["why"] == ("o" + "e" * (said - 1))[:WHY_CHARS_MAX]
