"""Bugs to plant in what is early, unwelcome or called for: the younger parts of both engines.

The older ones, and the form of all, are in `planted.py`.
"""

from tests.simulation.planted import (
    BFT,
    ENGINE,
    PROMISES,
    RAFT,
    T_BFT,
    T_CONVICTION,
    T_ENGINE,
    T_RAFT,
    TRUST,
    Mutant,
)

T_MUTE = "tests/protocol/consensus/test_raft_mute.py::"
T_EARLY = "tests/protocol/consensus/test_bft_early.py::"

AHEAD = (
    Mutant(
        "raft-unwelcome-block-refused-to-the-elected",
        RAFT,
        " or self._trust.is_backed(self._height, block.id):",
        ":",
        T_RAFT + "test_unwelcome_block_that_its_leader_was_elected_with_is_acknowledged",
    ),
    Mutant(
        "raft-unwelcome-leader-keeps-our-patience",
        TRUST,
        "return term not in (self._refused_term, self._doubted_term)",
        "return term != self._refused_term",
        T_RAFT + "test_unwelcome_block_is_not_acknowledged_and_its_leader_makes_way",
    ),
    Mutant(
        "certificates-of-sync-convict-nobody",
        ENGINE,
        "heard = [] if self._engine is None else self._engine.hear_certificate(event.certificate)",
        "heard: list[Effect] = []",
        T_CONVICTION + "test_a_certificate_from_anywhere_meets_what_was_heard_before",
    ),
    Mutant(
        "raft-last-certificate-convicts-nobody",
        RAFT,
        "self._hear_certificates(block.last_certificate, certificate)",
        "self._hear_certificates(certificate)",
        T_CONVICTION + "test_a_certificate_from_anywhere_meets_what_was_heard_before",
    ),
    Mutant(
        "bft-last-certificate-convicts-nobody",
        BFT,
        "self._hear_certificates(block.last_certificate, certificate)",
        "self._hear_certificates(certificate)",
        T_CONVICTION + "test_a_certificate_from_anywhere_meets_what_was_heard_before",
    ),
    Mutant(
        "raft-mute-leader-is-followed-for-ever",
        RAFT,
        "        elif self._trust.doubt(self.term):\n            self._lease, self._shunned",
        "        elif False:\n            self._lease, self._shunned",
        T_MUTE + "test_worlds_with_a_mute_leader_go_on",
    ),
    Mutant(
        "raft-mute-leader-first-in-the-next-election",
        RAFT,
        " and sender != self._shunned",
        "",
        T_MUTE + "test_a_mute_leader_is_not_elected_again_before_the_others_had_their_turn",
    ),
    Mutant(
        "raft-leader-left-over-a-block-under-execution",
        RAFT,
        "        if self._proposed.is_checking(self.term):\n            self._expected_term",
        "        if False:\n            self._expected_term",
        T_MUTE + "test_a_leader_is_not_left_for_a_block_that_is_here",
    ),
    Mutant(
        "nobody-is-called-to-lead",
        RAFT,
        "is_fresh = is_crossing and restored is None",
        "is_fresh = False",
        T_ENGINE + "test_an_epoch_of_raft_has_its_leader_in_one_round_trip",
    ),
    Mutant(
        "bft-unwelcome-block-refused-in-spite-of-its-polka",
        BFT,
        "(verdict is Verdict.UNWELCOME and proposal.valid_view is not None)",
        "False",
        T_BFT + "test_unwelcome_block_with_a_polka_is_as_good_as_valid",
    ),
    Mutant(
        "bft-early-proposal-voted-at-once",
        PROMISES,
        "        return [self._persist(), Broadcast(proposal)]\n",
        "        kind, height = VoteKind.PREVOTE, block.height\n"
        "        vote = Vote(self._epoch, kind, height, FIRST_VIEW, block.id, None, self._own)\n"
        "        return [self._persist(), Broadcast(proposal), Broadcast(vote)]\n",
        "sim bft 20",
    ),
    Mutant(
        "bft-second-early-proposal-after-a-restart",
        BFT,
        "if restored is not None and restored.early and restored.height + 1 == self._height:",
        "if False:",
        T_EARLY + "test_an_early_proposal_is_durable_before_it_leaves_and_the_only_one_over_a_crash",
    ),
    Mutant(
        "bft-early-proposal-not-durable",
        PROMISES,
        "        return [self._persist(), Broadcast(proposal)]\n",
        "        return [Broadcast(proposal)]\n",
        T_EARLY + "test_an_early_proposal_is_durable_before_it_leaves_and_the_only_one_over_a_crash",
    ),
    Mutant(
        "bft-early-proposal-across-the-seal",
        PROMISES,
        "valid is not None and not valid[1].header.is_seal and self._is_ours_above(course)",
        "valid is not None and self._is_ours_above(course)",
        T_EARLY + "test_nothing_is_early_across_a_seal",
    ),
)
