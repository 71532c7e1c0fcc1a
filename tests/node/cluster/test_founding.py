"""The demo co-operative: the same public keys everywhere, a genesis that founds, balances that add up."""

from node.cluster.founding import (
    LOAD_OPENING_MINOR,
    MEMBERS,
    OPENING_MINOR,
    demo_address,
    demo_key,
    demo_phrase,
    load_key,
    make_genesis,
    make_operators,
)
from node.wallet.derivation import compute_member_key
from protocol.chain.genesis import decode_genesis
from protocol.contracts.policies import address_of_key
from protocol.transition import answer_query, apply_genesis
from protocol.types import Seconds
from protocol.vm.view import MemoryState

TIME_MS = 1_767_225_600_000


def test_a_demo_member_is_its_published_phrase() -> None:
    assert (
        demo_phrase("ada").reveal()
        == "rely injury match fit cup resemble wrong major grant paper trial night"
    )
    assert demo_key("ada").public_key == compute_member_key(demo_phrase("ada").seed()).public_key


def test_members_begin_with_their_balances_and_the_books_add_up() -> None:
    genesis = make_genesis(make_operators(3), TIME_MS, 70)
    assert decode_genesis(genesis.encode()) == genesis and genesis.epoch.quorum == 2
    state = MemoryState()
    state.apply(apply_genesis(genesis).writes)

    def posted(address: bytes) -> int:
        answer = answer_query(state, Seconds(TIME_MS // 1_000), "assets", "balance", (address, 1), None)
        assert isinstance(answer, tuple) and isinstance(answer[0], int)
        return answer[0]

    assert [posted(demo_address(name)) for name in MEMBERS] == [OPENING_MINOR] * 3
    loaders = [address_of_key(load_key(n).public_key) for n in range(70)]
    assert [posted(address) for address in loaders] == [LOAD_OPENING_MINOR] * 70
