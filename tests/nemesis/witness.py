"""Gathers the evidence for the judge: heights while things happen, and afterwards what every node shows.

Blocks, results and balances are asked through the gateways, as any member could; certificates, links and
sums are checked in the store; receipts are proved offline from the genesis document; what each daemon has
signed and logged is read from files that no fault reaches.
"""

import http.client
import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from node.cli.member.epoch_chain import EpochChain
from node.cli.member.receipts import Bundle, Proven, make_bundle, verify_bundle
from node.cli.operator.money_check import find_money_faults
from node.cli.terminal import Failure
from node.cluster.founding import CURRENCY_NUMBER
from node.store.check import check_store
from protocol.addresses import HRP_TEST, format_address
from protocol.chain.transaction import decode_signed
from protocol.contracts.registry import contract as registry
from protocol.errors import Rejected
from tests.nemesis.bank import Bank, Outcome, Payment
from tests.nemesis.child import list_contradictions
from tests.nemesis.cluster import Cluster
from tests.nemesis.history import BlockSeen, NodeSeen

LOOK_SECONDS: Final = 0.02
BATCH: Final = 50
CALL_SECONDS: Final = 30.0
RECEIPTS_PROVED: Final = 60
"""Receipts of each node that are proved, drawn from the acknowledged ones."""
NEVER_LOGGED: Final = ("signer.refused", "evidence.found", "invariant.broken")
"""Events that only a liar among the validators, or a bug, can cause."""


class HeightWatch:
    """Write down the height of every node again and again; use as a context."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = threading.Event()
        self.heights: dict[str, list[int]] = {node.name: [] for node in cluster.nodes}
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "HeightWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for at, seen in enumerate(self.heights.values()):
                height = self._cluster.height(at)
                if not seen or height != seen[-1]:
                    seen.append(height)


def gather(cluster: Cluster, bank: Bank, payments: Sequence[Payment], seed: int) -> list[NodeSeen]:
    """Ask every node for everything."""
    chance = random.Random(f"receipts {seed}")
    told = [payment for payment in payments if payment.outcome is Outcome.COMMITTED]
    return [
        _see(cluster, at, bank, chance.sample(told, min(RECEIPTS_PROVED, len(told))))
        for at in range(cluster.count)
    ]


def _see(cluster: Cluster, at: int, bank: Bank, to_prove: Sequence[Payment]) -> NodeSeen:
    node = cluster.nodes[at]
    height = cluster.height(at)
    blocks = [
        BlockSeen(
            form["header"]["height"],
            form["header"]["id"],
            form["header"]["parentId"],
            form["header"]["stateRoot"],
            tuple(form["transactions"]),
        )
        for form in _ask(node.url, [("chain_getBlock", {"block": h}) for h in range(1, height + 1)])
    ]
    ids = [tx_id for block in blocks for tx_id in block.tx_ids]
    states = _ask(node.url, [("tx_get", {"id": tx_id}) for tx_id in ids])
    results = {state["id"]: state["status"] == "committed" for state in states}
    asked = [("assets_balances", {"address": format_address(a, HRP_TEST)}) for a in bank.addresses]
    balances = {member: _posted(form) for member, form in enumerate(_ask(node.url, asked))}
    damage = (*_check_store(cluster, at), *_prove(cluster, node.url, to_prove), *_check_word(cluster, at))
    known = {payment.id for payment in bank.payments}
    acts = frozenset(tx_id for tx_id in ids if tx_id not in known and _is_act(cluster, at, tx_id))
    return NodeSeen(node.name, tuple(blocks), results, balances, damage, acts)


def _is_act(cluster: Cluster, at: int, tx_id: str) -> bool:
    """Tell whether a transaction calls nothing but the registry."""
    found = cluster.store(at).transaction(bytes.fromhex(tx_id[2:]))
    if found is None:
        return False
    program: Any = decode_signed(found[2], cluster.local.genesis.compute_hash()).tx.program
    return all(call[0] == registry.CONTRACT.id for call in program[1])


def _check_word(cluster: Cluster, at: int) -> Iterator[str]:
    """Say where a validator broke its word, by what it signed and what it logged."""
    yield from list_contradictions(cluster.signed(at))
    log = cluster.log_text(at)
    for event in NEVER_LOGGED:
        if event in log:
            line = next(line for line in log.splitlines() if event in line)
            yield f"it logged: {line[:300]}"


def _posted(form: dict[str, Any]) -> int:
    return sum(int(row["posted"]) for row in form["value"] if int(row["asset"]) == CURRENCY_NUMBER)


def _check_store(cluster: Cluster, at: int) -> Iterator[str]:
    for finding in check_store(cluster.store(at), find_money_faults).findings:
        yield f"height {finding.height}: {finding.what}"
    crash = Path(cluster.nodes[at].home) / "crash.txt"
    if crash.exists():
        yield f"it left {crash}: {crash.read_text()[:300]}"


def _prove(cluster: Cluster, url: str, payments: Sequence[Payment]) -> Iterator[str]:
    epochs = EpochChain(cluster.local.genesis)
    asked = [("tx_getReceipt", {"id": payment.id, "prove": True}) for payment in payments]
    for payment, answer in zip(payments, _ask(url, asked), strict=True):
        try:
            proven = _verify(make_bundle(answer, payment.raw), epochs)
        except (Failure, Rejected) as refusal:
            yield f"the receipt of {payment.id} does not verify: {refusal}"
            continue
        shown = (proven.receipt.height, proven.receipt.index, proven.receipt.is_ok)
        if shown != (payment.height, payment.index, payment.ok):
            yield f"the proven receipt of {payment.id} differs from the one that was given: {shown}"


def _verify(bundle: Bundle, epochs: EpochChain) -> Proven:
    """Verify as a member whose owner accepts a step back to Raft, after having been asked."""
    try:
        return verify_bundle(bundle, epochs)
    except Failure as refusal:
        if refusal.label != "member.fell_back":
            raise
    epochs.accept_raft()
    return verify_bundle(bundle, epochs)


def _ask(url: str, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Call many methods of one gateway, in batches; all must succeed."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CALL_SECONDS)
    results: list[Any] = []
    try:
        for start in range(0, len(calls), BATCH):
            body = [
                {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
                for number, (method, params) in enumerate(calls[start : start + BATCH])
            ]
            connection.request(
                "POST", "/rpc", msgspec.json.encode(body), {"Content-Type": "application/json"}
            )
            answers = msgspec.json.decode(connection.getresponse().read())
            for number, answer in enumerate(sorted(answers, key=lambda answer: answer["id"])):
                assert "result" in answer, f"{url}: {calls[start + number]}: {answer['error']}"
                results.append(answer["result"])
    finally:
        connection.close()
    return results
