"""The NewTypes that every file shares: one name for every number and byte string that has a meaning.

This file knows no behaviour. Bounds live in `params.py`, wire forms in `codec.py`.
"""

from typing import NewType

Height = NewType("Height", int)
"""Index of a block, from 1; 0 is genesis. Also the Raft log index."""

View = NewType("View", int)
"""A Raft term or a BFT round, as it stands in votes, headers and certificates."""

EpochNumber = NewType("EpochNumber", int)
"""Index of an epoch (one engine, one validator set, one set of parameters), from 0."""

TimeMs = NewType("TimeMs", int)
"""Block time in Unix milliseconds."""

Seconds = NewType("Seconds", int)
"""Block time in Unix seconds, the only clock a contract sees."""

Amount = NewType("Amount", int)
"""Money in minor units of its asset, 0 .. 2^63-1."""

Gas = NewType("Gas", int)
"""Execution cost; 1 gas is 50 ns on the reference core."""

ContractId = NewType("ContractId", int)
"""Number of a builtin contract, u16."""


Hash32 = NewType("Hash32", bytes)
"""A SHA-256 digest, 32 bytes."""

BlockId = NewType("BlockId", bytes)
"""Digest of a header, 32 bytes."""

TxId = NewType("TxId", bytes)
"""Signing digest of a transaction, 32 bytes; independent of its signatures."""

Address = NewType("Address", bytes)
"""A member, body or contract: 20 bytes, first part of the digest of its initial key policy."""

PublicKey = NewType("PublicKey", bytes)
"""A compressed secp256k1 point, 33 bytes."""

Signature = NewType("Signature", bytes)
"""A compact low-S ECDSA signature r || s, 64 bytes."""
