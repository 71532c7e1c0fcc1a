"""The sample plugin on a chain: added, used, upgraded on the way, taken out; the same in a replay."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.plugin.loading import find_project, load
from protocol import transition
from protocol.chain.receipt import Receipt
from protocol.chain.transaction import SignedTransaction
from protocol.codec import Value
from protocol.contracts import BUILTINS, REGISTRY
from protocol.contracts.registry import records as registry
from protocol.contracts.retirement import find_holding
from protocol.errors import Code, Rejected
from protocol.params import UPGRADE_DELAY_BLOCKS
from protocol.plugin import v1
from protocol.transition import Execution
from protocol.vm.contract import RETIRED, Contract, Registry
from tests.protocol.contracts.coop_world import check_books
from tests.protocol.ledger_world import ALICE, AUTH, BOB, COOP, NONE, Person, World, founding, person, program

SAMPLE = Path(__file__).parents[2] / "plugin_sample"
ROSCA, REGISTER, DAY = 1_048, 4, 86_400
NORTH = person("node")
UNPAID, TOO_EARLY, FULL, SEATED, PAID = 104_807, 104_808, 104_802, 104_803, 104_806


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Contract, Contract]]:
    monkeypatch.syspath_prepend(str(SAMPLE))
    first, second = load(find_project(SAMPLE))
    known = Registry(BUILTINS, REGISTRY.has_role, REGISTRY.grants, REGISTRY.paused_until, (), find_holding)
    known.install((first, second))
    monkeypatch.setattr(transition, "REGISTRY", known)
    yield first, second
    for name in [name for name in sys.modules if name.partition(".")[0] == "coop_rosca"]:
        del sys.modules[name]


class Chain(World):
    """A world that remembers its blocks."""

    def __init__(self) -> None:
        council = program((AUTH, 4, NONE, (ALICE.address, registry.COUNCIL)))
        super().__init__((*founding(), council, program((AUTH, 1, NONE, (NORTH.address,)))))
        self.blocks: list[tuple[tuple[SignedTransaction, ...], int, Execution]] = []

    def run(self, *transactions: SignedTransaction, seconds: int = 1) -> Execution:
        done = super().run(*transactions, seconds=seconds)
        self.blocks.append((transactions, seconds, done))
        return done

    def one(self, who: Person, call: Value, seconds: int = 1) -> Receipt:
        (receipt,) = self.run(self.tx(call, actors=(who,)), seconds=seconds).receipts
        return receipt

    def do(self, who: Person, method: int, *arguments: Value) -> Value:
        receipt = self.one(who, (ROSCA, method, 0, arguments))
        assert receipt.is_ok, receipt
        return receipt.results[0]

    def code(self, who: Person, method: int, *arguments: Value) -> int:
        return self.one(who, (ROSCA, method, 0, arguments)).code

    def activate(self, contract: Contract) -> None:
        print_ = contract.compute_fingerprint()
        decided = (REGISTER, 7, 0, (ROSCA, contract.version, print_, "coop-rosca 2.0.0", 0))
        said = (REGISTER, 9, 0, (NORTH.address, NORTH.key, ROSCA, contract.version, print_))
        assert self.one(ALICE, decided).is_ok and self.one(NORTH, said).is_ok
        for _ in range(UPGRADE_DELAY_BLOCKS):
            self.run()

    def retire(self) -> int:
        return self.one(ALICE, (REGISTER, 7, 0, (ROSCA, RETIRED, bytes(32), "", 0))).code

    def free(self, who: Person) -> Value:
        return self.ask("assets", "balance", who.address, COOP)[0]  # type: ignore[index]


def test_add_use_upgrade_take_out_and_replay(versions: tuple[Contract, Contract]) -> None:
    first, second = versions
    chain = Chain()
    chain.ok(chain.cash_in(ALICE, 1_000), chain.cash_in(BOB, 1_000))
    chain.activate(first)
    assert chain.do(ALICE, 1, COOP, 100, 2, 7) == 1
    assert chain.do(ALICE, 2, ALICE.address, 1) == 1
    assert chain.code(ALICE, 2, ALICE.address, 1) == SEATED
    assert chain.do(BOB, 2, BOB.address, 1) == 2
    assert chain.code(NORTH, 2, NORTH.address, 1) == FULL
    assert chain.do(ALICE, 3, ALICE.address, 1) == 1
    assert chain.code(ALICE, 3, ALICE.address, 1) == PAID
    assert chain.retire() == registry.STILL_HOLDS, "a pot and a job wait"
    assert chain.code(BOB, 4, 1) == TOO_EARLY
    assert chain.do(BOB, 3, BOB.address, 1) == 1
    assert (chain.free(ALICE), chain.free(BOB)) == (900, 900)
    done = chain.run(seconds=7 * DAY)
    assert [receipt.code for receipt in done.job_receipts] == [Code.OK], "the chain pays by itself"
    assert (chain.free(ALICE), chain.free(BOB)) == (1_100, 900)
    assert chain.ask("rosca", "seats", 1) == ((1, ALICE.address, 1, True), (2, BOB.address, 1, False))

    chain.activate(second)
    assert chain.ask("rosca", "seats", 1) == ((1, ALICE.address, 1, 1, 0), (2, BOB.address, 1, 0, 0))
    assert chain.do(ALICE, 3, ALICE.address, 1) == 2 and chain.do(BOB, 3, BOB.address, 1) == 2
    done = chain.run(seconds=7 * DAY)
    assert [receipt.code for receipt in done.job_receipts] == [Code.OK], (
        "the job of version 1 runs by version 2"
    )
    assert (chain.free(ALICE), chain.free(BOB)) == (1_000, 1_000), "everybody got one pot"
    assert chain.ask("rosca", "seats", 1) == ((1, ALICE.address, 2, 1, 0), (2, BOB.address, 2, 1, 200))
    assert chain.ask("rosca", "of", BOB.address) == (1,)
    assert chain.do(ALICE, 1, COOP, 5, 2, 1) == 2 and chain.do(BOB, 2, BOB.address, 2) == 1
    assert chain.do(BOB, 5, BOB.address, 2) is True and chain.ask("rosca", "seats", 2) == ()

    assert chain.retire() == Code.OK
    for _ in range(UPGRADE_DELAY_BLOCKS):
        chain.run()
    with pytest.raises(Rejected):
        chain.do(ALICE, 1, COOP, 5, 2, 1)
    assert chain.ask("rosca", "of", BOB.address) == (1,), "what it kept can be read"
    check_books(chain)
    replayed = Chain()
    transition.REGISTRY.typed.clear()  # type: ignore[attr-defined]
    for transactions, seconds, before in chain.blocks:
        after = replayed.run(*transactions, seconds=seconds)
        assert (after.writes, after.receipts_root) == (before.writes, before.receipts_root)


def wrong_contract() -> tuple[Contract, int]:
    """Make a contract whose every method goes wrong in another way."""
    count = v1.Records(2_000, 1, "count", (), (v1.Field("count", v1.U8),), "A number.")

    def stumble(ctx: v1.Ctx) -> Value:
        ctx.put(count, (), 1)
        return (1, 2)[len(ctx.address)]

    def lie(ctx: v1.Ctx) -> Value:
        return 256

    def overflow(ctx: v1.Ctx) -> Value:
        ctx.put(count, (), 256)
        return 1

    def steal(ctx: v1.Ctx) -> Value:
        return ctx.collect(BOB.address, COOP, 1)

    def overdraw(ctx: v1.Ctx) -> Value:
        ctx.open(COOP)
        return ctx.leg(ALICE.address, COOP, 1)

    def climb(ctx: v1.Ctx) -> Value:
        return ctx.call(51, 1)

    def trespass(ctx: v1.Ctx) -> Value:
        other = v1.Records(2_001, 1, "count", (), (v1.Field("count", v1.U8),), "Of another.")
        ctx.put(other, (), 1)
        return 1

    def show(ctx: v1.QueryCtx) -> Value:
        found = ctx.get(count)
        return 0 if found is None else found[0]

    runs = (stumble, lie, overflow, steal, overdraw, climb, trespass)
    methods = tuple(
        v1.Method(number, run.__name__, (), v1.U8, (v1.Signed(),), 1, run, "Go wrong.")
        for number, run in enumerate(runs, 1)
    )
    queries = (
        v1.Query("show", (), v1.U8, show, "Show."),
        v1.Query("bad", (), v1.U8, lambda _: 1 // 0, "Bad."),
    )
    wrong = v1.contract(2_000, "wrong", 1, "Goes wrong.", records=(count,), methods=methods, queries=queries)
    return wrong, len(runs)


def test_a_mistake_of_a_plugin_aborts_the_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, count = wrong_contract()
    known = Registry((*BUILTINS, wrong), REGISTRY.has_role, REGISTRY.grants)
    monkeypatch.setattr(transition, "REGISTRY", known)
    chain = Chain()
    chain.ok(chain.cash_in(ALICE, 10), chain.cash_in(BOB, 10))
    found = [chain.one(ALICE, (2_000, number, 0, ())) for number in range(1, count + 1)]
    assert [(receipt.code, receipt.reason.rule if receipt.reason else "") for receipt in found] == [
        (Code.INVARIANT, "plugin.bug"),
        (Code.INVARIANT, "plugin.bug"),
        (Code.TYPE, "plugin.field"),
        (Code.POLICY_UNMET, "plugin.owner"),
        (Code.FUNDS, "ledger.nonneg_credit"),
        (Code.LIMIT, "plugin.call_layer"),
        (Code.TYPE, "plugin.other_contract"),
    ]
    assert chain.ask("wrong", "show") == 0, "what was written is taken back"
    with pytest.raises(Rejected) as refused:
        chain.ask("wrong", "bad")
    assert refused.value.code == Code.INVARIANT
    assert chain.free(BOB) == 10
