"""The demo co-operative: the same public keys everywhere, a genesis that founds, balances that add up."""

from pathlib import Path

import pytest

from node.cli.council import load_council
from node.cli.terminal import Exit, Failure
from node.cluster import founding
from node.cluster.founding import (
    BOARD,
    LOAD_OPENING_MINOR,
    MEMBERS,
    OPENING_MINOR,
    board_policy,
    demo_address,
    demo_key,
    demo_phrase,
    load_key,
    make_genesis,
    make_operators,
)
from node.cluster.local import NODES_MAX, LocalNet, write_board
from node.errors import OperationError
from node.wallet.derivation import compute_member_key
from protocol.chain.genesis import decode_genesis
from protocol.chain.validators import EngineKind
from protocol.contracts.policies import address_of_key, compute_address
from protocol.contracts.registry.records import COUNCIL
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


def test_every_operator_can_say_ready_and_the_board_decides() -> None:
    operators = make_operators(5)
    genesis = make_genesis(operators[:3], TIME_MS, spare=operators[3:])
    assert decode_genesis(genesis.encode()) == genesis
    assert {v.operator for v in genesis.epoch.validators} == {"n1", "n2", "n3"}
    state = MemoryState()
    state.apply(apply_genesis(genesis).writes)

    def ask(query: str, address: bytes) -> object:
        return answer_query(state, Seconds(TIME_MS // 1_000), "auth", query, (address,), None)

    for operator in operators:
        assert ask("account", address_of_key(operator.node_key.public_key)) is not None
    assert ask("roles", compute_address(board_policy())) == (COUNCIL,)
    assert ask("roles", demo_address("ada")) == ()


def test_a_chain_can_begin_on_bft() -> None:
    genesis = make_genesis(make_operators(4), TIME_MS, engine=EngineKind.BFT)
    assert decode_genesis(genesis.encode()).epoch.engine is EngineKind.BFT and genesis.epoch.quorum == 3


def test_the_folder_of_the_board_holds_the_keys_that_decide(tmp_path: Path) -> None:
    write_board(tmp_path / "board")
    council = load_council(tmp_path / "board")
    assert council.policy == board_policy() and len(council.names) == council.threshold == 2
    for name in BOARD[:2]:
        (tmp_path / "board" / "keys" / f"{name}.json").unlink()
    with pytest.raises(Failure) as refused:
        load_council(tmp_path / "board")
    assert refused.value.code is Exit.MORE_SIGNATURES and "2 of 3 keys decide; 1 are" in refused.value.why
    with pytest.raises(Failure) as refused:
        load_council(tmp_path / "nothing")
    assert "--board" in refused.value.do


@pytest.mark.parametrize(
    ("nodes", "spare", "engine", "is_possible"),
    [
        (NODES_MAX, 0, EngineKind.RAFT, True),
        (NODES_MAX, 1, EngineKind.RAFT, False),
        (0, 1, EngineKind.RAFT, False),
        (3, 1, EngineKind.BFT, False),
        (4, 0, EngineKind.BFT, True),
    ],
)
def test_how_many_nodes_a_cluster_has(
    tmp_path: Path, nodes: int, spare: int, engine: EngineKind, is_possible: bool
) -> None:
    def create() -> LocalNet:
        return LocalNet.create(tmp_path / "ln", nodes, 31_000, spare=spare, engine=engine)

    if is_possible:
        assert len(create().state.nodes) == nodes + spare
    else:
        with pytest.raises(OperationError) as refused:
            create()
        assert refused.value.slug == "localnet.nodes"


def test_so_many_members_are_founded_for_a_load_and_one_more_is_our_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(founding, "LOAD_MEMBERS_MAX", 2)
    assert len(founding.load_openings(2)) == 2
    with pytest.raises(AssertionError):
        founding.load_openings(3)
