"""A gateway over a small chain, with a daemon that is a few lines of test; called through ASGI."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.evidence import EvidencePool
from node.ipc.client import DaemonUnreachable
from node.ipc.messages import (
    Accuse,
    Answer,
    AskPeers,
    AskStatus,
    Done,
    Peers,
    PeerState,
    Prove,
    Proved,
    Request,
    Status,
    Verdict,
)
from node.rpc.access import LOCAL_NAMES, Door
from node.rpc.exposition import Exposition
from node.rpc.methods.table import build_methods
from node.rpc.server import Web
from node.rpc.service import News, Service, facts_of
from protocol.chain.evidence import decode_evidence
from protocol.contracts import REGISTRY
from protocol.errors import Code, Rejected
from protocol.types import Height
from tests.node.small_chain import SmallChain


class FakeDaemon:
    """Commits what is submitted as a block of its own, at once."""

    def __init__(self, chain: SmallChain) -> None:
        self.chain = chain
        self.is_up = True
        self.commits = True
        self.verdict = Verdict(0)
        self.service: Service | None = None
        self.submitted: list[bytes] = []
        self.evidence = EvidencePool(
            Path("/nowhere/evidence.bin"), chain.executor.check_accusation, lambda data: 0, lambda: None
        )

    def _check(self) -> None:
        if not self.is_up:
            raise DaemonUnreachable("down", sent=False)

    async def submit(self, raw: bytes) -> Verdict:
        self._check()
        self.submitted.append(raw)
        if self.verdict.code == 0 and self.commits:
            from protocol.chain.transaction import decode_signed

            self.commit(decode_signed(raw, self.chain.genesis_hash))
        return self.verdict

    def commit(self, *transactions: Any) -> None:
        block = self.chain.commit(*transactions, evidence=self.evidence.take())
        if self.service is not None:
            self.service.on_committed(block.height)

    async def ask(self, request: Request) -> Answer:
        self._check()
        head = self.chain.executor.head
        match request:
            case AskStatus():
                height = Height(head.height)
                status = (
                    "n1",
                    "0.1.0",
                    height,
                    head.time_ms,
                    height,
                    "leader",
                    "n1",
                    3,
                    2,
                    2,
                    0,
                    0,
                    0,
                    41,
                    True,
                )
                return Status(*status)
            case AskPeers():
                return Peers((PeerState("n2", bytes(33), "127.0.0.1:9402", True),))
            case Prove(key):
                with self.chain.store.view() as state:
                    value = state.get(key)
                return Proved(head.height, value, self.chain.executor.tree.prove(key))
            case Accuse(evidence):
                self.evidence.add(decode_evidence(evidence))
                return Done()
        raise Rejected(Code.UNKNOWN_METHOD, "not in this test")


class Caller:
    """Calls the gateway as a client would."""

    def __init__(self, web: Web, chain: SmallChain, daemon: FakeDaemon, service: Service) -> None:
        self.app = web.app()
        self.chain = chain
        self.daemon = daemon
        self.service = service

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        client = options.pop("client", "127.0.0.1")

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(client, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await http.request(method, path, **options)

        return asyncio.run(go())

    def post(self, body: Any, **options: Any) -> Any:
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        response = self.request("POST", "/rpc", content=json.dumps(body), headers=headers, **options)
        return response.json() if response.content else None

    def call(self, method: str, **params: Any) -> Any:
        answer = self.post({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
        return answer["result"] if "result" in answer else answer["error"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit()
    chain.commit(chain.pay("ada", "bo", 2_500, "七月"), chain.pay("bo", "cy", 100))
    chain.commit(chain.nonsense("cy"))
    yield from open_gateway(chain)


@pytest.fixture
def spare_gateway(tmp_path: Path) -> Iterator[Caller]:
    """A gateway over a chain of three validators and a spare operator, at its first block."""
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000, spare=1)
    chain.commit(chain.pay("ada", "bo", 100))
    yield from open_gateway(chain)


def open_gateway(chain: SmallChain) -> Iterator[Caller]:
    daemon = FakeDaemon(chain)
    service = Service(chain.store, facts_of(chain.genesis, REGISTRY), daemon, News())  # type: ignore[arg-type]
    daemon.service = service
    door = Door(LOCAL_NAMES, frozenset(), "token", is_open=True)
    bugs: list[BaseException] = []
    web = Web(service, build_methods(REGISTRY), door, Exposition(), lambda name, bug: bugs.append(bug))
    yield Caller(web, chain, daemon, service)
    chain.store.close()
    assert not bugs, bugs
