"""What people type for an argument, as the value of its kind: names, amounts, dates, files, programs.

It reads by the schema of the contracts alone, so an argument that is added to one can be typed at once. The
rules are those that `coop call --help` shows.
"""

import datetime
import hashlib
import re
import shlex
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from node.cli.member.member_home import MemberHome
from node.cli.member.member_session import known_contracts
from node.cli.payments import Asset
from node.cli.rpc_client import RpcClient
from node.cli.terminal import Exit, Failure
from node.rpc.amounts import parse_amount
from node.rpc.values import AMOUNT_NAMES, camel, from_hex, kind_value
from protocol import codec
from protocol.addresses import format_address
from protocol.codec import Value
from protocol.errors import Rejected
from protocol.types import Address
from protocol.vm.contract import Contract, Method
from protocol.vm.kinds import (
    U8,
    U16,
    U32,
    U48,
    U63,
    Anything,
    Data,
    Field,
    Fields,
    Flag,
    Integer,
    Kind,
    Many,
    Maybe,
)
from protocol.vm.program import NO_ACTOR, literal

NOTHING: Final = "-"
UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
PLAIN_KINDS: Final = (U8, U16, U32, U48, U63)
_SPAN: Final = re.compile(r"(\+?)([0-9]{1,9})([smhdw])", re.ASCII)
_WORDS: Final = re.compile(r"(?:^|, )([0-9]+) ([A-Za-z][A-Za-z ]*)")
_YES: Final = {"yes": True, "true": True, "no": False, "false": False}


