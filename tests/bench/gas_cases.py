"""A program for each method, on a world in which it succeeds: what `scripts/calibrate_gas` measures.

A method that needs another one before it (a hold to capture) is measured together with it. The contracts of
the co-op itself have a world of their own, `coop_gas_cases.py`; a test holds that every method has a case.
"""

from dataclasses import dataclass, replace
from typing import Final

from protocol import crypto
from protocol.chain.validators import EngineKind
from protocol.codec import Value, encode
from protocol.contracts import BUILTINS, REGISTRY, sched
from protocol.contracts.assets.records import AUDITOR
from protocol.contracts.conduct import CONVICTIONS
from protocol.contracts.ledger.accounts import CUSTODY, MEMBER_FREE
from protocol.contracts.policies import compute_address
from protocol.contracts.registry.epochs import compute_ready_digest
from protocol.contracts.registry.records import COUNCIL
from protocol.crypto import SecretKey, sha256, sign
from protocol.money import compute_day
from protocol.types import Address, Height, PublicKey, Seconds
from protocol.vm.context import Environment
from protocol.vm.execute import Outcome, run_program
from protocol.vm.program import literal, parse_program
from protocol.vm.view import MemoryState, View
from tests.protocol.ledger_world import (
    ALICE,
    ASSETS,
    AUTH,
    BOB,
    CAROL,
    COOP,
    LEDGER,
    NONE,
    STRANGER,
    TILL,
    Person,
    World,
    founding,
    person,
    program,
)

SCHED, REGISTER, GRANTS, MULTISIG, RECOVERY, DOCS = 3, 4, 6, 21, 25, 51

NODE = person("gas node")
BANK = person("gas bank")
NORTH = person("node")
TWO: Value = (2, ((0, ALICE.key, 1), (0, BOB.key, 1), (0, CAROL.key, 1)))
HIDDEN: Value = (1, ((0, ALICE.key, 1), (0, TILL.key, 1)))
CLUB = Person(PublicKey(b""), compute_address(TWO))
SHY = Person(PublicKey(b""), compute_address(HIDDEN))
PINS: Value = ((ASSETS, 1),)


@dataclass(frozen=True, slots=True)
class Case:
    """One program, the authority that it has, and how many seconds after its world it runs."""

    calls: tuple[Value, ...]
    actors: tuple[Address, ...] = (ALICE.address,)
    system: str | None = None
    after: int = 0
    engine: EngineKind = EngineKind.RAFT


def tagged(value: Value) -> Value:
    return (0, *[tagged(item) for item in value]) if type(value) is tuple else value


def account(who: Person, account_class: int, sub: int = 0) -> Value:
    return (0, who.address, account_class, COOP, sub)


def make_world() -> World:
    """Found the world in which every case succeeds."""
    roles = [(AUTH, 4, NONE, (ALICE.address, role)) for role in (COUNCIL, sched.SCHEDULER)]
    opened = [(AUTH, 1, NONE, (who.address,)) for who in (CLUB, SHY, NODE)]
    custody = (LEDGER, 1, NONE, (account(ALICE, CUSTODY), None))
    bank = (ASSETS, 9, NONE, (BANK.address, COOP, 5))
    auditor = (AUTH, 4, NONE, (CAROL.address, AUDITOR))
    board = [(AUTH, 4, NONE, (who.address, "board")) for who in (BOB, CAROL)]
    world = World((*founding(), program(*roles, *opened, custody, bank, auditor, *board)))
    world.ok(*[world.cash_in(who, 10_000) for who in (ALICE, BOB, CLUB)])
    world.ok(world.tx((MULTISIG, 7, 0, (CLUB.address, tagged(TWO)))))
    slow = world.tx((MULTISIG, 6, 0, (CLUB.address, True, False, 2)), actors=(CLUB,))
    world.ok(world.sign(slow.tx, (0, ALICE.key), (0, BOB.key)))
    world.ok(
        world.tx(propose(int(world.time)), actors=(ALICE,)),
        world.tx(propose(int(world.time)), actors=(ALICE,)),
    )
    approve = (MULTISIG, 2, 0, (BOB.address, 1, crypto.sha256(PAY_OUT)))
    world.ok(world.tx(approve, actors=(BOB,)))
    raw = encode((PINS, ((0, 0, 0, 1, 2, 3),)))
    failing = (SCHED, 1, 0, (ALICE.address, raw, encode(()), int(world.time) + 1, 0, 1, 0, True, 1_000))
    world.ok(world.tx(failing))
    for seconds in (1, 1, 2, 4, 8, 3_600, 6 * 3_600, 24 * 3_600):
        world.run(seconds=seconds)
    lost = (RECOVERY, 3, 0, (TILL.address, tagged(TWO), bytes(32)))
    world.ok(world.tx(lost, actors=(BOB,)))
    conviction = (1, "south", STRANGER.key, 1, 0, 1, bytes(32), 0)
    world.write({CONVICTIONS.key(STRANGER.key, 0, 1): encode(conviction)})
    return world


