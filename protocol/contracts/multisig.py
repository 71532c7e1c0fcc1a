"""multisig: programs that wait for the signers of an account, who need not sign one envelope together.

Anybody whom an account's policy names may propose a program in its name. The others approve, each bound to
the hash of the program; the approval that meets the policy runs it at once, with the authority of the
account, as a program of its own inside the approver's transaction: all of it or nothing. A run that fails
leaves the program open for another try until it expires. When the policy changes, what is open becomes void.

An account may have rules for a method: up to so much, another policy and a delay of its own; the first tier
that is large enough counts. So "2 of 5 up to 10,000, above 3 of 5 and a day" is an account whose own policy
asks for all five, and two tiers; its own policy changes them, and is what one envelope needs (ADR 22).

A role that acts with a delay is used by a program that waits here: proposed by its holder, seen by everybody,
and run when it has waited as long as the role asks for. Until then it fails and stays open, and the guardian
of the role can cancel it.

A key of the policy is met by the account that this key alone controls, an account by itself, a role by any
approver who holds it now. Spending limits are grants. This contract does not know what a program does.

*Source*: contracts.md 3.7, 5.5. *Departs*: veto, delay and "not the author alone" are settings of the
account, because a policy is only a tree.
"""

from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.codec import Value
from protocol.contracts import auth, policies
from protocol.contracts.members.roles import guards_delayed
from protocol.contracts.policies import AccountLeaf, KeyLeaf, Policy, RoleLeaf
from protocol.contracts.stored import (
    PROGRAM,
    delete_program,
    load_program,
    program_table,
    read_template,
    save_program,
)
from protocol.errors import Code, Rejected
from protocol.params import (
    PENDING_APPROVALS_MAX,
    PENDING_DELAY_SECONDS_MAX,
    PENDING_SECONDS_MAX,
    PROGRAM_NESTING_MAX,
    QUERY_ITEMS_MAX,
)
from protocol.types import Address, ContractId, Hash32
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import Contract, ErrorType, EventType, Method, Owner, Query, Registry, Signed
from protocol.vm.execute import run_stored
from protocol.vm.keys import KeyPart, data_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    AMOUNT,
    BOOL,
    HASH,
    SECONDS,
    U8,
    U16,
    U32,
    U48,
    Field,
    Fields,
    Integer,
    Many,
    Maybe,
)
from protocol.vm.program import Call, Template
from protocol.vm.tables import SCHEMA, Index, Table
from protocol.vm.view import Row, View

ID: Final = ContractId(21)

OPEN: Final = 0
EXECUTED: Final = 1
CANCELLED: Final = 2
EXPIRED: Final = 3
VOID: Final = 4

NO_PENDING: Final = 2101
POLICY_UNKNOWN: Final = 2102
NOT_OPEN: Final = 2103
OTHER_PROGRAM: Final = 2104
NOT_SIGNER: Final = 2105
APPROVED_ALREADY: Final = 2106
NOT_APPROVED: Final = 2107
TERMS: Final = 2108
NOT_READY: Final = 2109

TIERS_MAX: Final = 4
"""Rules of one account for one method."""

PendingRow: TypeAlias = tuple[int, Address, Hash32, int, Address, tuple[Address, ...], int, int, int, int]
"""(schema, account, hash, policy version, proposer, approvals, created, expires, ready at, state)"""
SettingsRow: TypeAlias = tuple[int, bool, bool, int]
"""(schema, veto, needs another, delay in seconds)"""
CounterRow: TypeAlias = tuple[int, int]
RuleRow: TypeAlias = tuple[int, int, int, Value]
"""(schema, most, delay in seconds, policy)"""
UnderRow: TypeAlias = tuple[int, int, int, int]
"""(schema, contract, method, tier)"""
Result: TypeAlias = tuple[int, int]

PENDING: Final = Integer("pending", 1, (1 << 48) - 1)
STATE: Final = Field("state", U8, "0 open, 1 executed, 2 cancelled, 3 expired, 4 void")
OUTCOME: Final = Fields((STATE, Field("code", U32, "why the run failed; 0: it did not")))

