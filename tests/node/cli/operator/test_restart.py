"""A chain whose quorum is lost goes on by the council's word, on the newest block, for who accepts it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cli.member.epoch_chain import EpochChain, Seal
from node.cli.operator.restart import _describe, _read, check_fits, find_promises, sign
from node.cli.session import session
from node.cli.terminal import Failure, Terminal
from node.cluster.founding import BOARD, BOARD_THRESHOLD, board_policy, demo_address, demo_key
from node.cluster.local import write_board
from node.config import CONSENSUS_KEY, Config
from node.errors import OperationError
from node.executor import Executor
from node.signer import Place, Signer, SignKind
from node.wallet.keyring import Keyring
from protocol import codec, crypto
from protocol.chain.restart import RESTART_BYTES_MAX, Restart, decode_restart, make_record
from protocol.chain.validators import EngineKind, read_epoch
from protocol.codec import Value
from protocol.consensus.safety import RaftSafety
from protocol.contracts.policies import compute_address
from protocol.crypto import SecretKey
from protocol.errors import Rejected
from protocol.light import Trust, cross_epoch, trust_genesis
from protocol.params import INT64_MAX
from protocol.types import EpochNumber, Hash32, Height, View
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


def _twisted(value: Value) -> Iterator[Value]:
    """Give a value with one part at a time replaced by something else."""
    yield from (None, True, 0, -1, INT64_MAX, b"", bytes(20), b"\2" * 33, "x", (), ((),), (0, (0,)))
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            yield value[:index] + value[index + 1 :]
            for other in _twisted(part):
                yield (*value[:index], other, *value[index + 1 :])


def test_no_file_raises_anything_but_a_refusal(chain: SmallChain, tmp_path: Path) -> None:
    """The certificate alone is not looked at: the header must be the one that this node certified itself."""
    good = restart_at(chain, 2)
    refused = 0
    for value in _twisted(codec.decode(good.encode(), RESTART_BYTES_MAX)):
        file = tmp_path / "restart"
        file.write_bytes(codec.encode(value))
        try:
            restart = _read(file)
            _describe(restart)
            check_fits(restart, chain.store)
        except OperationError:
            refused += 1
        else:
            assert replace(restart, certificate=good.certificate) == good
    assert refused > 500
    file.write_bytes(good.encode() + bytes(RESTART_BYTES_MAX))
    with pytest.raises(OperationError):
        _read(file)


def test_members_of_the_council_sign_one_after_another(
    chain: SmallChain, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "terminal", Terminal(json=True, yes=True))
    file = tmp_path / "restart"
    file.write_bytes(replace(restart_at(chain, 2), signatures=()).encode())

    def sign_at(place: str, *names: str) -> dict[str, Any]:
        board = tmp_path / place
        write_board(board)
        for name in set(BOARD) - set(names):
            (board / "keys" / f"{name}.json").unlink()
        sign(file, board=board)
        shown: dict[str, Any] = json.loads(capsys.readouterr().out)
        return shown

    first, second, third = BOARD
    with pytest.raises(OperationError, match="no key"):
        sign_at("nowhere")
    shown = sign_at("village", first)
    assert not shown["ratified"] and len(shown["signed"]) == 1 and len(shown["missing"]) == 2
    with pytest.raises(OperationError):
        check_fits(_read(file), chain.store)
    assert sign_at("village again", first)["signed"] == shown["signed"]
    shown = sign_at("town", third)
    assert shown["ratified"] and len(shown["signed"]) == 2 and shown["unsound"] == []
    check_fits(_read(file), chain.store)
    other = replace(_read(file), council=demo_address("ada"))
    file.write_bytes(other.encode())
    with pytest.raises(OperationError, match="no key"):
        sign_at("elsewhere", second)


def test_who_voted_above_the_newest_block_is_warned(chain: SmallChain, tmp_path: Path) -> None:
    config = Config(tmp_path / "home")
    secret = SecretKey(b"\7" * 32)
    Keyring(config.keys_path).save(CONSENSUS_KEY, secret, None)
    Signer.create(config.guard_path, secret.public_key)
    assert find_promises(config, chain.store) == []
    signer = Signer.open(config.guard_path, secret)
    signer.sign_at(Place(SignKind.ACK, EpochNumber(0), Height(2), View(1)), Hash32(b"\1" * 32))
    assert find_promises(config, chain.store) == []
    signer.sign_at(Place(SignKind.ACK, EpochNumber(0), Height(3), View(1)), Hash32(b"\1" * 32))
    signer.close()
    [voted, advice] = find_promises(config, chain.store)
    assert "voted at height 3" in voted and "above may be final" in advice
    block = chain.build(chain.pay("ada", "bo", 3))
    promise = RaftSafety(EpochNumber(0), block.height, View(1), 0, View(1), block)
    chain.store.save_safety(promise.encode())
    assert f"accepted block 3 0x{block.id.hex()}" in find_promises(config, chain.store)[0]
    chain.store.save_safety(promise.encode()[:-1] + b"?")
    assert "cannot be read" in find_promises(config, chain.store)[0]
    config.guard_path.unlink()
    assert "unknown" in find_promises(config, chain.store)[1]


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
    assert epochs.explain_trust(0) == ["No node was trusted for this."]
    epochs.follow([seal])
    number = restart.record.number
    assert epochs.explain_trust(number - 1) == ["No node was trusted for this."]
    text = "\n".join(epochs.explain_trust(number))
    assert "No node was trusted" not in text and "above block 2" in text
    assert restart.record.compute_hash().hex() in text
    assert EpochChain.restore(chain.genesis, epochs.remember()).records[-1] == restart.record
