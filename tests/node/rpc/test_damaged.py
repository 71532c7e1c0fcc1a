"""A gateway over rows whose bits flipped: the right answer or `chain.damaged`, and nothing else."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.ipc.messages import Admin, Answer, Done, Request
from node.store.environment import Txn
from node.store.sound import KNOWN_ROWS_MAX, KnownRows
from node.store.tables import (
    BLOCK_HEIGHTS,
    BLOCKS,
    CERTIFICATES,
    EPOCHS,
    HEADERS,
    JOB_RUNS,
    RECEIPTS,
    TX_IDS,
    TX_RUNS,
)
from protocol.chain.validators import EngineKind
from tests.node.job_chain import make_job_chain
from tests.node.rpc.conftest import Caller, open_gateway

TABLES = (HEADERS, BLOCKS, CERTIFICATES, BLOCK_HEIGHTS, EPOCHS, TX_IDS, RECEIPTS, JOB_RUNS, TX_RUNS)
PLACES = range(0, 100, 7)
"""Where in a row a bit flips, in per cent of its length."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    """Six blocks with jobs, then one that ends the epoch and one of the next."""
    chain = make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.cross(EngineKind.RAFT, 0, 1)
    chain.commit(chain.pay("ada", "bo", 9))
    yield from open_gateway(chain)


def questions(gateway: Caller) -> list[dict[str, Any]]:
    store, head = gateway.chain.store, gateway.chain.executor.head.height
    block_id = gateway.call("chain_getHeader", block=3)["id"]
    ids = [*store.tx_ids(3), *store.run_ids(4), *store.tx_ids(head), bytes(32)]
    asks: list[tuple[str, dict[str, Any]]] = [
        *[("chain_getHeader", {"block": height}) for height in (3, head, "latest")],
        ("chain_getHeader", {"block": block_id}),
        *[
            ("chain_getBlock", {"block": at, "full": full})
            for at in (3, 4, 5, head)
            for full in (False, True)
        ],
        ("chain_getBlocks", {"first": 1, "last": head}),
        ("chain_getCertificate", {"height": 4}),
        ("chain_getEpochs", {}),
        *[("tx_get", {"id": "0x" + tx_id.hex()}) for tx_id in ids],
        *[
            ("tx_getReceipt", {"id": "0x" + tx_id.hex(), "prove": prove})
            for tx_id in ids
            for prove in (False, True)
        ],
        *[("coop_explain", {"id": "0x" + tx_id.hex()}) for tx_id in ids],
    ]
    return [
        {"jsonrpc": "2.0", "method": name, "params": params, "id": at}
        for at, (name, params) in enumerate(asks)
    ]


def ask_all(gateway: Caller, asks: list[dict[str, Any]]) -> list[Any]:
    """Ask as a gateway would that has just started."""
    gateway.chain.store._known = KnownRows()
    answers: dict[int, Any] = {}
    for at in range(0, len(asks), 10):
        answers |= {answer["id"]: answer for answer in gateway.post(asks[at : at + 10])}
    return [answers[ask["id"]] for ask in asks]


def is_refused(answer: Any) -> bool:
    return bool(answer.get("error", {}).get("data", {}).get("slug") == "chain.damaged")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def rows_of(gateway: Caller, table: str) -> list[tuple[bytes, bytes]]:
    with gateway.chain.store.environment.read() as txn:
        return list(txn.ascend(table))


def replace_row(gateway: Caller, table: str, old: bytes, row: tuple[bytes, bytes]) -> None:
    def work(txn: Txn) -> None:
        txn.delete(table, old)
        txn.put(table, *row)

    gateway.chain.store.environment.write(work)


@pytest.mark.parametrize("table", TABLES)
def test_every_flipped_bit_gives_the_right_answer_or_a_refusal(gateway: Caller, table: str) -> None:
    asks = questions(gateway)
    right, refused = ask_all(gateway, asks), 0
    assert not any(is_refused(answer) for answer in right)
    rows = rows_of(gateway, table)
    for number, place in enumerate(PLACES):
        key, value = rows[number * 5 % len(rows)]
        for row in (
            (key, flipped(value, len(value) * 8 * place // 100)),
            (flipped(key, number * 3 % (8 * len(key))), value),
        ):
            replace_row(gateway, table, key, row)
            for ask, answer, sound in zip(asks, ask_all(gateway, asks), right, strict=True):
                # Which ids there are is in no other row: the scrubber finds one that is lost.
                is_lost = table == BLOCK_HEIGHTS and row[0] != key and "0x" in str(ask["params"].get("block"))
                assert answer == sound or is_refused(answer) or is_lost, (row, ask, answer)
                refused += is_refused(answer)
            replace_row(gateway, table, row[0], (key, value))
    assert refused and ask_all(gateway, asks) == right


@pytest.mark.parametrize("table", [HEADERS, BLOCKS, CERTIFICATES, RECEIPTS, JOB_RUNS])
def test_a_row_that_is_gone_is_no_answer_and_no_bug(gateway: Caller, table: str) -> None:
    asks = questions(gateway)
    right = ask_all(gateway, asks)
    for key, value in rows_of(gateway, table)[2:5]:
        gateway.chain.store.environment.write(lambda txn, key=key: txn.delete(table, key))  # type: ignore[misc]
        answers = ask_all(gateway, asks)
        if table != TX_RUNS:
            assert all(
                answer == sound or is_refused(answer) for answer, sound in zip(answers, right, strict=True)
            )
        replace_row(gateway, table, key, (key, value))


def test_the_daemon_is_told_once_of_each_block(gateway: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Request] = []

    async def ask(request: Request) -> Answer:
        told.append(request)
        return Done()

    monkeypatch.setattr(gateway.daemon, "ask", ask)
    key, value = rows_of(gateway, HEADERS)[2]
    replace_row(gateway, HEADERS, key, (key, flipped(value, 400)))

    for _ in range(3):
        error = gateway.call("chain_getHeader", block=3)
        assert error["code"] == 1007 and error["data"]["params"]["height"] == 3
        asyncio.run(asyncio.sleep(0))
    assert told == [Admin("check", ("3",))]
    assert gateway.chain.store.check_block(gateway.chain.store.head().height) == ()


def test_so_many_sound_rows_are_remembered_and_no_more() -> None:
    known = KnownRows()
    for number in range(KNOWN_ROWS_MAX + 1):
        known.add(b"%d" % number)
    assert not known.knows(b"0") and known.knows(b"1") and known.knows(b"%d" % KNOWN_ROWS_MAX)
