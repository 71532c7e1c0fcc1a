"""Random programs over every method: arguments by their kinds, with a bias to what exists.

Each drawer prefers a few contracts, so that some histories go deep where others go wide.

Half of the calls are drawn from the schema alone: an argument is a result of an earlier call, a number that a
program has returned for its kind, an address of somebody, or any value of the kind. The other half begin as a
gas case, a program that once succeeded, of which some arguments are drawn again. What holds after them is
`town_books.py`.
"""

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any, Final

from protocol.chain.transaction import UNORDERED, SignedTransaction, Transaction, TxSignature, assemble
from protocol.codec import Value, encode
from protocol.contracts import REGISTRY, auth
from protocol.contracts.voting.ballots import compute_commitment
from protocol.crypto import sha256
from protocol.types import Address, Gas, Seconds, Signature
from protocol.vm.contract import Method, Owner, Role, Signed
from protocol.vm.kinds import Data, Fields, Flag, Integer, Kind, Many, Maybe, Text
from protocol.vm.program import NO_ACTOR
from protocol.vm.view import View
from tests.bench.coop_gas_cases import DAN, FAY, GIL, HAL, IDA, JIM, T1, T2, T3, make_coop_cases
from tests.bench.gas_cases import BANK, CLUB, HIDDEN, NODE, NORTH, PAY_OUT, TWO, Case, make_cases, tagged
from tests.protocol.contracts.coop_world import BOARD1, BOARD2, DAY, HASH, REGISTRAR
from tests.protocol.contracts.test_lending import COMMITTEE1, OFFICER
from tests.protocol.contracts.test_voting import PEOPLE, SECRET, stored
from tests.protocol.ledger_world import ASSETS, COOP, NONE, STRANGER, TILL, TILL2, Person
from tests.protocol.town import NEWCOMERS, Town

TREASURERS: Final = (T1, T2, T3)
TOWNSPEOPLE: Final = (
    *(*PEOPLE, FAY, GIL, HAL, IDA, JIM, BOARD1, BOARD2, REGISTRAR, *TREASURERS),
    *(COMMITTEE1, OFFICER),
    *(TILL, TILL2, BANK, NODE, NORTH, CLUB, STRANGER, *NEWCOMERS),
)
BY_ADDRESS: Final = {who.address: who for who in TOWNSPEOPLE}
BY_ARGUMENT: Final[dict[str, tuple[Person, ...]]] = {
    "cashier": (TILL, TILL2),
    "custodian": (BANK,),
    "auditor": (DAN, *PEOPLE),
    "node": (NODE, NORTH),
    "registrar": (REGISTRAR,),
}
COUNTED: Final = (
    *("job", "grant", "pending", "hold", "member", "proposal", "payment", "fund", "line", "stream"),
    *("document", "share class", "candidate"),
)
"""Kinds that count from 1: the first of each exist from the founding on."""
ROLES: Final = ("board", "auditor", "treasurer", "registrar", "clerk", "slow", "council", "compliance")
AMOUNTS: Final = (1, 1, 2, 5, 10, 30, 50, 100, 100, 400, 1_000, 10_000, 1 << 50, (1 << 63) - 1)
SPANS: Final = (1, 5, 100, 1_000, 10_000, DAY, 20 * DAY, 400 * DAY)
HASHES: Final = (HASH, HASH, bytes(32), sha256(b"another"))
KEPT_MAX: Final = 24
"""Numbers remembered of each kind: the newest, so that what programs name mostly exists."""
CASES_EVERY: Final = 16
OPENING_CASES: Final = 16
GAS: Final = (400_000, 400_000, 400_000, 60_000, 3_000)

Actor = Address | tuple[Address, int] | None
Drawn = tuple[int, int, Actor, tuple[Value, ...]]
"""A call whose actor is not yet an index."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A program, who acts, and how it is sent; `is_gov`: it runs as a passed proposal would."""

    calls: tuple[Drawn, ...]
    checks: tuple[Value, ...]
    is_gov: bool
    gas: int
    sponsor: Address | None