PAY_OUT: Final = encode((PINS, ((ASSETS, 7, 0, (CLUB.address, CAROL.address, COOP, 1, None)),)))


def propose(time: int) -> Value:
    return (MULTISIG, 1, 0, (ALICE.address, CLUB.address, PAY_OUT, time + 20 * 86_400))


def _ledger_cases() -> dict[int, Case]:
    alice, bob = account(ALICE, MEMBER_FREE), account(BOB, MEMBER_FREE)
    new, gov = account(ALICE, 2030, 1), "gov"
    hold = (LEDGER, 3, NONE, (alice, bob, 10, 0, 0, 0, 1, b"ref"))
    calls: dict[int, tuple[Value, ...]] = {
        1: ((LEDGER, 1, NONE, (new, None)),),
        2: ((LEDGER, 2, NONE, (alice, bob, 10, 0, 1, b"ref")),),
        3: (hold,),
        4: (hold, (LEDGER, 4, NONE, ((1, 0), None))),
        5: (hold, (LEDGER, 5, NONE, ((1, 0),))),
        6: ((LEDGER, 6, NONE, (alice, 4)),),
        7: ((LEDGER, 7, NONE, (alice, 4)),),
        8: ((LEDGER, 1, NONE, (new, None)), (LEDGER, 8, NONE, (new,))),
    }
    return {method: Case(program, (), gov) for method, program in calls.items()}


def _auth_cases() -> dict[int, Case]:
    give = (AUTH, 4, NONE, (BOB.address, "board"))
    return {
        1: Case(((AUTH, 1, NONE, (STRANGER.address,)),), (), "gov"),
        2: Case(((AUTH, 2, 0, (ALICE.address, tagged(TWO))),)),
        3: Case(((AUTH, 3, 0, (ALICE.address, BOB.key)),)),
        4: Case((give,), (), "gov"),
        5: Case((give, (AUTH, 5, NONE, (BOB.address, "board"))), (), "gov"),
        6: Case(((AUTH, 6, NONE, (COOP, 5)),), (), "gov"),
    }


