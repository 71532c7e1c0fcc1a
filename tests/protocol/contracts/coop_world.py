"""A world with a board, a registrar and members: for the contracts that make a co-op."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from protocol import crypto
from protocol.codec import Value
from protocol.contracts import REGISTRY
from protocol.contracts.ledger import accounts as ledger
from protocol.contracts.members.records import Member, find_member, put_member
from protocol.money import compute_day
from protocol.types import Height
from protocol.vm.context import Context, Environment
from protocol.vm.execute import Outcome, run_program
from protocol.vm.program import parse_program
from protocol.vm.view import View
from tests.protocol.ledger_world import (
    ALICE,
    AUTH,
    BOB,
    CAROL,
    COOP,
    NONE,
    Person,
    World,
    founding,
    person,
    program,
)

MEMBERS, SHARES, TREASURY = 17, 23, 20
BOARD1, BOARD2, REGISTRAR = (person(name) for name in ("board1", "board2", "registrar"))
DAY = 86_400
HASH = bytes(range(32))

RULES: Value = (MEMBERS, 1, NONE, (COOP, 10, 0, 1, 0, True))
"""Entry fee 10, attested level 1, no share capital, no probation, without the board."""


def tag_of(who: Person) -> bytes:
    return crypto.sha256(b"tag" + who.address)


class Coop(World):
    """A world whose board and registrar hold their roles; `gov` runs what a vote would have decided."""

    def __init__(self, *programs: Value) -> None:
        opened = program(*[(AUTH, 1, NONE, (p.address,)) for p in (BOARD1, BOARD2, REGISTRAR)])
        roles = [(BOARD1, "board"), (BOARD2, "board"), (REGISTRAR, "registrar")]
        granted = program(*[(AUTH, 4, NONE, (p.address, role)) for p, role in roles])
        super().__init__((*founding(), opened, granted, program(RULES), *programs))

    def gov_outcome(self, *calls: Value) -> Outcome:
        """Run a program with the authority of a passed proposal, between two blocks."""
        time = self.time
        day = compute_day(time, self.genesis.utc_offset_seconds)
        view = View(self.state)
        environment = Environment(time, day, Height(self.height + 1), 0, bytes(32), (), "gov")
        outcome = run_program(view, REGISTRY, environment, parse_program(((), calls), REGISTRY, 0))
        self.state.apply(view.collect_writes())
        for row in view.journal:
            self.journal.setdefault(row.account, []).append(row)
        return outcome

    def gov(self, *calls: Value) -> tuple[Value, ...]:
        outcome = self.gov_outcome(*calls)
        assert (outcome.code, outcome.reason) == (0, None)
        return outcome.results

    def do(self, who: Person, *calls: Value, **options: Any) -> tuple[Value, ...]:
        (receipt,) = self.ok(self.tx(*calls, actors=(who,), gas=options.pop("gas", 400_000), **options))
        return receipt.results

    def code(self, who: Person, *calls: Value, seconds: int = 1) -> int:
        return self.run(self.tx(*calls, actors=(who,)), seconds=seconds).receipts[0].code

    def wait(self, seconds: int) -> None:
        """Let time pass, and do what comes due."""
        self.run(seconds=seconds)
        self.do(BOARD1, (MEMBERS, 22, 0, ()))

    def join(self, who: Person, money: int = 1_000) -> int:
        """Make a person an active member with free balance beside the entry fee."""
        (number,) = self.do(REGISTRAR, (MEMBERS, 2, 0, (1, who.address, HASH, None)))
        self.ok(self.cash_in(who, money + 10))
        self.do(REGISTRAR, attest(number, tag_of(who)))
        self.do(who, (MEMBERS, 5, 0, (who.address,)))
        assert type(number) is int
        return number

    def member(self, number: int) -> Member:
        found = find_member(View(self.state), number)
        assert found is not None
        return found

    @contextmanager
    def door(self) -> Iterator[Context]:
        """Knock at the doors of contracts as one above them does, between two blocks."""
        day = compute_day(self.time, self.genesis.utc_offset_seconds)
        environment = Environment(self.time, day, Height(self.height + 1), 0, bytes(32), ())
        ctx = Context(View(self.state), REGISTRY, environment, REGISTRY.by_name["docs"], None)
        yield ctx
        self.write(ctx.view.collect_writes())

    def write_member(self, number: int, member: Member) -> None:
        """Put a record, past every rule."""
        view = View(self.state)
        put_member(view, number, member)
        self.write(view.collect_writes())

    def free(self, who: Person) -> int:
        balance = self.ask("assets", "balance", who.address, COOP)
        assert type(balance) is tuple and type(balance[0]) is int
        return balance[0]


def attest(number: Value, tag: bytes, level: int = 1, until: int = 1 << 31) -> Value:
    return (MEMBERS, 3, 0, (number, level, until, HASH, tag))


def check_books(world: World) -> None:
    """Check that every asset's debits equal its credits, that totals are sums, and that no flag is broken."""
    totals: dict[tuple[int, int], list[int]] = {}
    for key, row in ledger.ACCOUNT.scan(View(world.state)):
        _, account_class, asset, _ = ledger.read_account_key(key[3:])
        _, flags, dp, d, cp, c, _, _ = row
        assert not flags & ledger.NONNEG_CREDIT or dp + d <= c
        assert not flags & ledger.NONNEG_DEBIT or cp + c <= d
        sums = totals.setdefault((asset, account_class), [0, 0, 0, 0])
        for place, amount in enumerate((dp, d, cp, c)):
            sums[place] += amount
    for (asset, account_class), sums in totals.items():
        total = ledger.TOTAL.get(View(world.state), ledger.TOTAL.key(asset, account_class))
        assert (total or (1, 0, 0, 0, 0))[1:] == tuple(sums)
    for asset in sorted({asset for asset, _ in totals}):
        mine = [sums for (other, _), sums in totals.items() if other == asset]
        assert sum(s[0] for s in mine) == sum(s[2] for s in mine)
        assert sum(s[1] for s in mine) == sum(s[3] for s in mine)


people = st.sampled_from((ALICE, BOB, CAROL))
