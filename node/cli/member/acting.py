"""Do something as a member: try it out, ask, sign, send, prove the receipt, and say in words what happened.

What is done is a program of calls (`typed.py` reads them). Everything is tried on the node's state before it
is signed, so a refusal costs nothing; what is shown afterwards is what the proven receipt says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.catalog import fill
from node.cli.member.gas import TRIAL_GAS_BOUGHT, TRIAL_GAS_MIN, GasTerms
from node.cli.member.member_session import known_contracts, session
from node.cli.member.proving import prove
from node.cli.member.typed import Words, read_words, words_of
from node.cli.payments import build_transaction, compute_clock, read_time, send, sign_transaction
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Failure
from node.rpc.amounts import format_amount
from node.rpc.failure import failure_of_receipt
from node.rpc.values import AMOUNT_NAMES, camel, kind_json, plain_json
from protocol import codec
from protocol.addresses import format_address, format_tx_id, parse_address
from protocol.chain.genesis import Genesis
from protocol.chain.receipt import Receipt, decode_receipt
from protocol.codec import Value
from protocol.money import date_from_days
from protocol.params import QUERY_ITEMS_MAX
from protocol.types import Address
from protocol.vm.contract import EventType
from protocol.vm.kinds import Data, Field, Integer, Kind, Maybe
from protocol.vm.program import TAG_LIST

BOOKS: Final = "ledger"
"""Whose events say in accounts what the other contracts say in words."""

LIST_ROWS_MAX: Final = 100 * QUERY_ITEMS_MAX
"""Rows of one list that are fetched: a node that never ends it fills no memory."""

DIGESTS: Final = frozenset({"hash", "public key", "tag"})
MONEY_RULES: Final = frozenset(
    {
        *("assets.cap", "assets.daily_limit", "assets.float_limit", "grants.per_call", "grants.per_period"),
        *("ledger.close_empty", "ledger.exceeds_hold", "ledger.nonneg_credit", "ledger.nonneg_debit"),
        *("lending.auto_max", "lending.coverage_bp", "lending.fee", "lending.liquid", "lending.principal"),
        *("lending.cap", "lending.cover_seen", "lending.forgive_max", "lending.score_limit"),
        *("lending.shares", "lending.waive_max", "security.savings"),
        *("ledger.overflow", "members.entry_fee", "members.shares", "savings.free", "savings.liquidity"),
        *("savings.lock", "savings.locked", "savings.minimum", "savings.notice", "treasury.allotted"),
        *("treasury.budget", "treasury.line_used", "treasury.surplus", "treasury.tiers"),
    }
)
"""Rules whose limit and actual value are amounts."""
DAY_RULES: Final = frozenset({"members.kyc_until", "shares.redeem_after"})
"""Rules whose limit and actual value are days of the co-op's calendar."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, where."""

    name: str
    address: Address
    client: RpcClient
    genesis: Genesis
    words: Words


def open_actor() -> Actor:
    """Return who acts in this run.

    Raises:
        Failure: no key, no chain, or the node does not answer.
    """
    name, address = session.me()
    client, genesis = session.client(), session.home.chain().genesis
    return Actor(name, address, client, genesis, open_words(client, genesis))


def open_words(client: RpcClient, genesis: Genesis) -> Words:
    """Return what reads and writes names, amounts and times of a chain."""
    return Words(client, session.home, read_time(client, genesis), genesis.utc_offset_seconds)


def number_of_member(words: Words, who: str) -> int:
    """Read the number of a member, by number or name.

    Raises:
        Failure: whoever it is has not applied.
    """
    try:
        return words.member(who)
    except ValueError:
        raise Failure(
            "There is no such member.",
            f"{who[:40]} has not applied.",
            "apply with: coop apply",
            "cli.nothing",
        ) from None