class Words:
    """Read arguments as they are typed.

    Args:
        now: time of the chain, Unix seconds, from which `+3d` counts.
        utc_offset_seconds: of the co-op's calendar.
    """

    def __init__(self, client: RpcClient, home: MemberHome, now: int, utc_offset_seconds: int) -> None:
        self.client = client
        self.home = home
        self.now = now
        self.zone = datetime.timezone(datetime.timedelta(seconds=utc_offset_seconds))
        self._assets: dict[int, Asset] = {}

    # --- calls

    def read_call(self, name: str, texts: list[str], owner: Address | None, actor: Value = 0) -> Value:
        """Read one call.

        Args:
            owner: fills the argument whose owner must act, unless all arguments are typed.
            actor: as a program says it; `NO_ACTOR` for what the co-op does itself.

        Raises:
            Failure: no such method, or arguments that do not fit it.
        """
        contract, method = find_method(name)
        fields, at = list(method.arguments), method.owner_at
        given: list[str | None] = list(texts)
        if owner is not None and at >= 0 and len(texts) < len(fields):
            given.insert(at, None)
        while len(given) < len(fields) and isinstance(fields[len(given)].kind, Maybe):
            given.append(NOTHING)
        if len(given) != len(fields):
            typed = [f for index, f in enumerate(fields) if owner is None or index != at]
            raise _refused(
                f"{name} takes {len(typed)} arguments, {len(texts)} were typed",
                f"as in: coop call {contract.name} {method.name} {' '.join(f.name.upper() for f in typed)}",
            )
        known: dict[str, Value] = {}
        for field, text in zip(fields, given, strict=True):
            known[field.name] = owner if text is None else self.read(field, text, known)
        return (contract.id, method.id, actor, tuple([literal(value) for value in known.values()]))

    def read_program(self, text: str, owner: Address | None, actor: Value = 0) -> bytes:
        """Read calls, separated by `;`, as the bytes of a stored program that pins what it calls."""
        calls = []
        for part in text.split(";"):
            name, *texts = shlex.split(part)
            calls.append(self.read_call(name, texts, owner, actor))
        return pin_program(tuple(calls))

    # --- values

    def read(self, field: Field, text: str, known: dict[str, Value]) -> Value:
        """Read the value of a field.

        Args:
            known: the arguments before it: an amount is one of the asset among them.

        Raises:
            Failure: the text is no such value.
        """
        kind = field.kind
        if isinstance(kind, Maybe):
            if text == NOTHING:
                return None
            kind = kind.kind
        try:
            value = self._read(Field(field.name, kind, field.doc), text, known)
        except (ValueError, OSError, Rejected, msgspec.MsgspecError) as bad:
            raise _refused(f"{field.name}: {text[:60]!r} is no {kind.name} ({bad})", field.doc) from None
        if not kind.holds(value):
            raise _refused(f"{field.name}: {text[:60]!r} is no {kind.name}", field.doc)
        return value

    def _read(self, field: Field, text: str, known: dict[str, Value]) -> Value:
        match field.kind:
            case Integer() as kind:
                return self._integer(field, kind, text, known)
            case Flag():
                return _YES.get(text.lower())
            case Data(name="address"):
                return self.home.find_address(text)
            case Data(name=name) if name.startswith("program"):
                if text.startswith("0x"):
                    return from_hex(text)
                return b"" if text == NOTHING else self.read_program(text, None, NO_ACTOR)
            case Data(name="hash"):
                return bytes(32) if text == NOTHING else read_digest(text)
            case Data(name="public key"):
                return from_hex(text)
            case Data():
                return from_hex(text) if text.startswith("0x") else text.encode()
            case Many() | Fields():
                return kind_value(field.kind, msgspec.json.decode(text), self.home.chain().hrp, field.name)
            case Anything():
                return _plain(msgspec.json.decode(text))
            case _:
                return text

    def _integer(self, field: Field, kind: Integer, text: str, known: dict[str, Value]) -> int:
        if kind.name in AMOUNT_NAMES:
            asset = self.asset(known.get("asset"))
            return 0 if text == "0" else parse_amount(text, asset.decimals, asset.symbol)
        if text.isascii() and text.replace(",", "").isdecimal():
            return int(text.replace(",", ""))
        if kind.name == "asset":
            return {a.symbol: a.number for a in self._all_assets().values()}.get(text.upper(), -1)
        if kind.name == "member":
            return self.member(text)
        if kind.name == "seconds":
            return self.seconds(text)
        if field.name in ("contract", "method"):
            contract = known.get("contract")
            if not isinstance(contract, int):
                return find_contract(text).id
            if contract not in known_contracts().by_id:
                raise ValueError(
                    f"contract {contract} is not known here: give the number of its {field.name}"
                )
            return find_method(f"{known_contracts().by_id[contract].name}.{text}")[1].id
        words = {word: number for number, word in (read_words(field.doc) or words_of(kind)).items()}
        if text in words:
            return words[text]
        raise ValueError("a whole number" if not words else f"one of {', '.join(words)}")

    def seconds(self, text: str) -> int:
        """Read a span such as 3d, a time from now on such as +3d, or a date of the co-op's calendar."""
        span = _SPAN.fullmatch(text)
        if span:
            return int(span[2]) * UNIT_SECONDS[span[3]] + (self.now if span[1] else 0)
        return int(datetime.datetime.fromisoformat(text).replace(tzinfo=self.zone).timestamp())

    def member(self, who: str) -> int:
        """Return the number of a member that is named by name, address or number."""
        if who.isascii() and who.isdecimal():
            return int(who)
        address = format_address(self.home.find_address(who), self.home.chain().hrp)
        found = self.client.call("members_byAccount", account=address)["value"]
        if found is None:
            raise ValueError(f"{who} is no member")
        return int(found["member"])

    def asset(self, number: Value = None) -> Asset:
        """Return an asset, or the first one of the chain."""
        assets = self._all_assets()
        return assets[number] if isinstance(number, int) and number in assets else next(iter(assets.values()))

    def find_asset(self, symbol: str) -> Asset:
        """Return the asset of a symbol, or the first one of the chain when none is named.

        Raises:
            Failure: there is no such asset.
        """
        for asset in self._all_assets().values():
            if symbol.upper() in ("", asset.symbol):
                return asset
        raise _refused(f"there is no currency {symbol[:20]}", "see: coop query assets assets 0")

    def show_time(self, seconds: int) -> str:
        """Write a time as the co-op's calendar and clocks show it."""
        return f"{datetime.datetime.fromtimestamp(seconds, self.zone):%Y-%m-%d %H:%M}"

    def _all_assets(self) -> dict[int, Asset]:
        if not self._assets:
            for item in self.client.call("assets_assets", after=0)["value"]:
                number = int(item["asset"])
                self._assets[number] = Asset(number, str(item["symbol"]), int(item["decimals"]))
        return self._assets


