"""A small chain on which jobs run: a grant, payments ordered by job, of which one fails."""

from pathlib import Path

from node.cli.payments import build_transaction, sign_transaction
from node.cluster.founding import CURRENCY_NUMBER, demo_address, demo_key
from protocol import codec
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts import grants, sched
from protocol.contracts.periods import DAYS, ONCE
from protocol.vm.program import literal
from tests.node.small_chain import SmallChain

ASSETS, TRANSFER = 16, 7


def make_job_chain(path: Path, time_ms: int) -> SmallChain:
    """Make six blocks: two jobs run at height 4, to bo and to cy, one fails at 5 and again at 6."""
    chain = SmallChain(path, time_ms)
    chain.commit(allow_self(chain, "ada"))
    chain.commit(order(chain, "ada", "bo", 100, 3, daily=True))
    chain.commit(order(chain, "ada", "cy", 200, 2), order(chain, "ada", "cy", 1 << 50, 3))
    chain.commit(chain.pay("bo", "ada", 7))
    chain.commit()
    chain.commit(chain.pay("bo", "ada", 8))
    return chain


def allow_self(chain: SmallChain, name: str) -> SignedTransaction:
    """Grant a member the use of its own transfers, for jobs; the first grant of a chain is number 1."""
    who, limit = demo_address(name), 1 << 40
    caps = ((CURRENCY_NUMBER, limit, limit),)
    terms: tuple[Value, ...] = (who, who, ((ASSETS, TRANSFER),), caps, ())
    call = (grants.ID, 1, 0, (*[literal(term) for term in terms], None, 0, (0, 0, 1, 0), 0))
    return _sign(chain, name, call)


def order(
    chain: SmallChain, payer: str, payee: str, amount: int, after_seconds: int, *, daily: bool = False
) -> SignedTransaction:
    """Order a payment by job, so many seconds after the head; it uses grant 1."""
    who, head = demo_address(payer), chain.executor.head
    pay: Value = (ASSETS, TRANSFER, (0, 1), (who, demo_address(payee), CURRENCY_NUMBER, amount, None))
    program, due = codec.encode((((ASSETS, 1),), (pay,))), head.time_ms // 1_000 + after_seconds
    arguments = (who, program, codec.encode(()), due, DAYS if daily else ONCE, 1, 0, True, 50_000)
    return _sign(chain, payer, (sched.ID, 1, 0, arguments))


def _sign(chain: SmallChain, name: str, call: Value) -> SignedTransaction:
    tx = build_transaction(chain.genesis, demo_address(name), (call,), 200_000)
    return sign_transaction(chain.genesis, tx, demo_key(name))