_PENDING_FIELDS: Final = (
    Field("account", ADDRESS, "in whose name it runs"),
    Field("hash", HASH, "SHA-256 of the program's bytes"),
    Field("policy_version", U32),
    Field("proposer", ADDRESS),
    Field("approvals", Many(ADDRESS, PENDING_APPROVALS_MAX)),
    Field("created", SECONDS),
    Field("expires", SECONDS, "last second"),
    Field("ready_at", SECONDS, "when the delay is over; 0: the policy is not met"),
    STATE,
)
_SETTINGS_FIELDS: Final = (
    Field("veto", BOOL, "any signer may cancel"),
    Field("needs_another", BOOL, "the proposer alone is not enough"),
    Field("delay", Integer("delay", 0, PENDING_DELAY_SECONDS_MAX), "seconds between policy met and run"),
)


def _select_open(_: tuple[KeyPart, ...], row: Row) -> tuple[KeyPart, ...] | None:
    account, state = row[1], row[9]
    assert type(account) is bytes
    return (account,) if state == OPEN else None


BY_ACCOUNT: Final = Index(2, "by_account", (data_key("account", 20),), _select_open)
PENDINGS: Final[Table[PendingRow]] = Table(
    ID,
    1,
    "pending",
    (uint_key("pending", 48),),
    _PENDING_FIELDS,
    (BY_ACCOUNT,),
    doc="Programs that wait, or waited, for signers.",
)
PROGRAMS: Final = program_table(ID, 3)
SETTINGS: Final[Table[SettingsRow]] = Table(
    ID,
    4,
    "settings",
    (data_key("account", 20),),
    _SETTINGS_FIELDS,
    doc="What an account asks beside its policy.",
)
_RULE_FIELDS: Final = (
    Field("most", AMOUNT, "sum of all amounts of the program"),
    Field("delay", Integer("delay", 0, PENDING_DELAY_SECONDS_MAX), "seconds between policy met and run"),
)
_METHOD: Final = (Field("contract", U16), Field("method", U16))
_TIER: Final = Field("tier", Integer("tier", 1, TIERS_MAX), "the first one that is large enough counts")
RULES: Final[Table[RuleRow]] = Table(
    ID,
    6,
    "rule",
    (data_key("account", 20), uint_key("contract", 16), uint_key("method", 16), uint_key("tier", 8)),
    (*_RULE_FIELDS, Field("policy", auth.POLICY)),
    doc="What programs that call one method only need, instead of the account's own policy.",
)
UNDER_RULE: Final[Table[UnderRow]] = Table(
    ID,
    7,
    "under_rule",
    (uint_key("pending", 48),),
    (*_METHOD, _TIER),
    doc="By which rule a program is approved.",
)
COUNTER: Final[Table[CounterRow]] = Table(
    ID, 5, "counter", (), (Field("pendings", U48),), doc="Number of the newest pending program."
)

_OF_PENDING: Final = (Field("pending", PENDING), Field("account", ADDRESS))
PROPOSED: Final = EventType(
    ID,
    1,
    "proposed",
    (*_OF_PENDING, Field("proposer", ADDRESS), Field("hash", HASH)),
    "A program waits for signers.",
)
APPROVED: Final = EventType(
    ID, 2, "approved", (*_OF_PENDING, Field("signer", ADDRESS)), "A signer approved a program."
)
REVOKED: Final = EventType(
    ID, 3, "revoked", (*_OF_PENDING, Field("signer", ADDRESS)), "A signer took an approval back."
)
CLOSED: Final = EventType(
    ID, 4, "closed", (*_OF_PENDING, STATE), "A program was executed or cancelled, has expired or is void."
)
RUN_FAILED: Final = EventType(
    ID,
    5,
    "run_failed",
    (*_OF_PENDING, Field("code", U32), Field("failed_instruction", Maybe(U16))),
    "An approved program failed and stays open.",
)
MET: Final = EventType(
    ID, 6, "met", (*_OF_PENDING, Field("ready_at", SECONDS)), "The policy is met and the delay runs."
)


# --- signers


def _get_policy(view: View, account: Address) -> tuple[Policy, int]:
    row = auth.ACCOUNT.get(view, auth.ACCOUNT.key(account))
    if row is None:
        fail(Code.NO_ACCOUNT, "multisig.account", None, account)
    kept = auth.POLICIES.get(view, auth.POLICIES.key(account))
    if kept is None:
        fail(POLICY_UNKNOWN, "multisig.policy", None, account)
    return policies.read_policy(kept[1]), row[1]


