"""registry: who may validate next, the change of epoch, parameters, versions of contracts, and pauses.

A validator-to-be says `ready` under its new consensus key. Whoever holds the role `council` (the founding
board), or the members' vote through the same door, proposes the next epoch: engine, validators, and when.
Members may close doors to the council for good; the way back from BFT to Raft has its own (`doors.py`).
Then the old epoch seals, and the next record takes over. One change at a time; until the seal it can be
cancelled, and everybody sees it coming. This contract only writes records; what a seal means is known by
consensus, which never hears of this contract.

The council may also change a parameter inside its bounds, or decide that a contract runs another version from
a height on, which happens when enough validators have it. It may pause one method of a contract above the
kernel, for seven days at most, and what lets members take their money out for three. A pause ends by itself,
cannot be prolonged, and must be followed by seven days without one. A pause moves nothing.

What a block runs under (values, versions, pauses) is what the state before it says, so replay from genesis
finds the same.

*Source*: consensus.md 1.2, 1.3 (M1, M2, M11), 1.6; contracts.md D10, 3.12.

Read `records.py`, `doors.py`, `epochs.py`, `values.py`, `upgrades.py`, `pauses.py`, `contract.py`.
"""
