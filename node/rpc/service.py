"""What every method of the gateway works with: the store, the chain's fixed facts, the daemon, the news.

A body is answered at one height: `Call.height` is the head when the body arrived, and all reads of a batch
use it. No read transaction is held while anything is awaited; what was committed since is left out by height.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from node.ipc.client import DaemonClient, DaemonUnreachable
from node.ipc.messages import Admin, Answer, Request, Verdict
from node.rpc.access import Caller
from node.rpc.failure import RpcFailure
from node.rpc.values import read_address
from node.store.sound import RowDamaged, SoundReader
from node.store.store import Store
from protocol.addresses import HRP_MAIN, HRP_TEST
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.contracts.members.records import find_by_account
from protocol.errors import Rejected
from protocol.types import Hash32, Height, TimeMs, TxId
from protocol.vm.contract import Registry
from protocol.vm.view import StateReader, View

SUBMITTED_KEPT_MAX: Final = 20_000
"""Transactions remembered by the gateway through which they came, so that `tx_get` can say `pending`."""


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What never changes on a chain.

    Args:
        hrp: human part of its addresses.
    """

    genesis: Genesis
    genesis_hash: Hash32
    hrp: str
    registry: Registry

    @property
    def chain_id(self) -> str:
        """Return the CAIP-2 identity: namespace and the first 16 bytes of the genesis hash."""
        return f"coop:{self.genesis_hash[:16].hex()}"


def facts_of(genesis: Genesis, registry: Registry) -> ChainFacts:
    """Return the facts that a genesis document fixes."""
    return ChainFacts(genesis, genesis.compute_hash(), HRP_TEST if genesis.is_dev else HRP_MAIN, registry)


class News:
    """Wake whoever waits for a block."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def announce(self, height: Height) -> None:
        """Wake everybody: something was committed."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    def bell(self) -> asyncio.Event:
        """Return what the next announcement rings."""
        return self._event