def act(
    actor: Actor, calls: tuple[Value, ...], *, dry_run: bool = False, keep: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Run a program of one actor; returns the receipt as JSON-RPC writes it, with `proven` and its file.

    Args:
        keep: saves what the member must still have when no answer comes; called before anything is sent.

    Raises:
        Failure: refused with rule, limit and actual value; or the outcome is unknown.
    """
    client, genesis, now = actor.client, actor.genesis, compute_clock(actor.words.now)
    terms = find_gas_terms(actor)
    built = build_transaction(genesis, actor.address, calls, now=now)
    trial = client.call("tx_simulate", tx="0x" + terms.apply(built, terms.trial_gas).encode().hex())
    if not trial["ok"]:
        raise failure_of(trial, actor.words)
    if dry_run:
        return {**trial, "proven": False}
    gas = terms.choose_limit(int(trial["gas"]))
    say_fee(terms, gas, actor.words)
    session.terminal.confirm("Sign and send?")
    secret = session.home.keyring.load(actor.name, session.passphrase(actor.name))
    signed = sign_transaction(genesis, terms.apply(built, gas), secret)
    if keep is not None:
        keep()
    session.terminal.note(f"sent      {format_tx_id(signed.id)}  waiting")
    receipt = send(client, signed)
    if not receipt["ok"]:
        raise failure_of(receipt, actor.words)
    _, file = prove(client, signed.id, "0x" + signed.raw.hex(), session.home.epochs())
    return {**receipt, "proven": True, "file": str(file)}


def find_gas_terms(actor: Actor) -> GasTerms:
    """Ask what gas costs now, and whether the sponsor who was named pays for it.

    Raises:
        Failure: he pays for nothing of this member.
    """
    if session.sponsor is not None:
        payer = session.home.find_address(session.sponsor)
        return GasTerms(payer, min(_find_free_gas(actor, payer), _find_granted_gas(actor, payer)))
    free = _find_free_gas(actor, actor.address)
    fee = None if free >= TRIAL_GAS_BOUGHT else actor.client.call("auth_fee")["value"]
    return GasTerms(0, free) if fee is None else GasTerms(0, free, fee["price"], fee["asset"])


def _find_free_gas(actor: Actor, address: Address) -> int:
    known = actor.client.call("auth_account", address=format_address(address, session.home.chain().hrp))
    return 0 if known["value"] is None else int(known["value"]["freeGas"])


def _find_granted_gas(actor: Actor, sponsor: Address) -> int:
    """Return what is left of a sponsor's grant since its newest use; a new period may have begun."""
    hrp = session.home.chain().hrp
    for number in ask_all(actor.client, "grants_byGrantee", address=format_address(actor.address, hrp)):
        row = ask(actor.client, "grants_grant", grant=number)
        if row["grantor"] == format_address(sponsor, hrp) and int(row["gas"]):
            return max(TRIAL_GAS_MIN, int(row["gas"]) - int(row["gasUsed"]))
    raise Failure(
        "Nothing was signed.",
        f"{session.home.name_of(sponsor)} pays for no gas of {actor.name}.",
        "ask for it: coop sponsor give NAME; or leave --sponsor out",
        "gas.no_sponsor",
    )


def say_fee(terms: GasTerms, gas_limit: int, words: Words) -> None:
    """Say before it is signed what the gas of a program costs, when it costs anything."""
    fee = terms.compute_fee(gas_limit)
    if fee:
        asset = words.asset(terms.asset)
        shown = format_amount(fee, asset.decimals, asset.symbol)
        session.terminal.note(f"fee       {shown}, for {gas_limit - terms.free:,} gas above what is free")


def act_and_show(
    calls: list[tuple[str, list[str]]], *, dry_run: bool = False, keep: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Read calls as they are typed, run them as one program, and show what happened."""
    actor = open_actor()
    program = tuple([actor.words.read_call(name, texts, actor.address) for name, texts in calls])
    receipt = act(actor, program, dry_run=dry_run, keep=keep)
    show_receipt(receipt, actor.words)
    return receipt


def show_receipt(receipt: dict[str, Any], words: Words) -> None:
    """Show what a program has done, or would do."""
    session.terminal.show(receipt, lambda: "\n".join(describe_receipt(receipt, words)))


def describe_receipt(receipt: dict[str, Any], words: Words) -> list[str]:
    """Say in words what a program has done, or would do: its events, then where it stands."""
    lines = [describe_event(event, words) for event in receipt["events"] if event["contract"] != BOOKS]
    if not receipt["proven"]:
        return [*lines, f"It would be applied, for {receipt['gas']:,} gas. Nothing was signed or sent."]
    returned = [value for value in receipt["results"] if value not in (True, None)]
    if returned and not lines:
        lines = [f"returned {', '.join(map(str, returned))}"]
    return [*lines, f"Done in block {receipt['height']:,}; the receipt is proven and saved."]


def describe_event(event: dict[str, Any], words: Words) -> str:
    """Write an event on one line, with names for addresses and amounts as people read them."""
    declared = _find_event(event)
    fields = event["fields"]
    if declared is None or not isinstance(fields, dict):
        return f"{event['contract']}.{event['event']} {fields}"
    shown = [
        show_field(field, fields, words, fields.get("asset"))
        for field in declared.fields
        if fields[camel(field.name)] is not None
    ]
    return f"{event['contract']}.{declared.name}: {', '.join(shown)}"


def _find_event(event: dict[str, Any]) -> EventType | None:
    contract = known_contracts().by_name.get(event["contract"])
    found = () if contract is None else contract.events
    return next((known for known in found if camel(known.name) == event["event"]), None)


def describe_program(raw: bytes, words: Words) -> list[str]:
    """Write the calls of a stored program, one a line; what is not known here is written as plain values."""
    program = codec.decode(raw, len(raw))
    calls = program[1] if isinstance(program, tuple) and len(program) == 2 else ()
    return [f"  {_describe_call(call, words)}" for call in (calls if isinstance(calls, tuple) else ())]


def _describe_call(call: Value, words: Words) -> str:
    match call:
        case (int(contract_id), int(method_id), _, tuple(arguments)):
            found = known_contracts().methods.get((contract_id, method_id))
            if found is None or len(found[1].arguments) != len(arguments):
                return f"{contract_id}.{method_id} {plain_json(arguments)}"
        case _:
            return str(plain_json(call))
    contract, method = found
    values, shown, hrp = dict[str, Any](), [], session.home.chain().hrp
    for field, argument in zip(method.arguments, arguments, strict=True):
        value = _unwrap(argument)
        if field.kind.holds(value) and not isinstance(value, tuple):
            values[camel(field.name)] = kind_json(field.kind, value, hrp)
            shown.append(show_field(field, values, words, values.get("asset")))
        else:
            shown.append(f"{field.name.replace('_', ' ')} {plain_json(value)}")
    return f"{contract.name}.{method.name}: {', '.join(shown)}"


def _unwrap(argument: Value) -> Value:
    """Return a literal list without its tag; references stay as they are."""
    if isinstance(argument, tuple) and argument[:1] == (TAG_LIST,):
        return tuple([_unwrap(item) for item in argument[1:]])
    return argument


def show_field(field: Field, values: dict[str, Any], words: Words, asset_number: Value) -> str:
    """Write a field of a record with its name, and a number by what its schema says that it means.

    Args:
        values: the whole record: which contract a method is of stands beside it.
    """
    value, name = values[camel(field.name)], field.name.replace("_", " ")
    if field.name == "contract" and value in known_contracts().by_id:
        return f"{name} {known_contracts().by_id[value].name}"
    of_contract = (int(values.get("contract") or 0), value)
    if field.name == "method" and of_contract in known_contracts().methods:
        return f"{name} {known_contracts().methods[of_contract][1].name}"
    word = read_words(field.doc).get(value) if type(value) is int else None
    return f"{name} {word or show_value(field.kind, value, words, asset_number)}"


def show_value(kind: Kind, value: Any, words: Words, asset_number: Value = None) -> str:
    """Write a value of JSON-RPC as people read it."""
    if isinstance(kind, Maybe):
        kind = kind.kind
    if value is None:
        return "-"
    if kind.name in AMOUNT_NAMES:
        asset = words.asset(asset_number)
        return format_amount(int(value), asset.decimals, asset.symbol)
    if isinstance(kind, Data) and kind.name == "address":
        return name_of(parse_address(str(value))[1])
    if kind.name == "asset":
        return words.asset(value).symbol
    if kind.name == "seconds" and isinstance(value, int) and value > 10**9:
        return words.show_time(value)
    if isinstance(value, str) and value.startswith("0x"):
        return f"{value[:10]}..." if kind.name in DIGESTS else _show_bytes(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        word = words_of(kind).get(value) if isinstance(kind, Integer) else None
        return word or f"{value:,}"
    return str(value)


def name_of(address: Address) -> str:
    """Return what to call an address: a contact, a contract, or the short form."""
    contract = next((known.name for known in known_contracts().contracts if known.address == address), None)
    return session.home.name_of(address) if contract is None else f"the contract {contract}"


def _show_bytes(text: str) -> str:
    """Write bytes as text when that is what they are, else as the beginning of their hex."""
    try:
        plain = bytes.fromhex(text[2:]).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        plain = ""
    return plain if plain.isprintable() and plain else text if len(text) <= 20 else f"{text[:10]}..."


def failure_of(receipt: dict[str, Any], words: Words) -> Failure:
    """Return the three lines for a receipt of a program that failed: rule, limit, actual value."""
    decoded: Receipt = decode_receipt(bytes.fromhex(str(receipt["raw"])[2:]))
    failure = failure_of_receipt(decoded, known_contracts())
    params, reason = dict(failure.params), decoded.reason
    if reason is not None:
        shown = {"limit": show_bound(reason.rule, reason.limit, words)}
        shown["actual"] = shown["asked"] = show_bound(reason.rule, reason.actual, words)
        params.update(shown)
    text = fill(failure.entry, session.terminal.language, params)
    return Failure(text.what, text.why, text.fix, f"E{failure.entry.number} {failure.entry.slug}")


def show_bound(rule: str, value: int | str | bytes | None, words: Words) -> str:
    """Write the limit of a rule, or what was found instead, as people read it."""
    if isinstance(value, bytes) and len(value) == len(Address(bytes(20))):
        return name_of(Address(value))
    if isinstance(value, bytes):
        return _show_bytes("0x" + value.hex())
    if rule in DAY_RULES and isinstance(value, int):
        return "{:04d}-{:02d}-{:02d}".format(*date_from_days(value))
    if rule in MONEY_RULES and isinstance(value, int):
        asset = words.asset()
        return format_amount(value, asset.decimals, asset.symbol)
    if rule.endswith("_bp") and isinstance(value, int):
        return f"{value // 100:,}.{value % 100:02} %"
    if isinstance(value, int) and value > 10**9:
        return words.show_time(value)
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def ask(client: RpcClient, method: str, **params: Any) -> Any:
    """Ask a query; returns its value, or fails when the thing does not exist.

    Raises:
        Failure: there is none, or the node refused.
    """
    value = client.call(method, **params)["value"]
    if value is None:
        shown = ", ".join(f"{name} {given}" for name, given in params.items())
        raise Failure(
            "There is nothing of that number or name.", f"{method}: {shown}.", "check it", "cli.nothing"
        )
    return value


def ask_all(client: RpcClient, method: str, key: str = "", after: Any = None, **params: Any) -> list[Any]:
    """List what a query answers, page by page to its end, all from the height of the first page.

    Args:
        key: field of a row after which the next page begins; empty: the row itself says it.
        after: what the first page begins after.

    Raises:
        Failure: cli.list_too_long; or the node refused.
    """
    return ask_all_at(client, method, key, after, **params)[1]


def ask_all_at(
    client: RpcClient, method: str, key: str = "", after: Any = None, **params: Any
) -> tuple[int, list[Any]]:
    """As `ask_all`, with the height at which all of it holds."""
    answer = client.call(method, after=after, **params)
    height, page = int(answer["height"]), answer["value"]
    rows: list[Any] = list(page)
    while len(page) >= QUERY_ITEMS_MAX:
        page = client.call(method, after=page[-1][key] if key else page[-1], at=height, **params)["value"]
        rows += page
        if len(rows) > LIST_ROWS_MAX:
            raise Failure(
                "The list is too long to be shown whole.",
                f"{method}: more than {LIST_ROWS_MAX:,} rows, the limit.",
                f"ask for it page by page: coop query {method.replace('_', ' ', 1)}",
                "cli.list_too_long",
            )
    return height, rows
