"""`coop`: what a member types. Reads, builds, signs and proves on the member's own machine.

It never loads the database or the network, and it never believes a node about money: receipts are checked
against the chain that was pinned at `coop connect`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from node.catalog import fill
from node.cli.acting import find_gas_terms, open_actor, say_fee
from node.cli.board import multisig_app, treasury_app
from node.cli.calls import call_contract, query_contract
from node.cli.cash import cash_app, escrow_app, order_app, show_statement
from node.cli.credit import credit_app
from node.cli.epoch_chain import EpochChain, Fork, Seal
from node.cli.explain import explain_transaction
from node.cli.loan import loan_app
from node.cli.member_home import Connection, MemberHome
from node.cli.member_session import known_contracts, session
from node.cli.membership import apply_for_membership, attest_member, join_co_op, shares_app, show_member
from node.cli.memos import memo_app, seal_for
from node.cli.papers import papers_app
from node.cli.payments import (
    GAS_LIMIT,
    Asset,
    build_transfer,
    compute_clock,
    read_typed_amount,
    send,
    sign_transaction,
)
from node.cli.proving import prove, verify
from node.cli.receipts import BUNDLE_BYTES_MAX, decode_bundle, explain
from node.cli.rpc_client import RpcClient
from node.cli.savings import savings_app
from node.cli.sponsors import sponsor_app
from node.cli.statements import export_statement
from node.cli.terminal import Exit, Failure, Terminal, default_language, run_command
from node.cli.votes import docs_app, vote_commands
from node.config import VERSION
from node.rpc.amounts import format_amount
from node.rpc.failure import failure_of_receipt
from node.rpc.payment_uri import BadPaymentUri, parse_payment_uri
from protocol.addresses import format_address, format_tx_id, parse_tx_id
from protocol.chain.genesis import decode_genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.contracts.policies import address_of_key
from protocol.types import TxId

EPOCHS_PAGE = 30
PLUGINS = "COOP_PLUGINS"
"""In the environment: distributions of the co-op's own contracts, NAME==VERSION, separated by commas."""

app = App(name="coop", help="Your account in a financial co-operative.", version=VERSION)
key_app = App(name="key", help="Keys of this machine.")
tx_app = App(name="tx", help="Transactions.")
verify_app = App(name="verify", help="Check on this machine, trusting no node.")
contacts_app = App(name="contacts", help="Names for addresses.")
for group in (key_app, tx_app, verify_app, contacts_app, savings_app, credit_app, loan_app):
    app.command(group)
for group in (shares_app, cash_app, escrow_app, order_app, treasury_app, multisig_app, docs_app, memo_app):
    app.command(group)
app.command(papers_app)
app.command(sponsor_app)
app.command(call_contract, name="call")
app.command(query_contract, name="query")
app.command(apply_for_membership, name="apply")
app.command(join_co_op, name="join")
app.command(attest_member, name="attest")
app.command(show_member, name="member")
app.command(show_statement, name="statement")
app.command(export_statement, name="export")
app.command(explain_transaction, name="explain")
for command_name, command in vote_commands.items():
    app.command(command, name=command_name)


@app.command
def connect(url: str, /, *, replace: bool = False, token_file: Path | None = None) -> None:
    """Connect to a node and pin its chain: from then on no node can show you another one.

    Args:
        url: Such as http://127.0.0.1:9500
        replace: Pin this chain in place of the one before.
        token_file: File with the token of the node, when it is not on this machine.
    """
    token = None if token_file is None else token_file.read_text(encoding="ascii").strip()
    client = RpcClient(url, token, session.terminal.language)
    answer = client.call("chain_getGenesis")
    genesis = decode_genesis(bytes.fromhex(str(answer["raw"])[2:]))
    session.home.pin(Connection(url, token), genesis, replace=replace)
    chain = session.home.chain()
    operators = ", ".join(validator.operator for validator in genesis.epoch.validators)
    session.terminal.show(
        {"chain": genesis.name, "genesisHash": genesis.compute_hash().hex(), "url": url},
        f"Connected to {genesis.name} at {url}\n"
        f"  fingerprint {chain.fingerprint}   compare it with what the co-operative published\n"
        f"  operators   {operators}",
    )