def _find_rule(view: View, number: int, account: Address) -> RuleRow | None:
    """Return the rule by which a program is approved, if not by the account's own policy."""
    under = UNDER_RULE.get(view, UNDER_RULE.key(number))
    return None if under is None else RULES.get(view, RULES.key(account, *under[1:]))


def _match_rule(view: View, account: Address, template: Template) -> tuple[UnderRow, RuleRow] | None:
    """Find the rule for a program that calls one method only, and says every amount."""
    calls = [step for step in template.program if isinstance(step, Call)]
    methods = dict.fromkeys([(step.contract.id, step.method.id) for step in calls])
    if len(methods) != 1:
        return None
    amounts = [
        value
        for step in calls
        for field, value in zip(step.method.arguments, step.arguments, strict=True)
        if "amount" in field.kind.name
    ]
    whole = [value for value in amounts if type(value) is int]
    if len(whole) != len(amounts):
        return None
    ((contract, method),) = methods
    for key, row in RULES.page_rows(view, account, contract, method):
        if sum(whole) <= row[1]:
            tier = key[3]
            assert type(tier) is int
            return (SCHEMA, contract, method, tier), row
    return None


def _is_signer(ctx: Context, policy: Policy, address: Address) -> bool:
    for leaf in policy.leaves:
        match leaf:
            case KeyLeaf():
                found = policies.address_of_key(leaf.key) == address
            case AccountLeaf():
                found = leaf.address == address
            case RoleLeaf():
                found = ctx.registry.has_role(ctx.view, address, leaf.name, 0)
            case Policy():
                found = _is_signer(ctx, leaf, address)
        if found:
            return True
    return False


def _is_met(registry: Registry, view: View, policy: Policy, approvals: tuple[Address, ...]) -> bool:
    approved = dict.fromkeys(approvals)
    keys = dict.fromkeys([k for k in policies.list_keys(policy) if policies.address_of_key(k) in approved])

    def any_has_role(name: str) -> bool:
        return any(registry.has_role(view, address, name, 0) for address in approvals)

    return policies.is_met(policy, keys.keys(), approved.keys(), any_has_role)


def _check_signer(ctx: Context, policy: Policy, signer: Address) -> None:
    if ctx.grant:
        fail(NOT_SIGNER, "multisig.signs_itself", None, signer)
    if not _is_signer(ctx, policy, signer):
        fail(NOT_SIGNER, "multisig.signer", None, signer)


# --- methods


def _propose(ctx: Context, proposer: Address, account: Address, program: bytes, expires: int) -> Value:
    view, time = ctx.view, int(ctx.environment.time)
    policy, version = _get_policy(view, account)
    template = read_template(ctx, program, 1)
    matched = _match_rule(view, account, template)
    if matched is not None:
        policy = policies.read_policy(matched[1][3])
    _check_signer(ctx, policy, proposer)
    if template.parameters:
        fail(TERMS, "multisig.no_parameters")
    if not time < expires <= time + PENDING_SECONDS_MAX:
        fail(TERMS, "multisig.expires", PENDING_SECONDS_MAX, expires - time)
    counter = COUNTER.get(view, COUNTER.prefix)
    number = 1 if counter is None else counter[1] + 1
    COUNTER.put(view, COUNTER.prefix, (SCHEMA, number))
    if matched is not None:
        UNDER_RULE.put(view, UNDER_RULE.key(number), matched[0])
    digest = Hash32(crypto.sha256(program))
    save_program(view, PROGRAMS, number, program)
    ctx.emit(PROPOSED, number, account, proposer, digest)
    row = (SCHEMA, account, digest, version, proposer, (proposer,), time, expires, 0, OPEN)
    return (number, *_proceed(ctx, number, row, policy))


def _approve(ctx: Context, signer: Address, number: int, digest: bytes) -> Value:
    row, policy = _find_open(ctx, number)
    if policy is None:
        return _close(ctx, number, row)
    _check_signer(ctx, policy, signer)
    if digest != row[2]:
        fail(OTHER_PROGRAM, "multisig.hash", row[2], digest)
    if signer in row[5]:
        fail(APPROVED_ALREADY, "multisig.approved", None, signer)
    if len(row[5]) >= PENDING_APPROVALS_MAX:
        fail(Code.LIMIT, "multisig.approvals", PENDING_APPROVALS_MAX, len(row[5]) + 1)
    ctx.emit(APPROVED, number, row[1], signer)
    return _proceed(ctx, number, (*row[:5], (*row[5], signer), *row[6:]), policy)


