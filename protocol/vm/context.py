"""What a method is given: its view, its time, its authority, and the door to lower contracts.

A method never sees keys or signatures, only the authority that they gave (contracts.md 3.6). This file does
not know where the authority came from (`transition.py`) nor what a method does with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from protocol.chain.receipt import Event
from protocol.chain.validators import EpochRecord
from protocol.codec import Value
from protocol.errors import CallFailed, Code, Reason
from protocol.money import compute_day
from protocol.params import CALL_DEPTH_MAX, PENDING_DELAY_SECONDS_MAX
from protocol.types import Address, Hash32, Height, Seconds
from protocol.vm.contract import Contract, EventType, Method, Owner, Registry, Role, Signed, System
from protocol.vm.view import JournalRow, View


class Environment:
    """What a program can know of the world. Made once a program, so it is a plain class; never changed.

    Args:
        day: of the co-op's calendar, days since 1970-01-01.
        index: place in the block.
        program_id: id of the transaction, or of the run of a stored program.
        actors: accounts whose authority the program has.
        system: authority of a program that the kernel runs, or None.
        parameters: values of a template's parameters.
        utc_offset_seconds: of the co-op's calendar.
        nesting: how many programs it runs inside.
        job: the run of a job that this is, or None.
        epoch: record of the epoch that the block belongs to; None outside a block.
        genesis_hash: of the chain; None outside a block.
        waited: seconds for which everybody could see this program before it ran; 0 unless it was stored.
    """

    __slots__ = (
        "actors",
        "day",
        "epoch",
        "genesis_hash",
        "height",
        "index",
        "job",
        "nesting",
        "parameters",
        "program_id",
        "system",
        "time",
        "utc_offset_seconds",
        "waited",
    )

    def __init__(
        self,
        time: Seconds,
        day: int,
        height: Height,
        index: int,
        program_id: bytes,
        actors: tuple[Address, ...],
        system: str | None = None,
        parameters: tuple[Value, ...] = (),
        utc_offset_seconds: int = 0,
        nesting: int = 0,
        job: "JobRun | None" = None,
        epoch: EpochRecord | None = None,
        waited: int = 0,
        genesis_hash: Hash32 | None = None,
    ) -> None:
        self.time = time
        self.day = day
        self.height = height
        self.index = index
        self.program_id = program_id
        self.actors = actors
        self.system = system
        self.parameters = parameters
        self.utc_offset_seconds = utc_offset_seconds
        self.nesting = nesting
        self.job = job
        self.epoch = epoch
        self.waited = waited
        self.genesis_hash = genesis_hash

    def enter(
        self, program_id: bytes, actors: tuple[Address, ...], system: str | None = None, waited: int = 0
    ) -> "Environment":
        """Return the world of a stored program that runs inside this one: the same block, another authority.

        Args:
            waited: as above, of that program.
        """
        return Environment(
            self.time,
            self.day,
            self.height,
            self.index,
            program_id,
            actors,
            system,
            (),
            self.utc_offset_seconds,
            self.nesting + 1,
            self.job,
            self.epoch,
            waited,
            self.genesis_hash,
        )


class JobRun:
    """One run of a job, which may schedule one more job of its contract, not many."""

    __slots__ = ("has_scheduled",)

    def __init__(self) -> None:
        self.has_scheduled = False


class JournalReader(Protocol):
    """Read posted rows of one account, newest first; kept by the shell, authenticated by the account's
    hash."""

    def rows(self, account: bytes, before: int, limit: int) -> tuple[JournalRow, ...]: ...


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What a query is given."""

    view: View
    time: Seconds
    journal: JournalReader | None = None
    utc_offset_seconds: int = 0

    @property
    def day(self) -> int:
        """Return the day of the co-op's calendar, days since 1970-01-01."""
        return compute_day(self.time, self.utc_offset_seconds)