class Drawer:
    """Draw programs for a town as it stands; told by `learn` what programs have returned."""

    def __init__(self, random: Random, town: Town, focus: frozenset[int] = frozenset()) -> None:
        self._random = random
        self._town = town
        self._known: dict[str, list[int]] = {name: [1, 2, 3, 4, 5, 6] for name in COUNTED}
        self._cases: list[Case] = []
        self._drawn = 0
        drawn = random.sample([int(c.id) for c in REGISTRY.contracts], random.choice((1, 2, 4, 12)))
        self._focus = focus or frozenset(drawn)
        self._methods = [(c, m) for c in REGISTRY.contracts for m in c.methods]
        self._methods += [(c, m) for c, m in self._methods if c.id in self._focus] * 3

    def learn(self, kind: Kind, value: Value) -> None:
        """Remember the numbers of a result by the names of their kinds."""
        if isinstance(kind, Fields) and type(value) is tuple:
            for field, part in zip(kind.fields, value, strict=True):
                self.learn(field.kind, part)
        elif isinstance(kind, Integer) and type(value) is int:
            known = self._known.setdefault(kind.name, [])
            if value not in known:
                known.append(value)
                del known[:-KEPT_MAX]

    def _weight(self, contract: int, case: Case) -> int:
        """Return how often a case is in the hat: not at all when only the kernel could run it."""
        return 0 if case.system not in (None, "gov") else 4 if contract in self._focus else 1

    # --- programs

    def draft(self) -> Draft:
        """Draw a program."""
        random = self._random
        if self._drawn % CASES_EVERY == 0:
            time = int(self._town.time)
            cases = make_cases(time) | make_coop_cases(self._town)
            self._cases = [c for (contract, _), c in cases.items() for _ in range(self._weight(contract, c))]
        self._drawn += 1
        calls: list[Drawn] = []
        for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
            self._add_case(calls) if random.random() < 0.5 else self._add_call(calls)
        is_gov = any(actor is None for _, _, actor, _ in calls) and random.random() < 0.9
        checks = self._checks(len(calls)) if random.random() < 0.2 else ()
        sponsor = random.choice(TOWNSPEOPLE).address if random.random() < 0.02 else None
        return Draft(tuple(calls), checks, is_gov, random.choice(GAS), sponsor)

    def opening(self) -> list[tuple[Draft, int]]:
        """Draw some cases as they are, each with the seconds to wait for it: what a new town is ready for."""
        self.draft()
        chosen = sorted(self._random.sample(self._cases, OPENING_CASES), key=lambda case: case.after)
        waits = [max(1, case.after - before.after) for before, case in pairwise([chosen[0], *chosen])]
        drafts = []
        for case in chosen:
            calls: list[Drawn] = []
            self._add_calls(case, 0.0, calls)
            drafts.append(Draft(tuple(calls), (), case.system == "gov", GAS[0], None))
        return list(zip(drafts, waits, strict=True))

    def _add_case(self, calls: list[Drawn]) -> None:
        """Add the calls of a case, with references shifted and some arguments drawn again."""
        self._add_calls(self._random.choice(self._cases), self._random.choice((0.0, 0.1, 0.3)), calls)

    def _add_calls(self, case: Case, rate: float, calls: list[Drawn]) -> None:
        random, before = self._random, len(calls)
        for call in case.calls:
            if type(call) is not tuple or call[0] == 0:
                continue
            contract, number, actor, arguments = call
            method: Method = REGISTRY.methods[contract, number][1]  # type: ignore[index]
            assert type(arguments) is tuple
            args = [
                self._argument(contract, method, f.name, f.kind, calls)
                if random.random() < rate
                else _shift(value, before)
                for f, value in zip(method.arguments, arguments, strict=True)
            ]
            who: Actor = None
            if type(actor) is tuple:
                who = (case.actors[actor[0]], actor[1])  # type: ignore[index, assignment]
            elif actor != NONE:
                who = case.actors[actor]  # type: ignore[index]
            if rate and method.owner_at >= 0 and random.random() < 0.8:
                who = self._owner(args[method.owner_at])
            calls.append((contract, number, who, tuple(args)))  # type: ignore[arg-type]

    def _add_call(self, calls: list[Drawn]) -> None:
        """Add a call drawn from the schema."""
        random = self._random
        contract, method = random.choice(self._methods)
        number = int(contract.id)
        args = [self._argument(number, method, f.name, f.kind, calls) for f in method.arguments]
        capability = random.choice(method.capabilities)
        who: Actor
        if random.random() < 0.03:
            who = random.choice(TOWNSPEOPLE).address
        elif isinstance(capability, Owner):
            who = self._owner(args[method.owner_at])
        elif isinstance(capability, Role):
            named = [Address(a) for a in args if type(a) is bytes and a in BY_ADDRESS]
            who = random.choice(named) if named and random.random() < 0.4 else self._holder(capability.name)
        elif isinstance(capability, Signed):
            who = self._holder(random.choice(ROLES)) if random.random() < 0.5 else self._anybody()
        else:
            who = None
        if isinstance(who, bytes) and method.owner_at >= 0 and random.random() < 0.06:
            who = self._by_grant(args, method, who)
        calls.append((number, method.id, who, tuple(args)))

    def _by_grant(self, args: list[Value], method: Method, otherwise: Address) -> Actor:
        grant = self._number("grant", 1, 1 << 20)
        terms: Any = self._town.ask("grants", "grant", grant)
        if terms is None:
            return otherwise
        args[method.owner_at] = terms[1]
        return (Address(terms[2]), grant) if terms[2] in BY_ADDRESS else otherwise

    def _checks(self, calls: int) -> tuple[Value, ...]:
        """Draw an assertion at the end: one in three holds for sure, one never, one as it happens."""
        at = self._random.randrange(calls)
        return self._random.choice(
            (((0, 0, 0, 1, 1, 7),), ((0, 0, 0, 1, 2, 8),), ((0, 0, 1, (1, at), 3, 9),))
        )

    # --- who

    def _anybody(self) -> Address:
        return self._random.choice(TOWNSPEOPLE).address

    def _holder(self, role: str) -> Address:
        view = View(self._town.state)
        holders = [who.address for who in TOWNSPEOPLE if auth.has_role(view, who.address, role)]
        return self._random.choice(holders) if holders else self._anybody()

    def _owner(self, argument: Value) -> Address:
        is_known = type(argument) is bytes and argument in BY_ADDRESS
        return Address(argument) if is_known else self._anybody()  # type: ignore[arg-type]

    # --- values

    def _argument(self, contract: int, method: Method, name: str, kind: Kind, calls: list[Drawn]) -> Value:
        random = self._random
        if random.random() < 0.1:
            found = _find_results(kind, calls)
            if found:
                return random.choice(found)
        hint = self._hint(contract, method.name, name)
        return self._value(name, kind) if hint is None else hint

    def _hint(self, contract: int, method: str, name: str) -> Value:
        """Return a value that rules tie to something outside of the schema, or None."""
        random, town = self._random, self._town
        time = int(town.time)
        if name in (
            "due",
            "expires",
            "deadline",
            "until",
            "ends",
            "keep_until",
            "not_before",
            "as_of",
            "from_time",
        ):
            return random.choice((0, time - 1, *[time + span for span in SPANS]))
        if name == "year":
            return 1970 + (time - 200 * random.choice((0, 1)) * DAY) // (365 * DAY + DAY // 4)
        if name == "hash":
            pending: Any = town.ask("multisig", "pending", self._number("pending", 1, 1 << 20))
            return sha256(PAY_OUT) if pending is None else pending[2]
        if method in ("retry", "cancel") and contract == 3 and random.random() < 0.9:
            jobs: Any = town.ask("sched", "by_owner", PEOPLE[0].address)
            return PEOPLE[0].address if name == "owner" else random.choice(jobs) if jobs else 1
        if name == "commitment" and contract == 22:
            proposal, member = self._number("proposal", 1, 99), self._number("member", 0, 99)
            return compute_commitment(town.rules.genesis_hash, proposal, member, 1, SECRET)
        return {"salt": SECRET, "parameters": encode(())}.get(name)

    def _value(self, name: str, kind: Kind) -> Value:
        random = self._random
        if isinstance(kind, Maybe):
            return None if random.random() < 0.5 else self._value(name, kind.kind)
        if isinstance(kind, Many):
            count = random.randint(kind.low, min(kind.high, kind.low + 3))
            return (0, *[self._value(name, kind.kind) for _ in range(count)])
        if isinstance(kind, Fields):
            return (0, *[self._value(f.name, f.kind) for f in kind.fields])
        if isinstance(kind, Flag):
            return random.random() < 0.5
        if isinstance(kind, Text):
            return (
                random.choice(ROLES)
                if kind.name == "role"
                else random.choice(("x", "north", "roof", "south"))
            )
        if isinstance(kind, Integer):
            return self._number(kind.name, kind.low, kind.high)
        if isinstance(kind, Data):
            return self._data(name, kind)
        return tagged(random.choice((TWO, HIDDEN, (1, ((0, random.choice(PEOPLE).key, 1),)))))

    def _number(self, name: str, low: int, high: int) -> int:
        random = self._random
        if name.startswith(("amount", "balance", "u63")):
            return max(low, min(high, random.choice(AMOUNTS)))
        if name == "asset":
            return COOP if random.random() < 0.9 else random.choice((0, 2, 3))
        known = self._known.get(name)
        if known and random.random() < 0.8:
            return max(low, min(high, random.choice(known[-8:])))
        if name == "u16" and random.random() < 0.5:
            return random.choice((ASSETS, 1, 17, 2_010, 1_010, 9_010, 3_020))
        return random.choice(
            (low, min(high, low + random.randrange(8)), min(high, low + random.randrange(1_000)), high)
        )

    def _data(self, name: str, kind: Data) -> bytes:
        random = self._random
        if kind.name == "address":
            chosen = BY_ARGUMENT.get(name) if random.random() < 0.9 else None
            return random.choice(chosen or (*PEOPLE, *TOWNSPEOPLE)).address
        if kind.name == "public key":
            return random.choice(PEOPLE).key
        if kind.name.startswith("program"):
            return self._program()
        if kind.low == kind.high == 32:
            return random.choice(HASHES) if name != "tag" else random.randbytes(32)
        return random.randbytes(random.choice((kind.low, max(kind.low, min(8, kind.high)))))

    def _program(self) -> bytes:
        """Draw a program that is stored: of one actor, mostly a payment, sometimes any call of a case."""
        random = self._random
        if random.random() < 0.1:
            return stored((0, 0, 0, 1, 2, 3), (ASSETS, 6, 0, (1,)))  # one that always fails
        if random.random() < 0.5:
            source = random.choice(PEOPLE).address if random.random() < 0.5 else (3, "actor", 0)
            payee = random.choice(PEOPLE).address
            return stored((ASSETS, 7, 0, (source, payee, COOP, random.choice(AMOUNTS), None)))
        case = random.choice(self._cases)
        return stored(*[call for call in case.calls if type(call) is tuple and call[2] in (0, NONE)]) or b"x"