@app.command
def me() -> None:
    """Show your address and what you have."""
    name = session.home.pick_key(session.acts_as)
    address = address_of_key(session.home.keyring.entry(name).public_key)
    text = format_address(address, session.home.chain().hrp)
    client = session.client()
    answer = client.call("assets_balances", address=text)
    rows = []
    for item in answer["value"]:
        asset = _asset_of(client, int(item["asset"]))
        rows.append((asset, int(item["posted"]), int(item["available"])))
    session.terminal.show(
        {"name": name, "address": text, "height": answer["height"], "balances": answer["value"]},
        lambda: "\n".join(
            [f"{name}   {text}   height {answer['height']:,}"]
            + [
                f"  {format_amount(posted, asset.decimals, asset.symbol):>20}"
                + ("" if posted == free else f"   free {format_amount(free, asset.decimals, asset.symbol)}")
                for asset, posted, free in rows
            ]
            + ([] if rows else ["  nothing yet"])
        ),
    )


@app.command
def pay(
    who: str,
    amount: str | None = None,
    /,
    *,
    memo: str = "",
    private: bool = False,
    auditor: str = "",
    currency: str | None = None,
    dry_run: bool = False,
) -> None:
    """Pay somebody: a contact's name, an address, or a payment request.

    Args:
        who: Contact, address, or coop:... payment request.
        amount: As in 25 or 25.50 or 25CNY.
        memo: For the receiver; everybody can read it, unless it is private.
        private: Seal the memo, so that only payer and payee read it: coop memo read.
        auditor: Contact or address of somebody else who may read the private memo.
        currency: Which one, when there are several.
        dry_run: Sign and send nothing; show what would happen.
    """
    who, amount, memo, currency = _read_request(who, amount, memo, currency)
    home, terminal, chain = session.home, session.terminal, session.home.chain()
    payee, actor = home.find_address(who), open_actor()
    client, name = actor.client, actor.name
    minor, asset = read_typed_amount(client, amount, currency)
    shown = format_amount(minor, asset.decimals, asset.symbol)
    text = format_address(payee, chain.hrp)
    terminal.note(f"Pay {shown} to {home.name_of(payee)} ({text})" + (f', memo "{memo}"' if memo else ""))
    note = seal_for(client, name, memo, actor.address, payee, auditor) if private else memo.encode()
    now, terms = compute_clock(actor.words.now), find_gas_terms(actor)
    built = build_transfer(chain.genesis, actor.address, payee, asset.number, minor, note, now)
    tx = terms.apply(built, GAS_LIMIT)
    if dry_run:
        _show_trial(client.call("tx_simulate", tx="0x" + tx.encode().hex()), asset)
        return
    say_fee(terms, GAS_LIMIT, actor.words)
    terminal.confirm("Sign and send?")
    secret = home.keyring.load(name, session.passphrase(name))
    signed = sign_transaction(chain.genesis, tx, secret)
    ref = format_tx_id(signed.id)
    terminal.note(f"sent      {ref}  waiting")
    began = time.monotonic()
    receipt = send(client, signed)
    took_ms = round((time.monotonic() - began) * 1_000)
    if not receipt["ok"]:
        raise _failed_receipt(decode_receipt(bytes.fromhex(str(receipt["raw"])[2:])), asset)
    try:
        proven, file = prove(client, signed.id, "0x" + signed.raw.hex(), home.epochs())
    except Failure:
        terminal.note(f"committed {ref}, says the node, at height {receipt['height']:,}; but its receipt:")
        raise
    signers = f"{len(proven.signers)} of {len(proven.record.validators)} operators"
    terminal.show(
        {
            "id": ref,
            "height": receipt["height"],
            "amount": str(minor),
            "currency": asset.symbol,
            "ms": took_ms,
            "signers": list(proven.signers),
            "receipt": str(file),
        },
        f"committed {ref}\n"
        f"  height {receipt['height']:,}, {took_ms} ms, certificate {signers}, receipt saved\n"
        f"  {file}",
    )


@key_app.command(name="new")
def key_new(name: str, /, *, chinese: bool = False, plain: bool = False) -> None:
    """Make a key and show its recovery phrase once.

    Args:
        name: What to call it.
        chinese: Write the phrase with Chinese words.
        plain: Keep it unsealed: whoever reads the file can sign. For tests only.
    """
    from node.wallet.phrase import Language, new_phrase

    phrase = new_phrase(Language.CHINESE if chinese else Language.ENGLISH)
    entry = session.home.keyring.recover(name, phrase, None if plain else _new_passphrase())
    address = _address_text(entry.public_key)
    session.terminal.show(
        {"name": name, "address": address, "phrase": phrase.reveal()},
        f"{name}   {address}\n"
        f"Write these words down and keep them; they are the key:\n\n  {phrase.reveal()}\n",
    )


