"""The state transition: founding, blocks, admission, limits, and that a replay gives the same bytes."""

from tests.protocol.ledger_world import ALICE, BOB, COOP, TILL, World


def test_cash_in_then_transfer() -> None:
    world = World()
    world.ok(world.cash_in(ALICE, 1_000))
    execution = world.run(world.pay(ALICE, BOB, 300))
    (receipt,) = execution.receipts
    assert receipt.is_ok and receipt.results == (300,)
    assert world.ask("assets", "balance", ALICE.address, COOP) == (700, 700, 0, 0)
    assert world.ask("assets", "balance", BOB.address, COOP) == (300, 300, 0, 0)
    assert execution.touched == ((ALICE.address, BOB.address),)
    print(receipt.gas, len(execution.writes))
