"""lending under random programs and leaps in time: after every block the sums are those of the loans."""

from collections import Counter
from random import Random

from protocol.chain.transaction import SignedTransaction
from protocol.contracts.lending import records as l
from protocol.contracts.lending.contract import CONTRACT
from protocol.vm.view import View
from tests.protocol.contracts.test_lending import check_sums
from tests.protocol.drawn_programs import Drawer
from tests.protocol.program_histories import PAUSES, History


class LendingHistory(History):
    """A town in which mostly loans are asked for, paid and forgotten, by the calendar of years."""

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._drawer: Drawer = Drawer(random, self.town, frozenset({int(l.ID)}))
        self._pauses = PAUSES[-1]

    def _run_block(self, made: list[SignedTransaction], seconds: int) -> None:
        super()._run_block(made, seconds)
        view = View(self.town.state)
        counted = l.COUNTER.get(view, l.COUNTER.key())
        assert counted is not None
        for number in range(1, counted[1] + 1):
            check_sums(self.town, number)


def test_sums_of_every_product_are_those_of_its_loans_after_every_block() -> None:
    done: Counter[int] = Counter()
    for seed in range(10):
        report = LendingHistory(Random(seed)).run(200)
        done.update({method: n for (contract, method), n in report.done.items() if contract == l.ID})
    assert len(done) >= len(CONTRACT.methods) * 2 // 3, done
