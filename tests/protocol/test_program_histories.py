"""Random programs of every method keep every rule, and a rule that is broken is seen.

A few histories here; a hundred thousand programs by `scripts/programs`.
"""

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import admission
from protocol.contracts.ledger import holds, legs
from protocol.vm.view import Mark, View
from tests.protocol.program_histories import History, Report, list_seeds, run_history

FEW = 300


def test_histories_keep_the_rules_and_reach_most_methods() -> None:
    report = Report()
    for seed in range(6):
        report.add(run_history(seed, FEW))
    assert (report.programs, len(report.roots)) == (6 * FEW, 6)
    assert report.succeeded + report.failed + report.refused == report.programs
    assert (
        min(report.succeeded, report.failed, report.refused, report.jobs, report.alone, report.shuffled) > 5
    )
    assert len(report.done) > 80 and len(report.codes) > 50


def test_a_seed_makes_one_history() -> None:
    assert run_history(3, 60).roots == run_history(3, 60).roots != run_history(4, 60).roots


def test_as_many_histories_as_the_programs_need() -> None:
    assert list_seeds(7, 1_001) == [7, 8, 9]


@settings(max_examples=8, deadline=None)
@given(st.randoms(use_true_random=False))
def test_short_histories_that_shrink(random: Random) -> None:
    History(random).run(12)


# --- what breaks a rule, and the words in which it is seen


def _forgetful(honest: Any) -> Callable[..., None]:
    def rewind(view: View, mark: Mark) -> None:
        honest(view, (mark[0] + 1, *mark[1:]))

    return rewind


def _careless(honest: Any) -> Callable[..., None]:
    def add(view: View, debit: bytes, credit: bytes, pending: int, posted: int) -> None:
        honest(view, debit, credit, pending, posted - (posted == 2))

    return add


def _growing(honest: Any) -> Callable[..., int]:
    calls = count()
    return lambda *arguments: honest(*arguments) + next(calls)


@pytest.mark.parametrize(
    ("where", "name", "broken", "seen"),
    [
        (legs, "add_totals", _careless, "a total is not its accounts' sum"),
        (holds, "_release_pending", lambda _: lambda *_: None, "what is pending is not what is held"),
        (View, "rewind", _forgetful, "left a trace|an aborted program wrote|a journal is not"),
        (admission, "compute_envelope_gas", _growing, "simulation differs|a replay differs"),
    ],
)
def test_a_broken_rule_is_seen(
    where: Any, name: str, broken: Callable[[Any], Any], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, broken(getattr(where, name)))
    with pytest.raises(AssertionError, match=seen):
        for seed in range(6):
            run_history(seed, FEW)
