"""Bugs to plant around the engines: what decides an epoch, what is stored and signed, what a member believes.

The engines' own, and the form of all, are in `planted.py`.
"""

from tests.simulation.planted import LIGHT, T_LIGHT, Mutant

EPOCHS = "protocol/contracts/registry/epochs.py"
EPOCH_CHAIN = "node/cli/member/epoch_chain.py"
BLOCKS = "node/store/blocks.py"
DRIVER = "node/driver.py"
SIGNER = "node/signer.py"
VIGIL = "node/vigil.py"
RETIREMENT = "node/watch/retirement.py"
HELD = "node/held.py"

T_REGISTRY = "tests/protocol/contracts/test_registry.py::"
T_REACH = "tests/protocol/contracts/test_voting_reach.py::"
T_EPOCH_CHAIN = "tests/node/cli/member/test_epoch_chain.py::"
T_STORE = "tests/node/store/test_store.py::"
T_SIGNER = "tests/node/test_signer.py::"
T_VIGIL = "tests/node/test_vigil.py::"

_SEAL_IS_DUE = "height < pending[2] or time < pending[3]"

AROUND = (
    # --- what decides an epoch
    Mutant(
        "epoch-two-changes-at-once",
        EPOCHS,
        "    if pending is not None:\n        fail(CHANGE_PENDING",
        "    if False:\n        fail(CHANGE_PENDING",
        T_REGISTRY + "test_one_change_at_a_time",
    ),
    Mutant(
        "epoch-bft-of-three",
        EPOCHS,
        "if engine == EngineKind.BFT and len(consensus_keys)",
        "if False and len(consensus_keys)",
        T_REGISTRY + "test_bft_needs_four",
    ),
    Mutant(
        "epoch-readiness-never-ages",
        EPOCHS,
        "if row is None or height - row[5] > age_max:",
        "if row is None:",
        T_REGISTRY + "test_readiness_is_said_and_recent",
    ),
    Mutant(
        "epoch-readiness-in-anothers-name",
        EPOCHS,
        "    if not crypto.verify(consensus_key, compute_ready_digest(node_key, consensus_key), proof):",
        "    if False:",
        T_REGISTRY + "test_readiness_is_said_under_both_keys",
    ),
    Mutant(
        "epoch-of-the-suspended",
        EPOCHS,
        "        conduct.check_not_suspended(view, operator, key, node_key)\n",
        "        pass\n",
        "tests/protocol/contracts/test_conduct.py::test_a_suspended_operator_is_in_no_next_epoch",
    ),
    Mutant(
        "epoch-sealed-before-its-height",
        EPOCHS,
        _SEAL_IS_DUE,
        "time < pending[3]",
        T_REGISTRY + "test_a_decided_change_seals_after_its_delay",
    ),
    Mutant(
        "epoch-sealed-before-its-time",
        EPOCHS,
        _SEAL_IS_DUE,
        "height < pending[2]",
        T_REGISTRY + "test_a_seal_can_wait_for_a_time",
    ),
    Mutant(
        "epoch-back-to-raft-at-once",
        EPOCHS,
        "earliest = ctx.environment.time + get_value(ctx.view, RAFT_RETURN)",
        "earliest = 0",
        T_REGISTRY + "test_back_to_raft_takes_seven_days",
    ),
    Mutant(
        "epoch-back-to-raft-by-any-door",
        EPOCHS,
        "if engine == EngineKind.RAFT and _runs_bft(ctx):",
        "if False:",
        T_REGISTRY + "test_the_way_back_has_a_door_of_its_own_and_so_has_its_cancelling",
    ),
    Mutant(
        "epoch-of-members-cancelled-by-the-council",
        "protocol/contracts/registry/doors.py",
        "if decided_by_members and not is_by_members(ctx):",
        "if False:",
        T_REACH + "test_no_council_cancels_what_members_decided",
    ),
    Mutant(
        "epoch-change-happens-twice",
        EPOCHS,
        "    _clear(view)\n    return EpochRecord(",
        "    return EpochRecord(",
        T_REGISTRY + "test_a_decided_change_seals_after_its_delay",
    ),
    # --- what a member believes
    Mutant(
        "light-client-of-another-chain",
        LIGHT,
        "    if header.genesis_hash != trust.genesis_hash:",
        "    if False:",
        T_LIGHT + "test_each_lie_is_refused_with_its_step",
    ),
    Mutant(
        "light-client-skips-an-epoch",
        LIGHT,
        "    if not is_next:",
        "    if False:",
        T_LIGHT + "test_no_other_header_crosses",
    ),
    Mutant(
        "light-client-accepts-any-restart",
        LIGHT,
        "        if needs_acceptance(trust, seal, next_record):",
        "        if False:",
        "tests/node/cli/operator/test_restart.py::test_a_client_refuses_until_its_owner_accepts",
    ),
    Mutant(
        "light-client-falls-back-to-raft",
        EPOCH_CHAIN,
        "        self._check_engines(header.epoch)\n",
        "",
        T_EPOCH_CHAIN + "test_a_step_back_to_raft_needs_its_owner",
    ),
    Mutant(
        "light-client-follows-the-old-quorum",
        EPOCH_CHAIN,
        "        if header.epoch < len(self._ends):",
        "        if False:",
        T_EPOCH_CHAIN + "test_the_old_quorum_certifies_nothing_after_its_seal",
    ),
    Mutant(
        "light-client-blind-to-a-fork",
        EPOCH_CHAIN,
        "            if known is not None and is_there and ",
        "            if known is not None and False and ",
        T_EPOCH_CHAIN + "test_two_final_headers_of_one_height_are_evidence_and_an_old_state_is_refused",
    ),
    Mutant(
        "light-client-forgets-what-it-proved",
        EPOCH_CHAIN,
        "        for known in (self._newest, self._kept.get(header.height)):",
        "        for known in (self._newest,):",
        T_EPOCH_CHAIN + "test_a_header_below_the_newest_is_remembered",
    ),
    Mutant(
        "light-client-shown-an-old-state",
        EPOCH_CHAIN,
        "proof.header.height < self._newest.header.height:",
        "False:",
        T_EPOCH_CHAIN + "test_two_final_headers_of_one_height_are_evidence_and_an_old_state_is_refused",
    ),
    # --- what is stored and signed
    Mutant(
        "safety-record-kept-over-the-seal",
        BLOCKS,
        "        txn.delete(META, SAFETY_KEY)\n        epoch =",
        "        epoch =",
        T_STORE + "test_the_safety_record_is_replaced_and_ends_with_its_epoch",
    ),
    Mutant(
        "safety-record-dropped-by-every-block",
        BLOCKS,
        "        txn.delete(META, SAFETY_KEY)\n        epoch = record.number\n",
        "        epoch = record.number\n    txn.delete(META, SAFETY_KEY)\n",
        T_STORE + "test_the_safety_record_is_replaced_and_ends_with_its_epoch",
    ),
    Mutant(
        "record-stored-apart-from-its-seal",
        BLOCKS,
        "        _save_epoch(txn, record)\n        txn.delete(",
        "        txn.delete(",
        T_STORE + "test_the_safety_record_is_replaced_and_ends_with_its_epoch",
    ),
    Mutant(
        "sent-though-it-is-not-durable",
        DRIVER,
        '                await self._write("persist", lambda: self._store.save_safety(data))\n',
        "                await trio.lowlevel.checkpoint()\n",
        "tests/node/test_driver.py::test_a_follower_promises_on_disk_before_it_speaks",
    ),
    Mutant(
        "signed-before-it-is-synced",
        SIGNER,
        "                self._save(place, digest)\n            return crypto.sign(self._secret, digest)\n",
        "                signature = crypto.sign(self._secret, digest)\n"
        "                self._save(place, digest)\n"
        "                return signature\n"
        "            return crypto.sign(self._secret, digest)\n",
        T_SIGNER + "test_nothing_is_signed_before_it_is_synced",
    ),
    Mutant(
        "guard-signs-two-contents",
        SIGNER,
        "        if digest != last.digest:",
        "        if False:",
        T_SIGNER + "test_something_else_or_something_before_is_refused",
    ),
    Mutant(
        "lost-vote-cast-again",
        VIGIL,
        "        if promised > known and not self._signer.is_mute:",
        "        if False:",
        T_VIGIL + "test_a_vote_whose_record_is_lost_is_not_cast_again",
    ),
    Mutant(
        "copied-key-signs-at-once",
        VIGIL,
        '            return "it listens whether its key is in use elsewhere"',
        '            return ""',
        T_VIGIL + "test_a_copy_listens_and_signs_when_nobody_else_does",
    ),
    Mutant(
        "key-destroyed-before-its-grace",
        RETIREMENT,
        "now_ms >= seal[1] + KEY_GRACE_SECONDS * 1_000",
        "now_ms >= seal[1]",
        "tests/node/watch/test_retirement.py::test_a_key_goes_when_the_grace_is_over_and_not_before",
    ),
    Mutant(
        "next-epoch-held-without-bound",
        HELD,
        "        if len(same) >= HELD_FRAMES_MAX or same",
        "        if same",
        "tests/node/test_held.py::test_a_height_has_its_bound",
    ),
)
