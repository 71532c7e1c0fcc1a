"""`coopd consensus restart`: go on when a quorum is lost for good, on stopped nodes, by the council's word.

It works on a data folder without any network; the database's lock shows that the node is stopped. What a
restart may say is `protocol/chain/restart.py`; whether the council ratified it is asked of the state of the
last block. The file goes from one member of the council to the next, and each adds what can be signed there.
A node that comes to that block later crosses by itself once its operator accepts the hash (`crossing.py`).
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from node.cli.session import session
from node.errors import OperationError
from node.files import write_whole

if TYPE_CHECKING:
    from node.config import Config
    from node.store.store import Store
    from protocol.chain.restart import Restart

restart_app = App(name="restart", help="When a quorum is lost for good: go on with those that are left.")


@restart_app.command
def propose(
    file: Path,
    /,
    *,
    engine: Literal["raft", "bft"],
    keep: Annotated[tuple[str, ...], Parameter(negative=())],
    board: Path,
) -> None:
    """Write a restart above the newest block of this stopped node, unsigned.

    Args:
        file: Where to write it.
        engine: raft or bft.
        keep: Operator of the present epoch that goes on; may be given several times.
        board: Folder of the council's account.
    """
    from node.cli.council import read_council
    from node.store.opening import open_store
    from protocol.chain.restart import Restart, check_restart, make_record
    from protocol.chain.validators import EngineKind, read_epoch

    council, config = read_council(board), _config()
    store = open_store(config)
    try:
        head = store.head()
        header, certificate = store.header(head.height), store.certificate(head.height)
        if header is None or certificate is None:
            raise _refused("the chain has no certified block yet: found it again.")
        previous = store.epoch_at(head.height)
        record = read_epoch(make_record(header, previous, EngineKind[engine.upper()], keep).to_value())
        if {validator.operator for validator in record.validators} != set(keep):
            raise _refused("an operator that is to stay does not certify now.")
        check_restart(header, previous, record)
        promises = find_promises(config, store)
    finally:
        store.close()
    for promise in promises:
        session.terminal.note(f"Warning: {promise}")
    restart = Restart(header, certificate, record, council.address, council.policy)
    file.write_bytes(restart.encode())
    _show(
        restart, f"Written to {file}. Compare the block on every node that is left: the highest one counts."
    )


@restart_app.command
def sign(file: Path, /, *, board: Path) -> None:
    """Sign a restart with the keys of the council that are here.

    Args:
        file: The restart; signatures are added to it.
        board: Folder of the council's keys.
    """
    from node.cli.council import read_council
    from protocol import crypto

    council, restart = read_council(board), _read(file)
    if council.address != restart.council or not council.names:
        raise OperationError(
            "restart.no_key",
            "Nothing was signed: no key here is of the council that the restart names.",
            f"{len(council.names)} keys of {council.size} are in {board / 'keys'}.",
            "name the folder of the council's keys: --board DIR",
        )
    session.terminal.note("\n".join(_lines(_describe(restart))))
    session.terminal.confirm("Has the co-operative decided so? Sign it?")
    signed = dict(restart.signatures)
    for name in council.names:
        sealed = council.ring.entry(name).encrypted
        secret = council.ring.load(
            name, session.terminal.secret(f"passphrase of {name}: ") if sealed else None
        )
        signed[secret.public_key] = crypto.sign(secret, restart.compute_digest())
    restart = replace(restart, signatures=tuple(sorted(signed.items())))
    write_whole(file, restart.encode())
    _show(restart, "Signed. Once it is ratified, publish file and hash to all members and operators.")


@restart_app.command
def show(file: Path, /) -> None:
    """Show what a restart says, who signed it, and whether that is enough."""
    _show(_read(file), "")


@restart_app.command
def apply(file: Path, /, *, accept: str) -> None:
    """Restart the chain on this stopped node.

    Args:
        file: The restart.
        accept: Its hash, as the co-operative published it.
    """
    from node.log import get_logger
    from node.store.opening import open_store

    restart = _read(file)
    if accept.removeprefix("0x") != restart.record.compute_hash().hex():
        raise _refused("it has another hash than the one that you accept.")
    store = open_store(_config())
    try:
        check_fits(restart, store)
        store.restart(restart.record)
    finally:
        store.close()
    record = restart.record
    get_logger("restart").critical("chain.restarted", height=record.first_height - 1, hash=accept)
    _show(restart, "The chain goes on here by social recovery: coopd run")


def check_fits(restart: "Restart", store: "Store") -> None:
    """Check that a restart stands on the newest block of a store, and that the council of its state signed.

    The certificate in it is not looked at: header and state must be those that this node certified itself.

    Raises:
        OperationError: `restart.refused`.
    """
    from protocol.chain.restart import check_restart, check_signatures
    from protocol.contracts import auth
    from protocol.contracts.registry.records import COUNCIL
    from protocol.errors import Rejected
    from protocol.vm.view import View

    head, header = store.head(), restart.header
    if header.genesis_hash != store.genesis().compute_hash():
        raise _refused("it is of another chain.")
    newest = head.height, head.block_id, head.state_root
    if newest != (header.height, header.compute_id(), header.state_root):
        raise _refused(
            f"it stands on block {header.height:,}; the newest here is {head.height:,}, or another."
        )
    try:
        check_restart(header, store.epoch_at(head.height + 1), restart.record)
        check_signatures(restart)
        keys = tuple((0, key) for key, _ in restart.signatures)
        with store.view() as rows:
            state = View(rows)
            # What the state holds goes before: it counts as of the last block, changed keys included.
            auth.check_actors(state, (restart.council,), keys, ((0, restart.policy),))
            if not auth.holds_role(state, restart.council, COUNCIL):
                raise _refused("who signed it is not the council.")
    except Rejected as refusal:
        raise _refused(f"{refusal.detail}.") from refusal


def _config() -> "Config":
    from node.config import load

    return load(session.home)


def find_promises(config: "Config", store: "Store") -> list[str]:
    """Say what this node promised above its newest certified block: such a block may be final elsewhere."""
    from node.keychain import OwnKeys
    from node.signer import SignKind, load_newest_height
    from protocol.chain.block import decode_block
    from protocol.chain.transaction import decode_signed
    from protocol.consensus.safety import RaftSafety, decode_safety
    from protocol.errors import Rejected

    head, data, genesis_hash = store.head(), store.load_safety(), store.genesis().compute_hash()
    found = []
    try:
        safety = None
        if data is not None:
            safety = decode_safety(
                data, lambda raw: decode_block(raw, lambda one: decode_signed(one, genesis_hash))
            )
    except Rejected as refusal:
        found.append(f"what this node promised cannot be read ({refusal.detail}).")
    if safety is not None and (safety.epoch, safety.height) > (head.epoch, head.height):
        block = safety.accepted if isinstance(safety, RaftSafety) else safety.block
        if block is not None:
            found.append(
                f"this node accepted block {block.height:,} 0x{block.id.hex()} and has no certificate of it."
            )
    votes = SignKind.ACK, SignKind.PREVOTE, SignKind.PRECOMMIT
    for key in OwnKeys(config, lambda: None).list():
        try:
            _, height = load_newest_height(key.guard, *votes)
        except OperationError as failure:
            found.append(f"what key {key.name} signed is unknown: {failure.why}")
            continue
        if height > head.height:
            found.append(
                f"key {key.name} voted at height {height:,}; the newest certified block is {head.height:,}."
            )
    if found:
        found.append(
            "a block above may be final and acknowledged: look for it on every other node and disk first."
        )
    return found


def _read(file: Path) -> "Restart":
    from protocol.chain.restart import RESTART_BYTES_MAX, decode_restart
    from protocol.contracts.policies import read_policy
    from protocol.errors import Rejected

    try:
        with file.open("rb") as opened:
            restart = decode_restart(opened.read(RESTART_BYTES_MAX + 1))
        read_policy(restart.policy)
    except (OSError, Rejected) as failure:
        raise OperationError(
            "restart.unreadable",
            f"{file} is no restart.",
            f"{failure}.",
            "ask for the file again; its hash was published",
        ) from failure
    return restart


def _refused(why: str) -> OperationError:
    return OperationError(
        "restart.refused",
        "Not done: this restart does not fit the chain here.",
        why,
        "compare the newest block of every node that is left; propose above the highest",
    )


def _show(restart: "Restart", then: str) -> None:
    shown = _describe(restart)
    session.terminal.show(shown, "\n".join([*_lines(shown), then]))


def _describe(restart: "Restart") -> dict[str, Any]:
    """Say what a restart says and who signed it, by the first policy of the council; the state's counts."""
    from protocol import crypto
    from protocol.contracts import policies

    header, record, digest = restart.header, restart.record, restart.compute_digest()
    policy = policies.read_policy(restart.policy)
    keys = policies.list_keys(policy)
    sound = {key for key, signature in restart.signatures if crypto.verify(key, digest, signature)}
    is_met = policies.is_met(policy, sound, frozenset(), lambda role: False)
    return {
        "hash": "0x" + record.compute_hash().hex(),
        "height": header.height,
        "block": "0x" + header.compute_id().hex(),
        "stateRoot": "0x" + header.state_root.hex(),
        "epoch": record.number,
        "protocol": record.engine.name.lower(),
        "validators": [validator.operator for validator in record.validators],
        "threshold": policy.threshold,
        "signed": [key.hex() for key in keys if key in sound],
        "missing": [key.hex() for key in keys if key not in sound],
        "unsound": [key.hex() for key, _ in restart.signatures if key not in sound or key not in keys],
        "ratified": is_met,
    }


def _lines(shown: dict[str, Any]) -> list[str]:
    return [
        f"{name:<11} {' '.join(value) if isinstance(value, list) else value}" for name, value in shown.items()
    ]
