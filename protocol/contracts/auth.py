"""auth: accounts, their key policies, their nonces, their roles and their free gas.

An account exists once it was opened; before that its address is only a number. A method of this contract
changes policies and roles; the functions below the schema are the kernel's own and decide whether a
transaction may stand in a block. Signatures are not verified here: by the time a key arrives, its signature
held.

Nonces: an ordered lane counts up by one; an unordered transaction is remembered by its id until it expires.
Free gas: a bucket of five days, refilled evenly. It is kept as a debt in units of gas * 86,400 at a time, so
that nothing is lost to rounding.

*Source*: contracts.md 3.1, 3.6 to 3.8. *Departs*: lanes and bucket share the account's record, so a
transaction of an ordered lane writes one record instead of three.
"""

from collections.abc import Set
from typing import Final, TypeAlias

from protocol.codec import Value
from protocol.contracts import policies
from protocol.contracts.parameters import QUOTA, get_value
from protocol.errors import Code, Rejected
from protocol.money import SECONDS_PER_DAY, Rounding, mul_div
from protocol.params import (
    EXPIRY_SECONDS_MAX,
    EXPIRY_UNORDERED_SECONDS_MAX,
    GAS_PRICE_PARTS,
    LANE_UNORDERED,
    LANES_ORDERED,
    QUERY_ITEMS_MAX,
    QUOTA_DAYS,
    ROLE_NAME_BYTES_MAX,
    SEEN_PRUNED_PER_BLOCK_MAX,
)
from protocol.types import Address, ContractId, PublicKey, Seconds, TxId
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import GOV, Contract, EventType, Method, Owner, Query, Role
from protocol.vm.keys import data_key, text_key, uint_key
from protocol.vm.kinds import (
    ADDRESS,
    ASSET,
    BOOL,
    PUBLIC_KEY,
    SECONDS,
    U32,
    U48,
    U63,
    Anything,
    Field,
    Fields,
    Many,
    Maybe,
    Text,
)
from protocol.vm.tables import SCHEMA, Table
from protocol.vm.view import View

ID: Final = ContractId(2)
REGISTRAR: Final = "registrar"

QUOTA_UNIT: Final = SECONDS_PER_DAY
QUOTA_CAPACITY: Final = QUOTA_DAYS * QUOTA.default
"""Gas that a full bucket holds while the quota is the default one."""

CODE_FEE: Final = 201

AccountRow: TypeAlias = tuple[int, int, tuple[int, ...], int, int]
"""(schema, policy version, last sequence of lane 0, 1, ..., debt of the bucket, time of the debt)"""
PolicyRow: TypeAlias = tuple[int, Value]
MarkRow: TypeAlias = tuple[int]
RoleRow: TypeAlias = tuple[int, int]
FeeRow: TypeAlias = tuple[int, int, int]

POLICY: Final = Anything("policy", policies.POLICY_BYTES_MAX)
ROLE: Final = Text("role", ROLE_NAME_BYTES_MAX)

ACCOUNT: Final[Table[AccountRow]] = Table(
    ID,
    1,
    "account",
    (data_key("address", 20),),
    (
        Field("policy_version", U32, "0: the first policy, given by the address itself"),
        Field("lanes", Many(U48, LANES_ORDERED), "last sequence of each ordered lane in use"),
        Field("debt", U63, "gas used and not yet refilled, in 1/86,400 gas"),
        Field("debt_time", SECONDS),
    ),
    doc="An account that exists.",
)
POLICIES: Final[Table[PolicyRow]] = Table(
    ID, 2, "policy", (data_key("address", 20),), (Field("policy", POLICY),), doc="Policies in force."
)
SEEN: Final[Table[MarkRow]] = Table(
    ID,
    3,
    "seen",
    (uint_key("valid_until", 48), data_key("tx_id", 16)),
    (),
    doc="Unordered transactions that have run and could still be sent again.",
)
ROLES: Final[Table[RoleRow]] = Table(
    ID,
    4,
    "role",
    (data_key("address", 20), text_key("name", ROLE_NAME_BYTES_MAX)),
    (Field("granted_at", SECONDS),),
    doc="Who holds which role.",
)
ROLE_DELAYS: Final[Table[RoleRow]] = Table(
    ID,
    6,
    "role_delay",
    (text_key("name", ROLE_NAME_BYTES_MAX),),
    (Field("delay", U32, "seconds that a program must have waited to use the role"),),
    doc="Roles that act with a delay only. No record: at once.",
)
FEE: Final[Table[FeeRow]] = Table(
    ID,
    5,
    "fee",
    (),
    (Field("asset", ASSET), Field("price", U32, "minor units per million gas")),
    doc="What gas above the free quota costs. No record: it cannot be bought.",
)