class Service:
    """Hold what the methods of one gateway share."""

    def __init__(self, store: Store, facts: ChainFacts, daemon: DaemonClient, news: News) -> None:
        self.store = store
        self.facts = facts
        self.daemon = daemon
        self.news = news
        self._submitted: OrderedDict[TxId, bytes] = OrderedDict()
        self._receipts: dict[TxId, set[asyncio.Future[Receipt]]] = {}
        self._receipts_height = Height(0)
        self._doubted: dict[int, asyncio.Task[None]] = {}

    def open_call(self, caller: Caller, language: str = "en") -> "Call":
        """Fix the height at which a body is answered, and who asked."""
        return Call(self, self.store.head().height, language, caller)

    async def ask(self, request: Request) -> Answer:
        """Ask the daemon.

        Raises:
            RpcFailure: node.not_ready, or node.unreachable when a submission may have arrived.
            Rejected: the daemon refused.
        """
        try:
            return await self.daemon.ask(request)
        except DaemonUnreachable as failure:
            raise _failure_of_silence(failure) from None

    async def submit(self, raw: bytes) -> Verdict:
        """Submit one transaction.

        Raises:
            RpcFailure: node.not_ready, or node.unreachable when it may have arrived.
        """
        try:
            return await self.daemon.submit(raw)
        except DaemonUnreachable as failure:
            raise _failure_of_silence(failure) from None

    def doubt(self, height: int) -> None:
        """Let the daemon look at a block that is damaged on disk, once: it fetches it again."""
        if height and height not in self._doubted:
            self._doubted[height] = asyncio.get_running_loop().create_task(self._pass_doubt(height))

    async def _pass_doubt(self, height: int) -> None:
        # A daemon that is down finds it itself: it reads everything again, slowly.
        with suppress(DaemonUnreachable, Rejected):
            await self.daemon.ask(Admin("check", (str(height),)))

    def remember(self, tx_id: TxId, raw: bytes) -> None:
        """Remember a submitted transaction until newer ones push it out."""
        self._submitted[tx_id] = raw
        if len(self._submitted) > SUBMITTED_KEPT_MAX:
            self._submitted.popitem(last=False)

    def recall(self, tx_id: TxId) -> bytes | None:
        """Return a transaction that was submitted here."""
        return self._submitted.get(tx_id)

    async def wait_receipt(self, tx_id: TxId, timeout_seconds: float) -> Receipt | None:
        """Wait until a transaction is committed; None when the time is over."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if not self._receipts:
            self._receipts_height = self.store.head().height
        self._receipts.setdefault(tx_id, set()).add(future)
        try:
            found = self.store.receipt(tx_id)
            if found is not None:
                return decode_receipt(found[2])
            async with asyncio.timeout(timeout_seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            waiting = self._receipts[tx_id]
            waiting.discard(future)
            if not waiting:
                del self._receipts[tx_id]

    def on_committed(self, height: Height) -> None:
        """Hand receipts of new blocks to those who wait for them, then tell everybody."""
        if self._receipts:
            for h in range(self._receipts_height + 1, height + 1):
                for index, tx_id in enumerate(self.store.tx_ids(h)):
                    if tx_id in self._receipts:
                        receipt = decode_receipt(self.store.receipts(h)[index])
                        for future in self._receipts[tx_id]:
                            if not future.done():
                                future.set_result(receipt)
        self._receipts_height = height
        self.news.announce(height)


def _failure_of_silence(failure: DaemonUnreachable) -> RpcFailure:
    slug = "node.unreachable" if failure.sent else "node.not_ready"
    return RpcFailure(slug, detail=f"the daemon does not answer ({failure})")


@dataclass(frozen=True, slots=True)
class Call:
    """One body being answered.

    Args:
        height: the head when it arrived.
    """

    service: Service
    height: Height
    language: str
    caller: Caller

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.service.store

    @property
    def facts(self) -> ChainFacts:
        """Return what never changes."""
        return self.service.facts

    def height_of(self, at: int | str | None) -> Height:
        """Return the height that a parameter `at` means.

        Raises:
            RpcFailure: chain.height_unavailable, rpc.bad_params.
        """
        match at:
            case None | "latest":
                return self.height
            case "earliest":
                return Height(min(1, self.height))
            case int() if 0 <= at <= self.height:
                return Height(at)
            case int():
                raise RpcFailure("chain.height_unavailable", asked=at, height=self.height)
            case _:
                raise RpcFailure("rpc.bad_params", detail="at is a height, latest or earliest")

    def state_height_of(self, at: int | str | None) -> Height:
        """Return the height that a parameter `at` means where a state is asked for: `earliest` is the oldest
        that is kept.

        Raises:
            RpcFailure: chain.height_unavailable, rpc.bad_params.
        """
        return self.store.oldest_state() if at == "earliest" else self.height_of(at)

    @contextmanager
    def sound(self) -> Iterator[SoundReader]:
        """Open the chain for reads that are held against hashes; nothing may be awaited meanwhile.

        Raises:
            RpcFailure: chain.damaged: in the place of an answer that would be wrong.
        """
        try:
            with self.store.sound() as reader:
                yield reader
        except RowDamaged as damage:
            self.service.doubt(damage.height)
            raise RpcFailure("chain.damaged", height=damage.height, detail=damage.fault) from damage

    @contextmanager
    def state(self, height: Height) -> Iterator[StateReader]:
        """Open the state after a block.

        Raises:
            RpcFailure: chain.pruned.
        """
        with self.store.view_at(height) as state:
            if state is None:
                raise RpcFailure("chain.pruned", asked=height, oldest=self.store.oldest_state())
            yield state

    def member_of(self, view: View, address: str) -> int:
        """Return the number of the member who has an account.

        Raises:
            RpcFailure: members.unknown_member.
            Rejected: it is no address of this chain.
        """
        member = find_by_account(view, read_address(address, self.facts.hrp))
        if member is None:
            raise RpcFailure("members.unknown_member", rule="members.account", limit="-", actual=address)
        return member

    def time_ms_of(self, height: Height) -> TimeMs:
        """Return the time of a block at or below the head."""
        header = self.store.header(height) if height else None
        assert header is not None or not height, "a height without a header"
        return self.facts.genesis.time_ms if header is None else header.time_ms
