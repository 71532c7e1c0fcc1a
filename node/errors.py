"""What goes wrong on our own machine: disk, network, configuration, keys.

The fourth family of errors (the other three are in `protocol/errors.py`). The three lines that a person
reads are part of the error; numbers and translations are `catalog.py`.
"""


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
