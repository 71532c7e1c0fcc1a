"""The planted bugs: what to change, and the cheapest check that must see it.

A check is a test by name, or `sim ENGINE N`: N seeds of the simulation with its worlds. The text of a mutant
is found exactly once, so a mutant cannot silently lose its target when the code moves. `mutants.py` plants
them.
"""

from dataclasses import dataclass

RAFT = "protocol/consensus/raft.py"
TRUST = "protocol/consensus/trust.py"
ENGINE = "protocol/consensus/engine.py"
BFT = "protocol/consensus/bft.py"
HEARD = "protocol/consensus/heard.py"
POLKA = "protocol/consensus/polka.py"
PROMISES = "protocol/consensus/promises.py"
ROUNDS = "protocol/consensus/rounds.py"
VALIDATORS = "protocol/chain/validators.py"
VOTES = "protocol/consensus/votes.py"
MESSAGES = "protocol/consensus/messages.py"
CONVICTION = "protocol/chain/conviction.py"
PLANNER = "protocol/sync/planner.py"
LIGHT = "protocol/light.py"
CERTIFICATE = "protocol/chain/certificate.py"
PLEDGES = "protocol/consensus/pledges.py"
SAFETY = "protocol/consensus/safety.py"
WITNESS = "protocol/consensus/conviction.py"
OFFICE = "protocol/consensus/office.py"
COURSE = "protocol/consensus/course.py"
TRANSITION = "protocol/transition.py"