def _revoke(ctx: Context, signer: Address, number: int) -> Value:
    row, policy = _find_open(ctx, number)
    if policy is None:
        return _close(ctx, number, row)
    if ctx.grant or signer not in row[5]:
        fail(NOT_APPROVED, "multisig.approved", None, signer)
    approvals = tuple([a for a in row[5] if a != signer])
    is_met = _is_enough(ctx, (*row[:5], approvals, *row[6:]), policy)
    ready_at = row[8] if is_met else 0
    PENDINGS.put(ctx.view, PENDINGS.key(number), (*row[:5], approvals, *row[6:8], ready_at, OPEN))
    ctx.emit(REVOKED, number, row[1], signer)
    return (OPEN, 0)


def _cancel(ctx: Context, signer: Address, number: int) -> Value:
    row, policy = _find_open(ctx, number)
    if policy is None:
        return _close(ctx, number, row)
    is_guardian = not ctx.grant and guards_delayed(ctx.view, signer, row[1])
    if not is_guardian and (ctx.grant or signer not in (row[4], row[1])):
        settings = SETTINGS.get(ctx.view, SETTINGS.key(row[1]))
        if settings is None or not settings[1]:
            fail(NOT_SIGNER, "multisig.veto", None, signer)
        _check_signer(ctx, policy, signer)
    return _close(ctx, number, (*row[:9], CANCELLED))


def _execute(ctx: Context, signer: Address, number: int) -> Value:
    row, policy = _find_open(ctx, number)
    if policy is None:
        return _close(ctx, number, row)
    _check_signer(ctx, policy, signer)
    if not _is_enough(ctx, row, policy):
        fail(NOT_READY, "multisig.policy", None, number)
    if ctx.environment.time < row[8]:
        fail(NOT_READY, "multisig.delay", row[8], ctx.environment.time)
    return _proceed(ctx, number, row, policy)


def _configure(ctx: Context, account: Address, veto: bool, needs_another: bool, delay: int) -> Value:
    if ctx.grant:
        fail(NOT_SIGNER, "multisig.signs_itself", None, account)
    SETTINGS.put(ctx.view, SETTINGS.key(account), (SCHEMA, veto, needs_another, delay))
    return True


def _set_rule(
    ctx: Context,
    account: Address,
    contract: int,
    method: int,
    tier: int,
    most: int,
    delay: int,
    policy: Value,
) -> Value:
    """Set or delete a tier; what is open becomes void, as when the policy changes."""
    if ctx.grant:
        fail(NOT_SIGNER, "multisig.signs_itself", None, account)
    view, key = ctx.view, RULES.key(account, contract, method, tier)
    kept = auth.POLICIES.get(view, auth.POLICIES.key(account))
    if kept is None:
        fail(POLICY_UNKNOWN, "multisig.policy", None, account)
    if policy is None:
        RULES.delete(view, key)
    else:
        if (contract, method) not in ctx.registry.methods:
            fail(Code.UNKNOWN_METHOD, "multisig.method", None, method)
        try:
            policies.read_policy(policy)
        except Rejected as rejected:
            fail(rejected.code, "multisig.policy", None, rejected.detail)
        RULES.put(view, key, (SCHEMA, most, delay, policy))
    ctx.emit(auth.POLICY_SET, account, auth.replace_policy(view, account, kept[1]))
    return True


def _reveal(ctx: Context, account: Address, policy: Value) -> Value:
    try:
        policies.read_policy(policy)
    except Rejected as rejected:
        fail(rejected.code, "multisig.policy", None, rejected.detail)
    if policies.compute_address(policy) != account:
        fail(Code.POLICY_UNMET, "multisig.policy_of_address", None, account)
    if auth.ACCOUNT.get(ctx.view, auth.ACCOUNT.key(account)) is None:
        fail(Code.NO_ACCOUNT, "multisig.account", None, account)
    auth.keep_reveals(ctx.view, (account,), ((0, policy),))
    return True


# --- what happens to a pending program


def _find_open(ctx: Context, number: int) -> tuple[PendingRow, Policy | None]:
    """Return a program that is open and its account's policy; None when it has expired or become void."""
    row = PENDINGS.need(ctx.view, PENDINGS.key(number), NO_PENDING, "multisig.pending", number)
    if row[9] != OPEN:
        fail(NOT_OPEN, "multisig.open", OPEN, row[9])
    policy, version = _get_policy(ctx.view, row[1])
    if version != row[3]:
        return (*row[:9], VOID), None
    if ctx.environment.time > row[7]:
        return (*row[:9], EXPIRED), None
    rule = _find_rule(ctx.view, number, row[1])
    return row, policy if rule is None else policies.read_policy(rule[3])


