"""recovery: how an account whose keys are lost comes back to its owner, slowly and in the open.

An owner names a guardian: another account, so "three of my five friends" is the key policy of that account.
Where the owner allows it, and nobody has said otherwise, two members of the board attest instead. Either way
the new key policy waits for seven days, which everybody can see and any key of the old policy can stop; then
the chain puts it in force. A key policy that changes meanwhile ends the recovery: who can change it has keys.

This file does not know who signs for an account (`auth.py`), nor what a document says.

*Source*: contracts.md 3.7. *Departs*: k of n guardians are one account with that policy, so their approvals
are collected like any others (`multisig.py`).
"""

from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import auth, policies, sched
from protocol.contracts.members.records import BOARD
from protocol.errors import Code, Rejected
from protocol.types import Address, ContractId
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import (
    GOV,
    Contract,
    ErrorType,
    EventType,
    Method,
    Owner,
    Query,
    Role,
    Signed,
    System,
)
from protocol.vm.keys import data_key
from protocol.vm.kinds import ADDRESS, BOOL, HASH, SECONDS, U32, U48, Field, Fields, Maybe
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ID: Final = ContractId(25)

NOT_GUARDIAN: Final = 2501
PENDING: Final = 2502
NO_RECOVERY: Final = 2503
NOT_OLD_KEY: Final = 2504
TOO_EARLY: Final = 2505
SECOND_PERSON: Final = 2506
ITSELF: Final = 2507

DELAY_SECONDS: Final = 7 * 86_400
"""From the beginning of a recovery to the new policy; so long any old key can stop it."""
FINISH_METHOD: Final = 6
FINISH_GAS: Final = 100_000

GuardianRow: TypeAlias = tuple[int, Address | None, bool]
RecoveryRow: TypeAlias = tuple[int, Value, int, Address, bool, int, int]
"""(schema, policy, version of the policy that it replaces, begun by, may finish, ready at, job)"""

_ACCOUNT: Final = Field("account", ADDRESS)
_GUARDIAN_FIELDS: Final = (
    Field("guardian", Maybe(ADDRESS), "account that may recover this one; nil: none"),
    Field("board", BOOL, "two members of the board may, too"),
)
_DOCUMENT: Final = Field("document", HASH, "what it rests on")
_READY: Final = Field("ready_at", SECONDS)

GUARDIANS: Final[Table[GuardianRow]] = Table(
    ID,
    1,
    "guardian",
    (data_key("account", 20),),
    _GUARDIAN_FIELDS,
    doc="Who may recover an account. No record: the board.",
)
RECOVERY_FIELDS: Final = (
    Field("policy", auth.POLICY, "that will be in force"),
    Field("policy_version", U32, "that it replaces"),
    Field("begun_by", ADDRESS),
    Field("confirmed", BOOL, "by the guardian, or by a second member of the board"),
    _READY,
    Field("job", U48, "that finishes it"),
)
RECOVERIES: Final[Table[RecoveryRow]] = Table(
    ID, 2, "recovery", (data_key("account", 20),), RECOVERY_FIELDS, doc="Key policies that wait."
)

BEGUN: Final = EventType(
    ID,
    1,
    "begun",
    (_ACCOUNT, Field("begun_by", ADDRESS), _READY, _DOCUMENT),
    "Somebody recovers an account; any of its old keys can stop it until then.",
)
CANCELLED: Final = EventType(
    ID, 2, "cancelled", (_ACCOUNT, Field("signer", ADDRESS)), "A recovery was stopped by an old key."
)
FINISHED: Final = EventType(
    ID,
    3,
    "finished",
    (_ACCOUNT, Field("recovered", BOOL, "false: nobody confirmed it, or the policy has changed")),
    "A recovery is over.",
)


# --- methods


