"""`coopd consensus`: see which engine and validators certify, and change them.

A change is a transaction like any other: operators say that they are ready (`validator.py`), the council
decides, and three blocks later, or when the council said, the old epoch seals. Every rule is checked before
(`next_epoch.py`), and the chain checks all of it again.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import App, Parameter

from node.cli.operator.next_epoch import (
    ENGINES,
    choose_validators,
    list_chosen,
    list_obstacles,
    list_suspended,
    list_taken_over,
    say_left,
)
from node.cli.session import session
from node.cli.terminal import Exit, Failure

if TYPE_CHECKING:
    from node.cli.operator.place import Place
    from node.cli.rpc_client import RpcClient
    from protocol.codec import Value

consensus_app = App(name="consensus", help="Which engine and validators certify blocks.")
migrate_app = App(name="migrate", help="Change engine or validators while the chain runs.")
consensus_app.command(migrate_app)

DELAY_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@consensus_app.command(name="status")
def consensus_status() -> None:
    """Show the epoch in force, a decided change, who is ready, and all epochs before."""
    from node.cli.operator.place import find_place

    answer = find_place().client().call("chain_getMigration")
    session.terminal.show(answer, lambda: "\n".join([*_epoch_lines(answer), *_change_lines(answer)]))


@migrate_app.command(name="status")
def migrate_status() -> None:
    """Show the decided change, and who is ready for one."""
    from node.cli.operator.place import find_place

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
    from node.cli.operator.place import find_place

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
    if _is_return(answer, engine):
        session.terminal.note(
            "Raft bears no liar. Programs of members refuse what it certifies until their owners accept it."
        )
    session.terminal.confirm("Sign as the council and send?")
    keys = sorted(bytes.fromhex(one["consensusKey"][2:]) for one in chosen)
    is_return = _is_return(answer, engine)
    method = "return_to_raft" if is_return else "propose"
    terms: tuple[Value, ...] = ((0, *keys), at_height, not_before)
    arguments = terms if is_return else (ENGINES[engine], *terms)
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, method, arguments)
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


def _is_return(answer: dict[str, Any], engine: str) -> bool:
    """Tell whether a change leads from BFT back to Raft, which has a door of its own."""
    return bool(answer["epoch"]["protocol"] == "bft") and engine == "raft"


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
    from node.cli.operator.place import find_place

    answer = find_place().client().call("chain_getMigration")
    chosen = choose_validators(answer, engine, add, remove)
    keys = ",".join(f'"{key}"' for key in sorted(one["consensusKey"] for one in chosen))
    is_return = _is_return(answer, engine)
    begin = "registry.return_to_raft" if is_return else f"registry.propose {ENGINES[engine]}"
    program = f"{begin} '[{keys}]' 0 0"
    session.terminal.show({"program": program}, program)


@migrate_app.command(name="cancel")
def migrate_cancel(*, board: Path | None = None) -> None:
    """Cancel a decided change before its seal, with the keys of the council.

    Args:
        board: Folder of the council's keys.
    """
    from node.cli.council import load_council, send_as_council
    from node.cli.operator.place import find_place
    from protocol.contracts.registry import contract as registry

    place = find_place()
    client = place.client()
    answer = client.call("chain_getMigration")
    pending = answer["pending"]
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
        f"{say_left(pending)}"
    )
    session.terminal.confirm("Sign as the council and send?")
    method = "cancel_return" if _is_return(answer, pending["protocol"]) else "cancel"
    receipt = send_as_council(client, place.genesis, council, registry.CONTRACT, method, ())
    session.terminal.show(
        {"id": receipt["id"], "height": receipt["height"], "cancelled": True},
        f"Cancelled in block {receipt['height']:,}: the epoch goes on.",
    )


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
    from node.cli.operator.place import find_place

    client = find_place().client()
    answer = client.call("chain_getMigration")
    chosen = list_chosen(answer, add, remove)
    obstacles = list_obstacles(answer, engine, chosen)
    obstacles += list_suspended(client.call("chain_getEvidence"), chosen)
    taken = client.call("registry_takenOver")["value"]
    obstacles += list_taken_over(taken, is_return=_is_return(answer, engine))
    ready = {one["consensusKey"]: one for one in answer["ready"]}
    rows = [{**one, **ready.get(one["consensusKey"], {})} for one in chosen]
    seal = answer["height"] + 1 + answer["delayBlocks"]
    waits = answer["returnSeconds"] if _is_return(answer, engine) else 0
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


def format_time(time_ms: int) -> str:
    """Write a time as UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms // 1_000))


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
            f"{say_left(pending)}: {names}",
            f"            decided by {pending['decidedBy']}",
        ]
    for one in sorted(answer["ready"], key=lambda one: (one["operator"], one["height"])):
        place = "validator" if one["isValidator"] else "observer"
        lines.append(
            f"ready       {one['operator']:<10} {place:<10} said at {one['height']:,}, counts for "
            f"{one['blocksLeft']:,} blocks more   {one['software']}"
        )
    return lines if answer["ready"] else [*lines, "ready       nobody; on each node: coopd validator ready"]
