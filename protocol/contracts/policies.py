"""Key policies: who may act for an account. Trees of thresholds over keys, other accounts and roles.

policy = [threshold, [leaf, ...]]
leaf   = [0, public key (33 bytes), weight]
       | [1, address (20 bytes), weight]          met when that account acts too, by its own policy
       | [2, role name, weight]                   met when an account that acts holds the role
       | [3, threshold, [leaf, ...], weight]      a tree inside

An account's address is the first 20 bytes of the digest of its first policy, and stays when keys change. The
policy of a single key is `[1, [[0, key, 1]]]`; it is never revealed, since the signature's key gives it. This
file knows trees only; where policies are kept is `contracts/auth.py`.

*Source*: contracts.md 3.1, 3.7.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from protocol import codec, crypto
from protocol.codec import Reader, Value
from protocol.crypto import Domain
from protocol.errors import Code, Rejected
from protocol.params import POLICY_DEPTH_MAX, POLICY_LEAVES_MAX, POLICY_WEIGHT_MAX, ROLE_NAME_BYTES_MAX
from protocol.types import Address, PublicKey

POLICY_BYTES_MAX: Final = POLICY_LEAVES_MAX * (48 + 16 * (POLICY_DEPTH_MAX - 1))
"""Each leaf at most 48 bytes, and inside trees of its own at most 16 for each of them."""
DERIVED_ADDRESSES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class KeyLeaf:
    """A public key."""

    key: PublicKey
    weight: int


@dataclass(frozen=True, slots=True)
class AccountLeaf:
    """Another account."""

    address: Address
    weight: int


@dataclass(frozen=True, slots=True)
class RoleLeaf:
    """Whoever holds a role."""

    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Policy:
    """A tree: met when the weights of the leaves that are met reach the threshold."""

    threshold: int
    leaves: tuple["Leaf", ...]
    weight: int = 1


Leaf: TypeAlias = KeyLeaf | AccountLeaf | RoleLeaf | Policy


def single_key_policy(public_key: PublicKey) -> Value:
    """Return the policy of an account that one key controls."""
    return (1, ((0, public_key, 1),))


def compute_address(policy: Value) -> Address:
    """Compute the address whose first policy this is."""
    return Address(crypto.digest(Domain.ADDRESS, codec.encode(policy))[:20])


@lru_cache(DERIVED_ADDRESSES_MAX)
def address_of_key(public_key: PublicKey) -> Address:
    """Compute the address of the single-key account of a public key."""
    return compute_address(single_key_policy(public_key))


def read_policy(value: Value) -> Policy:
    """Read a policy.

    Rules: 1. every threshold is of 1 .. sum of the weights. 2. weights are of 1 .. 1,000. 3. no key, account
    or
        role stands twice. 4. at most 32 leaves and 3 levels.

    Raises:
        Rejected: MALFORMED or LIMIT.
    """
    fields = Reader(value, "policy", 2)
    seen: list[bytes | str] = []
    policy = _read_tree(fields, 1, 1, seen)
    if len(set(seen)) != len(seen):
        raise Rejected(Code.MALFORMED, "policy: a key, an account or a role stands twice")
    return policy


def _read_tree(fields: Reader, weight: int, depth: int, seen: list[bytes | str]) -> Policy:
    if depth > POLICY_DEPTH_MAX:
        raise Rejected(Code.LIMIT, f"policy: deeper than {POLICY_DEPTH_MAX}")
    threshold = fields.integer(1, POLICY_WEIGHT_MAX * POLICY_LEAVES_MAX)
    leaves = tuple([_read_leaf(item, depth, seen) for item in fields.items(POLICY_LEAVES_MAX)])
    if threshold > sum([leaf.weight for leaf in leaves]):
        raise Rejected(Code.MALFORMED, f"policy: threshold {threshold} cannot be reached")
    return Policy(threshold, leaves, weight)


def _read_leaf(value: Value, depth: int, seen: list[bytes | str]) -> Leaf:
    kind = value[0] if type(value) is tuple and value else None
    fields = Reader(value, "policy leaf", 4 if kind == 3 else 3)
    match fields.integer(0, 3):
        case 0:
            key = PublicKey(fields.data(33))
            seen.append(key)
            leaf: Leaf = KeyLeaf(key, fields.integer(1, POLICY_WEIGHT_MAX))
        case 1:
            address = Address(fields.data(20))
            seen.append(address)
            leaf = AccountLeaf(address, fields.integer(1, POLICY_WEIGHT_MAX))
        case 2:
            name = fields.text(ROLE_NAME_BYTES_MAX)
            seen.append(name)
            leaf = RoleLeaf(name, fields.integer(1, POLICY_WEIGHT_MAX))
        case _:
            threshold, leaves = fields.any(), fields.any()
            inner = Reader((threshold, leaves), "policy", 2)
            return _read_tree(inner, fields.integer(1, POLICY_WEIGHT_MAX), depth + 1, seen)
    if len(seen) > POLICY_LEAVES_MAX:
        raise Rejected(Code.LIMIT, f"policy: more than {POLICY_LEAVES_MAX} leaves")
    return leaf


def list_keys(policy: Policy) -> tuple[PublicKey, ...]:
    """List the keys of a policy, in order."""
    keys: list[PublicKey] = []
    for leaf in policy.leaves:
        if isinstance(leaf, KeyLeaf):
            keys.append(leaf.key)
        elif isinstance(leaf, Policy):
            keys.extend(list_keys(leaf))
    return tuple(keys)


def is_met(policy: Policy, keys: Set[bytes], accounts: Set[Address], has_role: Callable[[str], bool]) -> bool:
    """Tell whether a policy is met.

    Args:
        keys: that signed for this account.
        accounts: other accounts that act and whose own policies are met.
        has_role: whether any of those accounts holds a role.
    """
    weight = 0
    for leaf in policy.leaves:
        match leaf:
            case KeyLeaf():
                met = leaf.key in keys
            case AccountLeaf():
                met = leaf.address in accounts
            case RoleLeaf():
                met = has_role(leaf.name)
            case Policy():
                met = is_met(leaf, keys, accounts, has_role)
        weight += leaf.weight if met else 0
    return weight >= policy.threshold
