"""A validator that breaks the rules on purpose: the real daemon, but for what leaves it. For tests only.

`python -m tests.cluster.byzantine MODE HOME`, where MODE is one of

    equivocate   two contents for each vote and proposal, one to the first peer, the other to the second, and
                 both to the rest; signed past the guard, which the product has no way to do
    silent       nothing leaves it, whatever it is
    lie          proposals with a wrong state root, votes for blocks that nobody made, decisions with forged
                 certificates, and evidence that convicts nobody
    snapshot     snapshots of a state that no block has; everything else as it should be

It reads, executes and commits as any node does, so a test can ask it how the chain looks.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from node import daemon
from node.cluster import faults
from node.cluster.local import LocalNet
from node.cluster.processes import Started, _began
from node.config import load
from node.driver import Driver
from node.log import set_up
from node.net.cuts import CuttableTransport
from node.net.transport import Channel, PeerId
from node.snapshot import joining
from node.wire import FrameKind, frame
from protocol import crypto
from protocol.chain.block import assemble_block
from protocol.chain.certificate import COMMIT_KIND, Certificate, Vote
from protocol.chain.evidence import Evidence, EvidenceKind
from protocol.consensus.inputs import Received
from protocol.consensus.messages import (
    Decided,
    Message,
    Proposal,
    attach_signature,
    compute_sign_digest,
    encode_message,
    statement_of,
)
from protocol.crypto import SecretKey
from protocol.sync.snapshot_messages import GetChunk, GetEpochs, GetOffer, Offer, SnapshotMessage
from protocol.types import BlockId, Hash32, Signature, TimeMs, View

FORGED: Final = Signature(bytes([1]) * 64)


class _Liar(Driver):
    """A driver that signs what it likes, and tells its own machine what that wanted to say."""

    @property
    def _secret(self) -> SecretKey:
        return self._keys.signer(self._machine.record.number)._secret

    def sign(self, message: Message) -> Message:
        digest = compute_sign_digest(message, self._genesis_hash)
        if digest is None:
            return message
        return attach_signature(message, crypto.sign(self._secret, digest))

    async def _say(self, message: Message, receivers: tuple[int, ...] | None) -> None:
        await trio.lowlevel.checkpoint()
        record, me = self._machine.record, self._machine.own_index
        said = self.sign(message)
        others = range(len(record.validators)) if receivers is None else receivers
        for turn, index in enumerate(index for index in others if index != me):
            for data in self.twist(said, turn):
                self._send(record, index, data)
        if me is not None and (receivers is None or me in receivers):
            self.feed(Received(me, said, record.number))

    def twist(self, said: Message, turn: int) -> tuple[bytes, ...]:
        """Return what the next receiver of a message gets."""
        raise NotImplementedError


class _Equivocator(_Liar):
    """Say one thing here and another there."""

    def twist(self, said: Message, turn: int) -> tuple[bytes, ...]:
        """Return one content, the other, or both."""
        match said:
            case Vote():
                other: Message = replace(said, block_id=_other_id(said), valid_view=None)
            case Proposal():
                header = replace(said.block.header, time_ms=TimeMs(said.block.header.time_ms + 1))
                block = said.block
                changed = assemble_block(header, block.transactions, block.evidence, block.last_certificate)
                other = replace(said, block=changed)
            case _:
                return (_frame(said),)
        one, another = _frame(said), _frame(self.sign(other))
        return ((one,), (another,), (one, another))[min(turn, 2)]


class _Forger(_Liar):
    """Say what is not so, to everybody alike."""

    def twist(self, said: Message, turn: int) -> tuple[bytes, ...]:
        """Return a lie, and things that nobody signed."""
        match said:
            case Vote():
                return (_frame(self.sign(replace(said, block_id=_other_id(said), valid_view=None))),)
            case Proposal():
                header = replace(said.block.header, state_root=Hash32(bytes(32)))
                block = said.block
                wrong = assemble_block(header, block.transactions, block.evidence, block.last_certificate)
                forged = Decided(wrong, self._forge(said, wrong.id))
                lie = self.sign(replace(said, block=wrong))
                return (_frame(lie), _frame(forged), self._slander(said))
            case _:
                return (_frame(said),)

    def _forge(self, proposal: Proposal, block_id: BlockId) -> Certificate:
        record = self._machine.record
        kind, quorum = COMMIT_KIND[record.engine], record.quorum
        place = (record.number, kind, proposal.height, proposal.view, block_id)
        return Certificate(*place, (1 << quorum) - 1, (FORGED,) * quorum)

    def _slander(self, proposal: Proposal) -> bytes:
        record = self._machine.record
        accused = next(v for v in record.validators if v.consensus_key != self._secret.public_key)
        statements = [
            replace(statement_of(replace(proposal, valid_view=view)), signature=FORGED)
            for view in (None, View(0))
        ]
        kind, height = EvidenceKind.DUPLICATE_PROPOSAL, proposal.height
        evidence = Evidence(kind, record.number, height, accused.consensus_key, *statements)
        return frame(FrameKind.EVIDENCE, evidence.encode())


class _Mute(CuttableTransport):
    """Everything comes in, nothing goes out."""

    def send(self, peer: PeerId, channel: Channel, data: bytes) -> bool:
        return True

    def broadcast(self, channel: Channel, data: bytes) -> int:
        return 0


class _Spoiler(joining.SnapshotServer):
    """Offer snapshots with a chunk that is almost right."""

    def _find(self, ask: GetOffer | GetEpochs | GetChunk) -> SnapshotMessage:
        answer = super()._find(ask)
        if not isinstance(answer, Offer):
            return answer
        first, *others = answer.manifest.chunks
        wrong = replace(first, digest=Hash32(crypto.sha256(first.digest)))
        return replace(answer, manifest=replace(answer.manifest, chunks=(wrong, *others)))


def _other_id(vote: Vote) -> BlockId:
    return BlockId(crypto.sha256(b"nobody made it" + (vote.block_id or b"")))


def _frame(message: Message) -> bytes:
    return frame(FrameKind.CONSENSUS, encode_message(message))


def corrupt(net: LocalNet, name: str, mode: str) -> None:
    """Start a node of a running cluster anew on its worst behaviour."""
    node = net.node(name)
    faults.kill(node)
    with open(Path(node.home) / "node.log", "ab", buffering=0) as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.byzantine", mode, node.home],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    child.returncode = 0
    node.daemon = Started(child.pid, _began(child.pid) or 0)
    net.save()


def main(mode: str, home: str) -> None:
    """Run the node of a data folder, on its worst behaviour."""
    config = load(Path(home), environ={})
    set_up(config.log_level, config.log_format)
    if mode == "silent":
        vars(daemon)["CuttableTransport"] = _Mute
    elif mode == "snapshot":
        vars(joining)["SnapshotServer"] = _Spoiler
    else:
        vars(daemon)["Driver"] = {"equivocate": _Equivocator, "lie": _Forger}[mode]
    trio.run(daemon.run_node, config)


if __name__ == "__main__":
    main(*sys.argv[1:])
