"""`coop`: what a member types. Reads, builds, signs and proves on the member's own machine.

It never loads the database or the network, and it never believes a node about money: receipts are checked
against the chain that was pinned at `coop connect`.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from node.catalog import fill
from node.cli.member.acting import ask_all_at, find_gas_terms, open_actor, say_fee
from node.cli.member.board import multisig_app, treasury_app
from node.cli.member.calls import call_contract, query_contract
from node.cli.member.cash import cash_app, escrow_app, order_app, show_statement
from node.cli.member.credit import credit_app
from node.cli.member.epoch_chain import Fork
from node.cli.member.explain import explain_transaction
from node.cli.member.loan import loan_app
from node.cli.member.member_home import Connection, MemberHome
from node.cli.member.member_session import known_contracts, session
from node.cli.member.membership import (
    apply_for_membership,
    attest_member,
    join_co_op,
    shares_app,
    show_member,
)
from node.cli.member.memos import memo_app, seal_for
from node.cli.member.names import contacts_app, key_app
from node.cli.member.papers import papers_app
from node.cli.member.proving import prove
from node.cli.member.receipts import load_bundle
from node.cli.member.savings import savings_app
from node.cli.member.sponsors import sponsor_app
from node.cli.member.statements import export_statement
from node.cli.member.verifying import verify_app
from node.cli.member.votes import docs_app, vote_commands
from node.cli.payments import (
    GAS_LIMIT,
    Asset,
    build_transfer,
    compute_clock,
    read_typed_amount,
    send,
    sign_transaction,
)
from node.cli.rpc_client import RpcClient
from node.cli.terminal import QUIET, Exit, Failure, Terminal, default_language, run_command
from node.config import VERSION
from node.rpc.amounts import format_amount
from node.rpc.failure import failure_of_receipt
from node.rpc.payment_uri import BadPaymentUri, parse_payment_uri
from protocol.addresses import format_address, format_tx_id
from protocol.chain.genesis import decode_genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.contracts.policies import address_of_key

PLUGINS = "COOP_PLUGINS"
"""In the environment: distributions of the co-op's own contracts, NAME==VERSION, separated by commas."""

app = App(name="coop", help="Your account in a financial co-operative.", version=VERSION)
tx_app = App(name="tx", help="Transactions.")
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
    """Show your address and all that you have, as it was at one height."""
    name = session.home.pick_key(session.acts_as)
    address = address_of_key(session.home.keyring.entry(name).public_key)
    text = format_address(address, session.home.chain().hrp)
    client = session.client()
    height, balances = ask_all_at(client, "assets_balances", "asset", address=text)
    rows = []
    for item in balances:
        asset = _asset_of(client, int(item["asset"]))
        rows.append((asset, int(item["posted"]), int(item["available"])))
    session.terminal.show(
        {"name": name, "address": text, "height": height, "balances": balances},
        lambda: "\n".join(
            [f"{name}   {text}   height {height:,}"]
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
    bundle = load_bundle(path)
    found = session.client().call("tx_submitAndWait", tx=bundle.transaction, timeoutMs=10_000)
    session.terminal.show(found, f"{found['ref']} was done once, in block {found['height']:,}")


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
        return app(tokens, **QUIET)
    except Fork as fork:
        session.home.save_evidence(fork.evidence)
        raise


def main() -> None:
    """Run `coop`."""
    run_command(lambda: session.terminal, lambda: app.meta(**QUIET))


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