def _kernel_cases(time: int) -> dict[tuple[int, int], Case]:
    pay = (ASSETS, 7, (0, 1), (ALICE.address, BOB.address, COOP, 5, None))
    job = (ALICE.address, encode((PINS, (pay,))), encode(()), time + 1_000, 3, 1, 0, True, 20_000)
    create = (SCHED, 1, 0, job)
    terms: tuple[Value, ...] = (((ASSETS, 7),), ((COOP, 10, 10),), (), None, 0, (3, 1, 20_000), 0)
    grant = (GRANTS, 1, 0, (ALICE.address, BOB.address, *[literal(t) for t in terms]))
    fresh = SecretKey(sha256(b"gas consensus key"))
    proof = sign(fresh, compute_ready_digest(NODE.key, fresh.public_key))
    ready = (REGISTER, 1, 0, (NODE.address, NODE.key, fresh.public_key, proof, "north", "1.0", 3, 0))
    change = (REGISTER, 2, 1, (1, (0, fresh.public_key), 0, 0))
    back = (REGISTER, 10, 1, ((0, fresh.public_key), 0, 0))
    both = (NODE.address, ALICE.address)
    pause = (REGISTER, 4, 0, (ASSETS, 7, 60))
    upgrade = (REGISTER, 7, 0, (ASSETS, 2, bytes(32), "", 0))
    installed = (NORTH.address, NORTH.key, ASSETS, 2, bytes(32))
    return {
        (SCHED, 1): Case((create,)),
        (SCHED, 2): Case((create, (SCHED, 2, 0, (ALICE.address, (1, 0))))),
        (SCHED, 3): Case(((SCHED, 3, 0, (ALICE.address, 1)),)),
        (REGISTER, 1): Case((ready,), both),
        (REGISTER, 2): Case((ready, change), both),
        (REGISTER, 3): Case((ready, change, (REGISTER, 3, 1, ())), both),
        (REGISTER, 10): Case((ready, back), both, engine=EngineKind.BFT),
        (REGISTER, 11): Case((ready, back, (REGISTER, 11, 1, ())), both, engine=EngineKind.BFT),
        (REGISTER, 12): Case(((REGISTER, 12, NONE, (2,)),), (), "gov"),
        (REGISTER, 4): Case((pause,)),
        (REGISTER, 5): Case((pause, (REGISTER, 5, 0, (ASSETS, 7)))),
        (REGISTER, 6): Case(((REGISTER, 6, 0, ("block_gas", 20_000_000, 0)),)),
        (REGISTER, 7): Case((upgrade,)),
        (REGISTER, 8): Case((upgrade, (REGISTER, 8, 0, (ASSETS,)))),
        (REGISTER, 16): Case(((REGISTER, 16, 0, ("south",)),)),
        (REGISTER, 9): Case((upgrade, (REGISTER, 9, 1, installed)), (ALICE.address, NORTH.address)),
        (GRANTS, 1): Case((grant,)),
        (GRANTS, 2): Case((grant, (GRANTS, 2, 0, (ALICE.address, (1, 0))))),
    }


def _assets_cases(time: int) -> dict[int, Case]:
    till = (TILL.address,)
    out = (ASSETS, 5, 0, (ALICE.address, TILL.address, COOP, 10, b"gas"))
    many = tagged(tuple((who.address, 5) for who in (BOB, CAROL) * 4))
    return {
        1: Case(((ASSETS, 1, NONE, ("GAS", "Gas", 2, 1, 1_000)),), (), "gov"),
        2: Case(((ASSETS, 2, NONE, (COOP, 2)),), (), "gov"),
        3: Case(((ASSETS, 3, NONE, (BOB.address, COOP, 10, 10, 10)),), (), "gov"),
        4: Case(((ASSETS, 4, 0, (TILL.address, BOB.address, COOP, 10, b"gas")),), till),
        5: Case((out,)),
        6: Case((out, (ASSETS, 6, 1, ((1, 0),))), (ALICE.address, TILL.address)),
        7: Case(((ASSETS, 7, 0, (ALICE.address, BOB.address, COOP, 10, None)),)),
        8: Case(((ASSETS, 8, 0, (ALICE.address, COOP, many)),)),
        **_custody_cases(time),
    }


def _custody_cases(time: int) -> dict[int, Case]:
    bank, alice, bob, later = BANK.address, ALICE.address, BOB.address, time + 1_000
    hold = (ASSETS, 14, 0, (alice, bob, COOP, 5, CAROL.address, later, bytes(32)))
    attest = (ASSETS, 12, 0, (bank, COOP, 1_000, bytes(32), 1))
    freeze = (ASSETS, 17, NONE, (bob, COOP, bytes(32), later))
    return {
        9: Case(((ASSETS, 9, NONE, (bob, COOP, 5)),), (), "gov"),
        10: Case(((ASSETS, 10, 0, (bank, TILL.address, COOP, 5, b"gas")),), (bank,)),
        11: Case(
            (
                (ASSETS, 10, 0, (bank, TILL.address, COOP, 5, b"gas")),
                (ASSETS, 11, 1, (TILL.address, bank, COOP, 5, b"gas2")),
            ),
            (bank, TILL.address),
        ),
        12: Case((attest,), (bank,)),
        13: Case((attest, (ASSETS, 13, 1, (CAROL.address, bank, COOP, bytes(32)))), (bank, CAROL.address)),
        14: Case((hold,)),
        15: Case((hold, (ASSETS, 15, 0, (alice, (1, 0))))),
        16: Case((hold, (ASSETS, 16, 1, (bob, (1, 0)))), (alice, bob)),
        17: Case((freeze,), (), "gov"),
        18: Case((freeze, (ASSETS, 18, NONE, (bob, COOP))), (), "gov"),
    }