def _set_guardian(ctx: Context, account: Address, guardian: Address | None, board: bool) -> Value:
    if ctx.grant:
        fail(Code.POLICY_UNMET, "recovery.signs_itself", None, account)
    if guardian == account:
        fail(ITSELF, "recovery.guardian", None, account)
    if guardian is not None and not auth.is_open(ctx.view, guardian):
        fail(Code.NO_ACCOUNT, "recovery.guardian", None, guardian)
    GUARDIANS.put(ctx.view, GUARDIANS.key(account), (SCHEMA, guardian, board))
    return True


def _start(ctx: Context, guardian: Address, account: Address, policy: Value, document: bytes) -> Value:
    if ctx.grant or _find_guardian(ctx.view, account)[0] != guardian:
        fail(NOT_GUARDIAN, "recovery.guardian", None, guardian)
    return _begin(ctx, account, policy, guardian, True, document)


def _attest(ctx: Context, account: Address, policy: Value, document: bytes) -> Value:
    if not _find_guardian(ctx.view, account)[1]:
        fail(NOT_GUARDIAN, "recovery.board", None, account)
    assert ctx.actor is not None, "who holds a role is somebody"
    return _begin(ctx, account, policy, ctx.actor, False, document)


def _begin(
    ctx: Context, account: Address, policy: Value, by: Address, confirmed: bool, document: bytes
) -> int:
    view, key = ctx.view, RECOVERIES.key(account)
    row = auth.ACCOUNT.get(view, auth.ACCOUNT.key(account))
    if row is None:
        fail(Code.NO_ACCOUNT, "recovery.account", None, account)
    waiting = RECOVERIES.get(view, key)
    if waiting is not None:
        fail(PENDING, "recovery.one_at_a_time", None, waiting[5])
    try:
        policies.read_policy(policy)
    except Rejected as rejected:
        fail(rejected.code, "recovery.policy", None, rejected.detail)
    ready_at = int(ctx.environment.time) + DELAY_SECONDS
    program = ((), ((ID, FINISH_METHOD, 0, (account,)),))
    job = sched.schedule(ctx, program, (), ready_at, gas=FINISH_GAS)
    RECOVERIES.put(view, key, (SCHEMA, policy, row[1], by, confirmed, ready_at, job))
    ctx.emit(BEGUN, account, by, ready_at, document)
    return ready_at


def _confirm(ctx: Context, account: Address) -> Value:
    row = _get_recovery(ctx.view, account)
    if row[4] or ctx.actor in (row[3], account):
        fail(SECOND_PERSON, "recovery.second_person", None, ctx.actor)
    RECOVERIES.put(ctx.view, RECOVERIES.key(account), (*row[:4], True, *row[5:]))
    return row[5]


def _cancel(ctx: Context, signer: Address, account: Address) -> Value:
    row = _get_recovery(ctx.view, account)
    if ctx.grant or signer not in _list_old_keys(ctx.view, account):
        fail(NOT_OLD_KEY, "recovery.old_key", None, signer)
    RECOVERIES.delete(ctx.view, RECOVERIES.key(account))
    sched.cancel(ctx, row[6])
    ctx.emit(CANCELLED, account, signer)
    return True


def _finish(ctx: Context, account: Address) -> Value:
    """Put the new policy in force, or end what nobody confirmed; tells which."""
    view, now = ctx.view, int(ctx.environment.time)
    row = _get_recovery(view, account)
    if now < row[5]:
        fail(TOO_EARLY, "recovery.delay", row[5], now)
    kept = auth.ACCOUNT.get(view, auth.ACCOUNT.key(account))
    is_recovered = row[4] and kept is not None and kept[1] == row[2]
    RECOVERIES.delete(view, RECOVERIES.key(account))
    if is_recovered:
        version = auth.replace_policy(view, account, row[1])
        ctx.emit(auth.POLICY_SET, account, version)
    ctx.emit(FINISHED, account, is_recovered)
    return is_recovered


def _get_recovery(view: View, account: Address) -> RecoveryRow:
    return RECOVERIES.need(view, RECOVERIES.key(account), NO_RECOVERY, "recovery.recovery", account)


