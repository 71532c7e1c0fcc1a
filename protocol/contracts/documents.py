"""docs: what the co-op holds on paper, by commitment only; and the keys with which members read memos.

A document is `sha256(salt || content)`: salt and content stay with whoever keeps the paper, so erasing is to
destroy them. The chain keeps the commitment, who put it there and when, and until when the law wants it kept;
before that an erasure is refused, after it a tombstone says that it happened.

A view key is a public key to which memos of payments are encrypted. What a memo says, and who can read it, is
the wallets' affair; this file knows neither content nor memos.

*Source*: contracts.md D21, 5.22.
"""

from typing import Final, TypeAlias

from protocol import crypto
from protocol.codec import Value
from protocol.params import QUERY_ITEMS_MAX
from protocol.types import Address, ContractId
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import Contract, ErrorType, EventType, Method, Owner, Query
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    BOOL,
    HASH,
    PUBLIC_KEY,
    SECONDS,
    U48,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
    Text,
)
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row

ID: Final = ContractId(51)

NO_DOCUMENT: Final = 5101
REGISTERED: Final = 5102
RETAINED: Final = 5103
ERASED: Final = 5104
SHORTER: Final = 5105
NOT_A_KEY: Final = 5106

KIND_BYTES_MAX: Final = 32

DocumentRow: TypeAlias = tuple[int, Address, bytes, str, int, int, int]
"""(schema, owner, commitment, kind, registered, kept until, erased at; 0: not erased)"""
ViewKeyRow: TypeAlias = tuple[int, bytes]
CounterRow: TypeAlias = tuple[int, int]

DOCUMENT: Final = Integer("document", 1, (1 << 48) - 1)
_KIND: Final = Field("kind", Text("kind", KIND_BYTES_MAX), "bylaws, contract, statement, ...")
_KEEP: Final = Field("keep_until", SECONDS, "last second in which it may not be erased; 0: none")
_OWNER: Final = Field("owner", ADDRESS)
_COMMITMENT: Final = Field("commitment", HASH, "sha256 of salt and content")


