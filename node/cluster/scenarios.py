"""What a local cluster can be founded as: `plain` for tests of machines, `village` for tests of people."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.cluster import founding, village
from protocol.chain.genesis import Genesis
from protocol.codec import Value
from protocol.contracts.policies import compute_address
from protocol.types import Address


@dataclass(frozen=True, slots=True)
class Scenario:
    """A demo co-operative, and which of its public keys lie in the folder of the cluster.

    Args:
        make_genesis: called as `founding.make_genesis` is, without a name.
        wallets: names whose keys and addresses are in the member folder.
        contacts: names of further addresses there.
        board: names of the keys that decide as the council, and how many of them it takes.
        people: says on the screen who is there.
    """

    make_genesis: Callable[..., Genesis]
    wallets: tuple[str, ...]
    contacts: tuple[str, ...]
    board: tuple[str, ...]
    board_policy: Callable[[], Value]
    board_threshold: int
    people: str

    def addresses(self) -> dict[str, Address]:
        """Return the address of everybody who has a name."""
        found = {name: founding.demo_address(name) for name in (*self.wallets, *self.contacts)}
        return {**found, "board": compute_address(self.board_policy())}


SCENARIOS: Final = {
    "plain": Scenario(
        founding.make_genesis,
        (*founding.MEMBERS, founding.CASHIER),
        (),
        founding.BOARD,
        founding.board_policy,
        founding.BOARD_THRESHOLD,
        "ada, bo, cy, and the cashier till",
    ),
    "village": Scenario(
        village.make_village,
        (*village.NAMES[: village.MEMBERS_ON_DISK], *village.STAFF, *village.NEWCOMERS),
        village.NAMES[village.MEMBERS_ON_DISK :],
        village.BOARD,
        village.board_policy,
        village.BOARD_THRESHOLD,
        f"fifty, such as ada, bo, cy; the board {', '.join(village.BOARD)}; the cashiers till and desk",
    ),
}
PLAIN: Final = "plain"