def _close(ctx: Context, number: int, row: PendingRow) -> Result:
    """Keep the last state of a program, and forget its bytes."""
    PENDINGS.put(ctx.view, PENDINGS.key(number), row)
    delete_program(ctx.view, PROGRAMS, number)
    ctx.emit(CLOSED, number, row[1], row[9])
    return (row[9], 0)


def _is_enough(ctx: Context, row: PendingRow, policy: Policy) -> bool:
    settings = SETTINGS.get(ctx.view, SETTINGS.key(row[1]))
    if settings is not None and settings[2] and all(a == row[4] for a in row[5]):
        return False
    return _is_met(ctx.registry, ctx.view, policy, row[5])


def _proceed(ctx: Context, number: int, row: PendingRow, policy: Policy) -> Result:
    """Keep a program, and run it when the policy is met and the delay is over."""
    view, time = ctx.view, ctx.environment.time
    is_enough = _is_enough(ctx, row, policy)
    if is_enough and row[8] == 0:
        settings = SETTINGS.get(view, SETTINGS.key(row[1]))
        rule = _find_rule(view, number, row[1])
        delay = rule[2] if rule is not None else 0 if settings is None else settings[3]
        ready_at = time + delay
        row = (*row[:8], ready_at, OPEN)
        ctx.emit(MET, number, row[1], ready_at)
    PENDINGS.put(view, PENDINGS.key(number), row)
    if not is_enough or time < row[8]:
        return (OPEN, 0)
    return _run(ctx, number, row)


def _run(ctx: Context, number: int, row: PendingRow) -> Result:
    """Run a program in the name of its account; it is marked as executed before, so it runs once."""
    view, outer, account = ctx.view, ctx.environment, row[1]
    if outer.nesting >= PROGRAM_NESTING_MAX:
        fail(Code.LIMIT, "vm.nesting", PROGRAM_NESTING_MAX, outer.nesting + 1)
    raw = load_program(view, PROGRAMS, number)
    assert crypto.sha256(raw) == row[2], "the program is the one that was approved"
    PENDINGS.put(view, PENDINGS.key(number), (*row[:9], EXECUTED))
    run_id = crypto.sha256(codec.encode(("pending", number)))
    inner = outer.enter(run_id, (account,), waited=int(outer.time) - row[6])
    outcome = run_stored(view, ctx.registry, inner, raw)
    if outcome.code == Code.OK:
        return _close(ctx, number, (*row[:9], EXECUTED))
    PENDINGS.put(view, PENDINGS.key(number), row)
    ctx.emit(RUN_FAILED, number, account, outcome.code, outcome.failed_instruction)
    return (OPEN, outcome.code)


# --- queries


def _query_pending(query: QueryContext, number: int) -> Value:
    row = PENDINGS.get(query.view, PENDINGS.key(number))
    return None if row is None else (number, *row[1:])


def _query_program(query: QueryContext, number: int) -> Value:
    return load_program(query.view, PROGRAMS, number) or None


def _query_open(query: QueryContext, account: Address, after: int | None) -> Value:
    page = PENDINGS.page_keys(query.view, BY_ACCOUNT, account, after=() if after is None else (after,))
    return tuple([number for (number,) in page])


def _query_settings(query: QueryContext, account: Address) -> Value:
    row = SETTINGS.get(query.view, SETTINGS.key(account))
    return (False, False, 0) if row is None else row[1:]


def _query_rules(query: QueryContext, account: Address, contract: int, method: int) -> Value:
    return tuple([(key[3], *row[1:]) for key, row in RULES.page_rows(query.view, account, contract, method)])


_SIGNER: Final = Field("signer", ADDRESS)
_NUMBER: Final = Field("pending", PENDING)
_ACCOUNT: Final = Field("account", ADDRESS)
_SIGNS: Final = (Owner("signer"),)