OPENED: Final = EventType(ID, 1, "opened", (Field("address", ADDRESS),), "An account exists from now on.")
POLICY_SET: Final = EventType(
    ID, 2, "policy_set", (Field("address", ADDRESS), Field("version", U32)), "An account's policy changed."
)
ROLE_GRANTED: Final = EventType(
    ID, 3, "role_granted", (Field("address", ADDRESS), Field("role", ROLE)), "An account holds a role."
)
ROLE_REVOKED: Final = EventType(
    ID, 4, "role_revoked", (Field("address", ADDRESS), Field("role", ROLE)), "An account lost a role."
)


# --- methods


def _open(ctx: Context, address: Address) -> Value:
    is_new = open_account(ctx.view, address)
    if is_new:
        ctx.emit(OPENED, address)
    return is_new


def _set_policy(ctx: Context, address: Address, policy: Value) -> Value:
    try:
        policies.read_policy(policy)
    except Rejected as rejected:
        fail(rejected.code, "auth.policy", None, rejected.detail)
    version = replace_policy(ctx.view, address, policy)
    ctx.emit(POLICY_SET, address, version)
    return version


def replace_policy(view: View, address: Address, policy: Value) -> int:
    """Put a policy that has been read in force; returns its version.

    Raises:
        CallFailed: NO_ACCOUNT.
    """
    key = ACCOUNT.key(address)
    row = ACCOUNT.need(view, key, Code.NO_ACCOUNT, "auth.account", address)
    ACCOUNT.put(view, key, (row[0], row[1] + 1, *row[2:]))
    POLICIES.put(view, POLICIES.key(address), (SCHEMA, policy))
    return row[1] + 1


def _rotate(ctx: Context, address: Address, public_key: PublicKey) -> Value:
    return _set_policy(ctx, address, policies.single_key_policy(public_key))


def _grant_role(ctx: Context, address: Address, role: str) -> Value:
    ROLES.put(ctx.view, ROLES.key(address, role), (SCHEMA, ctx.environment.time))
    ctx.emit(ROLE_GRANTED, address, role)
    return True


def _revoke_role(ctx: Context, address: Address, role: str) -> Value:
    key = ROLES.key(address, role)
    if ROLES.get(ctx.view, key) is None:
        fail(Code.ROLE, "auth.role", role, address)
    ROLES.delete(ctx.view, key)
    ctx.emit(ROLE_REVOKED, address, role)
    return True


def _set_fee(ctx: Context, asset: int, price: int) -> Value:
    FEE.put(ctx.view, FEE.key(), (SCHEMA, asset, price))
    return True


# --- queries


def _query_account(query: QueryContext, address: Address) -> Value:
    row = ACCOUNT.get(query.view, ACCOUNT.key(address))
    if row is None:
        return None
    _, version, lanes, _, _ = row
    stored = POLICIES.get(query.view, POLICIES.key(address))
    return (version, lanes, available_gas(query.view, row, query.time), None if stored is None else stored[1])


def _query_roles(query: QueryContext, address: Address, after: str | None) -> Value:
    return list_roles(query.view, address, () if after is None else (after,))


def _query_fee(query: QueryContext) -> Value:
    row = FEE.get(query.view, FEE.key())
    return None if row is None else row[1:]


