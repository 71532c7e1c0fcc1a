"""Who would certify in the next epoch, and every rule of the registry that would refuse it now.

From what `chain_getMigration` and `chain_getEvidence` answered alone: nothing is asked or sent here, so a
refusal names operators and numbers before anything is signed. The chain checks all of it again.
"""

from typing import Any, Final

from node.cli.terminal import Exit, Failure
from protocol.params import BFT_VALIDATORS_MIN

ENGINES: Final = {"raft": 1, "bft": 2}
DOORS: Final = (2, 10)
"""The methods of the registry that decide an epoch: any, and the way back to Raft."""
KEY_DIGITS_MIN: Final = 8
"""So many hexadecimal digits of a consensus key name it."""
LEFT: Final = (("blocksLeft", "blocks"), ("secondsLeft", "seconds"))


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
                f"{pending['sealHeight']:,}, {say_left(pending)}.",
                "wait for it, or cancel it: coopd consensus migrate cancel",
                "registry.change_pending",
            )
        )
    low = BFT_VALIDATORS_MIN if engine == "bft" else 1
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


def list_taken_over(taken: list[int], *, is_return: bool) -> list[Failure]:
    """List whether members alone decide such a change, from what `registry_takenOver` answered.

    Args:
        taken: methods of the registry in which the council has no part.
        is_return: from BFT back to Raft, which has a door of its own.
    """
    if DOORS[is_return] not in taken:
        return []
    return [
        Failure(
            "Nothing was decided: this is for members to decide.",
            "rule: what members have taken over, the council decides no more.",
            'propose it to the members: coop propose TYPE TITLE "$(coopd consensus migrate program ...)"',
            "registry.for_members",
        )
    ]


def say_left(pending: dict[str, Any]) -> str:
    """Say how far the seal of a decided change is."""
    parts = [f"{pending[name]:,} {unit}" for name, unit in LEFT if pending[name]] or ["0 blocks"]
    return f"in {' and '.join(parts)}"


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