def _shift(value: Value, by: int) -> Value:
    """Move the references inside an argument, as its call moves down in the program."""
    if type(value) is not tuple or not value or not by:
        return value
    if value[0] == 0:
        return (0, *[_shift(item, by) for item in value[1:]])
    return (1, value[1] + by, *value[2:]) if value[0] == 1 else value  # type: ignore[operator]


def _find_results(kind: Kind, calls: list[Drawn]) -> list[Value]:
    """List the references to earlier results that an argument of a kind can take."""
    found: list[Value] = []
    for at, (contract, number, _, _) in enumerate(calls):
        result = REGISTRY.methods[contract, number][1].result
        if kind.accepts(result):
            found.append((1, at))
        if isinstance(result, Fields):
            found += [(1, at, k) for k, field in enumerate(result.fields) if kind.accepts(field.kind)]
    return found


def list_actors(draft: Draft) -> list[Address]:
    """List whose authority a program uses, sorted, as an envelope does."""
    actors = {a[0] if type(a) is tuple else a for _, _, a, _ in draft.calls}
    return sorted(a for a in actors if a is not None)  # type: ignore[type-var]


def list_instructions(draft: Draft) -> tuple[Value, ...]:
    """Return the program with actors as indexes."""
    at = {address: index for index, address in enumerate(list_actors(draft))}
    calls: list[Value] = []
    for contract, number, actor, args in draft.calls:
        index: Value = NO_ACTOR
        if type(actor) is tuple:
            index = (at[actor[0]], actor[1])
        elif actor is not None and not draft.is_gov:
            index = at[actor]  # type: ignore[index]
        calls.append((contract, number, index, args))
    return (*calls, *draft.checks)


def sign(town: Town, draft: Draft, sequence: int, seconds: int) -> SignedTransaction:
    """Put a program into an envelope that every key of its actors has signed."""
    actors = list_actors(draft) or [STRANGER.address]
    body = Transaction(
        town.rules.chain_name,
        tuple(actors),
        0 if draft.sponsor is None or draft.sponsor in actors else draft.sponsor,
        UNORDERED,
        sequence,
        Seconds(town.next_context(seconds).time_ms // 1_000 + 300),
        Gas(draft.gas),
        0,
        ((), list_instructions(draft)),
    )
    signatures = [
        TxSignature(index, key, 0, Signature(bytes(64)))
        for index, address in enumerate(actors)
        for key in town.keys_of(address, BY_ADDRESS[address].key)
    ]
    return assemble(body, town.rules.genesis_hash, tuple(signatures), ())
