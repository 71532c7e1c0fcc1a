"""`coopd consensus` and `coopd validator`: see which engine and validators certify, and change them.

A change is a transaction like any other: operators say that they are ready, the council decides, and three
blocks later, or when the council said, the old epoch seals. Every rule is checked here first, so that a
refusal names operators and numbers; the chain checks all of it again.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from node.cli.session import session
from node.cli.terminal import Exit, Failure

if TYPE_CHECKING:
    from node.cli.place import Place
    from node.cli.rpc_client import RpcClient
    from node.config import Config
    from node.keychain import OwnKey, OwnKeys
    from protocol.codec import Value

consensus_app = App(name="consensus", help="Which engine and validators certify blocks.")
migrate_app = App(name="migrate", help="Change engine or validators while the chain runs.")
validator_app = App(name="validator", help="This node as a validator.")
consensus_app.command(migrate_app)

ENGINES: Final = {"raft": 1, "bft": 2}
BFT_MIN: Final = 4
LEFT: Final = (("blocksLeft", "blocks"), ("secondsLeft", "seconds"))
DELAY_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LAG_BLOCKS_MAX: Final = 10
"""Further behind, a node is still catching up."""
KEY_DIGITS_MIN: Final = 8
"""So many hexadecimal digits of a consensus key name it."""


@consensus_app.command(name="status")
def consensus_status() -> None:
    """Show the epoch in force, a decided change, who is ready, and all epochs before."""
    from node.cli.place import find_place

    answer = find_place().client().call("chain_getMigration")
    session.terminal.show(answer, lambda: "\n".join([*_epoch_lines(answer), *_change_lines(answer)]))


@migrate_app.command(name="status")
def migrate_status() -> None:
    """Show the decided change, and who is ready for one."""
    from node.cli.place import find_place

    answer = find_place().client().call("chain_getMigration")
    shown = {name: answer[name] for name in ("height", "pending", "ready")}
    shown["restarts"] = [item for item in answer["epochs"] if item["isRestart"]]
    session.terminal.show(shown, lambda: "\n".join([*_restart_lines(answer), *_change_lines(answer)]))


@migrate_app.command(name="propose")
def migrate_propose(
    *,
    engine: Literal["raft", "bft"],
    add: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    remove: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    delay: str = "",
    at_height: int = 0,
    board: Path | None = None,
) -> None:
    """Decide the next epoch, with the keys of the council: its engine, and who certifies.

    Args:
        engine: raft or bft.
        add: Operator that is ready, or the first digits of its consensus key; may be given several times.
        remove: Operator that certifies now; may be given several times.
        delay: How long the change can be cancelled at least, such as 90s, 10m, 2h or 7d.
        at_height: Last block of the epoch that runs; without it the soonest one.
        board: Folder of the council's keys.
    """
    from node.cli.place import find_place

    place = find_place()
    client = place.client()
    answer = client.call("chain_getMigration")
    not_before = _time_after(answer, delay)
    chosen = choose_validators(answer, engine, add, remove)
    shown = decide(place, client, answer, engine, chosen, board, at_height, not_before)
    waits, was, names = (
        shown["notBefore"],
        answer["epoch"]["protocol"].upper(),
        ", ".join(shown["validators"]),
    )
    when = f", or the first one from {format_time(waits)} on," if waits else ""
    session.terminal.show(
        shown,
        f"Decided in block {shown['height']:,}: block {shown['sealHeight']:,}{when} is the last one "
        f"under {was}, the next one the first under {engine.upper()}, certified by {names}.\n"
        "See it: coopd consensus status. Until the seal: coopd consensus migrate cancel",
    )


def decide(
    place: "Place",
    client: "RpcClient",
    answer: dict[str, Any],
    engine: str,
    chosen: list[dict[str, Any]],
    board: Path | None,
    at_height: int = 0,
    not_before: int = 0,
) -> dict[str, Any]:
    """Decide the next epoch with the keys of the council, after a look at what is signed.

    Raises:
        Failure: refused, the keys are not here, or the outcome is unknown.
    """
    from node.cli.council import load_council, send_as_council
    from protocol.contracts.registry import contract as registry

    council = load_council(board or place.board)
    was, names = answer["epoch"]["protocol"].upper(), ", ".join(one["operator"] for one in chosen)
    session.terminal.note(f"Change the epoch: from {was} to {engine.upper()}, certified by {names}")
    for one in chosen:
        session.terminal.note(f"  {one['operator']:<10} consensus key {one['consensusKey'][2:]}")
    if (was, engine) == ("BFT", "raft"):
        session.terminal.note(
            "Raft bears no liar. Programs of members refuse what it certifies until their owners accept it."
        )
    session.terminal.confirm("Sign as the council and send?")
    keys = sorted(bytes.fromhex(one["consensusKey"][2:]) for one in chosen)
    arguments: tuple[Value, ...] = (ENGINES[engine], (0, *keys), at_height, not_before)
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, "propose", arguments)
    seal = int(receipt["results"][0])
    decided = client.call("chain_getMigration")["pending"]
    return {
        "id": receipt["id"],
        "height": receipt["height"],
        "engine": engine,
        "sealHeight": seal,
        "firstHeight": seal + 1,
        "notBefore": 0 if decided is None else decided["notBefore"],
        "validators": [one["operator"] for one in chosen],
    }


@migrate_app.command(name="program")
def migrate_program(
    *,
    engine: Literal["raft", "bft"],
    add: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    remove: Annotated[tuple[str, ...], Parameter(negative=())] = (),
) -> None:
    """Write a change as a program that members can vote on: coop propose TYPE TITLE "$(...)".

    Args:
        engine: raft or bft.
        add: As with propose.
        remove: As with propose.
    """
    from node.cli.place import find_place

    chosen = choose_validators(find_place().client().call("chain_getMigration"), engine, add, remove)
    keys = ",".join(f'"{key}"' for key in sorted(one["consensusKey"] for one in chosen))
    program = f"registry.propose {ENGINES[engine]} '[{keys}]' 0 0"
    session.terminal.show({"program": program}, program)


@migrate_app.command(name="cancel")
def migrate_cancel(*, board: Path | None = None) -> None:
    """Cancel a decided change before its seal, with the keys of the council.

    Args:
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    client = place.client()
    pending = client.call("chain_getMigration")["pending"]
    if pending is None:
        raise Failure(
            "Nothing was cancelled: no change is decided.",
            "rule: only a decided change can be cancelled, and only before its seal.",
            "see: coopd consensus status",
            "registry.no_change",
        )
    council = load_council(board or place.board)
    session.terminal.note(
        f"Cancel the change to {pending['protocol'].upper()} at the seal {pending['sealHeight']:,}, "
        f"{_left(pending)}"
    )
    session.terminal.confirm("Sign as the council and send?")
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, "cancel", ())
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "cancelled": True},
        f"Cancelled in block {receipt['height']:,}: the epoch goes on.",
    )


