"""What goes wrong on our own machine: disk, network, configuration, keys.

The fourth family of errors (the other three are in `protocol/errors.py`). The three lines that a person
reads are part of the error; numbers and translations are `catalog.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class OperationError(Exception):
    """Say that our machine could not do something, and what its owner can do about it.

    Args:
        slug: stable name, such as `sign_state.missing`.
        what: what happened, one sentence.
        why: the reason, with the numbers; never a secret.
        do: a command or a step that helps.
    """

    def __init__(self, slug: str, what: str, why: str, do: str) -> None:
        super().__init__(f"{what} Why: {why} Do: {do}")
        self.slug = slug
        self.what = what
        self.why = why
        self.do = do


@contextmanager
def disk_errors(slug: str, action: str) -> Iterator[None]:
    """Turn what a disk refuses into `OperationError`.

    Args:
        action: what could not be done, as in `save the key`.
    """
    try:
        yield
    except OSError as failure:
        raise OperationError(
            slug,
            f"Could not {action}.",
            f"{failure.filename or 'the disk'}: {failure.strerror or type(failure).__name__}.",
            "check the path, its owner and the space left",
        ) from failure


def first_of(group: BaseExceptionGroup[E]) -> E:
    """Return the first failure in a group, however deep it lies."""
    failure: E | BaseExceptionGroup[E] = group
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