class Take:
    """Authority over at most so much of one owner's money, handed to one call of a lower contract.

    Made by `Context.take` only. What is taken also counts against a grant that the outer call uses.
    """

    __slots__ = ("asset", "left", "owner", "source")

    def __init__(self, source: "Context", owner: Address, asset: int, left: int) -> None:
        self.source = source
        self.owner = owner
        self.asset = asset
        self.left = left


class Context:
    """The world of one call.

    Args:
        contract: whose code runs; it may use its own pseudo-account.
        actor: account whose authority the call uses, or None.
        grant: number of the grant that gives this authority; 0: the account acts itself.
        takes: authority that the calling contract handed on.
    """

    __slots__ = ("_spent", "actor", "contract", "depth", "environment", "grant", "registry", "takes", "view")

    def __init__(
        self,
        view: View,
        registry: Registry,
        environment: Environment,
        contract: Contract,
        actor: Address | None,
        depth: int = 0,
        grant: int = 0,
        takes: tuple[Take, ...] = (),
    ) -> None:
        self.view = view
        self.registry = registry
        self.environment = environment
        self.contract = contract
        self.actor = actor
        self.depth = depth
        self.grant = grant
        self.takes = takes
        self._spent: dict[int, int] | None = None

    def may_debit(self, owner: bytes) -> bool:
        """Tell whether this call has authority over an owner's money."""
        if owner == self.actor or self.environment.system == "gov" or owner == self.contract.address:
            return True
        return any(owner == take.owner for take in self.takes)

    def spend(self, owner: bytes, asset: int, amount: int, counterparty: bytes) -> None:
        """Count what was really moved or held against the grant or the token that allowed it.

        *Rule*: after `may_debit`, by everything that debits: `ledger.leg` and `ledger.hold`.

        Raises:
            CallFailed: GRANT_EXCEEDED.
        """
        if owner == self.actor:
            if self.grant:
                spent = self._spent = self._spent or {}
                spent[asset] = in_call = spent.get(asset, 0) + amount
                self.registry.grants.spend(self.view, self.grant, asset, amount, in_call, counterparty)
        elif self.takes and owner != self.contract.address and self.environment.system != "gov":
            self._use_takes(owner, asset, amount, counterparty)

    def _use_takes(self, owner: bytes, asset: int, amount: int, counterparty: bytes) -> None:
        for take in self.takes:
            if (take.owner, take.asset) == (owner, asset) and amount <= take.left:
                take.left -= amount
                take.source.spend(owner, asset, amount, counterparty)
                return
        left = max([t.left for t in self.takes if (t.owner, t.asset) == (owner, asset)], default=0)
        fail(Code.GRANT_EXCEEDED, "vm.take", left, amount)

    def take(self, owner: Address, asset: int, at_most: int) -> Take:
        """Make a token by which a lower contract may debit an owner at most so much, in one call.

        Raises:
            CallFailed: POLICY_UNMET when this call has no such authority itself.
        """
        if not self.may_debit(owner):
            fail(Code.POLICY_UNMET, "vm.take", None, owner)
        return Take(self, owner, asset, at_most)

    def enter(self, contract_id: int) -> "Context":
        """Return the world in which a door of another builtin runs: as that contract, on its own account, and
        with none of the user's authority. The order of imports says who may knock."""
        contract = self.registry.by_id[contract_id]
        return Context(self.view, self.registry, self.environment, contract, None, self.depth)

    def attempt(self, gas_max: int, step: Callable[[], None]) -> CallFailed | None:
        """Do a step of which nothing but its gas is left when it fails; returns why it failed, or None.

        For a job that does the same for many: one that fails does not hold up the others. The step uses no
        grant and schedules no job.

        Args:
            gas_max: most that the step may use.

        Raises:
            CallFailed: INVARIANT, or GAS of the whole program: they stop it as they would without this.
        """
        view = self.view
        mark, outer = view.mark(), view.gas_limit
        view.gas_limit = min(outer, view.gas_used + gas_max)
        try:
            step()
        except CallFailed as failure:
            if failure.code == Code.INVARIANT or view.gas_used == outer:
                raise
            view.rewind(mark)
            return failure
        finally:
            view.gas_limit = outer
        return None

    def emit(self, event: EventType, *fields: Value) -> None:
        """Say an event of this or a lower contract."""
        view = self.view
        view.charge(event.gas)
        view.emit(Event(event.contract, event.id, fields))

    def call(
        self, contract_id: int, method_id: int, *arguments: Value, takes: tuple[Take, ...] = ()
    ) -> Value:
        """Call a method of a lower contract as this contract; the user's authority is not handed on, except
        for what the tokens name.

        Raises:
            CallFailed: LIMIT (too deep), TYPE, or what the method raises.
        """
        if self.depth + 1 >= CALL_DEPTH_MAX:
            raise CallFailed(Code.LIMIT, Reason("vm.call_depth", CALL_DEPTH_MAX, self.depth + 2))
        contract, method = self.registry.methods[contract_id, method_id]
        assert contract.layer < self.contract.layer, "a contract may call lower layers only"
        if len(arguments) != len(method.arguments):
            raise CallFailed(Code.TYPE, Reason("vm.arguments", len(method.arguments), len(arguments)))
        for declared, value in zip(method.arguments, arguments, strict=True):
            if not declared.kind.holds(value):
                raise CallFailed(Code.TYPE, Reason("vm.argument", declared.kind.name, declared.name))
        inner = Context(
            self.view,
            self.registry,
            self.environment,
            contract,
            self.contract.address,
            self.depth + 1,
            takes=takes,
        )
        return run_method(inner, method, arguments)