T_RAFT = "tests/protocol/consensus/test_raft.py::"
T_BFT = "tests/protocol/consensus/test_bft.py::"
T_BFT_RULES = "tests/protocol/consensus/test_bft_rules.py::"
T_ITF = "tests/protocol/consensus/test_itf.py::"
T_ENGINE = "tests/protocol/consensus/test_engine.py::"
T_MESSAGES = "tests/protocol/consensus/test_messages.py::"
T_CONVICTION = "tests/protocol/consensus/test_conviction.py::"
T_PLANNER = "tests/protocol/sync/test_planner.py::"
T_LIGHT = "tests/protocol/test_light.py::"
T_EVIDENCE = "tests/protocol/chain/test_conviction.py::"
T_TRANSITION = "tests/protocol/test_transition.py::"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug and the check that must fail."""

    name: str
    file: str
    old: str
    new: str
    check: str


MUTANTS = (
    Mutant(
        "no-safety-record",
        ENGINE,
        "return raft.start(restored, is",
        "return raft.start(None, is",
        T_RAFT + "test_one_vote_a_term_over_a_crash",
    ),
    Mutant(
        "no-safety-record-simulated",
        ENGINE,
        "return raft.start(restored, is",
        "return raft.start(None, is",
        "sim raft 100",
    ),
    Mutant(
        "vote-dropped-with-its-height",
        RAFT,
        "        if restored is not None:\n",
        "        if restored is not None and restored.height == self._height:\n",
        T_RAFT + "test_vote_survives_the_commit_of_its_height",
    ),
    Mutant(
        "stale-candidate-granted",
        PLEDGES,
        "return (claim.height, claim.accepted_term) >= (self.height, self.accepted_term)",
        "return True",
        T_RAFT + "test_stale_candidate_is_refused",
    ),
    Mutant(
        "stale-candidate-granted-simulated",
        PLEDGES,
        "return (claim.height, claim.accepted_term) >= (self.height, self.accepted_term)",
        "return True",
        "sim raft 400",
    ),
    Mutant(
        "figure-8-acknowledgements-over-terms",
        VOTES,
        "            vote\n"
        "            for kept in self._votes.values()\n"
        "            for vote in kept\n"
        "            if vote.view == like.view and vote.block_id == like.block_id\n",
        "            next(replace(v, view=like.view) for v in kept if v.block_id == like.block_id)\n"
        "            for kept in self._votes.values()\n"
        "            if any(v.block_id == like.block_id for v in kept)\n",
        T_RAFT + "test_figure_8_acknowledgements_of_two_terms_do_not_add_up",
    ),
    Mutant(
        "acknowledged-before-execution",
        RAFT,
        "            self._out.append(CheckBlock(block))\n",
        "            self._out.append(CheckBlock(block))\n            self._accept(block)\n",
        "sim raft 200",
    ),
    Mutant(
        "invalid-block-acknowledged",
        RAFT,
        "        if verdict is Verdict.INVALID:\n",
        "        if False:\n",
        T_RAFT + "test_invalid_block_is_not_acknowledged_and_its_leader_is_given_up",
    ),
    Mutant(
        "two-votes-in-a-term",
        RAFT,
        "self._is_worthy(sender, claim) and self._pledges.voted_for in (None, sender)",
        "self._is_worthy(sender, claim)",
        "sim raft 200",
    ),
    Mutant(
        "no-pre-vote",
        RAFT,
        "            self._campaign(is_pre=True)\n",
        "            self._campaign(is_pre=False)\n",
        T_RAFT + "test_pre_vote_does_not_disturb",
    ),
    Mutant(
        "no-lease",
        RAFT,
        "self._is_worthy(sender, claim) and not self._lease and",
        "self._is_worthy(sender, claim) and",
        T_RAFT + "test_pre_vote_is_refused_while_the_leader_lives",
    ),
    Mutant(
        "no-check-quorum",
        OFFICE,
        "return is_heard and self._stuck_periods",
        "return self._stuck_periods",
        T_RAFT + "test_check_quorum_steps_down",
    ),
    Mutant(
        "persisted-after-the-acknowledgement",
        RAFT,
        "        self._persist()\n        self._out.append(Broadcast(self._pledges.make_ack()))\n",
        "        self._out.append(Broadcast(self._pledges.make_ack()))\n        self._persist()\n",
        "sim raft 400",
    ),
    Mutant(
        "persisted-after-the-grant",
        RAFT,
        "            self._persist()\n            self._out.append(Send(sender, Grant(claim, self._own)))\n",
        "            self._out.append(Send(sender, Grant(claim, self._own)))\n            self._persist()\n",
        T_RAFT + "test_grant_is_durable_before_it_leaves",
    ),
    Mutant(
        "accepted-block-not-proposed-again",
        RAFT,
        "            self._propose(pledges.accepted)\n",
        "            pledges.begin_height(self._height)\n"
        "            self._out.append(BuildBlock(self._height, self.term, self._parent_id))\n",
        T_RAFT + "test_new_leader_proposes_the_accepted_block_again_under_its_term",
    ),
    Mutant(
        "two-blocks-accepted-in-a-term",
        RAFT,
        "        elif accepted is not None and self._pledges.has_accepted:\n",
        "        elif False:\n",
        T_ENGINE + "test_leader_with_two_proposals_gets_one_acknowledgement_and_is_convicted",
    ),
    Mutant(
        "proposal-of-an-earlier-term-accepted",
        RAFT,
        "        if proposal.view < self.term:\n",
        "        if False:\n",
        T_ENGINE + "test_proposal_of_an_earlier_term_is_answered_with_the_later_one",
    ),
    Mutant(
        "leader-without-election-obeyed",
        TRUST,
        "        return proof is not None and (proof.claim.term, ",
        "        return proof is not None or (proof.claim.term, ",
        T_RAFT + "test_election_without_proof_gets_no_acknowledgement",
    ),
    Mutant(
        "quorum-of-votes-one-short",
        VOTES,
        "if len(same) >= self._quorum else None",
        "if len(same) >= self._quorum - 1 else None",
        "sim raft 20",
    ),
    Mutant(
        "quorum-of-grants-one-short",
        VOTES,
        "return len(self._grants) >= self._quorum",
        "return len(self._grants) >= self._quorum - 1",
        "sim raft 100",
    ),
    Mutant(
        "decision-of-a-minority",
        POLKA,
        "return signers.bit_count() >= record.quorum and signers",
        "return signers",
        T_ENGINE + "test_decision_of_a_minority_is_refused",
    ),
    Mutant(
        "certificate-of-a-minority",
        CERTIFICATE,
        "    if len(signers) < record.quorum or ",
        "    if ",
        T_LIGHT + "test_each_lie_is_refused_with_its_step",
    ),
    Mutant(
        "epoch-not-signed",
        MESSAGES,
        "                (\n                    message.epoch,\n                    int(message.kind),\n",
        "                (\n                    0,\n                    int(message.kind),\n",
        T_MESSAGES + "test_signature_covers_every_field",
    ),
    Mutant(
        "engine-not-changed-at-the-seal",
        ENGINE,
        "        if event.next_record is not None:\n            assert",
        "        if event.next_record is None and False:\n            assert",
        "sim raft 20",
    ),
    Mutant(
        "unverified-message-over-the-seal",
        ENGINE,
        "self._on_received(event.sender, event.message, event.waited_ms) if is_current else []",
        "self._on_received(event.sender, event.message, event.waited_ms)",
        T_ENGINE + "test_a_message_that_waited_over_the_end_of_its_epoch_means_nothing",
    ),
    Mutant(
        "decision-answered-by-a-decision",
        ENGINE,
        "not isinstance(message, Vote | Decided | PolkaShown | VoteBundle)",
        "not isinstance(message, Vote)",
        T_ENGINE + "test_a_decision_is_never_answered",
    ),
    Mutant(
        "laggards-not-helped",
        RAFT,
        "                self._out.append(ServeDecided(sender, status.height))\n",
        "                pass\n",
        T_RAFT + "test_follower_that_lags_is_helped_by_the_leader",
    ),
    Mutant(
        "lost-proposal-not-repeated",
        RAFT,
        "self._out.append(Send(sender, self._make_proposal(block, office.election)))",
        "pass",
        T_RAFT + "test_lost_proposal_is_repeated_by_a_beat",
    ),
    Mutant(
        "buffer-without-bound",
        ENGINE,
        "        if height > self.height + BUFFER_HEIGHTS:\n            return\n",
        "",
        T_ENGINE + "test_buffers_are_bounded",
    ),
    Mutant(
        "one-signer-accused-for-another",
        CONVICTION,
        "    if (first.signer, first.epoch) != (second.signer, second.epoch):\n        return None\n",
        "",
        T_CONVICTION + "test_innocent",
    ),
    Mutant(
        "block-sync-skips-the-certificate",
        PLANNER,
        "        check_certificate(certificate, self._record, self._genesis_hash, self._verify)\n",
        "",
        T_PLANNER + "test_certificate_of_a_minority_is_not_applied",
    ),
    Mutant(
        "light-client-skips-the-certificate",
        LIGHT,
        "        check_certificate(certificate, trust.record, trust.genesis_hash, verify)\n",
        "        pass\n",
        T_LIGHT + "test_each_lie_is_refused_with_its_step",
    ),
    Mutant(
        "light-client-takes-any-record",
        LIGHT,
        "if not seal.is_seal or seal.next_epoch_hash != new_hash:",
        "if not seal.is_seal:",
        T_LIGHT + "test_no_other_header_crosses",
    ),
    Mutant(
        "bft-lock-ignored",
        PROMISES,
        "return self.locked_view is None or (valid_view is not None and valid_view >= self.locked_view)",
        "return True",
        T_BFT + "test_lock_refuses_another_block",
    ),
    Mutant(
        "bft-lock-ignored-simulated",
        PROMISES,
        "return self.locked_view is None or (valid_view is not None and valid_view >= self.locked_view)",
        "return True",
        "sim bft 100",
    ),
    Mutant(
        "bft-lock-ignored-modelled",
        PROMISES,
        "return self.locked_view is None or (valid_view is not None and valid_view >= self.locked_view)",
        "return True",
        T_ITF + "test_states_and_votes_are_those_of_the_model",
    ),
    Mutant(
        "bft-lock-yields-to-an-older-polka",
        PROMISES,
        "valid_view >= self.locked_view)",
        "valid_view >= 0)",
        T_BFT + "test_lock_yields_to_a_polka_that_is_not_older",
    ),
    Mutant(
        "bft-locked-block-without-its-polka",
        PROMISES,
        "return self.locked_view is None or (",
        "return self.locked_view is None or valid_view is None or (",
        T_BFT + "test_even_the_locked_block_needs_a_polka_as_new_as_the_lock",
    ),
    Mutant(
        "bft-polka-not-checked",
        HEARD,
        "            and self.is_ours(polka)\n",
        "",
        T_BFT_RULES + "test_b1_proposal_without_its_polka_is_absent",
    ),
    Mutant(
        "bft-polka-not-checked-simulated",
        HEARD,
        "            and self.is_ours(polka)\n",
        "",
        "sim bft 200",
    ),
    Mutant(
        "bft-polka-of-another-block",
        HEARD,
        "            place == (self._height, proposal.valid_view, proposal.block.id)\n",
        "            place[:2] == (self._height, proposal.valid_view)\n",
        T_BFT_RULES + "test_b1_proposal_without_its_polka_is_absent",
    ),
    Mutant(
        "bft-precommit-without-polka",
        ROUNDS,
        "        if len(same) < self._quorum:\n            return\n",
        "",
        "sim bft 20",
    ),
    Mutant(
        "bft-prevotes-on-different-polkas-add-up",
        ROUNDS,
        "        content = (vote.block_id, vote.valid_view)\n"
        "        same = tuple(v for v in votes.values() if (v.block_id, v.valid_view) == content)\n",
        "        same = tuple(v for v in votes.values() if v.block_id == vote.block_id)\n",
        T_BFT + "test_prevotes_on_different_polkas_do_not_add_up",
    ),
    Mutant(
        "bft-prevote-before-execution",
        BFT,
        "verdict = self._judge(proposal.block) if is_allowed else Verdict.INVALID",
        "verdict = Verdict.VALID if is_allowed else Verdict.INVALID",
        T_BFT + "test_block_is_checked_before_the_prevote",
    ),
    Mutant(
        "bft-prevote-before-execution-simulated",
        BFT,
        "verdict = self._judge(proposal.block) if is_allowed else Verdict.INVALID",
        "verdict = Verdict.VALID if is_allowed else Verdict.INVALID",
        "sim bft 100",
    ),
    Mutant(
        "bft-precommit-before-execution",
        BFT,
        "        if block is None or self._judge(block) in (None, Verdict.INVALID):\n",
        "        if block is None:\n",
        T_BFT + "test_block_is_checked_before_the_precommit",
    ),
    Mutant(
        "bft-no-unit-acceptance",
        BFT,
        "        self._hear_polka(polka)\n        self._heard.note_newest(polka)\n",
        "        for vote in list_votes(polka.votes, polka.valid_view):\n            self._hear(vote)\n",
        T_BFT_RULES + "test_b3_polka_counts_as_a_whole",
    ),
    Mutant(
        "bft-polka-forgotten-beside-votes",
        BFT,
        "                self._heard.rounds.add_polka(polka)\n",
        "                pass\n",
        T_BFT_RULES + "test_b3_no_nil_against_a_polka_whose_block_is_missing",
    ),
    Mutant(
        "bft-quorum-of-a-majority",
        VALIDATORS,
        "2 * n // 3 + 1",
        "n // 2 + 1",
        T_BFT + "test_a_polka_is_more_than_two_thirds",
    ),
    Mutant(
        "bft-quorum-of-a-majority-simulated",
        VALIDATORS,
        "2 * n // 3 + 1",
        "n // 2 + 1",
        "sim bft 100",
    ),
    Mutant(
        "bft-valid-view-not-signed",
        MESSAGES,
        "                    message.block_id,\n                    message.valid_view,\n",
        "                    message.block_id,\n                    None,\n",
        T_MESSAGES + "test_signature_covers_every_field",
    ),
    Mutant(
        "bft-safety-not-restored",
        ENGINE,
        "return bft.start(restored)",
        "return bft.start(None)",
        T_BFT + "test_lock_survives_a_restart",
    ),
    Mutant(
        "bft-safety-not-restored-simulated",
        ENGINE,
        "return bft.start(restored)",
        "return bft.start(None)",
        "sim bft 50",
    ),
    Mutant(
        "bft-lock-not-persisted",
        PROMISES,
        "            self.locked_view,\n            self.locked_id,\n            polka,",
        "            None,\n            None,\n            polka,",
        T_BFT + "test_lock_survives_a_restart",
    ),
    Mutant(
        "bft-persisted-after-the-prevote",
        PROMISES,
        "return [self._persist(), Broadcast(self.make_vote(VoteKind.PREVOTE))]",
        "return [Broadcast(self.make_vote(VoteKind.PREVOTE)), self._persist()]",
        "sim bft 50",
    ),
    Mutant(
        "bft-persisted-after-the-precommit",
        PROMISES,
        "return [self._persist(), *self._show_precommit()]",
        "return [*self._show_precommit(), self._persist()]",
        "sim bft 200",
    ),
    Mutant(
        "bft-two-proposals-over-a-crash",
        PROMISES,
        "return self.proposed_view is None or self.proposed_view < view",
        "return True",
        "sim bft 50",
    ),
    Mutant(
        "bft-nil-precommit-missing",
        BFT,
        "                if self._phase is Phase.PREVOTE:\n                    self._say_precommit(None)\n",
        "                pass\n",
        T_BFT + "test_the_wait_for_prevotes_ends_in_nil",
    ),
    Mutant(
        "bft-nil-precommit-missing-simulated",
        BFT,
        "                if self._phase is Phase.PREVOTE:\n                    self._say_precommit(None)\n",
        "                pass\n",
        "sim bft 100",
    ),
    Mutant(
        "bft-lock-kept-over-the-height",
        BFT,
        "        self._promises = Promises(self._record.number, height, self._own)\n",
        '        if not hasattr(self, "_promises"):\n'
        "            self._promises = Promises(self._record.number, height, self._own)\n"
        "        self._promises._height = height\n",
        T_BFT + "test_locks_end_with_their_height",
    ),
    Mutant(
        "bft-engine-kept-over-the-seal",
        ENGINE,
        "            self._record, self._engine = event.next_record, None\n",
        "            self._record = event.next_record\n"
        "            if self._engine is not None:\n"
        "                return self._engine.advance(self.height, self._block_id)\n",
        "sim migrate 20",
    ),
    Mutant(
        "bft-hidden-lock",
        PROMISES,
        "return [Broadcast(PolkaShown(self.valid[0])), Broadcast(vote)]",
        "return [Broadcast(vote)]",
        T_BFT_RULES + "test_a_hidden_lock_is_over_in_three_rounds",
    ),
    Mutant(
        "bft-precommit-wait-shortened",
        BFT,
        "            self._set_timer(TimerKind.PRECOMMIT, delay_ms)\n",
        "            self._begin_view(View(self._view + 1))\n",
        T_BFT_RULES + "test_b8_wait_for_precommits_is_never_shortened",
    ),
    Mutant(
        "bft-hopeless-round-waits",
        BFT,
        "if polka is None and self._heard.rounds.is_hopeless(self._view):",
        "if False:",
        T_BFT_RULES + "test_b8_nil_at_once_when_no_polka_can_come",
    ),
    Mutant(
        "bft-no-round-skip",
        BFT,
        "        self._begin_view(view)\n        return True\n",
        "        return False\n",
        T_BFT + "test_decision_in_a_past_round",
    ),
    Mutant(
        "bft-skip-by-one-liar",
        ROUNDS,
        "self.blocking = (self._n - 1) // 3 + 1",
        "self.blocking = 1",
        T_BFT_RULES + "test_b9_votes_of_more_than_a_third_in_one_bundle_take_us_along",
    ),
    Mutant(
        "bft-same-proposer-in-every-round",
        COURSE,
        "return self._proposers[(height + view) % len(self._proposers)]",
        "return self._proposers[height % len(self._proposers)]",
        "sim bft 50",
    ),
    Mutant(
        "bft-lost-votes-not-handed-on",
        HEARD,
        "            found.append(VoteBundle(status.epoch, self._height, votes))\n",
        "            pass\n",
        "sim bft 50",
    ),
    Mutant(
        "bft-newest-polka-not-shown",
        HEARD,
        "            found.append(PolkaShown(newest, self.blocks.find(newest.block_id) "
        "if is_asked else None))\n",
        "            pass\n",
        T_BFT + "test_newest_polka_spreads_by_status",
    ),
    Mutant(
        "bft-laggards-not-helped",
        BFT,
        "            self._out.append(ServeDecided(sender, status.height))\n",
        "            pass\n",
        "sim bft 50",
    ),
    Mutant(
        "bft-votes-without-bound",
        ROUNDS,
        "    return current - VIEWS_BEHIND_MAX <= view <= current + VIEWS_AHEAD_MAX\n",
        "    return current - VIEWS_BEHIND_MAX <= view\n",
        T_BFT_RULES + "test_b5_votes_too_far_ahead_are_dropped",
    ),
    Mutant(
        "bft-amnesia-not-seen",
        CONVICTION,
        "    return is_later and (prevote.valid_view is None or prevote.valid_view < precommit.view)\n",
        "    return False\n",
        T_CONVICTION + "test_guilty",
    ),
    Mutant(
        "bft-amnesia-of-the-innocent",
        CONVICTION,
        "prevote.valid_view < precommit.view)",
        "prevote.valid_view <= precommit.view)",
        T_CONVICTION + "test_innocent",
    ),
    Mutant(
        "bft-who-went-on-is-waited-for",
        ROUNDS,
        "        return len(voters | gone) >= self._quorum\n",
        "        return False\n",
        T_BFT_RULES + "test_b9_who_went_on_is_not_waited_for",
    ),
    Mutant(
        "bft-skip-to-the-furthest",
        ROUNDS,
        "views[self.blocking - 1]",
        "views[0]",
        T_BFT_RULES + "test_b9_votes_in_different_rounds_take_us_to_the_least_of_them",
    ),
    Mutant(
        "safety-record-without-checksum",
        SAFETY,
        "content) != checksum:\n        raise Rejected(Code.MALFORMED",
        'content) == b"":\n        raise Rejected(Code.MALFORMED',
        "sim all 60",
    ),
    Mutant(
        "body-not-durable-with-its-acknowledgement",
        PLEDGES,
        "self.accepted_term, self.accepted\n        )\n",
        "NO_TERM, None\n        )\n",
        "sim raft 20",
    ),
    Mutant(
        "raft-unwelcome-block-acknowledged",
        RAFT,
        "elif not self._proposed.is_unwelcome or self._trust.is_backed(",
        "elif True or self._trust.is_backed(",
        "sim raft 20",
    ),
    Mutant(
        "bft-unwelcome-block-prevoted",
        BFT,
        "(verdict is Verdict.UNWELCOME and proposal.valid_view is not None)",
        "verdict is Verdict.UNWELCOME",
        "sim bft 20",
    ),
    Mutant(
        "statements-without-bound",
        WITNESS,
        "            if len(kept) > STATEMENTS_KEPT:\n",
        "            if False:\n",
        T_CONVICTION + "test_memory_is_bounded",
    ),
    Mutant(
        "bft-decided-nobody-asks-for-sync",
        ENGINE,
        "        return [RequestSync(sender, Height(target))]\n",
        "        return []\n",
        T_ENGINE + "test_block_sync_is_asked_for_well_behind",
    ),
    Mutant(
        "order-of-a-block-is-its-proposers",
        TRANSITION,
        "    check_order(context.parent_id, transactions)\n",
        "",
        T_TRANSITION + "test_a_block_in_another_order_is_invalid_and_the_builder_makes_none",
    ),
    Mutant(
        "evidence-without-its-signatures",
        CONVICTION,
        "if not verify(evidence.accused, statement.compute_digest(genesis_hash), statement.signature):",
        "if False:",
        T_EVIDENCE + "test_each_part_is_checked",
    ),
    Mutant(
        "evidence-of-another-epoch-counts",
        CONVICTION,
        "    if any((testimony.signer, testimony.epoch) != (index, record.number) for testimony in pair):",
        "    if any(testimony.signer != index for testimony in pair):",
        T_EVIDENCE + "test_of_another_chain_or_epoch_it_says_nothing",
    ),
    Mutant(
        "two-rounds-convict-the-innocent",
        CONVICTION,
        "    places = [(c.epoch, c.kind, c.height, c.view) for c in (first, second)]\n",
        "    places = [(c.epoch, c.kind, c.height) for c in (first, second)]\n",
        T_EVIDENCE + "test_two_certificates_of_two_rounds_accuse_nobody",
    ),
    Mutant(
        "evidence-that-is-no-news",
        TRANSITION,
        "    conduct.check_news(view, evidence)\n",
        "",
        "tests/protocol/contracts/test_conduct.py::test_a_deed_is_news_once_however_it_is_shown",
    ),
)