@key_app.command(name="recover")
def key_recover(name: str, /, *, plain: bool = False) -> None:
    """Make a key out of its recovery phrase, which is read from standard input.

    Args:
        name: What to call it.
        plain: Keep it unsealed: whoever reads the file can sign. For tests only.
    """
    words = session.terminal.secret("recovery phrase: ") if sys.stdin.isatty() else sys.stdin.readline()
    entry = session.home.keyring.recover(name, words, None if plain else _new_passphrase())
    address = _address_text(entry.public_key)
    session.terminal.show({"name": name, "address": address}, f"{name}   {address}")


@key_app.command(name="show")
def key_show() -> None:
    """List the keys of this machine with their addresses."""
    entries = [session.home.keyring.entry(name) for name in session.home.keyring.names()]
    rows = [{"name": e.name, "address": _address_text(e.public_key), "sealed": e.encrypted} for e in entries]
    lines = [f"{r['name']:<12} {r['address']}{'' if r['sealed'] else '   unsealed'}" for r in rows]
    session.terminal.show(rows, "\n".join(lines) or "no keys yet: coop key new NAME")


@tx_app.command(name="show")
def tx_show(tx_id: str, /) -> None:
    """Show where a transaction stands."""
    _show_state(session.client().call("tx_get", id=tx_id))


@tx_app.command(name="wait")
def tx_wait(tx_id: str, /, *, seconds: int = 20) -> None:
    """Wait until a transaction is committed.

    Args:
        tx_id: Its id, tx1... or 0x...
        seconds: How long to wait, up to 30.
    """
    state = session.client().call("tx_get", id=tx_id, waitMs=1_000 * min(30, max(1, seconds)))
    _show_state(state)
    if state["status"] == "pending":
        raise SystemExit(Exit.UNKNOWN)


@tx_app.command(name="resend")
def tx_resend(receipt: str = "", /) -> None:
    """Send a transaction once more as it was signed; whatever is sent twice is done once.

    Args:
        receipt: A file that was saved; the newest one without it.
    """
    path = Path(receipt) if receipt else session.home.newest_receipt()
    if not path.is_file():
        raise Failure(
            "Nothing was sent.",
            f"{str(path)[:80]!r} is no file.",
            f"look into {session.home.path / 'receipts'}",
            "cli.no_receipt",
            Exit.USAGE,
        )
    with path.open("rb") as file:
        bundle = decode_bundle(file.read(BUNDLE_BYTES_MAX + 1))
    found = session.client().call("tx_submitAndWait", tx=bundle.transaction, timeoutMs=10_000)
    session.terminal.show(found, f"{found['ref']} was done once, in block {found['height']:,}")


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
        with path.open("rb") as file:
            bundle = decode_bundle(file.read(8 * 1024 * 1024))
        proven = verify(bundle, epochs, accept_raft=accept_raft)
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


@contacts_app.command(name="add")
def contacts_add(name: str, address: str, /) -> None:
    """Give a name to an address."""
    session.home.find_address(address)
    contacts = session.home.contacts()
    contacts[name] = address
    session.home.save_contacts(contacts)
    session.terminal.show({"name": name, "address": address}, f"{name}   {address}")


@contacts_app.command(name="ls")
def contacts_ls() -> None:
    """List the names."""
    contacts = session.home.contacts()
    lines = [f"{name:<12} {address}" for name, address in sorted(contacts.items())]
    session.terminal.show(contacts, "\n".join(lines) or "no contacts yet: coop contacts add NAME ADDRESS")


@contacts_app.command(name="rm")
def contacts_rm(name: str, /) -> None:
    """Forget a name."""
    contacts = session.home.contacts()
    known = contacts.pop(name, None)
    session.home.save_contacts(contacts)
    session.terminal.show({"name": name, "removed": known is not None}, f"{name} is forgotten")


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: bool = False,
    home: Path | None = None,
    rpc: str | None = None,
    lang: str | None = None,
    quiet: bool = False,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"])] = False,
    acts_as: Annotated[str | None, Parameter(name="--as")] = None,
    sponsor: str | None = None,
) -> Any:
    """Your account in a financial co-operative.

    Args:
        json: Print results as JSON, one object a line.
        home: Folder of keys, contacts and receipts; COOP_HOME without it.
        rpc: Use this node for once, such as http://127.0.0.1:9501.
        lang: en or zh.
        quiet: Print results only.
        yes: Sign without asking.
        acts_as: Name of the key to act with.
        sponsor: Who pays for the gas: contact or address of somebody who has granted it to you.
    """
    session.terminal = Terminal(json=json, quiet=quiet, yes=yes, language=lang or default_language())
    session.home = MemberHome(home)
    session.rpc, session.acts_as, session.sponsor = rpc, acts_as, sponsor
    if plugins := os.environ.get(PLUGINS):
        session.load_plugins(tuple(plugins.split(",")))
    try:
        return app(tokens, exit_on_error=False, result_action="return_value")
    except Fork as fork:
        session.home.save_evidence(fork.evidence)
        raise