def _multisig_cases(time: int) -> dict[int, Case]:
    digest = crypto.sha256(PAY_OUT)
    shy = tagged(HIDDEN)
    return {
        1: Case((propose(time),)),
        2: Case(((MULTISIG, 2, 0, (BOB.address, 2, digest)),), (BOB.address,)),
        3: Case(((MULTISIG, 3, 0, (BOB.address, 1)),), (BOB.address,)),
        4: Case(((MULTISIG, 4, 0, (CAROL.address, 1)),), (CAROL.address,)),
        5: Case(((MULTISIG, 5, 0, (CAROL.address, 1)),), (CAROL.address,)),
        6: Case(((MULTISIG, 6, 0, (CLUB.address, True, True, 9)),), (CLUB.address,)),
        7: Case(((MULTISIG, 7, 0, (SHY.address, shy)),)),
        8: Case(
            ((MULTISIG, 8, 0, (CLUB.address, ASSETS, 7, 1, 10, 60, tagged(TWO))),),
            (CLUB.address,),
        ),
    }


def _recovery_cases() -> dict[int, Case]:
    alice, both = ALICE.address, (ALICE.address, BOB.address)
    policy = tagged(TWO)
    guard = (RECOVERY, 1, 0, (alice, BOB.address, True))
    start = (RECOVERY, 2, 1, (BOB.address, alice, policy, bytes(32)))
    attest = (RECOVERY, 3, 1, (alice, policy, bytes(32)))
    return {
        1: Case((guard,)),
        2: Case((guard, start), both),
        3: Case((attest,), both),
        4: Case((attest, (RECOVERY, 4, 2, (alice,))), (*both, CAROL.address)),
        5: Case((attest, (RECOVERY, 5, 0, (alice, alice))), both),
        6: Case(((RECOVERY, 6, 0, (TILL.address,)),), after=8 * 86_400),
    }


def _documents_cases() -> dict[int, Case]:
    owner = ALICE.address
    register = (DOCS, 1, 0, (owner, bytes(32), "bylaws", 0))
    return {
        1: Case((register,)),
        2: Case((register, (DOCS, 2, 0, (owner, (1, 0), 9)))),
        3: Case((register, (DOCS, 3, 0, (owner, (1, 0))))),
        4: Case(((DOCS, 4, 0, (owner, ALICE.key)),)),
    }


def make_cases(time: int) -> dict[tuple[int, int], Case]:
    """Return the case of each (contract, method) for a block of this time."""
    cases = _kernel_cases(time)
    for contract, found in (
        (LEDGER, _ledger_cases()),
        (AUTH, _auth_cases()),
        (ASSETS, _assets_cases(time)),
        (MULTISIG, _multisig_cases(time)),
        (DOCS, _documents_cases()),
        (RECOVERY, _recovery_cases()),
    ):
        cases |= {(contract, method): case for method, case in found.items()}
    return cases


def list_missing(cases: dict[tuple[int, int], Case]) -> list[str]:
    """List the methods that have no case."""
    return [
        f"{contract.name}.{method.name}"
        for contract in BUILTINS
        for method in contract.methods
        if (int(contract.id), method.id) not in cases
    ]


def prepare(case: Case, world: World) -> tuple[Environment, Value]:
    """Return the environment of a case and its program."""
    time = Seconds(world.time + case.after)
    environment = Environment(
        time,
        compute_day(time, 0),
        Height(world.height + 1),
        0,
        bytes(32),
        case.actors,
        case.system,
        epoch=replace(world.genesis.epoch, engine=case.engine),
        genesis_hash=world.genesis.compute_hash(),
    )
    return environment, ((), case.calls)


def run_case(state: MemoryState, environment: Environment, value: Value) -> tuple[Outcome, int]:
    """Type and run a case and pack what it wrote; returns outcome and gas."""
    view = View(state)
    typed = parse_program(value, REGISTRY, len(environment.actors))
    outcome = run_program(view, REGISTRY, environment, typed)
    view.collect_writes()
    return outcome, view.gas_used
