"""What a Raft validator was told at one height: the acknowledgements, and the proposal under execution.

It finds what is decided. Whether to accept a proposal is `raft.py`.
"""

from protocol.chain.block import Block
from protocol.chain.certificate import Certificate, Vote, VoteKind
from protocol.chain.validators import EpochRecord
from protocol.consensus.inputs import Verdict
from protocol.consensus.messages import Proposal
from protocol.consensus.votes import VoteSet
from protocol.types import BlockId, Height, View


class Proposed:
    """Keep what was said at a height.

    Attributes:
        checking: the proposal that is executed, or that is unwelcome and waits for a better verdict.
        is_unwelcome: the latter.
    """

    __slots__ = ("_acks", "checking", "is_unwelcome")

    def __init__(self, record: EpochRecord, height: Height) -> None:
        self._acks = VoteSet(record, VoteKind.ACK, height)
        self.checking: Proposal | None = None
        self.is_unwelcome = False

    def find_certificate(self, block_id: BlockId) -> Certificate | None:
        """Return a certificate of a block if a quorum acknowledged it."""
        return self._acks.find_certificate(block_id)

    def add_ack(self, vote: Vote, accepted: Block | None) -> tuple[Block, Certificate] | None:
        """Count an acknowledgement and return what it decides, if we have that block.

        Args:
            accepted: the block that we stand behind.
        """
        certificate = self._acks.add(vote)
        checking = None if self.checking is None else self.checking.block
        for block in (accepted, checking):
            if certificate is not None and block is not None and block.id == certificate.block_id:
                return block, certificate
        return None

    def is_checking(self, term: View) -> bool:
        """Tell whether a proposal of a term is under execution."""
        return self.checking is not None and self.checking.view == term

    def take_up(self, proposal: Proposal) -> bool:
        """Have a proposal executed instead of one of an earlier term; tell whether that is to be asked for.

        The same block is executed once, whoever proposes it again.
        """
        known = self.checking
        if known is not None and known.block.id != proposal.block.id and known.view >= proposal.view:
            return False
        is_new = known is None or known.block.id != proposal.block.id
        self.checking = proposal
        if is_new:
            self.is_unwelcome = False
        return is_new

    def judge(self, block_id: BlockId, verdict: Verdict) -> Proposal | None:
        """Take a verdict and return the proposal that it is about, if there is still one."""
        proposal = self.checking
        if proposal is None or proposal.block.id != block_id:
            return None
        self.is_unwelcome = verdict is Verdict.UNWELCOME
        return proposal

    def put_away(self) -> None:
        """End the execution of a proposal."""
        self.checking = None
