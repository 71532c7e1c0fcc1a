"""`coop verify`: what a member checks on this machine, trusting no node; and evidence of the forks seen here.

What proves a receipt is `proving.py`, what is believed of the chain of epochs `epoch_chain.py`.
"""

from pathlib import Path

import msgspec
from cyclopts import App

from node.cli.member.epoch_chain import EpochChain, Seal
from node.cli.member.member_session import session
from node.cli.member.proving import prove, verify
from node.cli.member.receipts import explain, load_bundle
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure
from protocol.addresses import format_tx_id, parse_tx_id
from protocol.types import TxId

EPOCHS_PAGE = 30

verify_app = App(name="verify", help="Check on this machine, trusting no node.")


@verify_app.command(name="chain")
def verify_chain(*, accept_raft: bool = False, accept_restart: str = "") -> None:
    """Follow the chain of epochs from genesis to the newest block of the node, and remember it.

    Args:
        accept_raft: Accept that the chain went back from BFT to Raft.
        accept_restart: Hash of the record of a restart, as the co-operative published it.
    """
    home, client = session.home, session.client()
    epochs = home.epochs()
    if accept_restart:
        epochs.accept_restart(accept_restart)
    _fetch_epochs(client, epochs)
    if accept_raft:
        epochs.accept_raft()
    header = client.call("chain_getHeader", block="latest")
    certificate = client.call("chain_getCertificate", height=header["height"])
    newest = epochs.see_newest(str(header["raw"]), str(certificate["raw"]))
    home.save_epochs(epochs)
    record = epochs.records[newest.header.epoch]
    signers = [record.validators[i].operator for i in newest.certificate.signer_indexes()]
    trust = epochs.explain_trust(record.number)
    ends = [f" to {seal.header.height:,}" for seal in epochs.seals]
    lines = [
        f"epoch {one.number:<4} {one.engine.name:<5} from {one.first_height:,}{end}   "
        f"{', '.join(sorted(v.operator for v in one.validators))}"
        for one, end in zip(epochs.records, [*ends, ""], strict=True)
    ]
    session.terminal.show(
        {
            "valid": True,
            "height": newest.header.height,
            "epoch": record.number,
            "protocol": record.engine.name.lower(),
            "signers": signers,
            "restarts": [
                {"height": one.first_height - 1, "hash": "0x" + one.compute_hash().hex()}
                for one in epochs.restarts
            ],
        },
        "\n".join(
            [
                *lines,
                f"block {newest.header.height:,} is final: {len(signers)} of {len(record.validators)} "
                f"operators signed it: {', '.join(signers)}",
                f"The chain is proved from genesis on. {trust[0]}",
                *trust[1:],
            ]
        ),
    )


@verify_app.command(name="receipt")
def verify_receipt(receipt: str = "", /, *, accept_raft: bool = False) -> None:
    """Check a receipt on this machine: certificate, Merkle proof, result.

    Args:
        receipt: A file that `coop pay` saved, or the id of a transaction; the newest saved one without it.
        accept_raft: Accept that the chain went back from BFT to Raft.
    """
    home, epochs = session.home, session.home.epochs()
    path = Path(receipt) if receipt else home.newest_receipt()
    if not path.is_file() and receipt.startswith(("tx1", "0x")):
        path = home.receipt_file(_read_id(receipt))
    if path.is_file():
        proven = verify(load_bundle(path), epochs, accept_raft=accept_raft)
    elif receipt.startswith(("tx1", "0x")):
        client = session.client()
        state = client.call("tx_get", id=receipt)
        raw = "" if state["transaction"] is None else state["transaction"]["raw"]
        _fetch_epochs(client, epochs)
        proven, path = prove(client, _read_id(receipt), raw, epochs, accept_raft=accept_raft)
    else:
        raise Failure(
            "There is no such receipt.",
            f"{receipt[:80]!r} is neither a file nor the id of a transaction.",
            f"look into {home.path / 'receipts'}, or give the id: coop verify receipt tx1...",
            "cli.no_receipt",
            Exit.USAGE,
        )
    trust = epochs.explain_trust(proven.record.number)
    session.terminal.show(
        {
            "valid": True,
            "id": format_tx_id(proven.receipt.tx_id),
            "height": proven.header.height,
            "ok": proven.receipt.is_ok,
            "epoch": proven.record.number,
            "protocol": proven.record.engine.name.lower(),
            "signers": list(proven.signers),
        },
        "\n".join([*explain(proven), f"The receipt is valid. {trust[0]}", *trust[1:]]),
    )


@verify_app.command(name="accuse")
def verify_accuse() -> None:
    """Show a node the evidence of the forks that were seen here; it gets into a block of its chain."""
    client, pieces = session.client(), session.home.evidence()
    shown = []
    for piece in pieces:
        try:
            shown.append({**client.call("chain_submitEvidence", evidence=piece), "known": False})
        except Failure as failure:
            if not failure.label.endswith("evidence.known"):
                raise
            shown.append({"evidence": piece, "known": True})
    news = sum(not one["known"] for one in shown)
    session.terminal.show(
        shown,
        f"{len(shown)} pieces of evidence, {news} new to the node. See what follows: coopd validator evidence"
        if shown
        else "There is no evidence: no fork was seen here whose certificates convict somebody.",
    )


def _fetch_epochs(client: RpcClient, epochs: EpochChain) -> None:
    """Follow the epochs that a node knows, from the last one on that was proved before."""
    number: int | None = max(1, len(epochs.records) - 1)
    while number is not None:
        page = client.call("chain_getEpochs", first=number, limit=EPOCHS_PAGE)
        seals = msgspec.convert(page["seals"], list[Seal])
        epochs.follow(seals, number)
        number = page["next"] if seals else None


def _read_id(text: str) -> TxId:
    if text.startswith("tx1"):
        return parse_tx_id(text)
    try:
        return TxId(bytes.fromhex(text[2:]))
    except ValueError:
        raise Failure(
            "This is no transaction id.", f"{text[:80]!r}.", "it begins with tx1", "cli.usage", Exit.USAGE
        ) from None
