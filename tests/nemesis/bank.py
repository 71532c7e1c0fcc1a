"""The bank: members pay each other through all gateways without pause, and every submission is recorded.

What a gateway says decides how a payment is remembered: committed (a receipt was seen), refused (every answer
proved that nothing can have been applied), or unknown. Some payments are sent to several gateways, some pay
more than the payer has, and some come as two different payments under one number of one lane, of which one
may be applied. The record is judged elsewhere (`history.py`).
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from node.cli.payments import build_transfer, send, sign_transaction
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.cluster.founding import CURRENCY_NUMBER, LOAD_OPENING_MINOR, load_key
from protocol.chain.genesis import Genesis
from protocol.chain.transaction import SignedTransaction
from protocol.contracts.policies import address_of_key
from protocol.crypto import public_key_of
from protocol.params import LANES_ORDERED
from protocol.types import Address

WAIT_MS: Final = 2_000
CLIENT_SECONDS: Final = 4.0
ATTEMPTS_MAX: Final = 4
JOIN_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.02


class Outcome(Enum):
    """What is known of a payment where it was sent."""

    COMMITTED = "committed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Payment:
    """One submission and what became of it.

    Args:
        rival: equal for payments under one number, of which at most one may be applied; else the id.
        height, index, ok: of the receipt, when one was seen, and gateway, the number of who showed it.
        why: label of the last refusal.
    """

    id: str
    payer: int
    payee: int
    amount: int
    rival: str
    outcome: Outcome = Outcome.UNKNOWN
    height: int = 0
    index: int = 0
    ok: bool = False
    gateway: int = -1
    why: str = ""
    raw: str = ""


class Bank:
    """Threads that pay until told to stop; use as a context.

    Args:
        urls: of the gateways.
        members: number of load members of the chain.
    """

    def __init__(self, genesis: Genesis, urls: list[str], members: int, seed: int, threads: int = 5) -> None:
        self._genesis = genesis
        self._urls = urls
        self._members = [load_key(number) for number in range(members)]
        self.addresses: list[Address] = [address_of_key(public_key_of(key)) for key in self._members]
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._payments: list[Payment] = []
        self._lanes_used: set[tuple[int, int]] = set()
        self.acknowledged = 0
        self.last_by_gateway: dict[int, float] = {}
        self.last_refusals: dict[int, str] = {}
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._work, args=(at,), daemon=True) for at in range(threads)
        ]

    def __enter__(self) -> "Bank":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive(), "a payer hangs"

    @property
    def payments(self) -> tuple[Payment, ...]:
        """List everything that was submitted; nothing may be on its way any more."""
        if self._failures:
            raise self._failures[0]
        return tuple(self._payments)

    def shown_since(self, count: int) -> list[Payment]:
        """List what was acknowledged among all submissions but the first so many."""
        return [payment for payment in self._payments[count:] if payment.outcome is Outcome.COMMITTED]

    @property
    def submitted(self) -> int:
        """Count the submissions so far whose end is known."""
        return len(self._payments)

    def figures(self) -> str:
        """Count outcomes, and why payments were refused."""
        outcomes = Counter(payment.outcome.value for payment in self._payments)
        why = Counter(
            payment.why.partition(" ")[2] or payment.why for payment in self._payments if payment.why
        )
        parts = [f"{outcomes[outcome.value]} {outcome.value}" for outcome in Outcome]
        return ", ".join(parts) + (
            f" ({', '.join(f'{n} {w}' for w, n in why.most_common(4))})" if why else ""
        )

    def _work(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{number}")
        clients = [RpcClient(url, timeout=CLIENT_SECONDS) for url in self._urls]
        try:
            while not self._stop.is_set():
                *rivals, (signed, payment) = self._draw(chance)
                # A rival is not waited for, so that both are on their way, mostly on different nodes.
                done = [self._submit(chance, clients, *rival, attempts=1, wait_ms=0) for rival in rivals]
                attempts = chance.randint(1, ATTEMPTS_MAX)
                done.append(self._submit(chance, clients, signed, payment, attempts, WAIT_MS))
                with self._lock:
                    self._payments += done
        except BaseException as failure:
            self._failures.append(failure)
        finally:
            for client in clients:
                client.close()

    def _draw(self, chance: random.Random) -> list[tuple[SignedTransaction, Payment]]:
        """Draw one payment, or two rivals."""
        payer, payee = chance.sample(range(len(self._members)), 2)
        kind = chance.random()
        amounts = [chance.randint(1, 1_000)]
        if kind < 0.05:
            amounts = [2 * LOAD_OPENING_MINOR + chance.randint(1, 1_000)]
        elif kind < 0.10:
            amounts.append(amounts[0] + 1)
        lane = self._fresh_lane(chance, payer) if len(amounts) == 2 else None
        drawn: list[tuple[SignedTransaction, Payment]] = []
        for amount in amounts:
            tx = build_transfer(
                self._genesis, self.addresses[payer], self.addresses[payee], CURRENCY_NUMBER, amount
            )
            if lane is not None:
                tx = replace(tx, lane=lane, sequence=1)
            signed = sign_transaction(self._genesis, tx, self._members[payer])
            tx_id = "0x" + signed.id.hex()
            rival = drawn[0][1].id if drawn and lane is not None else tx_id
            drawn.append((signed, Payment(tx_id, payer, payee, amount, rival, raw="0x" + signed.raw.hex())))
        return drawn

    def _fresh_lane(self, chance: random.Random, payer: int) -> int | None:
        """Return an ordered lane that this member has not used yet; None when it was used."""
        lane = chance.randrange(LANES_ORDERED)
        with self._lock:
            is_used = (payer, lane) in self._lanes_used
            self._lanes_used.add((payer, lane))
        return None if is_used else lane

    def _submit(
        self,
        chance: random.Random,
        clients: list[RpcClient],
        signed: SignedTransaction,
        payment: Payment,
        attempts: int,
        wait_ms: int,
    ) -> Payment:
        """Send the same bytes to one gateway or to several, until one shows a receipt."""
        outcome, why = Outcome.REFUSED, ""
        for _ in range(attempts):
            gateway = chance.randrange(len(clients))
            try:
                receipt = send(clients[gateway], signed, wait_ms)
            except Failure as failure:
                why = self.last_refusals[gateway] = failure.label
                # An answer that is no answer proves nothing either.
                if failure.is_applied_unknown or failure.label == "rpc.unusable":
                    outcome = Outcome.UNKNOWN
                self._stop.wait(PAUSE_SECONDS)
                continue
            with self._lock:
                self.acknowledged += 1
                self.last_by_gateway[gateway] = time.monotonic()
            place = int(receipt["height"]), int(receipt["index"])
            return replace(
                payment,
                outcome=Outcome.COMMITTED,
                height=place[0],
                index=place[1],
                ok=bool(receipt["ok"]),
                gateway=gateway,
            )
        return replace(payment, outcome=outcome, why=why)
