"""Fetch the receipt of a transaction with its proof, check it on this machine, and save it."""

from pathlib import Path

from node.cli.member.epoch_chain import EpochChain
from node.cli.member.member_session import session
from node.cli.member.receipts import Bundle, Proven, make_bundle, verify_bundle
from node.cli.rpc_client import RpcClient
from node.cli.terminal import failure_of_rejection
from protocol.errors import Rejected
from protocol.types import TxId


def prove(
    client: RpcClient, tx_id: TxId, raw: str, epochs: EpochChain, *, accept_raft: bool = False
) -> tuple[Proven, Path]:
    """Fetch a receipt with its proof, check it here, and save it.

    Raises:
        Failure: the proof does not hold.
    """
    answer = client.call("tx_getReceipt", id="0x" + tx_id.hex(), prove=True)
    bundle: Bundle = make_bundle(answer, raw)
    try:
        proven = verify(bundle, epochs, accept_raft=accept_raft)
    except Rejected as rejected:
        raise failure_of_rejection(rejected, session.terminal.language) from None
    return proven, session.home.save_receipt(tx_id, bundle)


def verify(bundle: Bundle, epochs: EpochChain, *, accept_raft: bool) -> Proven:
    """Check a receipt against what is known of the chain, and remember what it adds to that."""
    if accept_raft:
        epochs.follow(bundle.seals)
        epochs.accept_raft()
    proven = verify_bundle(bundle, epochs)
    session.home.save_epochs(epochs)
    return proven