def run_method(context: Context, method: Method, arguments: tuple[Value, ...]) -> Value:
    """Check the capability and run a method; the arguments are already typed.

    Raises:
        CallFailed: GAS, PAUSED, POLICY_UNMET, ROLE, or what the method raises.
    """
    context.view.charge(method.call_gas)
    paused_until = context.registry.paused_until
    if paused_until is not None:
        until = paused_until(context.view, context.contract.id, method.id)
        if context.environment.time < until:
            fail(Code.PAUSED, "registry.paused", until, method.name)
    at = method.owner_at
    if at < 0 or arguments[at] != context.actor:
        _check_capability(context, method)
    result = method.run(context, *arguments)
    assert method.result.holds(result), f"{method.name} returned what its schema does not allow"
    return result


def _check_capability(context: Context, method: Method) -> None:
    """Check that the call has one of the capabilities that the method asks for.

    Raises:
        CallFailed: POLICY_UNMET when an owner's authority is missing, else ROLE.
    """
    actor = context.actor
    if context.grant:
        fail(Code.POLICY_UNMET, "vm.owner", method.name, actor)
    for capability in method.capabilities:
        match capability:
            case Owner():
                continue  # `run_method` has compared the usual capability already
            case Role():
                if actor is not None and _check_role(context, actor, capability.name):
                    return
            case System():
                if context.environment.system == capability.name:
                    return
            case Signed():
                if actor is not None:
                    return
    if method.owner_at >= 0:
        raise CallFailed(Code.POLICY_UNMET, Reason("vm.owner", method.name, actor))
    raise CallFailed(Code.ROLE, Reason("vm.capability", method.name, actor))


def _check_role(context: Context, actor: Address, role: str) -> bool:
    """Tell whether an actor may act in a role.

    Raises:
        CallFailed: ROLE when he could, had the program waited.
    """
    has_role, waited = context.registry.has_role, context.environment.waited
    if has_role(context.view, actor, role, waited):
        return True
    if has_role(context.view, actor, role, PENDING_DELAY_SECONDS_MAX):
        raise CallFailed(Code.ROLE, Reason("vm.role_delay", role, waited))
    return False


def fail(
    code: int, rule: str, limit: int | str | bytes | None = None, actual: int | str | bytes | None = None
) -> NoReturn:
    """Fail the program.

    Raises:
        CallFailed: always.
    """
    raise CallFailed(code, Reason(rule, limit, actual))
