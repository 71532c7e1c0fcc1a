"""Journals for questions to the contracts (`protocol.transition.answer_query`), present or past.

States come from the store (`Store.view_at`). It does not know who asks (`rpc/`), and it proves nothing:
proofs come from the state tree, which the daemon holds.
"""

from node.store.store import Store
from protocol.vm.view import JournalRow


class StoredJournal:
    """Read posted rows of an account from the store; implements `protocol.vm.context.JournalReader`."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, account: bytes, before: int, limit: int) -> tuple[JournalRow, ...]:
        """Return rows below a sequence, newest first."""
        found = self._store.journal(account, before, limit)
        return tuple(JournalRow(account, row.sequence, row.row) for row in found)
