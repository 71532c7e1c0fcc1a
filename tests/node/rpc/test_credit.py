"""`member_getCredit`: a score with its parts, and the words that a client has for them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.cli.member.credit import PARTS, explain_part
from node.cli.member.member_session import session
from node.cluster.founding import demo_address
from node.rpc.methods import credit
from node.rpc.service import Call
from protocol.addresses import HRP_TEST, format_address
from protocol.contracts.credit.records import PART_POINTS
from protocol.contracts.members.records import UNKNOWN_MEMBER
from tests.node.job_chain import make_job_chain
from tests.node.rpc.conftest import Caller, open_gateway
from tests.protocol.contracts.coop_world import DAY, Coop
from tests.protocol.contracts.test_credit import Bureau
from tests.protocol.ledger_world import ALICE


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Caller]:
    yield from open_gateway(make_job_chain(tmp_path / "store", int(time.time() * 1_000) - 60_000))


def part(name: str, **changes: Any) -> dict[str, Any]:
    return {"part": name, "value": 900, "evidence": 500, "relief": 0, "count": 3, "beside": 7, **changes}


def test_parts_have_one_name_everywhere() -> None:
    assert tuple(PARTS) == credit.PARTS and len(PARTS) == len(PART_POINTS)


def test_who_is_no_member_has_no_score(gateway: Caller) -> None:
    nobody = format_address(demo_address("nobody"), HRP_TEST)
    assert gateway.call("member_getCredit", address=nobody)["code"] == UNKNOWN_MEMBER


class StateOnly:
    """As much of a call as the method asks for, over a state in memory."""

    member_of = Call.member_of

    def __init__(self, bureau: Coop) -> None:
        self.bureau = bureau
        self.facts = SimpleNamespace(hrp=HRP_TEST, genesis=bureau.genesis)

    def state_height_of(self, at: Any) -> int:
        return self.bureau.height

    def time_ms_of(self, height: int) -> int:
        return int(self.bureau.time) * 1_000

    @contextmanager
    def state(self, height: int) -> Iterator[Any]:
        yield self.bureau.state


def test_the_score_is_that_of_the_contract_with_its_parts() -> None:
    bureau = Bureau()
    bureau.pays(ALICE, 0)
    address = format_address(ALICE.address, HRP_TEST)
    call: Any = StateOnly(bureau)
    shown = asyncio.run(credit.get_credit(call, credit.CreditParams(address)))
    score, points = bureau.score(ALICE)
    assert (shown.score, tuple(one.points for one in shown.parts)) == (score, points)
    first = shown.parts[0]
    assert (first.part, first.most, first.count, first.value) == ("punctuality", 350, 1, 1_000)


def test_a_score_is_asked_for_by_the_calendar_of_the_co_op() -> None:
    bureau = Bureau()
    call: Any = StateOnly(bureau)
    params = credit.CreditParams(format_address(ALICE.address, HRP_TEST))
    midnight = (int(bureau.time) // DAY + 1) * DAY
    for offset in (0, 28_800):
        call.facts.genesis = SimpleNamespace(utc_offset_seconds=offset)
        for time_before, day in ((1, midnight // DAY - 1), (0, midnight // DAY)):
            call.time_ms_of = lambda height, at=midnight - offset - time_before: at * 1_000
            assert asyncio.run(credit.get_credit(call, params)).as_of == day


def test_a_part_is_explained_in_two_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert explain_part(part("punctuality")).startswith("3 instalments counted")
    assert explain_part(part("punctuality", evidence=0)).startswith("no record yet")
    assert explain_part(part("depth", count=0, value=1_000)) == "nothing is owed"
    assert explain_part(part("depth", count=0, value=0)) == "0 saved for each 1,000 owed"
    assert explain_part(part("use", count=0)) == "nothing is owed"
    assert explain_part(part("tenure", relief=9)).endswith("; +9")
    monkeypatch.setattr(session.terminal, "language", "zh")
    assert explain_part(part("regularity")) == "近24个月中有3个月存款；入会7个月"