CONTRACT: Final = Contract(
    ID,
    "auth",
    layer=0,
    version=1,
    doc="Accounts, key policies, roles, and the free gas of members.",
    tables=(ACCOUNT, POLICIES, SEEN, ROLES, FEE, ROLE_DELAYS),
    methods=(
        Method(
            1,
            "open",
            (Field("address", ADDRESS),),
            BOOL,
            (GOV, Role(REGISTRAR)),
            20,
            _open,
            "Open an account; false when it exists already.",
        ),
        Method(
            2,
            "set_policy",
            (Field("address", ADDRESS), Field("policy", POLICY)),
            U32,
            (Owner("address"),),
            400,
            _set_policy,
            "Replace the key policy of the account that acts; returns the policy's version.",
        ),
        Method(
            3,
            "rotate",
            (Field("address", ADDRESS), Field("public_key", PUBLIC_KEY)),
            U32,
            (Owner("address"),),
            50,
            _rotate,
            "Let another single key act for the account; returns the policy's version.",
        ),
        Method(
            4,
            "grant_role",
            (Field("address", ADDRESS), Field("role", ROLE)),
            BOOL,
            (GOV,),
            20,
            _grant_role,
            "Give a role to an account.",
        ),
        Method(
            5,
            "revoke_role",
            (Field("address", ADDRESS), Field("role", ROLE)),
            BOOL,
            (GOV,),
            20,
            _revoke_role,
            "Take a role from an account; fails when it does not hold it.",
        ),
        Method(
            6,
            "set_fee",
            (Field("asset", ASSET), Field("price", U32)),
            BOOL,
            (GOV,),
            20,
            _set_fee,
            "Say what gas above the free quota costs, in minor units of an asset per million gas.",
        ),
    ),
    queries=(
        Query(
            "account",
            (Field("address", ADDRESS),),
            Maybe(
                Fields(
                    (
                        Field("policy_version", U32),
                        Field("lanes", Many(U48, LANES_ORDERED)),
                        Field("free_gas", U63),
                        Field("policy", Maybe(POLICY)),
                    )
                )
            ),
            _query_account,
            "Return an account's policy version, last sequence of each lane, free gas and revealed policy.",
        ),
        Query(
            "roles",
            (Field("address", ADDRESS), Field("after", Maybe(ROLE), "the last of the page before")),
            Many(ROLE, QUERY_ITEMS_MAX),
            _query_roles,
            "List the roles of an account.",
        ),
        Query(
            "fee",
            (),
            Maybe(Fields((Field("asset", ASSET), Field("price", U32)))),
            _query_fee,
            "Return the price of gas above the free quota.",
        ),
    ),
    events=(OPENED, POLICY_SET, ROLE_GRANTED, ROLE_REVOKED),
)


# --- kernel: existence, roles


def open_account(view: View, address: Address) -> bool:
    """Open an account unless it exists; tell whether it is new."""
    key = ACCOUNT.key(address)
    if ACCOUNT.get(view, key) is not None:
        return False
    ACCOUNT.put(view, key, (SCHEMA, 0, (), 0, 0))
    return True


def is_open(view: View, address: Address) -> bool:
    """Tell whether an account exists."""
    return ACCOUNT.get(view, ACCOUNT.prefix + address) is not None


def holds_role(view: View, address: Address, name: str) -> bool:
    """Tell whether an account holds a role, whatever delay it acts with."""
    return ROLES.get(view, ROLES.key(address, name)) is not None


def has_role(view: View, address: Address, name: str, waited: int = 0) -> bool:
    """Tell whether an account may act in a role now.

    Args:
        waited: seconds for which the program could be seen; a role with a delay asks for as many.
    """
    return holds_role(view, address, name) and get_role_delay(view, name) <= waited


def get_role_delay(view: View, name: str) -> int:
    """Return the delay with which a role acts, seconds."""
    row = ROLE_DELAYS.get(view, ROLE_DELAYS.key(name))
    return 0 if row is None else row[1]


def set_role_delay(view: View, name: str, delay: int) -> None:
    """Set the delay with which a role acts, seconds; for members, whose offices these are."""
    key = ROLE_DELAYS.key(name)
    if delay:
        ROLE_DELAYS.put(view, key, (SCHEMA, delay))
    else:
        ROLE_DELAYS.delete(view, key)


def list_roles(view: View, address: Address, after: tuple[str, ...] = ()) -> tuple[str, ...]:
    """List the roles of an account after one of them, `QUERY_ITEMS_MAX` at most."""
    return tuple([str(key[1]) for key, _ in ROLES.page_rows(view, address, after=after)])


# --- kernel: nonces


def check_expiry(time: Seconds, lane: int, valid_until: Seconds) -> None:
    """Check that a transaction has not expired and does not live too long.

    Raises:
        Rejected: EXPIRED, EXPIRY_TOO_FAR.
    """
    if valid_until < time:
        raise Rejected(Code.EXPIRED, f"valid until {valid_until}, block time {time}")
    limit = EXPIRY_UNORDERED_SECONDS_MAX if lane == LANE_UNORDERED else EXPIRY_SECONDS_MAX
    if valid_until > time + limit:
        raise Rejected(Code.EXPIRY_TOO_FAR, f"{valid_until - time} s ahead, limit {limit} s", retry=True)


