"""Statements that trust no node, and exports made from them.

The rows of a statement come from any node; what proves them is one record of the state, under a header that a
quorum signed (`node/books/postings.py`). So an export of one's own account is made here, from proven rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from node.books import beancount_form, camt053, csv_form
from node.books.export import AccountExport, Asset, Place
from node.books.postings import AccountRecord, Posting, check_statement, read_record
from node.cli.member.epoch_chain import EpochChain, Seal, read_hex, read_proof
from node.cli.member.member_session import session
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure, failure_of_rejection
from node.rpc.amounts import format_amount
from protocol.addresses import format_address
from protocol.chain.block import Header
from protocol.contracts.ledger.accounts import ACCOUNT, MEMBER_FREE, account_key
from protocol.errors import Code, Rejected
from protocol.light import verify_state
from protocol.merkle.proof import PAGE_BYTES_MAX, SIBLINGS_BYTES, StateProof
from protocol.params import JOURNAL_ROW_BYTES_MAX, STATE_VALUE_BYTES_MAX

PAGE_ROWS: Final = 200
FORMS: Final = ("csv", "camt053", "beancount")


@dataclass(frozen=True, slots=True)
class ProvenStatement:
    """The whole journal of an account, proven by the record at a height."""

    account: bytes
    postings: tuple[Posting, ...]
    header: Header
    signers: tuple[str, ...]


def fetch_statement(client: RpcClient, account: bytes, hrp: str, epochs: EpochChain) -> ProvenStatement:
    """Fetch an account's whole journal and check it here.

    Raises:
        Failure: the node does not answer, or what it says does not hold.
        Rejected: BAD_PROOF, MALFORMED.
    """
    question = {
        "address": format_address(account[:20], hrp),  # type: ignore[arg-type]
        "accountClass": int.from_bytes(account[20:22], "big"),
        "asset": int.from_bytes(account[22:26], "big"),
        "sub": int.from_bytes(account[26:], "big"),
        "limit": PAGE_ROWS,
    }
    page = client.call("member_getStatement", **question, prove=True)
    header, record, signers = _check_record(page["proof"], account, epochs)
    raws = [str(row["raw"]) for row in page["rows"]]
    while len(raws) < record.sequence and page["rows"]:
        page = client.call("member_getStatement", **question, first=len(raws) + 1)
        raws += [str(row["raw"]) for row in page["rows"]]
    rows = [read_hex(raw, JOURNAL_ROW_BYTES_MAX) for raw in raws[: record.sequence]]
    return ProvenStatement(account, check_statement(account, rows, record), header, signers)


def _check_record(
    proof: dict[str, Any], account: bytes, epochs: EpochChain
) -> tuple[Header, AccountRecord, tuple[str, ...]]:
    header, value, signers = check_record_proof(proof, ACCOUNT.prefix + account, epochs)
    return header, read_record(account, value), signers


def check_record_proof(
    proof: dict[str, Any], key: bytes, epochs: EpochChain
) -> tuple[Header, bytes | None, tuple[str, ...]]:
    """Check what a node shows of one record of the state; returns its bytes and who certified them.

    Raises:
        Failure: the epochs do not follow from genesis.
        Rejected: BAD_PROOF, MALFORMED.
    """
    epochs.follow(msgspec.convert(proof["seals"], list[Seal]))
    final = read_proof(str(proof["header"]), str(proof["certificate"]))
    trust = epochs.check(final)
    value = None if proof["value"] is None else read_hex(str(proof["value"]), STATE_VALUE_BYTES_MAX)
    siblings = tuple(read_hex(str(level), SIBLINGS_BYTES) for level in proof["siblings"])
    path = StateProof.from_value((read_hex(str(proof["page"]), PAGE_BYTES_MAX), siblings))
    verify_state(trust, final.header, final.certificate, key, value, path)
    signers = tuple(trust.record.validators[i].operator for i in final.certificate.signer_indexes())
    return final.header, value, signers


def load_own_statement(currency: str) -> tuple[ProvenStatement, Place, Asset]:
    """Fetch and check the statement of the balance of the key that acts.

    Raises:
        Failure: as `fetch_statement`; a proof that does not hold is one, too.
    """
    client, chain, epochs = session.client(), session.home.chain(), session.home.epochs()
    assets: list[dict[str, Any]] = client.call("assets_assets", after=0)["value"]
    found = [item for item in assets if not currency or item["symbol"] == currency.upper()]
    if not found:
        raise Failure(
            f"There is no currency {currency[:12]} here.",
            f"this chain has: {', '.join(str(item['symbol']) for item in assets) or 'none'}.",
            "use one of them",
            "E1233 ledger.asset",
        )
    number = int(found[0]["asset"])
    asset = Asset(str(found[0]["symbol"]), int(found[0]["decimals"]))
    account = account_key(session.me()[1], MEMBER_FREE, number)
    try:
        statement = fetch_statement(client, account, chain.hrp, epochs)
    except Rejected as rejected:
        raise failure_of_rejection(rejected, session.terminal.language) from None
    session.home.save_epochs(epochs)
    genesis, header = chain.genesis, statement.header
    place = Place(
        genesis.name,
        chain.hrp,
        genesis.utc_offset_seconds,
        {number: asset},
        header.height,
        header.time_ms // 1_000,
    )
    return statement, place, asset


def cut_days(statement: ProvenStatement, place: Place, from_day: str, to_day: str) -> AccountExport:
    """Take the postings of a stretch of days, both ends included, out of a whole statement."""
    days = [(place.day(posting.time), posting) for posting in statement.postings]
    opening = next((p.balance for day, p in reversed(days) if from_day and day < from_day), 0)
    inside = [p for day, p in days if (not from_day or day >= from_day) and (not to_day or day <= to_day)]
    return AccountExport(statement.account, opening, inside)


def write_form(form: str, export: AccountExport, place: Place) -> str:
    """Write an export in a form.

    Raises:
        Failure: there is no such form.
        Rejected: LIMIT: the form cannot hold it.
    """
    match form:
        case "csv":
            return csv_form.write_account(export, place)
        case "camt053":
            return camt053.write_account(export, place)
        case "beancount":
            return beancount_form.write_account(export, place)
    raise Failure(
        "Nothing was exported.",
        f"there is no form {form[:20]!r}.",
        f"use {', '.join(FORMS)}",
        "cli.usage",
        Exit.USAGE,
    )


def verify_statement(*, currency: str = "", from_day: str = "", to_day: str = "") -> None:
    """Show your whole statement, checked on this machine: one record of the state proves every row.

    Args:
        currency: Its symbol; the first currency of the chain without it.
        from_day: First day to show, such as 2026-07-01.
        to_day: Last day to show.
    """
    statement, place, asset = load_own_statement(currency)
    shown = cut_days(statement, place, from_day, to_day)
    lines = [
        f"{place.day(p.time)} {place.clock(p.time)}  {'+' if p.signed >= 0 else '-'}"
        f"{format_amount(p.amount, asset.decimals):>14}  {place.account(p.contra):<52} "
        f"{format_amount(p.balance, asset.decimals):>16}"
        for p in shown.postings
    ]
    session.terminal.show(
        {
            "valid": True,
            "height": statement.header.height,
            "rows": len(statement.postings),
            "opening": str(shown.opening),
            "closing": str(shown.closing),
            "signers": list(statement.signers),
        },
        "\n".join(
            [
                f"opening {format_amount(shown.opening, asset.decimals, asset.symbol)}",
                *lines,
                f"closing {format_amount(shown.closing, asset.decimals, asset.symbol)}",
                f"All {len(statement.postings):,} rows of the account are proven by its record at height "
                f"{statement.header.height:,}, signed by {', '.join(statement.signers)}.",
                *session.home.epochs().explain_trust(statement.header.epoch),
            ]
        ),
    )


def export_statement(
    form: str,
    /,
    *,
    currency: str = "",
    from_day: str = "",
    to_day: str = "",
    out: Path | None = None,
) -> None:
    """Write your statement for other programs, from rows that are checked on this machine.

    Args:
        form: csv, camt053 or beancount.
        currency: Its symbol; the first currency of the chain without it.
        from_day: First day, such as 2026-07-01.
        to_day: Last day.
        out: File to write; to the screen without it.
    """
    statement, place, _ = load_own_statement(currency)
    export = cut_days(statement, place, from_day, to_day)
    try:
        text = write_form(form, export, place)
    except Rejected as rejected:
        assert rejected.code == Code.LIMIT
        raise failure_of_rejection(rejected, session.terminal.language) from None
    if out is None:
        session.terminal.show({"rows": len(export.postings), "text": text}, text.rstrip("\n"))
        return
    out.write_text(text, encoding="utf-8", newline="")
    session.terminal.show(
        {"rows": len(export.postings), "file": str(out)}, f"{len(export.postings):,} rows in {out}"
    )
