"""A chain whose quorum is lost goes on by the council's word, on the newest block, for who accepts it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from node.cli.epoch_chain import EpochChain, Seal
from node.cli.restart import check_fits
from node.cli.terminal import Failure
from node.cluster.founding import BOARD, BOARD_THRESHOLD, board_policy, demo_key
from node.errors import OperationError
from node.executor import Executor
from protocol import codec, crypto
from protocol.chain.restart import Restart, decode_restart, make_record
from protocol.chain.validators import EngineKind, read_epoch
from protocol.contracts.policies import compute_address
from protocol.errors import Rejected
from protocol.light import Trust, cross_epoch, trust_genesis
from tests.node.small_chain import SmallChain


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "store", int(time.time() * 1_000) - 60_000)
    chain.commit(chain.pay("ada", "bo", 1))
    chain.commit()
    return chain


def restart_at(chain: SmallChain, height: int, signers: int = BOARD_THRESHOLD) -> Restart:
    header, certificate = chain.store.header(height), chain.store.certificate(height)
    assert header is not None and certificate is not None
    previous = chain.store.epoch_at(height)
    record = make_record(header, previous, EngineKind.RAFT, (previous.validators[0].operator,))
    unsigned = Restart(header, certificate, record, compute_address(board_policy()), board_policy())
    keys = [demo_key(name) for name in BOARD[:signers]]
    signatures = [(crypto.public_key_of(key), crypto.sign(key, unsigned.compute_digest())) for key in keys]
    return replace(unsigned, signatures=tuple(sorted(signatures)))


def test_who_is_left_goes_on_and_nothing_acknowledged_is_lost(chain: SmallChain) -> None:
    restart = restart_at(chain, 2)
    assert decode_restart(restart.encode()) == restart
    check_fits(restart, chain.store)
    chain.store.restart(restart.record)
    chain.executor = Executor(chain.store)
    assert chain.executor.record == restart.record == read_epoch(restart.record.to_value())
    block = chain.commit(chain.pay("ada", "bo", 2))
    assert block.height == 3 and block.header.epoch == 1 and len(chain.store.receipts(1)) == 1
    with pytest.raises(OperationError):
        check_fits(restart, chain.store)


def test_only_the_newest_block_and_only_the_council_count(chain: SmallChain) -> None:
    with pytest.raises(OperationError):
        check_fits(restart_at(chain, 1), chain.store)
    with pytest.raises(OperationError):
        check_fits(restart_at(chain, 2, BOARD_THRESHOLD - 1), chain.store)
    good = restart_at(chain, 2)
    (key, _), *others = good.signatures
    with pytest.raises(OperationError):
        check_fits(replace(good, signatures=((key, others[0][1]), *others)), chain.store)
    stranger = replace(good.record.validators[0], operator="stranger")
    with pytest.raises(OperationError):
        check_fits(replace(good, record=replace(good.record, validators=(stranger,))), chain.store)


def test_a_client_refuses_until_its_owner_accepts(chain: SmallChain) -> None:
    restart = restart_at(chain, 2)
    trust = trust_genesis(chain.genesis)
    with pytest.raises(Rejected, match="accepted"):
        cross_epoch(trust, restart.header, restart.certificate, restart.record)
    accepted = Trust(trust.genesis_hash, trust.record, (restart.record.compute_hash(),))
    assert cross_epoch(accepted, restart.header, restart.certificate, restart.record).record == restart.record
    epochs = EpochChain(chain.genesis)
    parts = restart.header.encode(), restart.certificate.encode(), codec.encode(restart.record.to_value())
    seal = Seal(*["0x" + part.hex() for part in parts])
    with pytest.raises(Failure, match="restarted"):
        epochs.follow([seal])
    epochs.accept_restart("0x" + restart.record.compute_hash().hex())
    epochs.follow([seal])
    assert EpochChain.restore(chain.genesis, epochs.remember()).records[-1] == restart.record