@validator_app.command(name="ready")
def validator_ready(*, node: Annotated[tuple[str, ...], Parameter(negative=())] = ()) -> None:
    """Say, signed with the consensus key of this node, that it could take part in a next epoch.

    Args:
        node: Of a local cluster only this one; may be given several times.
    """
    from node.cli.place import find_place

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
    from node.cli.place import find_place

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
    from node.cli.place import find_place
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
    from node.cli.payments import sign_transaction
    from node.cli.place import client_of
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


@migrate_app.command(name="dry-run")
def migrate_dry_run(
    *,
    engine: Literal["raft", "bft"],
    add: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    remove: Annotated[tuple[str, ...], Parameter(negative=())] = (),
) -> None:
    """Say whether a change would be decided now, and when it would seal; nothing is sent.

    Args:
        engine: raft or bft.
        add: As with propose.
        remove: As with propose.
    """
    from node.cli.place import find_place

    client = find_place().client()
    answer = client.call("chain_getMigration")
    chosen = list_chosen(answer, add, remove)
    obstacles = list_obstacles(answer, engine, chosen)
    obstacles += list_suspended(client.call("chain_getEvidence"), chosen)
    ready = {one["consensusKey"]: one for one in answer["ready"]}
    rows = [{**one, **ready.get(one["consensusKey"], {})} for one in chosen]
    seal = answer["height"] + 1 + answer["delayBlocks"]
    waits = answer["returnSeconds"] if (answer["epoch"]["protocol"], engine) == ("bft", "raft") else 0
    lines = [
        f"{one['operator']:<10} {one.get('software', '-'):<14} "
        f"engines {' '.join(one.get('engines', ['-'])):<8}   "
        f"synced to {one.get('height', 0):,} of {answer['height']:,}"
        for one in rows
    ]
    days = f", {waits // 86_400} days from now" if waits else ""
    lines.append(f"seal        block {seal:,} at the soonest{days}")
    if len({one.get("software") for one in rows}) > 1:
        lines.append("note        their software differs; that refuses nothing")
    lines += [f"refused     {one.why}\n            {one.do}" for one in obstacles]
    lines.append("It would be refused now." if obstacles else "It would be decided now. Nothing was sent.")
    shown = {
        "passes": not obstacles,
        "engine": engine,
        "sealHeight": seal,
        "waitSeconds": waits,
        "validators": rows,
        "reasons": [{"code": one.label, "why": one.why} for one in obstacles],
    }
    session.terminal.show(shown, "\n".join(lines))
    if obstacles:
        raise SystemExit(Exit.REFUSED)


