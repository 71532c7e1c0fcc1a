"""Evidence: which validators are convicted on this chain, and the door by which anybody shows a new proof.

What convicts is judged by the daemon (`protocol/chain/conviction.py`) before it waits for a block. What is on
the chain is asked of the contract `registry`, so a reader may prove it as any other state.
"""

from typing import Any, cast

from node.ipc.messages import Accuse
from node.rpc.dispatch import Method, NoParams, Scope
from node.rpc.failure import RpcFailure
from node.rpc.forms import Form
from node.rpc.methods.params import Hex, Params
from node.rpc.service import Call
from node.rpc.values import from_hex, to_hex
from protocol.chain.evidence import EvidenceKind, decode_evidence
from protocol.contracts.registry import contract as registry
from protocol.errors import Code, Rejected
from protocol.transition import answer_query
from protocol.types import Seconds


class ConvictionForm(Form):
    """One deed that evidence in a block shows.

    `height` and `view` are those of the deed, `block` carries the evidence. As long as `lifted` is null, the
    operator can be in no epoch that is decided.
    """

    operator: str
    consensus_key: str
    node_key: str
    kind: str
    epoch: int
    height: int
    view: int
    block: int
    evidence: str
    lifted: int | None
    is_validator: bool


class Convictions(Form):
    """All deeds on the chain, and the operators that are suspended for them."""

    height: int
    items: list[ConvictionForm]
    suspended: list[str]


class EvidenceParams(Params):
    """Canonical bytes of a piece of evidence."""

    evidence: Hex


class Taken(Form):
    """The evidence convicts and waits for a block."""

    hash: str
    kind: str
    accused: str


async def get_evidence(call: Call, params: NoParams) -> Convictions:
    """Show which validators are convicted, of what, and whether that still keeps them out."""
    record = call.store.epoch_at(call.height + 1)
    with call.state(call.height) as state:
        rows = answer_query(state, Seconds(0), registry.CONTRACT.name, "convictions", (), None)
    items = []
    for row in cast(tuple[tuple[Any, ...], ...], rows):
        key, epoch, kind, operator, node_key, height, view, block, digest, lifted = row
        items.append(
            ConvictionForm(
                operator,
                to_hex(key),
                to_hex(node_key),
                EvidenceKind(kind).name.lower(),
                epoch,
                height,
                view,
                block,
                to_hex(digest),
                lifted or None,
                record.index_of(key) is not None,
            )
        )
    suspended = sorted({item.operator for item in items if item.lifted is None})
    return Convictions(call.height, sorted(items, key=lambda item: item.block), suspended)


async def submit_evidence(call: Call, params: EvidenceParams) -> Taken:
    """Show evidence to the node; it is told to every validator and gets into the next block."""
    raw = from_hex(params.evidence, "evidence")
    try:
        evidence = decode_evidence(raw)
        await call.service.ask(Accuse(raw))
    except Rejected as refusal:
        slug = _SLUGS.get(refusal.code, "evidence.wrong")
        raise RpcFailure(slug, detail=refusal.detail, code=int(refusal.code)) from None
    return Taken(to_hex(evidence.compute_hash()), evidence.kind.name.lower(), to_hex(evidence.accused))


_SLUGS: dict[int, str] = {
    Code.EXISTS: "evidence.known",
    Code.EXPIRED: "evidence.too_old",
    Code.FULL: "evidence.full",
}

METHODS: tuple[Method[Any], ...] = (
    Method(
        "chain_getEvidence",
        NoParams,
        Convictions,
        "Which validators are convicted of what, by evidence in blocks.",
        get_evidence,
        ("chain.pruned",),
    ),
    Method(
        "chain_submitEvidence",
        EvidenceParams,
        Taken,
        "Take a proof that a validator signed what it must not.",
        submit_evidence,
        ("evidence.known", "evidence.too_old", "evidence.full", "evidence.wrong", "node.not_ready"),
        Scope.SUBMIT,
    ),
)