CONTRACT: Final = Contract(
    ID,
    "multisig",
    layer=2,
    version=1,
    doc="Programs that wait for the signers of an account.",
    tables=(PENDINGS, PROGRAMS, SETTINGS, COUNTER, RULES, UNDER_RULE),
    methods=(
        Method(
            1,
            "propose",
            (
                Field("proposer", ADDRESS),
                _ACCOUNT,
                Field("program", PROGRAM, "canonical bytes; actor 0 is the account"),
                Field("expires", SECONDS, "last second"),
            ),
            Fields((_NUMBER, *OUTCOME.fields)),
            (Owner("proposer"),),
            800,
            _propose,
            "Propose a program in an account's name and approve it; returns number and outcome.",
        ),
        Method(
            2,
            "approve",
            (_SIGNER, _NUMBER, Field("hash", HASH, "of the program that was read")),
            OUTCOME,
            _SIGNS,
            800,
            _approve,
            "Approve a program; the approval that meets the policy runs it.",
        ),
        Method(3, "revoke", (_SIGNER, _NUMBER), OUTCOME, _SIGNS, 800, _revoke, "Take an approval back.", 0),
        Method(
            4,
            "cancel",
            (_SIGNER, _NUMBER),
            OUTCOME,
            _SIGNS,
            800,
            _cancel,
            "Cancel a program: its proposer, the account itself, the guardian of an office that it waits "
            "for, or any signer where the account allows a veto.",
            0,
        ),
        Method(
            5,
            "execute",
            (_SIGNER, _NUMBER),
            OUTCOME,
            _SIGNS,
            800,
            _execute,
            "Run an approved program whose delay is over, or whose last run failed.",
        ),
        Method(
            6,
            "configure",
            (_ACCOUNT, *_SETTINGS_FIELDS),
            BOOL,
            (Owner("account"),),
            20,
            _configure,
            "Say what an account asks beside its policy.",
        ),
        Method(
            7,
            "reveal",
            (_ACCOUNT, Field("policy", auth.POLICY)),
            BOOL,
            (Signed(),),
            400,
            _reveal,
            "Show the policy that an address was made from, so that its signers are known.",
        ),
        Method(
            8,
            "set_rule",
            (
                _ACCOUNT,
                *_METHOD,
                _TIER,
                *_RULE_FIELDS,
                Field("policy", Maybe(auth.POLICY), "nil: no such tier any more"),
            ),
            BOOL,
            (Owner("account"),),
            400,
            _set_rule,
            "Set what programs need that call one method only; open ones become void.",
        ),
    ),
    queries=(
        Query(
            "pending",
            (_NUMBER,),
            Maybe(Fields((_NUMBER, *_PENDING_FIELDS))),
            _query_pending,
            "Return a pending program.",
        ),
        Query("program", (_NUMBER,), Maybe(PROGRAM), _query_program, "Return the bytes of an open program."),
        Query(
            "open",
            (_ACCOUNT, Field("after", Maybe(PENDING), "the last of the page before")),
            Many(PENDING, QUERY_ITEMS_MAX),
            _query_open,
            "List the open programs of an account.",
        ),
        Query(
            "settings",
            (_ACCOUNT,),
            Fields(_SETTINGS_FIELDS),
            _query_settings,
            "Return what an account asks beside its policy.",
        ),
        Query(
            "rules",
            (_ACCOUNT, *_METHOD),
            Many(Fields((_TIER, *RULES.fields)), TIERS_MAX),
            _query_rules,
            "List the tiers of an account for a method.",
        ),
    ),
    events=(PROPOSED, APPROVED, REVOKED, CLOSED, RUN_FAILED, MET),
    errors=(
        ErrorType(NO_PENDING, "NO_PENDING", "There is no such program."),
        ErrorType(POLICY_UNKNOWN, "POLICY_UNKNOWN", "The account has not shown its policy."),
        ErrorType(NOT_OPEN, "NOT_OPEN", "The program is executed, cancelled, expired or void."),
        ErrorType(OTHER_PROGRAM, "OTHER_PROGRAM", "The hash is that of another program."),
        ErrorType(NOT_SIGNER, "NOT_SIGNER", "The policy does not give this account that right."),
        ErrorType(APPROVED_ALREADY, "APPROVED_ALREADY", "The signer has approved already."),
        ErrorType(NOT_APPROVED, "NOT_APPROVED", "The signer has not approved."),
        ErrorType(TERMS, "TERMS", "A pending program has no parameters and expires within thirty days."),
        ErrorType(NOT_READY, "NOT_READY", "The policy is not met, or the delay is not over."),
    ),
)