def check_nonce(view: View, row: AccountRow, lane: int, sequence: int, valid_until: int, tx_id: TxId) -> None:
    """Check that a nonce is unused and next in its lane.

    Raises:
        Rejected: EXISTS (this very transaction has run), NONCE_USED, NONCE_GAP.
    """
    if lane == LANE_UNORDERED:
        if view.get(_seen_key(valid_until, tx_id)) is not None:
            raise Rejected(Code.EXISTS, "this transaction has run")
        return
    lanes = row[2]
    last = lanes[lane] if lane < len(lanes) else 0
    if sequence <= last:
        raise Rejected(Code.NONCE_USED, f"lane {lane}: sequence {sequence}, last was {last}")
    if sequence != last + 1:
        raise Rejected(Code.NONCE_GAP, f"lane {lane}: sequence {sequence}, last was {last}", retry=True)


def _seen_key(valid_until: int, tx_id: TxId) -> bytes:
    return SEEN.prefix + valid_until.to_bytes(6, "big") + tx_id[:16]


_SEEN_ROW: Final = (SCHEMA,)


def prune_seen(view: View, time: Seconds) -> int:
    """Forget unordered transactions that have expired; returns how many."""
    expired: list[bytes] = []
    for key, _ in view.scan(SEEN.prefix):
        if int.from_bytes(key[3:9], "big") >= time or len(expired) == SEEN_PRUNED_PER_BLOCK_MAX:
            break
        expired.append(key)
    for key in expired:
        view.put(key, None)
    return len(expired)


# --- kernel: free gas


def available_gas(view: View, row: AccountRow, time: int) -> int:
    """Compute the free gas that an account has at a time, which is never before that of its debt."""
    _, _, _, debt, debt_time = row
    quota = get_value(view, QUOTA)
    left = max(0, debt - (time - debt_time) * quota)
    return max(0, QUOTA_DAYS * quota * QUOTA_UNIT - left) // QUOTA_UNIT


def settle(
    view: View, payer: Address, lane: int, sequence: int, valid_until: int, tx_id: TxId, gas: int, time: int
) -> None:
    """Use the nonce of a transaction that has run, and take its gas from the payer's bucket.

    Rules: 1. `check_nonce` has passed in this block. 2. what the bucket lacks has been paid for.
    """
    key = ACCOUNT.prefix + payer
    row = ACCOUNT.peek(view, key)
    assert row is not None, "admission has found this account"
    lanes = _use_nonce(view, row[2], lane, sequence, valid_until, tx_id)
    view.put(key, (row[0], row[1], lanes, _add_debt(view, row, gas, time), time))


def use_nonce(view: View, holder: Address, lane: int, sequence: int, valid_until: int, tx_id: TxId) -> None:
    """Use the nonce of a transaction whose gas another account pays."""
    key = ACCOUNT.prefix + holder
    row = ACCOUNT.peek(view, key)
    assert row is not None, "admission has found this account"
    lanes = _use_nonce(view, row[2], lane, sequence, valid_until, tx_id)
    view.put(key, (row[0], row[1], lanes, row[3], row[4]))


def take_gas(view: View, payer: Address, gas: int, time: int) -> None:
    """Take gas from the bucket of an account that exists."""
    key = ACCOUNT.prefix + payer
    row = ACCOUNT.peek(view, key)
    assert row is not None, "whoever pays has been found"
    view.put(key, (row[0], row[1], row[2], _add_debt(view, row, gas, time), time))


def _use_nonce(
    view: View, lanes: tuple[int, ...], lane: int, sequence: int, valid_until: int, tx_id: TxId
) -> tuple[int, ...]:
    if lane == LANE_UNORDERED:
        view.put(_seen_key(valid_until, tx_id), _SEEN_ROW)
        return lanes
    if lane >= len(lanes):
        lanes = lanes + (0,) * (lane + 1 - len(lanes))
    return (*lanes[:lane], sequence, *lanes[lane + 1 :])


def _add_debt(view: View, row: AccountRow, gas: int, time: int) -> int:
    _, _, _, debt, debt_time = row
    quota = get_value(view, QUOTA)
    debt -= (time - debt_time) * quota
    debt = (debt if debt > 0 else 0) + gas * QUOTA_UNIT
    return min(debt, QUOTA_DAYS * quota * QUOTA_UNIT)