@cache
def words_of(kind: Integer) -> dict[int, str]:
    """Return what the numbers of a kind mean, as the contracts say; nothing for plain numbers."""
    if kind in PLAIN_KINDS:
        return {}
    fields: list[Field] = []
    for contract in known_contracts().contracts:
        fields += [field for table in contract.tables for field in table.fields]
        fields += [field for method in contract.methods for field in method.arguments]
    found = [words for f in fields if f.kind == kind and (words := read_words(f.doc))]
    return found[0] if found and all(words == found[0] for words in found) else {}


def read_words(doc: str) -> dict[int, str]:
    """Return what numbers mean by the text of a field, as in `1 yes, 2 no`; nothing when it lists none."""
    found = _WORDS.findall(doc)
    return {int(number): word.strip() for number, word in found} if len(found) > 1 else {}


def pin_program(calls: tuple[Value, ...]) -> bytes:
    """Return the bytes of a stored program that runs with the versions of contracts known here, or fails."""
    used = sorted({call[0] for call in calls if isinstance(call, tuple) and isinstance(call[0], int)})
    known = known_contracts().by_id
    return codec.encode((tuple([(number, known[number].version) for number in used]), calls))


def read_digest(text: str) -> bytes:
    """Return a digest that is typed as 0x-hex, or that of a file, named as @FILE."""
    if not text.startswith("@"):
        return from_hex(text)
    with Path(text[1:]).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def find_contract(name: str) -> Contract:
    """Return a contract by name.

    Raises:
        Failure: there is none.
    """
    found = known_contracts().by_name.get(name)
    if found is None:
        close = ", ".join(get_close_matches(name, sorted(known_contracts().by_name)))
        raise _refused(
            f"there is no contract {name[:40]}", f"the closest: {close}" if close else "see: coop call --help"
        )
    return found


def find_method(name: str) -> tuple[Contract, Method]:
    """Return `contract.method`, also as it is written in JSON.

    Raises:
        Failure: there is none.
    """
    contract = find_contract(name.partition(".")[0])
    wanted = name.partition(".")[2]
    for method in contract.methods:
        if wanted in (method.name, camel(method.name)):
            return contract, method
    names = ", ".join(method.name for method in contract.methods)
    raise _refused(f"{contract.name} has no method {wanted[:40]}", f"it has: {names}")


def explain_kind(kind: Kind) -> str:
    """Say how a value of a kind is typed."""
    match kind:
        case Maybe(kind=inner):
            return f"{explain_kind(inner)}, or -"
        case Data(name="address"):
            return "a contact or an address"
        case Data(name="hash"):
            return "0x-hex, or @FILE for the digest of a file"
        case Data(name=name) if name.startswith("program"):
            return "calls as in 'treasury.approve 3; assets.set_status CNY 1'"
        case Integer(name=name) if name in AMOUNT_NAMES:
            return "an amount such as 25.50"
        case Integer(name="seconds"):
            return "3d, +3d from now, or a date"
        case Integer(name="member" | "asset" as name):
            return f"{name}: number or name"
        case Many() | Fields() | Anything():
            return f"JSON of {kind.name[:60]}"
        case _:
            return kind.name


def _plain(value: Any) -> Value:
    if isinstance(value, list):
        return tuple([_plain(item) for item in value])
    return from_hex(value) if isinstance(value, str) and value.startswith("0x") else value


def _refused(why: str, how: str) -> Failure:
    return Failure(
        "This cannot be sent.", f"{why}.", f"{how or 'see: coop call --help'}", "cli.usage", Exit.USAGE
    )