def _select_owner(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    assert type(row[1]) is bytes
    return (row[1],)


def _select_commitment(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    assert type(row[2]) is bytes
    return (row[2],)


BY_OWNER: Final = Index(2, "by_owner", (data_key("owner", 20),), _select_owner)
BY_COMMITMENT: Final = Index(3, "by_commitment", (data_key("commitment", 32),), _select_commitment)
DOCUMENTS: Final[Table[DocumentRow]] = Table(
    ID,
    1,
    "document",
    (uint_key("document", 48),),
    (
        _OWNER,
        _COMMITMENT,
        _KIND,
        Field("registered", SECONDS),
        _KEEP,
        Field("erased", SECONDS, "when; 0: it is still there"),
    ),
    (BY_OWNER, BY_COMMITMENT),
    doc="Commitments to documents.",
)
VIEW_KEYS: Final[Table[ViewKeyRow]] = Table(
    ID,
    4,
    "view_key",
    (data_key("owner", 20),),
    (Field("key", PUBLIC_KEY),),
    doc="Keys to which memos are encrypted.",
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 5, "counter", (), (Field("documents", U48),), doc="Number of the newest document."
)

REGISTERED_EVENT: Final = EventType(
    ID,
    1,
    "registered",
    (Field("document", DOCUMENT), _OWNER, _COMMITMENT),
    "A document has been put on record.",
)
ERASED_EVENT: Final = EventType(
    ID,
    2,
    "erased",
    (Field("document", DOCUMENT), _OWNER),
    "The content of a document has been destroyed; its commitment stays.",
)


# --- methods


def _register(ctx: Context, owner: Address, commitment: bytes, kind: str, keep_until: int) -> Value:
    view = ctx.view
    for _, known in DOCUMENTS.scan_index(view, BY_COMMITMENT, commitment):
        fail(REGISTERED, "docs.commitment_once", None, known)
    counter = COUNTER.get(view, COUNTER.key())
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.key(), (SCHEMA, number))
    row = (SCHEMA, owner, commitment, kind, ctx.environment.time, keep_until, 0)
    DOCUMENTS.put(view, DOCUMENTS.key(number), row)
    ctx.emit(REGISTERED_EVENT, number, owner, commitment)
    return number


def _keep_longer(ctx: Context, owner: Address, number: int, keep_until: int) -> Value:
    row = _find(ctx, owner, number)
    if keep_until <= row[5]:
        fail(SHORTER, "docs.keep_until", row[5], keep_until)
    DOCUMENTS.put(ctx.view, DOCUMENTS.key(number), (*row[:5], keep_until, row[6]))
    return True


def _erase(ctx: Context, owner: Address, number: int) -> Value:
    row, time = _find(ctx, owner, number), ctx.environment.time
    if time <= row[5]:
        fail(RETAINED, "docs.keep_until", row[5], time)
    DOCUMENTS.put(ctx.view, DOCUMENTS.key(number), (*row[:6], time))
    ctx.emit(ERASED_EVENT, number, owner)
    return True


def _find(ctx: Context, owner: Address, number: int) -> DocumentRow:
    """Return a document that its owner has not erased."""
    row = DOCUMENTS.get(ctx.view, DOCUMENTS.key(number))
    if row is None or row[1] != owner:
        fail(NO_DOCUMENT, "docs.document", None, number)
    if row[6]:
        fail(ERASED, "docs.erased", None, row[6])
    return row


def _set_view_key(ctx: Context, owner: Address, key: bytes | None) -> Value:
    place = VIEW_KEYS.key(owner)
    if key is None:
        VIEW_KEYS.delete(ctx.view, place)
        return True
    if not crypto.is_public_key(key):
        fail(NOT_A_KEY, "docs.view_key", None, key)
    VIEW_KEYS.put(ctx.view, place, (SCHEMA, key))
    return True


# --- queries

_STATE: Final = Fields((Field("document", DOCUMENT), *DOCUMENTS.fields))


def _query_document(query: QueryContext, number: int) -> Value:
    row = DOCUMENTS.get(query.view, DOCUMENTS.key(number))
    return None if row is None else (number, *row[1:])


def _query_by_owner(query: QueryContext, owner: Address, after: int) -> Value:
    page = DOCUMENTS.page(query.view, BY_OWNER, owner, after=(after,) if after else ())
    return tuple((number, *row[1:]) for (number,), row in page)


def _query_find(query: QueryContext, commitment: bytes) -> Value:
    page = DOCUMENTS.page(query.view, BY_COMMITMENT, commitment)
    return next(((number, *row[1:]) for (number,), row in page), None)


def _query_view_key(query: QueryContext, owner: Address) -> Value:
    row = VIEW_KEYS.get(query.view, VIEW_KEYS.key(owner))
    return None if row is None else row[1]


_DOCUMENT: Final = Field("document", DOCUMENT)

CONTRACT: Final = Contract(
    ID,
    "docs",
    layer=5,
    version=1,
    doc="Commitments to documents with their retention, and keys for encrypted memos.",
    tables=(DOCUMENTS, VIEW_KEYS, COUNTER),
    methods=(
        Method(
            1,
            "register",
            (_OWNER, _COMMITMENT, _KIND, _KEEP),
            DOCUMENT,
            (Owner("owner"),),
            20,
            _register,
            "Put a document on record; returns its number.",
        ),
        Method(
            2,
            "keep_longer",
            (_OWNER, _DOCUMENT, _KEEP),
            BOOL,
            (Owner("owner"),),
            20,
            _keep_longer,
            "Keep a document for longer; never for less.",
        ),
        Method(
            3,
            "erase",
            (_OWNER, _DOCUMENT),
            BOOL,
            (Owner("owner"),),
            20,
            _erase,
            "Say that salt and content are destroyed, after the time for which they had to be kept.",
        ),
        Method(
            4,
            "set_view_key",
            (_OWNER, Field("key", Maybe(PUBLIC_KEY), "nil: no memo can be encrypted to this account")),
            BOOL,
            (Owner("owner"),),
            20,
            _set_view_key,
            "Publish the key to which memos for an account are encrypted.",
        ),
    ),
    queries=(
        Query("document", (_DOCUMENT,), Maybe(_STATE), _query_document, "Return a document."),
        Query(
            "by_owner",
            (_OWNER, Field("after", U48, "number of the last one seen; 0: from the first")),
            Many(_STATE, QUERY_ITEMS_MAX),
            _query_by_owner,
            "List the documents of an account, oldest first.",
        ),
        Query("find", (_COMMITMENT,), Maybe(_STATE), _query_find, "Find a document by its commitment."),
        Query(
            "view_key", (_OWNER,), Maybe(PUBLIC_KEY), _query_view_key, "Return the view key of an account."
        ),
    ),
    events=(REGISTERED_EVENT, ERASED_EVENT),
    errors=(
        ErrorType(NO_DOCUMENT, "NO_DOCUMENT", "The account has no such document."),
        ErrorType(REGISTERED, "REGISTERED", "This commitment is on record already."),
        ErrorType(RETAINED, "RETAINED", "The document has to be kept for longer."),
        ErrorType(ERASED, "ERASED", "The document has been erased."),
        ErrorType(SHORTER, "SHORTER", "A document is never kept for a shorter time than was said."),
        ErrorType(NOT_A_KEY, "NOT_A_KEY", "This is not a public key."),
    ),
)