def compute_fee(view: View, row: AccountRow, gas_limit: int, gas_price: int, time: int) -> tuple[int, int]:
    """Compute what a transaction owes for the part of its gas limit that the bucket does not cover.

    Rules: 1. the author must offer at least the price in force; the price in force is what is paid, rounded
    up.

    Returns: asset and amount; amount 0 when the bucket suffices.
    Raises:
        Rejected: NO_QUOTA.
    """
    if row[3] + gas_limit * QUOTA_UNIT <= QUOTA_DAYS * get_value(view, QUOTA) * QUOTA_UNIT:
        return 0, 0  # covered even without what was refilled since
    overflow = gas_limit - available_gas(view, row, time)
    if overflow <= 0:
        return 0, 0
    fee = FEE.peek(view, FEE.prefix)
    if fee is None:
        raise Rejected(Code.NO_QUOTA, f"{overflow} gas above the free quota", retry=True)
    _, asset, price = fee
    if gas_price < price:
        raise Rejected(Code.NO_QUOTA, f"offers {gas_price} a million gas, the price is {price}", retry=True)
    return asset, mul_div(overflow, price, GAS_PRICE_PARTS, Rounding.CEIL)


# --- kernel: policies


def check_actors(
    view: View,
    actors: tuple[Address, ...],
    signatures: tuple[tuple[int, PublicKey], ...],
    reveals: tuple[tuple[int, Value], ...],
) -> None:
    """Check that the keys that signed satisfy the policy of every actor.

    Rules:
        1. Every signature is by a key of its actor's policy.
        2. A leaf that names an account is met only after that account's own policy is, so two accounts that
        name
           each other and nobody else can never act.
        3. A revealed policy is the one its address was made from.

    Args:
        signatures: (index of the actor, key), verified.

    Raises:
        Rejected: NO_ACCOUNT, POLICY_UNMET, or what `read_policy` raises.
    """
    revealed = dict(reveals)
    waiting: dict[Address, tuple[policies.Policy, frozenset[PublicKey]]] = {}
    for index, address in enumerate(actors):
        keys = frozenset(key for actor, key in signatures if actor == index)
        policy = policies.read_policy(_find_policy(view, address, keys, index, revealed))
        stranger = keys.difference(policies.list_keys(policy))
        if stranger:
            raise Rejected(Code.POLICY_UNMET, f"actor {index}: signed by a key not in its policy")
        waiting[address] = (policy, keys)
    _check_all_met(view, waiting)


def _check_all_met(view: View, waiting: dict[Address, tuple[policies.Policy, frozenset[PublicKey]]]) -> None:
    met: dict[Address, None] = {}

    def any_has_role(name: str) -> bool:
        return any(has_role(view, address, name) for address in met)

    while waiting:
        now = [
            address
            for address, (policy, keys) in waiting.items()
            if policies.is_met(policy, keys, met.keys(), any_has_role)
        ]
        if not now:
            raise Rejected(Code.POLICY_UNMET, f"the signatures do not satisfy {len(waiting)} actors")
        for address in now:
            met[address] = None
            del waiting[address]


def _find_policy(
    view: View, address: Address, keys: Set[PublicKey], index: int, revealed: dict[int, Value]
) -> Value:
    row = ACCOUNT.peek(view, ACCOUNT.prefix + address)
    if row is None:
        raise Rejected(Code.NO_ACCOUNT, f"actor {index} does not exist", retry=True)
    if index in revealed and policies.compute_address(revealed[index]) != address:
        raise Rejected(Code.POLICY_UNMET, f"actor {index}: the revealed policy is not the one of its address")
    if row[1] > 0:
        stored = POLICIES.peek(view, POLICIES.prefix + address)
        assert stored is not None, "a policy version above 0 has a policy"
        return stored[1]
    if index in revealed:
        return revealed[index]
    if len(keys) == 1:
        (key,) = keys
        if policies.address_of_key(key) == address:
            return policies.single_key_policy(key)
    raise Rejected(Code.POLICY_UNMET, f"actor {index}: the policy of its address is not revealed")


def keep_reveals(view: View, actors: tuple[Address, ...], reveals: tuple[tuple[int, Value], ...]) -> None:
    """Keep the policies that admission found to be those of their addresses."""
    for index, policy in reveals:
        key = ACCOUNT.prefix + actors[index]
        row = ACCOUNT.peek(view, key)
        assert row is not None, "admission has found this account"
        schema, version, lanes, debt, debt_time = row
        if version == 0:
            ACCOUNT.put(view, key, (schema, 1, lanes, debt, debt_time))
            POLICIES.put(view, POLICIES.prefix + actors[index], (SCHEMA, policy))
