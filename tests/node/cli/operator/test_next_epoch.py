"""Who certifies next: every rule is refused here already, with names and numbers."""

from typing import Any

import pytest

from node.cli.operator.next_epoch import (
    DOORS,
    KEY_DIGITS_MIN,
    choose_validators,
    list_suspended,
    list_taken_over,
)
from node.cli.terminal import Failure
from protocol.contracts.registry.contract import METHODS


def one(name: str, key: str = "") -> dict[str, Any]:
    return {"operator": name, "consensusKey": "0x" + (key or name.encode().hex() * 8)}


def said(name: str, key: str = "", left: int = 900, height: int = 50) -> dict[str, Any]:
    return {
        **one(name, key),
        "height": height,
        "blocksLeft": left,
        "isValidator": False,
        "engines": ["raft", "bft"],
        "software": "s",
    }


def world(*ready: dict[str, Any], pending: Any = None) -> dict[str, Any]:
    validators = [one("n1"), one("n2"), one("n3")]
    epoch = {"number": 0, "protocol": "raft", "validators": validators}
    stay = [said(name["operator"]) for name in validators]
    return {"height": 150, "readyBlocks": 1_000, "epoch": epoch, "pending": pending, "ready": [*stay, *ready]}


def names(chosen: list[dict[str, Any]]) -> list[str]:
    return [validator["operator"] for validator in chosen]


def test_who_certifies_stays_who_is_added_comes_who_is_removed_goes() -> None:
    answer = world(said("n4"))
    assert names(choose_validators(answer, "bft", ("n4",), ())) == ["n1", "n2", "n3", "n4"]
    assert names(choose_validators(answer, "raft", (), ("n2", "n3"))) == ["n1"]
    assert names(choose_validators(answer, "raft", ("n4",), ("n1",))) == ["n2", "n3", "n4"]


def test_a_new_key_takes_the_place_of_the_old_one_of_an_operator() -> None:
    answer = world(said("n1", "ab" * 33))
    [_, _, new] = choose_validators(answer, "raft", ("abababab",), ("n1",))
    assert new["consensusKey"] == "0x" + "ab" * 33


@pytest.mark.parametrize(
    ("answer", "engine", "add", "remove", "label", "number"),
    [
        (world(), "bft", (), (), "registry.too_few", "at least 4; this change has 3: n1, n2, n3"),
        (world(), "raft", (), ("n1", "n2", "n3"), "registry.too_few", "at least 1; this change has 0"),
        (world(), "bft", ("n4",), (), "registry.no_operator", "who is ready: n1, n2, n3"),
        (world(), "raft", (), ("n9",), "registry.no_operator", "who certifies now: n1, n2, n3"),
        (world(said("n1", "ab" * 33)), "raft", ("abababab",), (), "registry.twice", "n1 certifies already"),
        (world(said("n4", "aa" * 33), said("n4", "bb" * 33)), "bft", ("n4",), (), "registry.which", "2 are"),
        (
            world(said("n4", left=0, height=3)),
            "bft",
            ("n4",),
            (),
            "registry.not_ready",
            "at most 1,000 blocks before; n4 said so at block 3, the chain is at 150",
        ),
        (
            world(pending={"protocol": "bft", "sealHeight": 1204, "blocksLeft": 2, "secondsLeft": 0}),
            "raft",
            (),
            (),
            "registry.change_pending",
            "one change at a time; that to BFT seals at block 1,204, in 2 blocks",
        ),
    ],
)
def test_a_refusal_names_rule_limit_and_actual_value(
    answer: dict[str, Any],
    engine: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    label: str,
    number: str,
) -> None:
    with pytest.raises(Failure) as refused:
        choose_validators(answer, engine, add, remove)
    assert refused.value.label == label and number in refused.value.why and refused.value.do


def test_who_stays_must_be_ready_too() -> None:
    answer = world(said("n4"))
    answer["ready"] = [row for row in answer["ready"] if row["operator"] != "n2"]
    with pytest.raises(Failure) as refused:
        choose_validators(answer, "bft", ("n4",), ())
    assert (
        refused.value.what == "Nothing was decided: n2 is not ready." and "never said so" in refused.value.why
    )


@pytest.mark.parametrize(
    ("operator", "key", "node", "lifted", "is_barred"),
    [
        ("n2", "0xff", "0xff", None, True),
        ("other", "same", "0xff", None, True),
        ("other", "0xff", "same", None, True),
        ("n2", "same", "same", 9, False),
        ("other", "0xff", "0xff", None, False),
    ],
)
def test_whoever_is_suspended_is_told_before(
    operator: str, key: str, node: str, lifted: int | None, is_barred: bool
) -> None:
    chosen = {"operator": "n2", "consensusKey": "same", "nodeKey": "same"}
    deed = {"operator": operator, "consensusKey": key, "nodeKey": node, "lifted": lifted}
    evidence = {"items": [{**deed, "kind": "duplicate_vote", "height": 7}]}
    found = list_suspended(evidence, [chosen])
    assert [failure.label for failure in found] == ["registry.suspended"] * is_barred


@pytest.mark.parametrize("digits", [KEY_DIGITS_MIN - 1, KEY_DIGITS_MIN])
def test_so_many_digits_name_a_key_and_fewer_do_not(digits: int) -> None:
    answer = world(said("n4", "ab" * 33))
    name = ("ab" * 33)[:digits]
    if digits == KEY_DIGITS_MIN:
        assert names(choose_validators(answer, "bft", (name,), ()))[-1] == "n4"
        return
    with pytest.raises(Failure) as refused:
        choose_validators(answer, "bft", (name,), ())
    assert refused.value.label == "registry.no_operator"


def test_what_members_have_taken_over_is_refused_to_the_council_before_it_signs() -> None:
    change, way_back = (
        {method.name: method.id for method in METHODS}[n] for n in ("propose", "return_to_raft")
    )
    assert (change, way_back) == DOORS
    assert list_taken_over([], is_return=True) == list_taken_over([way_back], is_return=False) == []
    for taken, is_return in ((change, False), (way_back, True)):
        [refused] = list_taken_over([4, taken], is_return=is_return)
        assert refused.label == "registry.for_members" and "coop propose" in refused.do
