"""How long a proposal is waited for: what was seen, what the profile says, and what a liar may do."""

from protocol.consensus.arrivals import ARRIVALS_KEPT, PATIENCE, Arrivals

LEAST_MS = 250


def note(arrivals: Arrivals, proposer: int, waited_ms: int, times: int = ARRIVALS_KEPT) -> None:
    for _ in range(times):
        arrivals.note(proposer, waited_ms)


def test_what_was_not_seen_is_what_the_profile_says() -> None:
    arrivals = Arrivals(4)
    assert arrivals.compute_patience_ms(LEAST_MS) == LEAST_MS
    note(arrivals, 1, 10)
    assert arrivals.compute_patience_ms(LEAST_MS) == LEAST_MS


def test_patience_follows_what_more_than_the_liars_took() -> None:
    arrivals = Arrivals(4)
    note(arrivals, 1, 200)
    assert arrivals.compute_patience_ms(LEAST_MS) == LEAST_MS, "one of four may be a liar"
    note(arrivals, 2, 100)
    assert arrivals.compute_patience_ms(LEAST_MS) == PATIENCE * 100


def test_one_slow_proposal_of_each_changes_nothing_two_do_for_a_while() -> None:
    arrivals = Arrivals(4)
    for proposer in range(4):
        note(arrivals, proposer, 10)
        note(arrivals, proposer, 900, times=1)
    assert arrivals.compute_patience_ms(LEAST_MS) == LEAST_MS
    for proposer in range(4):
        note(arrivals, proposer, 800, times=1)
    assert arrivals.compute_patience_ms(LEAST_MS) == PATIENCE * 800
    for proposer in range(4):
        note(arrivals, proposer, 10, times=ARRIVALS_KEPT - 1)
    assert arrivals.compute_patience_ms(LEAST_MS) == LEAST_MS, "the 800 is the slowest of those kept"
