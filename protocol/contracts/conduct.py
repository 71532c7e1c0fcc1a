"""Part of `registry`: what validators are convicted of, and whom that keeps out of the next epochs.

A block carries evidence that was checked (`chain/conviction.py`); here it is written down, once a validator,
epoch and kind, so that no amount of it fills the state. As long as one conviction stands, its operator can be
in no epoch that is decided: neither by that name, nor with that consensus key, nor on that node. The council
lifts what stands by a program of its own; what was done before then does not count again.

Nothing changes by itself: the epoch that runs goes on with all its validators, and a change that is decided
already happens, unless the council cancels it. Fewer validators than an engine needs is the council's to
prevent, not this file's to repair (M13).

*Source*: consensus.md 1.3 (M13), 2.8.
"""

from typing import Final, TypeAlias

from protocol.chain.conviction import Conviction
from protocol.chain.evidence import Evidence, EvidenceKind
from protocol.chain.validators import OPERATOR_BYTES_MAX
from protocol.codec import Value
from protocol.errors import Code, Rejected
from protocol.params import QUERY_ITEMS_MAX
from protocol.types import ContractId, Hash32, Height, PublicKey
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import EventType
from protocol.vm.keys import data_key, uint_key
from protocol.vm.kinds import HASH, HEIGHT, PUBLIC_KEY, U32, U63, Field, Fields, Integer, Many, Text
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ID: Final = ContractId(4)

SUSPENDED: Final = 416
NOT_SUSPENDED: Final = 417

ConvictionRow: TypeAlias = tuple[int, str, PublicKey, int, int, int, Hash32, int]
"""(schema, operator, node key, height and view of the deed, height of the block that carries the evidence,
hash of the evidence, height at which it was lifted or 0)"""

OPERATOR: Final = Text("operator", OPERATOR_BYTES_MAX)
KIND: Final = Integer("kind", EvidenceKind.DUPLICATE_VOTE, EvidenceKind.DUPLICATE_CLAIM)
_KIND_DOC: Final = (
    "1 two votes, 2 two proposals, 3 stale grant, 4 false claim, 5 amnesia, 6 two claims (consensus.md 2.8)"
)
_FIELDS: Final = (
    Field("operator", OPERATOR),
    Field("node_key", PUBLIC_KEY),
    Field("height", HEIGHT, "of the deed"),
    Field("view", U63, "term or round of the deed"),
    Field("recorded", HEIGHT, "block that carries the evidence"),
    Field("evidence", HASH),
    Field("lifted", HEIGHT, "at which the council lifted it; 0: it stands"),
)

CONVICTIONS: Final[Table[ConvictionRow]] = Table(
    ID,
    16,
    "conviction",
    (data_key("consensus_key", 33), uint_key("epoch", 32), uint_key("kind", 8)),
    _FIELDS,
    doc="What validators are convicted of, by evidence in blocks.",
)
LIFTED: Final = EventType(
    ID,
    16,
    "suspension_lifted",
    (Field("operator", OPERATOR),),
    "An operator may be in the next epochs again.",
)
OF_CONVICTION: Final = Fields(
    (Field("consensus_key", PUBLIC_KEY), Field("epoch", U32), Field("kind", KIND, _KIND_DOC))
)
CONVICTION: Final = Fields((*OF_CONVICTION.fields, *_FIELDS))


# --- kernel: evidence of a block


def check_news(view: View, evidence: Evidence) -> None:
    """Check that evidence says something that is not on the chain yet.

    Raises:
        Rejected: EXISTS.
    """
    row = CONVICTIONS.peek(view, _key(evidence))
    if row is not None and not (row[7] and evidence.height > row[7]):
        raise Rejected(Code.EXISTS, f"{row[1]} is convicted of {evidence.kind.name} since block {row[5]}")


def convict(view: View, height: Height, evidence: Evidence, conviction: Conviction) -> None:
    """Write down evidence of a block that was checked.

    Args:
        height: of the block.
    """
    validator, place = conviction.validator, (int(evidence.height), int(conviction.view), int(height))
    row = (SCHEMA, validator.operator, validator.node_key, *place, evidence.compute_hash(), 0)
    CONVICTIONS.put(view, _key(evidence), row)


def _key(evidence: Evidence) -> bytes:
    return CONVICTIONS.key(evidence.accused, evidence.epoch, int(evidence.kind))


# --- what follows


def check_not_suspended(view: View, operator: str, consensus_key: PublicKey, node_key: PublicKey) -> None:
    """Check that nothing stands against a validator-to-be.

    Raises:
        CallFailed: SUSPENDED.
    """
    for key, row in CONVICTIONS.scan(view):
        if row[7]:
            continue
        if operator == row[1] or node_key == row[2] or consensus_key == CONVICTIONS.parts(key)[0]:
            fail(SUSPENDED, "registry.not_suspended", None, operator)


def lift(ctx: Context, operator: str) -> Value:
    """Lift all that stands against an operator."""
    view = ctx.view
    standing = [(key, row) for key, row in CONVICTIONS.scan(view) if row[1] == operator and not row[7]]
    if not standing:
        fail(NOT_SUSPENDED, "registry.suspended", None, operator)
    for key, row in standing:
        CONVICTIONS.put(view, key, (*row[:7], int(ctx.environment.height)))
    ctx.emit(LIFTED, operator)
    return len(standing)


def list_convictions(query: QueryContext, after: tuple[bytes, int, int] | None) -> Value:
    """List what validators are convicted of, after one of these."""
    rows = CONVICTIONS.page_rows(query.view, after=after or ())
    return tuple([(*key, *row[1:]) for key, row in rows])


LIST: Final = Many(CONVICTION, QUERY_ITEMS_MAX)
COUNT: Final = Integer("count", 1, 1 << 31)
