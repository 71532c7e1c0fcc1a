"""`coopd validator rotate|ls`: give a validator a fresh consensus key, and show which keys certify.

A fresh key is an ordinary change of epoch: it is made beside the old one, said to be ready, and decided by
the council. From the seal on the running node signs with it by itself (`node/keychain.py`). It can be typed
again after any failure: a key that was made and has signed nothing is taken up, not made a second time.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from node.cli.operator.consensus import decide
from node.cli.operator.next_epoch import list_chosen, list_obstacles, list_suspended
from node.cli.operator.validator import say_ready
from node.cli.session import session
from node.cli.terminal import Exit, Failure

if TYPE_CHECKING:
    from node.cli.operator.place import Place
    from node.cli.rpc_client import RpcClient
    from node.config import Config
    from node.keychain import OwnKey

SHOWN_DIGITS: Final = 16
ASK_SECONDS: Final = 0.1
LAG_TIMEOUT_SECONDS: Final = 15.0
"""How long a node of this machine is waited for that has not heard of the newest blocks."""

READY_LEFT_MIN: Final = 100
"""Whoever is ready for fewer blocks says so again, if its node is here."""


def validator_rotate(
    *, node: Annotated[tuple[str, ...], Parameter(negative=())] = (), board: Path | None = None
) -> None:
    """Make a fresh consensus key for this validator, say that it is ready, and ask for the epoch it signs in.

    The node signs with it from the seal on, without a restart; the old key is destroyed a week of chain time
    later. Without the keys of the council it says what the council has to type.

    Args:
        node: Of a local cluster only this one; may be given several times.
        board: Folder of the council's keys.
    """
    from node.cli.operator.place import find_place

    place = find_place()
    client = place.client()
    answer = client.call("chain_getMigration")
    engine, names = (
        answer["epoch"]["protocol"],
        {one["nodeKey"]: one for one in answer["epoch"]["validators"]},
    )
    chosen = [config for config in place.configs if not node or config.operator in node]
    outside = [config.operator for config in chosen if _node_key(config) not in names]
    unknown = sorted(set(node) - {config.operator for config in chosen}) or (outside if node else [])
    rotating = [config for config in chosen if _node_key(config) in names]
    if unknown or not rotating:
        raise Failure(
            f"No key was made: {(unknown or outside)[0]} does not certify.",
            "rule: a validator of the epoch that runs can be given a fresh key.",
            "to take part in a next epoch: coopd validator ready",
            "registry.no_operator",
            Exit.USAGE,
        )
    if answer["pending"] is not None:
        raise list_obstacles(answer, engine, [])[0]
    made = [(config, _take_fresh(config, answer)) for config in rotating]
    said = [say_ready(config, key) for config, key in made]
    others = _renew_others(place, answer, rotating)
    answer = _migration_at(client, max(one["height"] for one in (*said, *others)))
    removed = tuple(names[_node_key(config)]["operator"] for config in rotating)
    added = tuple(key.public_key.hex()[:SHOWN_DIGITS] for _, key in made)
    future = list_chosen(answer, added, removed)
    obstacles = list_obstacles(answer, engine, future)
    obstacles += list_suspended(client.call("chain_getEvidence"), future)
    words = " ".join([f"--remove {name} --add {digits}" for name, digits in zip(removed, added, strict=True)])
    shown: dict[str, Any] = {"keys": said, "decided": None, "reasons": [one.why for one in obstacles]}
    lines = [f"{one['operator']} is ready under the key {one['consensusKey'][2:]}" for one in said]
    if obstacles or not ((board or place.board) / "account.json").exists():
        lines += [f"{one.why}\n  {one.do}" for one in obstacles]
        lines.append(f"Then the council decides: coopd consensus migrate propose --engine {engine} {words}")
    else:
        shown["decided"] = decided = decide(place, client, answer, engine, future, board)
        lines.append(
            f"Decided in block {decided['height']:,}: from block {decided['firstHeight']:,} on it signs. "
            "See it: coopd validator ls"
        )
    session.terminal.show(shown, "\n".join(lines))


def validator_ls() -> None:
    """Show who certifies under which key, and the consensus keys of the nodes that are here."""
    from node.cli.operator.place import find_place, own_keys

    place = find_place()
    answer = place.client().call("chain_getMigration")
    pending = answer["pending"]
    running = {one["consensusKey"]: one["operator"] for one in answer["epoch"]["validators"]}
    coming = {one["consensusKey"] for one in (pending["validators"] if pending else ())}
    own = []
    for config in place.configs:
        for key in own_keys(config).list():
            name = "0x" + key.public_key.hex()
            state = "signs" if name in running else "waits for an epoch" if key.is_fresh else "old"
            state = "signs after the seal" if name in coming and name not in running else state
            state += "" if key.may_sign else ", without a signing record: it signs nothing"
            own.append({"operator": config.operator, "consensusKey": name, "state": state})
    shown = {"epoch": answer["epoch"], "pending": pending, "own": own}
    lines = [f"epoch {answer['epoch']['number']}, {answer['epoch']['protocol'].upper()}"]
    lines += [f"  {operator:<10} {key[2:]}" for key, operator in sorted(running.items(), key=lambda x: x[1])]
    lines += [f"{one['operator']:<10} {one['consensusKey'][2:]}   {one['state']}" for one in own]
    session.terminal.show(shown, "\n".join(lines))


def _take_fresh(config: "Config", answer: dict[str, Any]) -> "OwnKey":
    """Return a key that was made before and has signed nothing, or make one."""
    from node.cli.operator.place import own_keys

    keys = own_keys(config)
    running = {one["consensusKey"][2:] for one in answer["epoch"]["validators"]}
    waiting = [key for key in keys.list() if key.is_fresh and key.public_key.hex() not in running]
    return waiting[-1] if waiting else keys.create()


def _migration_at(client: "RpcClient", height: int) -> dict[str, Any]:
    """Ask a node that may lag behind those that took the transactions, when it has their blocks."""
    until = time.monotonic() + LAG_TIMEOUT_SECONDS
    while True:
        answer: dict[str, Any] = client.call("chain_getMigration")
        if answer["height"] >= height or time.monotonic() > until:
            return answer
        time.sleep(ASK_SECONDS)


def _renew_others(place: "Place", answer: dict[str, Any], rotating: list["Config"]) -> list[dict[str, Any]]:
    """Let the other validators whose nodes are here say that they are ready, unless they did not long ago."""
    running = {one["nodeKey"]: one["consensusKey"] for one in answer["epoch"]["validators"]}
    left = {one["consensusKey"]: one["blocksLeft"] for one in answer["ready"]}
    found = []
    for config in place.configs:
        key = running.get(_node_key(config))
        if key is not None and config not in rotating and left.get(key, 0) < READY_LEFT_MIN:
            found.append(say_ready(config))
    return found


def _node_key(config: "Config") -> str:
    from node.config import NODE_KEY
    from node.wallet.keyring import Keyring

    return "0x" + Keyring(config.keys_path).entry(NODE_KEY).public_key.hex()
