"""About this node: what it is, how it is, whom it is connected to, what it allows."""

from typing import Any

from node.config import VERSION
from node.ipc.messages import AskPeers, AskStatus, Peers, Status
from node.rpc.dispatch import ANONYMOUS_LIMITS, TRUSTED_LIMITS, Method, NoParams
from node.rpc.events import EVENTS_MAX, RETENTION_BLOCKS, SUBSCRIPTIONS_MAX
from node.rpc.forms import Form, ValidatorForm, epoch_form
from node.rpc.service import Call
from node.rpc.values import to_hex
from protocol.params import BLOCK_BYTES_MAX, BLOCK_TXS_MAX, TX_SIGNED_BYTES_MAX


class NodeInfo(Form):
    """What this node and its chain are."""

    version: str
    chain_id: str
    network_name: str
    genesis_hash: str
    protocol: str
    since_height: int
    operators: list[ValidatorForm]
    address_prefix: str
    is_dev: bool
    features: list[str]


class NodeStatus(Form):
    """How this node is now."""

    operator: str
    version: str
    height: int
    time: int
    target_height: int
    syncing: bool
    role: str
    leader: str
    view: int
    peers: int
    peers_known: int
    mempool: int
    last_commit_ms: int
    ready: bool
    warnings: list[str]
    epoch: int
    protocol: str


class NodeLimits(Form):
    """What one caller may ask."""

    batch: int
    body_bytes: int
    anonymous_batch: int
    anonymous_body_bytes: int
    subscriptions: int
    events_per_page: int
    retention_blocks: int
    tx_bytes: int
    block_bytes: int
    block_txs: int


class PeerForm(Form):
    """One node of the roster."""

    operator: str
    node_key: str
    address: str
    connected: bool
    direction: str
    rtt_us: int
    bytes_in: int
    bytes_out: int


class MempoolForm(Form):
    """How much waits."""

    transactions: int
    bytes: int
    oldest_ms: int


async def get_info(call: Call, params: NoParams) -> NodeInfo:
    """Say what this node and its chain are."""
    record = epoch_form(call.store.epoch_at(call.height + 1))
    facts = call.facts
    return NodeInfo(
        VERSION,
        facts.chain_id,
        facts.genesis.name,
        to_hex(facts.genesis_hash),
        record.protocol,
        record.since_height,
        record.validators,
        facts.hrp,
        facts.genesis.is_dev,
        [contract.name for contract in facts.registry.contracts],
    )


async def get_status(call: Call, params: NoParams) -> NodeStatus:
    """Say how this node is now."""
    status = await ask_status(call)
    return NodeStatus(
        status.operator,
        status.version,
        max(status.height, call.height),
        status.time_ms,
        status.target_height,
        status.target_height > status.height,
        status.role,
        status.leader,
        status.view,
        status.peers,
        status.peers_known,
        status.mempool_txs,
        status.last_commit_ms,
        status.ready,
        list(status.warnings),
        status.epoch,
        status.protocol,
    )


async def get_limits(call: Call, params: NoParams) -> NodeLimits:
    """Say what one caller may ask."""
    return NodeLimits(
        TRUSTED_LIMITS.batch_max,
        TRUSTED_LIMITS.body_bytes_max,
        ANONYMOUS_LIMITS.batch_max,
        ANONYMOUS_LIMITS.body_bytes_max,
        SUBSCRIPTIONS_MAX,
        EVENTS_MAX,
        RETENTION_BLOCKS,
        TX_SIGNED_BYTES_MAX,
        BLOCK_BYTES_MAX,
        BLOCK_TXS_MAX,
    )


async def get_peers(call: Call, params: NoParams) -> list[PeerForm]:
    """List the nodes of the roster."""
    answer = await call.service.ask(AskPeers())
    assert isinstance(answer, Peers)
    return [
        PeerForm(
            peer.operator,
            to_hex(peer.node_key),
            peer.address,
            peer.connected,
            "in" if peer.inbound else "out",
            peer.rtt_us,
            peer.bytes_in,
            peer.bytes_out,
        )
        for peer in answer.peers
    ]


async def get_mempool(call: Call, params: NoParams) -> MempoolForm:
    """Say how much waits."""
    status = await ask_status(call)
    return MempoolForm(status.mempool_txs, status.mempool_bytes, status.mempool_oldest_ms)


async def ask_status(call: Call) -> Status:
    """Ask the daemon how it is."""
    answer = await call.service.ask(AskStatus())
    assert isinstance(answer, Status)
    return answer


METHODS: tuple[Method[Any], ...] = (
    Method("node_getInfo", NoParams, NodeInfo, "What this node and its chain are.", get_info),
    Method("node_getStatus", NoParams, NodeStatus, "How this node is now.", get_status),
    Method("node_getLimits", NoParams, NodeLimits, "What one caller may ask.", get_limits),
    Method("net_getPeers", NoParams, list[PeerForm], "The nodes of the roster.", get_peers),
    Method("mempool_getStatus", NoParams, MempoolForm, "How many transactions wait.", get_mempool),
)
