"""What the tests of the node share: the events it logs, whatever other tests set the log up to be."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Yield the events logged from now on, oldest first; how the log was set up is put back."""
    before = structlog.get_config()
    structlog.reset_defaults()
    with capture_logs() as events:
        yield events
    structlog.configure(**before)