def main() -> None:
    """Run `coop`."""
    run_command(lambda: session.terminal, lambda: app.meta(exit_on_error=False, result_action="return_value"))


def _read_request(
    who: str, amount: str | None, memo: str, currency: str | None
) -> tuple[str, str, str, str | None]:
    """Take a payment request apart; what is typed beside it wins where the request leaves it open."""
    if who.lower().startswith("coop:"):
        try:
            request = parse_payment_uri(who)
        except BadPaymentUri as bad:
            raise Failure(
                "The payment request is not usable.", f"{bad}.", "ask for another", "cli.bad_uri"
            ) from None
        if request.expires is not None and request.expires < time.time():
            raise Failure(
                "The payment request has expired.", "its time is over.", "ask for another", "cli.bad_uri"
            )
        who = request.address
        amount = request.amount or amount
        memo = request.memo or memo
        currency = request.currency or currency
    if amount is None:
        raise Failure(
            "Nothing was paid.", "no amount was given.", "as in: coop pay bo 25", "cli.usage", Exit.USAGE
        )
    return who, amount, memo, currency


def _fetch_epochs(client: RpcClient, epochs: EpochChain) -> None:
    """Follow the epochs that a node knows, from the last one on that was proved before."""
    number: int | None = max(1, len(epochs.records) - 1)
    while number is not None:
        page = client.call("chain_getEpochs", first=number, limit=EPOCHS_PAGE)
        seals = msgspec.convert(page["seals"], list[Seal])
        epochs.follow(seals, number)
        number = page["next"] if seals else None


def _show_trial(receipt: dict[str, Any], asset: Asset) -> None:
    if not receipt["ok"]:
        raise _failed_receipt(decode_receipt(bytes.fromhex(str(receipt["raw"])[2:])), asset)
    session.terminal.show(
        {"ok": True, "gas": receipt["gas"], "height": receipt["height"]},
        f"It would be applied, for {receipt['gas']:,} gas of your free quota. Nothing was signed or sent.",
    )


def _failed_receipt(receipt: Receipt, asset: Asset) -> Failure:
    failure = failure_of_receipt(receipt, known_contracts())
    params, reason = dict(failure.params), receipt.reason
    if failure.entry.group == "ledger" and reason is not None:
        params["limit"], params["actual"] = _shown(reason.limit, asset), _shown(reason.actual, asset)
    text = fill(failure.entry, session.terminal.language, params)
    return Failure(text.what, text.why, text.fix, f"E{failure.entry.number} {failure.entry.slug}")


def _shown(number: Any, asset: Asset) -> Any:
    return format_amount(int(number), asset.decimals, asset.symbol) if isinstance(number, int) else number


def _show_state(state: dict[str, Any]) -> None:
    def text() -> str:
        place = "" if state["height"] is None else f"   height {state['height']:,}, place {state['index']}"
        job = "" if state.get("job") is None else f"   run of job {state['job']:,}"
        lines = [f"{state['status']:<10}{state['id']}{place}{job}"]
        tx = state.get("transaction") or {}
        for call in tx.get("program", ()):
            arguments = call["arguments"]
            named = (
                ", ".join(f"{name} {value}" for name, value in arguments.items())
                if isinstance(arguments, dict)
                else str(arguments)
            )
            lines.append(f"  {call['contract']}.{call['method']}({named})")
        return "\n".join(lines)

    session.terminal.show(state, text)


def _asset_of(client: RpcClient, number: int) -> Asset:
    answer = client.call("assets_asset", asset=number)["value"]
    return Asset(number, str(answer["symbol"]), int(answer["decimals"]))


def _read_id(text: str) -> TxId:
    if text.startswith("tx1"):
        return parse_tx_id(text)
    try:
        return TxId(bytes.fromhex(text[2:]))
    except ValueError:
        raise Failure(
            "This is no transaction id.", f"{text[:80]!r}.", "it begins with tx1", "cli.usage", Exit.USAGE
        ) from None


def _address_text(public_key: Any) -> str:
    try:
        hrp = session.home.chain().hrp
    except Failure:
        hrp = "coop"
    return format_address(address_of_key(public_key), hrp)


def _new_passphrase() -> str:
    first = session.terminal.secret("new passphrase: ")
    if session.terminal.secret("again: ") != first:
        raise Failure("No key was saved.", "the two passphrases differ.", "try again", "key.passphrase")
    return first
