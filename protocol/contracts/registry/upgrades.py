"""Which version of each contract a chain runs: decided, gated on the software of validators, then in force.

*Rules*: 1. a block runs the versions that the state before it names. 2. the block before the first height of
a decided upgrade counts who of the present validators has that very version; two thirds of them, and a
quorum, put it in force from the next block on. 3. too few: it waits a day, five times, then it lapses. 4. a
version is never taken back; what was wrong is repaired by a newer one. 5. the contract of a plugin can be
taken out, as version 0: when it is decided, and again when it happens, it may have neither money nor jobs.
Nobody needs its software from then on. Its records stay, and a later version may take them up.

So a node that lacks a version knows it from the state after that block, before it would run it. A record
that an older version wrote is read by the newer one, by the schema version that it carries.

*Source*: contracts.md 3.12.
"""

from protocol.chain.validators import EpochRecord
from protocol.codec import Value
from protocol.contracts.registry.doors import check_may_cancel, is_by_members
from protocol.contracts.registry.epochs import check_own_key
from protocol.contracts.registry.records import (
    INSTALLED,
    NO_UPGRADE,
    NO_VALIDATOR,
    NOT_A_PLUGIN,
    RUNNING,
    SAID_INSTALLED,
    SAME_VERSION,
    STILL_HOLDS,
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
    PLUGIN_ID_MIN,
    UPGRADE_AHEAD_BLOCKS_MAX,
    UPGRADE_DELAY_BLOCKS,
    UPGRADE_RETRIES_MAX,
    UPGRADE_RETRY_SECONDS,
    UPGRADES_MAX,
)
from protocol.types import Address, Hash32, PublicKey
from protocol.vm.context import Context, QueryContext, fail
from protocol.vm.contract import RETIRED, Contract, Registry, Versions
from protocol.vm.tables import SCHEMA
from protocol.vm.view import View


def upgrade(
    ctx: Context, contract: int, version: int, fingerprint: Hash32, package: str, first_height: int
) -> Value:
    """Decide another version of a contract; returns the first block that may run it."""
    view, running = ctx.view, ctx.registry.by_id.get(contract)
    if version == RETIRED:
        _check_retirement(ctx, contract, running)
    else:
        _check_newer(view, contract, running, version, fingerprint)
    pending = UPGRADES.get(view, UPGRADES.key(contract))
    if pending is not None:
        fail(UPGRADE_PENDING, "registry.one_upgrade_a_contract", None, pending[1])
    count = len({number for number, _ in get_versions(view)} | {_of(key) for key, _ in UPGRADES.scan(view)})
    if count >= UPGRADES_MAX:
        fail(Code.LIMIT, "registry.upgrades", UPGRADES_MAX, count + 1)
    check_height(ctx, first_height, UPGRADE_DELAY_BLOCKS, UPGRADE_AHEAD_BLOCKS_MAX)
    first = first_height or ctx.environment.height + UPGRADE_DELAY_BLOCKS
    decided_by = Hash32(ctx.environment.program_id)
    row = (SCHEMA, version, fingerprint, first, 0, 0, decided_by, package, is_by_members(ctx))
    UPGRADES.put(view, UPGRADES.key(contract), row)
    ctx.emit(UPGRADE_DECIDED, contract, version, first)
    return first


def _check_newer(
    view: View, contract: int, running: Contract | None, version: int, fingerprint: Hash32
) -> None:
    """Check that a version follows all that ran: after a retirement the last one may come back as it was."""
    if running is not None and version <= running.version:
        fail(SAME_VERSION, "registry.version", running.version, version)
    last = RUNNING.get(view, RUNNING.key(contract))
    if last is not None and (version < last[1] or (version == last[1] and fingerprint != last[2])):
        fail(SAME_VERSION, "registry.version", last[1], version)


def _check_retirement(ctx: Context, number: int, running: Contract | None) -> None:
    if number < PLUGIN_ID_MIN or running is None or running.version == RETIRED:
        fail(NOT_A_PLUGIN, "registry.plugin", PLUGIN_ID_MIN, number)
    find = ctx.registry.find_holding
    holding = None if find is None else find(ctx.view, running.address)
    if holding is not None:
        fail(STILL_HOLDS, holding.rule, holding.limit, holding.actual)


def cancel_upgrade(ctx: Context, contract: int) -> Value:
    """Cancel a decided upgrade."""
    row = UPGRADES.need(ctx.view, UPGRADES.key(contract), NO_UPGRADE, "registry.upgrade", contract)
    check_may_cancel(ctx, decided_by_members=row[8])
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
    if row is None or row[1] == RETIRED or row[1:3] != (version, fingerprint):
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


def get_running(view: View, contract: int) -> tuple[Hash32, str]:
    """Return what the running version of a contract was decided for: its fingerprint, and its package."""
    row = RUNNING.peek(view, RUNNING.key(contract))
    assert row is not None, "what is in force was decided"
    return row[2], row[3]


def settle_upgrades(view: View, height: int, time: int, record: EpochRecord, registry: Registry) -> None:
    """Put upgrades whose height is next in force, if enough validators have them."""
    for key, row in list(UPGRADES.scan(view)):
        if height + 1 < row[3] or time < row[4]:
            continue
        contract = _of(key)
        if _may_begin(view, contract, row, record, registry):
            others = [pair for pair in get_versions(view) if pair[0] != contract]
            versions = tuple(sorted([*others, (contract, row[1])]))
            VERSIONS.put(view, VERSIONS.prefix, (SCHEMA, versions))
            if row[1] != RETIRED:
                RUNNING.put(view, RUNNING.key(contract), (SCHEMA, row[1], row[2], row[7]))
            _clear(view, contract)
        elif row[5] == UPGRADE_RETRIES_MAX:
            _clear(view, contract)
        else:
            UPGRADES.put(view, key, (*row[:4], time + UPGRADE_RETRY_SECONDS, row[5] + 1, *row[6:]))


def _may_begin(view: View, contract: int, row: UpgradeRow, record: EpochRecord, registry: Registry) -> bool:
    if row[1] == RETIRED:
        running = registry.by_id.get(contract)
        find = registry.find_holding
        return running is None or find is None or find(view, running.address) is None
    have = _count_installed(view, contract, row, record)
    return have >= record.quorum and 3 * have >= 2 * len(record.validators)


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
        found.append((contract, *row[1:8], tuple(keys)))
    return tuple(found)
