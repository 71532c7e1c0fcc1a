"""`coopd consensus restart`: go on when a quorum is lost for good, on stopped nodes, by the council's word.

It works on a data folder without any network; the database's lock shows that the node is stopped. What a
restart may say is `protocol/chain/restart.py`; whether the council ratified it is asked of the state of the
last block.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclopts import App

from node.cli.session import session
from node.errors import OperationError

if TYPE_CHECKING:
    from node.config import Config
    from node.store.store import Store
    from protocol.chain.restart import Restart

restart_app = App(name="restart", help="When a quorum is lost for good: go on with those that are left.")


@restart_app.command
def propose(file: Path, /, *, engine: Literal["raft", "bft"], keep: tuple[str, ...], board: Path) -> None:
    """Write a restart above the newest block of this stopped node, unsigned.

    Args:
        file: Where to write it.
        engine: raft or bft.
        keep: Operator of the present epoch that goes on; may be given several times.
        board: Folder of the council's account.
    """
    from node.cli.council import load_council
    from node.store.opening import open_store
    from protocol.chain.restart import Restart, check_restart, make_record
    from protocol.chain.validators import EngineKind, read_epoch

    council = load_council(board)
    store = open_store(_config())
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
    finally:
        store.close()
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
    from dataclasses import replace

    from node.cli.council import load_council
    from protocol import crypto

    council, restart = load_council(board), _read(file)
    signed = dict(restart.signatures)
    for name in council.names:
        sealed = council.ring.entry(name).encrypted
        secret = council.ring.load(
            name, session.terminal.secret(f"passphrase of {name}: ") if sealed else None
        )
        signed[secret.public_key] = crypto.sign(secret, restart.compute_digest())
    restart = replace(restart, signatures=tuple(sorted(signed.items())))
    file.write_bytes(restart.encode())
    _show(restart, "Signed. Publish its hash to all members and operators.")


@restart_app.command
def show(file: Path, /) -> None:
    """Show what a restart says."""
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


def _read(file: Path) -> "Restart":
    from protocol.chain.restart import decode_restart
    from protocol.errors import Rejected

    try:
        return decode_restart(file.read_bytes())
    except (OSError, Rejected) as failure:
        raise _refused(f"{file} cannot be read: {failure}.") from failure


def _refused(why: str) -> OperationError:
    return OperationError(
        "restart.refused",
        "Not done: this restart does not fit the chain here.",
        why,
        "compare the newest block of every node that is left; propose above the highest",
    )


def _show(restart: "Restart", then: str) -> None:
    header, record = restart.header, restart.record
    names = [validator.operator for validator in record.validators]
    shown: dict[str, Any] = {
        "hash": "0x" + record.compute_hash().hex(),
        "height": header.height,
        "block": "0x" + header.compute_id().hex(),
        "stateRoot": "0x" + header.state_root.hex(),
        "epoch": record.number,
        "protocol": record.engine.name.lower(),
        "validators": names,
        "signatures": len(restart.signatures),
    }
    lines = [f"{name:<11} {value}" for name, value in shown.items()]
    session.terminal.show(shown, "\n".join([*lines, then]))
