"""A trial keeps so many numbers and figures of a plugin, and not one more."""

from types import SimpleNamespace
from typing import Any

from node.plugin.trial import POOL_MAX, SAMPLES_MAX, Trial


class Bare(Trial):
    """A trial without a chain, of one method that always takes as long."""

    def __init__(self) -> None:
        self.problems = {}
        self.pool = [1, 2]
        self.methods = {"go": {"ok": 0, "codes": {}, "gas": [], "ns": []}}

    def _time(self, *_: Any) -> tuple[int, int]:
        return 7, 9


def test_the_newest_results_are_kept_for_arguments() -> None:
    trial = Bare()
    for value in range(3, POOL_MAX + 2):
        trial._note("go", SimpleNamespace(code=0, reason=None, results=(value,)))
    assert trial.pool == list(range(2, POOL_MAX + 2))
    trial._note("go", SimpleNamespace(code=0, reason=None, results=(999, 999, -1, b"x")))
    assert len(trial.pool) == POOL_MAX and trial.pool[-2:] == [POOL_MAX + 1, 999]


def test_so_many_calls_of_a_method_are_timed() -> None:
    trial = Bare()
    go: Any = SimpleNamespace(name="go")
    for count in (SAMPLES_MAX, 1):
        trial._measure(2, [(go, 0, ())] * count)
        assert trial.methods["go"]["ns"] == [9] * SAMPLES_MAX
