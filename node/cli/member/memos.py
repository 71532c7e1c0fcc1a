"""Private memos: publish the key with which others seal them for you, and read those that you may."""

from cyclopts import App

from node.cli.member.acting import act, describe_receipt, open_actor
from node.cli.member.member_session import session
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.wallet.memo import derive_view_key, is_private, open_memo, seal
from protocol import crypto
from protocol.addresses import format_address
from protocol.chain.receipt import Event, decode_receipt
from protocol.contracts import documents
from protocol.contracts.assets import contract as assets
from protocol.contracts.assets.payments import TRANSFERRED
from protocol.crypto import SecretKey
from protocol.types import Address, PublicKey

memo_app = App(name="memo", help="Private memos of payments.")

SET_VIEW_KEY = 4


@memo_app.command
def publish(*, dry_run: bool = False) -> None:
    """Let others seal memos for you: publishes a key that can read and not pay.

    Args:
        dry_run: Sign and send nothing; show what would happen.
    """
    actor = open_actor()
    key = crypto.public_key_of(derive_view_key(_load_secret(actor.name)))
    call = (documents.CONTRACT.id, SET_VIEW_KEY, 0, (actor.address, key))
    receipt = act(actor, (call,), dry_run=dry_run)
    session.terminal.show(receipt, lambda: "\n".join(describe_receipt(receipt, actor.words)))


@memo_app.command
def read(tx_id: str, /) -> None:
    """Read the private memos of a transaction that are for you.

    Args:
        tx_id: Of the payment.
    """
    name, _ = session.me()
    answer = session.client().call("tx_getReceipt", id=tx_id)
    view = derive_view_key(_load_secret(name))
    events = decode_receipt(bytes.fromhex(str(answer["receipt"]["raw"])[2:])).events
    found = [text for event in events if (text := _open(event, view)) is not None]
    if not found:
        raise Failure(
            "There is no private memo for you.",
            "none of the payments in it has one that this key opens.",
            "use the key of payer, payee or auditor: coop --as NAME memo read",
            "memo.not_for_you",
        )
    session.terminal.show({"memos": found}, "\n".join(found))


def _open(event: Event, view: SecretKey) -> str | None:
    if (event.contract, event.event) != (assets.CONTRACT.id, TRANSFERRED.id):
        return None
    payer, payee, *_, memo = event.fields
    assert isinstance(payer, bytes) and isinstance(payee, bytes), "a proven event is of its schema"
    if not isinstance(memo, bytes) or not is_private(memo):
        return None
    return open_memo(memo, view, Address(payer), Address(payee))


def seal_for(client: RpcClient, name: str, text: str, payer: Address, payee: Address, auditor: str) -> bytes:
    """Seal a memo for payee, an auditor if one is named, and the payer, whose key has the name.

    Raises:
        Failure: somebody has published no view key.
    """
    readers = [crypto.public_key_of(derive_view_key(_load_secret(name))), _find_view_key(client, payee)]
    if auditor:
        readers.append(_find_view_key(client, session.home.find_address(auditor)))
    return seal(text, payer, payee, tuple(readers))


def _find_view_key(client: RpcClient, owner: Address) -> PublicKey:
    text = format_address(owner, session.home.chain().hrp)
    key = client.call("docs_viewKey", owner=text)["value"]
    if key is None:
        raise Failure(
            "The memo cannot be sealed.",
            f"{session.home.name_of(owner)} has published no view key.",
            "ask for it: coop memo publish; or leave --private out",
            "memo.no_view_key",
        )
    return PublicKey(bytes.fromhex(str(key)[2:]))


def _load_secret(name: str) -> SecretKey:
    return session.home.keyring.load(name, session.passphrase(name))
