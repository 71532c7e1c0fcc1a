"""Which version of each contract a chain runs: decided, gated on the software of validators, then in force.

*Rules*: 1. a block runs the versions that the state before it names. 2. the block before the first height of
a decided upgrade counts who of the present validators has that very version; two thirds of them, and a
quorum, put it in force from the next block on. 3. too few: it waits a day, five times, then it lapses. 4. a
version is never taken back; what was wrong is repaired by a newer one.

So a node that lacks a version knows it from the state after that block, before it would run it. A record
that an older version wrote is read by the newer one, by the schema version that it carries.

*Source*: contracts.md 3.12.
"""

from protocol.chain.validators import EpochRecord
from protocol.codec import Value
from protocol.contracts.registry.epochs import check_own_key
from protocol.contracts.registry.records import (
    INSTALLED,
    NO_UPGRADE,
    NO_VALIDATOR,
    SAID_INSTALLED,
    SAME_VERSION,
    UPGRADE_CANCELLED,
    UPGRADE_DECIDED,
    UPGRADE_PENDING,
    UPGRADES,
    VERSIONS,
    UpgradeRow,
)
from protocol.contracts.registry.values import check_height
from protocol.errors import Code
from protocol.params import (
    UPGRADE_AHEAD_BLOCKS_MAX,
    UPGRADE_DELAY_BLOCKS,
    UPGRADE_RETRIES_MAX,
    UPGRADE_RETRY_SECONDS,
    UPGRADES_MAX,
)
from protocol.types import Address, Hash32, PublicKey
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import Versions
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View


def upgrade(ctx: Context, contract: int, version: int, fingerprint: Hash32, first_height: int) -> Value:
    """Decide another version of a contract; returns the first block that may run it."""
    view, running = ctx.view, ctx.registry.by_id.get(contract)
    if running is not None and version <= running.version:
        fail(SAME_VERSION, "registry.version", running.version, version)
    pending = UPGRADES.get(view, UPGRADES.key(contract))
    if pending is not None:
        fail(UPGRADE_PENDING, "registry.one_upgrade_a_contract", None, pending[1])
    count = len({number for number, _ in get_versions(view)} | {_of(key) for key, _ in UPGRADES.scan(view)})
    if count >= UPGRADES_MAX:
        fail(Code.LIMIT, "registry.upgrades", UPGRADES_MAX, count + 1)
    check_height(ctx, first_height, UPGRADE_DELAY_BLOCKS, UPGRADE_AHEAD_BLOCKS_MAX)
    first = first_height or ctx.environment.height + UPGRADE_DELAY_BLOCKS
    decided_by = Hash32(ctx.environment.program_id)
    UPGRADES.put(view, UPGRADES.key(contract), (SCHEMA, version, fingerprint, first, 0, 0, decided_by))
    ctx.emit(UPGRADE_DECIDED, contract, version, first)
    return first


def cancel_upgrade(ctx: Context, contract: int) -> Value:
    """Cancel a decided upgrade."""
    row = UPGRADES.get(ctx.view, UPGRADES.key(contract))
    if row is None:
        fail(NO_UPGRADE, "registry.upgrade", None, contract)
    _clear(ctx.view, contract)
    ctx.emit(UPGRADE_CANCELLED, contract, row[1])
    return True


def installed(
    ctx: Context,
    node: Address,
    node_key: PublicKey,
    contract: int,
    version: int,
    fingerprint: Hash32,
) -> Value:
    """Take note that a validator has a decided version."""
    check_own_key(node, node_key)
    record = ctx.environment.epoch
    validators = () if record is None else record.validators
    consensus_key = next((one.consensus_key for one in validators if one.node_key == node_key), None)
    if consensus_key is None:
        fail(NO_VALIDATOR, "registry.validator", None, node_key)
    row = UPGRADES.get(ctx.view, UPGRADES.key(contract))
    if row is None or row[1:3] != (version, fingerprint):
        fail(NO_UPGRADE, "registry.upgrade", None if row is None else row[1], version)
    INSTALLED.put(ctx.view, INSTALLED.key(contract, version, consensus_key), (SCHEMA, fingerprint))
    ctx.emit(SAID_INSTALLED, consensus_key, contract, version)
    return True


def _clear(view: View, contract: int) -> None:
    UPGRADES.delete(view, UPGRADES.key(contract))
    for key, _ in list(INSTALLED.scan(view, contract)):
        INSTALLED.delete(view, key)


def _of(key: bytes) -> int:
    (contract,) = UPGRADES.parts(key)
    assert type(contract) is int
    return contract


# --- kernel


def get_versions(view: View) -> Versions:
    """Return the versions that the next block runs, besides those with which the chain began."""
    row = VERSIONS.peek(view, VERSIONS.prefix)
    return () if row is None else row[1]


def settle_upgrades(view: View, height: int, time: int, record: EpochRecord) -> None:
    """Put upgrades whose height is next in force, if enough validators have them."""
    for key, row in list(UPGRADES.scan(view)):
        if height + 1 < row[3] or time < row[4]:
            continue
        contract = _of(key)
        have = _count_installed(view, contract, row, record)
        if have >= record.quorum and 3 * have >= 2 * len(record.validators):
            others = [pair for pair in get_versions(view) if pair[0] != contract]
            versions = tuple(sorted([*others, (contract, row[1])]))
            VERSIONS.put(view, VERSIONS.prefix, (SCHEMA, versions))
            _clear(view, contract)
        elif row[5] == UPGRADE_RETRIES_MAX:
            _clear(view, contract)
        else:
            UPGRADES.put(view, key, (*row[:4], time + UPGRADE_RETRY_SECONDS, row[5] + 1, row[6]))


def _count_installed(view: View, contract: int, row: UpgradeRow, record: EpochRecord) -> int:
    keys = [INSTALLED.key(contract, row[1], validator.consensus_key) for validator in record.validators]
    return len([key for key in keys if INSTALLED.peek(view, key) is not None])


# --- queries


def query_versions(query: QueryContext) -> Value:
    """List the versions that the next block runs."""
    return get_versions(query.view)


def query_upgrades(query: QueryContext) -> Value:
    """List the upgrades that are decided."""
    found: list[Value] = []
    for key, row in UPGRADES.scan(query.view):
        contract = _of(key)
        keys = [INSTALLED.parts(k)[2] for k, _ in INSTALLED.scan(query.view, contract, row[1])]
        found.append((contract, *row[1:], tuple(keys)))
    return tuple(found)
