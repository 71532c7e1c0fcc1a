"""`coopd validator ready|evidence|lift`: this node as a validator, and who signed what it must not.

A fresh key for it is `rotation.py`; which engine and validators certify is `consensus.py`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from node.cli.operator.next_epoch import ENGINES
from node.cli.session import session
from node.cli.terminal import Exit, Failure

if TYPE_CHECKING:
    from node.cli.rpc_client import RpcClient
    from node.config import Config
    from node.keychain import OwnKey, OwnKeys

validator_app = App(name="validator", help="This node as a validator.")

LAG_BLOCKS_MAX: Final = 10
"""Further behind, a node is still catching up."""


@validator_app.command(name="ready")
def validator_ready(*, node: Annotated[tuple[str, ...], Parameter(negative=())] = ()) -> None:
    """Say, signed with the consensus key of this node, that it could take part in a next epoch.

    Args:
        node: Of a local cluster only this one; may be given several times.
    """
    from node.cli.operator.place import find_place

    configs = find_place().configs
    unknown = sorted(set(node) - {config.operator for config in configs})
    if unknown:
        raise Failure(
            f"There is no node {unknown[0]} here.",
            f"the nodes are: {', '.join(config.operator for config in configs)}.",
            "name one of them",
            "localnet.no_node",
            Exit.USAGE,
        )
    said = [say_ready(config) for config in configs if not node or config.operator in node]
    session.terminal.show(
        said,
        lambda: "\n".join(f"{one['operator']} is ready, since block {one['height']:,}" for one in said),
    )


@validator_app.command(name="evidence")
def validator_evidence() -> None:
    """Show which validators signed what they must not, by the evidence on the chain."""
    from node.cli.operator.place import find_place

    answer = find_place().client().call("chain_getEvidence")
    session.terminal.show(answer, lambda: "\n".join(evidence_lines(answer)))


@validator_app.command(name="lift")
def validator_lift(operator: str, /, *, board: Path | None = None) -> None:
    """Lift all that stands against an operator, with the keys of the council.

    Args:
        operator: Who may be in the next epochs again.
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.operator.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    client = place.client()
    answer = client.call("chain_getEvidence")
    if operator not in answer["suspended"]:
        raise Failure(
            f"Nothing was lifted: nothing stands against {operator[:70]}.",
            f"suspended are: {', '.join(answer['suspended']) or 'nobody'}.",
            "see: coopd validator evidence",
            "registry.not_suspended",
        )
    council = load_council(board or place.board)
    session.terminal.note("\n".join(evidence_lines(answer)))
    session.terminal.confirm(f"Let {operator} be in the next epochs again: sign as the council and send?")
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, "lift", (operator,))
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "operator": operator},
        f"Lifted in block {receipt['height']:,}: {operator} may be in the next epochs. "
        "What it does wrong after this block counts again.",
    )


def evidence_lines(answer: dict[str, Any]) -> list[str]:
    """Write convictions as a table."""
    if not answer["items"]:
        return [f"No validator is convicted of anything, up to block {answer['height']:,}."]
    lines = [f"{'operator':<12} {'deed':<20} {'epoch':>5} {'height':>10} {'round':>6} {'block':>10}   state"]
    for item in answer["items"]:
        state = "suspended" if item["lifted"] is None else f"lifted at {item['lifted']:,}"
        state += ", still validates" if item["isValidator"] and item["lifted"] is None else ""
        deed = item["kind"].replace("_", " ")
        lines.append(
            f"{item['operator']:<12} {deed:<20} {item['epoch']:>5} {item['height']:>10,} "
            f"{item['view']:>6} {item['block']:>10,}   {state}"
        )
    names = ", ".join(answer["suspended"])
    if names:
        lines.append(f"Kept out of the next epochs, until the council lifts it: {names}")
    return lines


def say_ready(config: "Config", key: "OwnKey | None" = None) -> dict[str, Any]:
    """Say that a node could take part in a next epoch, under the key that it signs with, or under another.

    Raises:
        Failure: it lags, has no key that may sign, or it is refused.
    """
    from node.cli.council import send_call
    from node.cli.operator.place import client_of, own_keys, read_passphrase
    from node.cli.payments import sign_transaction
    from node.config import NODE_KEY, VERSION
    from node.wallet.keyring import Keyring
    from protocol import crypto
    from protocol.chain.genesis import decode_genesis
    from protocol.contracts.policies import address_of_key
    from protocol.contracts.registry import contract as registry
    from protocol.contracts.registry.epochs import compute_ready_digest

    client = client_of(config)
    status = client.call("node_getStatus")
    if status["targetHeight"] - status["height"] > LAG_BLOCKS_MAX:
        raise Failure(
            f"{config.operator} did not say that it is ready: it lags.",
            f"rule: who is ready is at most {LAG_BLOCKS_MAX} blocks behind; it has block "
            f"{status['height']:,} of {status['targetHeight']:,}.",
            "wait until it has caught up: coopd status",
            "registry.not_synced",
        )
    ring = Keyring(config.keys_path)
    node = ring.load(NODE_KEY, read_passphrase(config))
    keys = own_keys(config)
    key = key or _choose_key(config, keys, client)
    public_key = key.public_key
    proof = crypto.sign(keys.load(key), compute_ready_digest(node.public_key, public_key))
    genesis = decode_genesis(config.genesis_path.read_bytes())
    address = address_of_key(node.public_key)
    said = (config.operator, f"coopd {VERSION}", sum(ENGINES.values()), int(status["height"]))
    arguments = (address, node.public_key, public_key, proof, *said)
    receipt = send_call(
        client,
        genesis,
        address,
        registry.CONTRACT,
        "ready",
        arguments,
        lambda tx: sign_transaction(genesis, tx, node),
    )
    return {"operator": config.operator, "height": receipt["height"], "consensusKey": "0x" + public_key.hex()}


def _choose_key(config: "Config", keys: "OwnKeys", client: "RpcClient") -> "OwnKey":
    """Return the key with which a node signs now, else the newest one that may sign."""
    running = {one["consensusKey"] for one in client.call("chain_getMigration")["epoch"]["validators"]}
    usable = [key for key in keys.list() if key.may_sign]
    signing = [key for key in usable if "0x" + key.public_key.hex() in running]
    if not usable:
        raise Failure(
            f"{config.operator} did not say that it is ready: it has no consensus key that may sign.",
            "rule: a key whose signing record is lost signs nothing any more.",
            "give it a fresh one: coopd validator rotate",
            "sign_state.missing",
        )
    return (signing or usable)[-1]