def _time_after(answer: dict[str, Any], delay: str) -> int:
    """Return the Unix time, s, that lies so long ahead of now and of the last block; 0 without a delay."""
    if not delay:
        return 0
    number, unit = delay[:-1], DELAY_UNITS.get(delay[-1:])
    if unit is None or not number.isdecimal():
        raise Failure(
            "Nothing was decided: the delay cannot be read.",
            f"a delay is a number and one of {', '.join(DELAY_UNITS)}; it was {delay[:20]}.",
            "write it like 90s, 10m, 2h or 7d",
            "cli.usage",
            Exit.USAGE,
        )
    return max(int(answer["time"]) // 1_000, int(time.time())) + int(number) * unit


def _left(pending: dict[str, Any]) -> str:
    """Say how far the seal of a decided change is."""
    parts = [f"{pending[name]:,} {unit}" for name, unit in LEFT if pending[name]] or ["0 blocks"]
    return f"in {' and '.join(parts)}"


def format_time(time_ms: int) -> str:
    """Write a time as UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms // 1_000))


def own_keys(config: "Config") -> "OwnKeys":
    """Open the folder of a node's consensus keys; asks for the passphrase when they are sealed."""
    from node.keychain import OwnKeys

    return OwnKeys(config, lambda: read_passphrase(config))


def read_passphrase(config: "Config") -> str | None:
    """Return the passphrase of a node's keys: of its file, or typed; None when they lie open."""
    from node.config import NODE_KEY
    from node.wallet.keyring import Keyring

    if not Keyring(config.keys_path).entry(NODE_KEY).encrypted:
        return None
    if config.passphrase_file:
        return Path(config.passphrase_file).read_text(encoding="utf-8").rstrip("\n")
    return session.terminal.secret(f"passphrase of the keys of {config.operator}: ")


def choose_validators(
    answer: dict[str, Any], engine: str, add: tuple[str, ...], remove: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return the validators of the next epoch, from what `chain_getMigration` answered.

    Raises:
        Failure: a rule of the registry would refuse it; names rule, limit and actual value.
    """
    chosen = list_chosen(answer, add, remove)
    for obstacle in list_obstacles(answer, engine, chosen):
        raise obstacle
    return chosen


def list_chosen(
    answer: dict[str, Any], add: tuple[str, ...], remove: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Return who is meant: who certifies now and is not removed, and who is added.

    Who stays keeps its consensus key. A name that somebody says of himself proves nothing: when two are
    ready under one name, the key must be named.

    Raises:
        Failure: a name is that of nobody, or of several.
    """
    now = {one["operator"]: one for one in answer["epoch"]["validators"]}
    for name in remove:
        if now.pop(name, None) is None:
            raise _no_such(
                name, "certifies now", sorted(one["operator"] for one in answer["epoch"]["validators"])
            )
    chosen = list(now.values()) + [_find_ready(answer, name) for name in add]
    _check_once(chosen)
    return chosen


def list_obstacles(answer: dict[str, Any], engine: str, chosen: list[dict[str, Any]]) -> list[Failure]:
    """List every rule of the registry that would refuse this change now, in the order of the registry."""
    found, pending = [], answer["pending"]
    if pending is not None:
        found.append(
            Failure(
                "Nothing was decided: another change is decided already.",
                f"rule: one change at a time; that to {pending['protocol'].upper()} seals at block "
                f"{pending['sealHeight']:,}, {_left(pending)}.",
                "wait for it, or cancel it: coopd consensus migrate cancel",
                "registry.change_pending",
            )
        )
    low = BFT_MIN if engine == "bft" else 1
    names = ", ".join(one["operator"] for one in chosen) or "nobody"
    if len(chosen) < low:
        found.append(
            Failure(
                f"Nothing was decided: {engine.upper()} needs more validators.",
                f"rule: at least {low}; this change has {len(chosen)}: {names}.",
                "add operators that are ready: --add NAME. Who is: coopd consensus migrate status",
                "registry.too_few",
            )
        )
    ready = {one["consensusKey"]: one for one in answer["ready"]}
    for one in chosen:
        said = ready.get(one["consensusKey"])
        if said is None or said["blocksLeft"] <= 0:
            when = "never said so" if said is None else f"said so at block {said['height']:,}"
            found.append(
                Failure(
                    f"Nothing was decided: {one['operator']} is not ready.",
                    f"rule: every validator says so at most {answer['readyBlocks']:,} blocks before; "
                    f"{one['operator']} {when}, the chain is at {answer['height']:,}.",
                    f"on the node of {one['operator']}: coopd validator ready",
                    "registry.not_ready",
                )
            )
        elif engine not in said["engines"]:
            found.append(
                Failure(
                    f"Nothing was decided: the software of {one['operator']} lacks the engine.",
                    f"rule: every validator knows {engine.upper()}; {said['software']} knows "
                    f"{', '.join(said['engines'])}.",
                    f"upgrade the node of {one['operator']}, then there: coopd validator ready",
                    "registry.engine_unsupported",
                )
            )
    return found


def list_suspended(evidence: dict[str, Any], chosen: list[dict[str, Any]]) -> list[Failure]:
    """List who of the chosen can be in no next epoch for what it is convicted of: by name, key or node."""
    names = ("operator", "consensusKey", "nodeKey")
    found = []
    for one in chosen:
        deeds = [item for item in evidence["items"] if item["lifted"] is None]
        deed = next((item for item in deeds if any(item[name] == one[name] for name in names)), None)
        if deed is not None:
            found.append(
                Failure(
                    f"Nothing was decided: {one['operator']} is suspended.",
                    f"rule: nobody against whom evidence stands; {deed['operator']} is convicted of a "
                    f"{deed['kind'].replace('_', ' ')} at block {deed['height']:,}.",
                    f"see: coopd validator evidence; lift it: coopd validator lift {deed['operator']}",
                    "registry.suspended",
                )
            )
    return found


def _find_ready(answer: dict[str, Any], name: str) -> dict[str, Any]:
    digits = name.lower().removeprefix("0x")
    is_key = len(digits) >= KEY_DIGITS_MIN and all(char in "0123456789abcdef" for char in digits)
    found = [
        one
        for one in answer["ready"]
        if one["operator"] == name or (is_key and one["consensusKey"][2:].startswith(digits))
    ]
    if len(found) > 1:
        keys = ", ".join(one["consensusKey"][2:18] for one in found)
        raise Failure(
            f"Which {name} is meant?",
            f"{len(found)} are ready under that name, with the keys {keys}...",
            f"name the key: --add {found[0]['consensusKey'][2:18]}",
            "registry.which",
            Exit.USAGE,
        )
    if not found:
        raise _no_such(name, "is ready", sorted(one["operator"] for one in answer["ready"]))
    return dict(found[0])


def _check_once(chosen: list[dict[str, Any]]) -> None:
    names = [one["operator"] for one in chosen]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Failure(
            "Nothing was decided: an operator would certify twice.",
            f"rule: one operator, one vote; {twice} certifies already.",
            f"leave out --add {twice}, or take its old key out: --remove {twice}",
            "registry.twice",
        )


def _no_such(name: str, what: str, names: list[str]) -> Failure:
    return Failure(
        f"Nothing was decided: no operator {name[:70]} {what}.",
        f"who {what}: {', '.join(names) or 'nobody'}.",
        "name one of them, or on its node first: coopd validator ready",
        "registry.no_operator",
    )


def _epoch_lines(answer: dict[str, Any]) -> list[str]:
    epoch = answer["epoch"]
    names = " ".join(sorted(one["operator"] for one in epoch["validators"]))
    lines = [
        f"{epoch['protocol'].upper()} since block {epoch['sinceHeight']:,}, epoch {epoch['number']}   "
        f"height {answer['height']:,}",
        f"validators  {names}   {epoch['quorum']} of {len(epoch['validators'])} certify",
    ]
    for item in answer["epochs"]:
        end = "" if item["seal"] is None else f" to {item['seal']['height']:,}"
        seal = "" if item["seal"] is None else f"   seal {item['seal']['id'][2:18]}"
        lines.append(
            f"epoch {item['number']:<5} {item['protocol'].upper():<5} from {item['sinceHeight']:,}{end}   "
            f"{' '.join(sorted(item['operators']))}{seal}"
        )
    return [*lines, *_restart_lines(answer)]


def _restart_lines(answer: dict[str, Any]) -> list[str]:
    return [
        f"restart     people restarted the chain above block {item['sinceHeight'] - 1:,}, epoch "
        f"{item['number']}: no quorum handed it over"
        for item in answer["epochs"]
        if item["isRestart"]
    ]


def _change_lines(answer: dict[str, Any]) -> list[str]:
    pending = answer["pending"]
    if pending is None:
        lines = ["change      none is decided"]
    else:
        names = " ".join(sorted(one["operator"] for one in pending["validators"]))
        lines = [
            f"change      to {pending['protocol'].upper()} after block {pending['sealHeight']:,}, "
            f"{_left(pending)}: {names}",
            f"            decided by {pending['decidedBy']}",
        ]
    for one in sorted(answer["ready"], key=lambda one: (one["operator"], one["height"])):
        place = "validator" if one["isValidator"] else "observer"
        lines.append(
            f"ready       {one['operator']:<10} {place:<10} said at {one['height']:,}, counts for "
            f"{one['blocksLeft']:,} blocks more   {one['software']}"
        )
    return lines if answer["ready"] else [*lines, "ready       nobody; on each node: coopd validator ready"]