def _find_guardian(view: View, account: Address) -> tuple[Address | None, bool]:
    row = GUARDIANS.get(view, GUARDIANS.key(account))
    return (None, True) if row is None else row[1:]


def _list_old_keys(view: View, account: Address) -> tuple[Address, ...]:
    """List the accounts of the single keys of a policy, each enough to stop a recovery; and itself."""
    kept = auth.POLICIES.get(view, auth.POLICIES.key(account))
    keys = () if kept is None else policies.list_keys(policies.read_policy(kept[1]))
    return (account, *[policies.address_of_key(key) for key in keys])


# --- queries


def _query_guardian(query: QueryContext, account: Address) -> Value:
    return _find_guardian(query.view, account)


def _query_recovery(query: QueryContext, account: Address) -> Value:
    row = RECOVERIES.get(query.view, RECOVERIES.key(account))
    return None if row is None else row[1:]


_POLICY: Final = Field("policy", auth.POLICY)

CONTRACT: Final = Contract(
    ID,
    "recovery",
    layer=2,
    version=1,
    doc="How an account whose keys are lost comes back to its owner.",
    tables=(GUARDIANS, RECOVERIES),
    methods=(
        Method(
            1,
            "set_guardian",
            (_ACCOUNT, *_GUARDIAN_FIELDS),
            BOOL,
            (Owner("account"),),
            40,
            _set_guardian,
            "Say who may recover this account.",
        ),
        Method(
            2,
            "start",
            (Field("guardian", ADDRESS), _ACCOUNT, _POLICY, _DOCUMENT),
            SECONDS,
            (Owner("guardian"),),
            200,
            _start,
            "Recover an account as its guardian; returns the time from which the new policy counts.",
        ),
        Method(
            3,
            "attest",
            (_ACCOUNT, _POLICY, _DOCUMENT),
            SECONDS,
            (Role(BOARD),),
            200,
            _attest,
            "Recover an account as the board; a second member confirms. Returns the time of the new policy.",
        ),
        Method(
            4,
            "confirm",
            (_ACCOUNT,),
            SECONDS,
            (Role(BOARD),),
            40,
            _confirm,
            "Confirm what another member of the board attested; returns the time of the new policy.",
        ),
        Method(
            5,
            "cancel",
            (
                Field(
                    "signer", ADDRESS, "account of any single key of the old policy, or the account itself"
                ),
                _ACCOUNT,
            ),
            BOOL,
            (Owner("signer"),),
            100,
            _cancel,
            "Stop a recovery.",
            0,
        ),
        Method(
            FINISH_METHOD,
            "finish",
            (_ACCOUNT,),
            BOOL,
            (Signed(), GOV, System("sched:recovery")),
            100,
            _finish,
            "Put the new policy in force after the delay; false when nobody confirmed it. For anybody.",
        ),
    ),
    queries=(
        Query(
            "guardian", (_ACCOUNT,), Fields(_GUARDIAN_FIELDS), _query_guardian, "Return who may recover it."
        ),
        Query(
            "recovery",
            (_ACCOUNT,),
            Maybe(Fields(RECOVERY_FIELDS)),
            _query_recovery,
            "Return the recovery of an account that waits.",
        ),
    ),
    events=(BEGUN, CANCELLED, FINISHED),
    errors=(
        ErrorType(NOT_GUARDIAN, "NOT_GUARDIAN", "This account may not recover that one."),
        ErrorType(PENDING, "PENDING", "A recovery of this account waits already."),
        ErrorType(NO_RECOVERY, "NO_RECOVERY", "No recovery of this account waits."),
        ErrorType(NOT_OLD_KEY, "NOT_OLD_KEY", "Only a key of the old policy stops a recovery."),
        ErrorType(TOO_EARLY, "TOO_EARLY", "The delay is not over."),
        ErrorType(SECOND_PERSON, "SECOND_PERSON", "A second member of the board must confirm."),
        ErrorType(ITSELF, "ITSELF", "No account is its own guardian."),
    ),
)
