"""Walk the whole journal of the books, account by account, and hold it against the state.

The index is merged as it is read, so nothing but the walk's place is in memory. It is for exports and the
check of a store; statements of one account are `history.find_journal`.

Cost: about 10 us a row.
"""

from collections import defaultdict
from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter
from struct import iter_unpack

from node.books.postings import NO_ROWS, AccountRecord, Posting, decode_posting, read_record, roll
from node.store.environment import Peek
from node.store.history import JOURNAL_ACCOUNT_BYTES, JOURNAL_ENTRY_BYTES, JOURNAL_KEY_BYTES
from node.store.packing import unpack_item
from node.store.tables import JOURNAL, JOURNAL_RUNS
from protocol.contracts.ledger.accounts import ACCOUNT, NO_HISTORY, TOTAL
from protocol.errors import Rejected
from protocol.params import AMOUNT_MAX
from protocol.vm.view import StateReader, View

_ENTRY = f"{JOURNAL_ENTRY_BYTES}s"


def walk_postings(peek: Peek) -> Iterator[tuple[Posting, bytes]]:
    """Walk all postings with their rows, by account and sequence.

    Raises:
        Rejected: a row is damaged.
    """
    runs = [iter_unpack(_ENTRY, run) for _, run in peek.descend(JOURNAL_RUNS)]
    for (entry,) in merge(*runs):
        account, sequence = entry[:JOURNAL_ACCOUNT_BYTES], entry[JOURNAL_ACCOUNT_BYTES:JOURNAL_KEY_BYTES]
        height, at = entry[JOURNAL_KEY_BYTES:-4], entry[-4:]
        packed = peek.get(JOURNAL, b"\0\0" + height)
        assert packed is not None, "an index entry without its row"
        raw = unpack_item(packed, int.from_bytes(at, "big"))
        yield decode_posting(account, int.from_bytes(sequence, "big"), raw), raw


def walk_moves(peek: Peek, state: StateReader) -> Iterator[Posting]:
    """Walk all movements once, by account: the debited account's posting, or the other one's where that
    account keeps no journal."""
    for posting, _ in walk_postings(peek):
        if not posting.is_credit or load_record(state, posting.contra).flags & NO_HISTORY:
            yield posting


def load_record(state: StateReader, account: bytes) -> AccountRecord:
    """Read what a state says of an account."""
    return read_record(account, state.get(ACCOUNT.prefix + account))


def find_journal_faults(peek: Peek, state: StateReader, *, is_whole: bool) -> Iterator[str]:
    """Yield one sentence for everything in the journal that is not what the state says, at most so much that
    one account speaks once.

    Rules: 1. each account's rows are those of its rolling hash, as many as its sequence. 2. balances follow
        from row to row, up to that of the state. 3. for each asset and class, what was debited and credited
        by the rows is the trial balance, where all its accounts keep journals.

    Args:
        is_whole: the journal begins with the founding of the chain, and not above a snapshot; else the rows
            are held against balances only.
    """
    sums: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
    seen: set[bytes] = set()
    try:
        for account, group in groupby(walk_postings(peek), key=lambda pair: pair[0].account):
            seen.add(account)
            fault = _find_account_fault(load_record(state, account), group, sums, is_whole)
            if fault is not None:
                yield f"journal of account {account.hex()}: {fault}"
    except Rejected as rejected:
        yield f"journal: a row cannot be read: {rejected.detail}"
        return
    if is_whole:
        yield from _find_total_faults(state, seen, sums)


def _find_account_fault(
    record: AccountRecord,
    group: Iterator[tuple[Posting, bytes]],
    sums: dict[tuple[int, int], list[int]],
    is_whole: bool,
) -> str | None:
    rolled, last, fault = NO_ROWS, None, None
    for posting, raw in group:
        rolled = roll(rolled, raw)
        side = sums[_asset_and_class(posting.account)]
        side[posting.is_credit] += posting.amount
        before = last.balance if last is not None else 0 if is_whole else posting.balance - posting.signed
        is_next = last is None or posting.sequence == last.sequence + 1
        if posting.balance != before + posting.signed or not is_next:
            fault = fault or f"row {posting.sequence} does not follow"
        last = posting
    assert last is not None
    if (last.sequence, last.balance) != (record.sequence, record.balance):
        return fault or f"ends with row {last.sequence}, the state with {record.sequence}"
    return fault or (
        f"rows are not those of its hash, {rolled.hex()}" if is_whole and rolled != record.rolled else None
    )


def _find_total_faults(
    state: StateReader, seen: set[bytes], sums: dict[tuple[int, int], list[int]]
) -> Iterator[str]:
    view, prefix = View(state), ACCOUNT.prefix
    silent: set[tuple[int, int]] = set()
    for key, value in state.scan(prefix):
        account = key[len(prefix) :]
        record = read_record(account, value)
        if record.flags & NO_HISTORY:
            silent.add(_asset_and_class(account))
        elif account not in seen and record.sequence:
            yield f"journal of account {account.hex()}: has no rows, the state names {record.sequence}"
    for key, row in TOTAL.scan(view):
        asset, account_class = TOTAL.parts(key)
        assert isinstance(asset, int) and isinstance(account_class, int)
        debits, credits = sums.get((asset, account_class), [0, 0])
        turn = AMOUNT_MAX + 1
        if (asset, account_class) not in silent and (debits % turn, credits % turn) != (row[2], row[4]):
            yield (
                f"asset {asset}, class {account_class}: the journal sums up to {debits} and {credits}, "
                f"the trial balance says {row[2]} and {row[4]}"
            )


def _asset_and_class(account: bytes) -> tuple[int, int]:
    return int.from_bytes(account[22:26], "big"), int.from_bytes(account[20:22], "big")


by_place = attrgetter("height", "index", "sequence")
"""The order in which postings were made."""
