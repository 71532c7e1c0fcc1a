"""What people type becomes the value of the argument's kind, or is refused with what was expected."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from node.cli.member.acting import DAY_RULES, MONEY_RULES, show_bound, show_field
from node.cli.member.member_home import MemberHome
from node.cli.member.typed import Words, find_method, pin_program, read_digest
from node.cli.terminal import Exit, Failure
from node.cluster.founding import demo_address, make_genesis, make_operators
from node.rpc.values import AMOUNT_NAMES
from protocol import codec
from protocol.addresses import HRP_TEST, format_address
from protocol.codec import Value
from protocol.contracts import REGISTRY, ledger
from protocol.vm.kinds import Field, Fields, Kind, Many, Maybe
from protocol.vm.program import NO_ACTOR, parse_template

NOW = 1_767_225_600
COUNTS = frozenset({"count", "queued", "pledged", "shares", "runs", "tries", "sequence", "electorate"})
ADA, BO = demo_address("ada"), demo_address("bo")


class Node:
    """Answers the two questions that reading asks."""

    def call(self, method: str, **params: Any) -> Any:
        if method == "assets_assets":
            assets = (("CNY", 2), ("COIN", 0))
            return {
                "value": [{"asset": at, "symbol": s, "decimals": d} for at, (s, d) in enumerate(assets, 1)]
            }
        assert method == "members_byAccount"
        is_ada = params["account"] == format_address(ADA, HRP_TEST)
        return {"value": {"member": 7} if is_ada else None}


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Words]:
    home = MemberHome(tmp_path)
    (tmp_path / "genesis.bin").write_bytes(make_genesis(make_operators(1), NOW * 1_000).encode())
    contacts = {"ada": format_address(ADA, HRP_TEST), "bo": format_address(BO, HRP_TEST)}
    (tmp_path / "contacts.json").write_bytes(msgspec.json.encode(contacts))
    yield Words(cast(Any, Node()), home, NOW, 8 * 3_600)


def field_of(method: str, name: str) -> Field:
    return next(field for field in find_method(method)[1].arguments if field.name == name)


@pytest.mark.parametrize(
    ("method", "name", "text", "value"),
    [
        ("assets.transfer", "to", "bo", BO),
        ("assets.transfer", "asset", "coin", 2),
        ("assets.transfer", "asset", "2", 2),
        ("assets.transfer", "amount", "1,234.50", 123_450),
        ("assets.transfer", "memo", "-", None),
        ("assets.transfer", "memo", "seeds", b"seeds"),
        ("assets.transfer", "memo", "0x00ff", b"\x00\xff"),
        ("members.set_rules", "entry_fee", "0", 0),
        ("members.set_rules", "by_itself", "yes", True),
        ("members.admit", "member", "ada", 7),
        ("members.admit", "member", "1,204", 1_204),
        ("members.suspend", "document", "-", bytes(32)),
        ("assets.freeze", "until", "+3d", NOW + 3 * 86_400),
        ("assets.freeze", "until", "2026-01-01T08:00", NOW),
        ("registry.pause", "seconds", "12h", 43_200),
        ("registry.pause", "contract", "assets", 16),
        ("voting.vote", "choice", "abstain", 3),
        ("sched.create", "unit", "months", 3),
        ("members.apply", "kind", "group", 3),
        ("multisig.reveal", "policy", '[1, [[0, "0x02ab", 1]]]', (1, ((0, b"\x02\xab", 1),))),
        ("assets.transfer_many", "payments", "[]", None),
    ],
)
def test_every_kind_is_typed_as_people_write_it(
    words: Words, method: str, name: str, text: str, value: Value
) -> None:
    field = field_of(method, name)
    if name == "payments":
        with pytest.raises(Failure):
            words.read(field, text, {})
    else:
        assert words.read(field, text, {}) == value


def test_an_amount_is_one_of_the_asset_before_it(words: Words) -> None:
    amount = field_of("assets.transfer", "amount")
    assert words.read(amount, "25", {"asset": 1}) == 2_500 and words.read(amount, "25", {"asset": 2}) == 25
    with pytest.raises(Failure) as refused:
        words.read(amount, "25.5", {"asset": 2})
    assert "COIN has 0 decimals" in refused.value.why


@pytest.mark.parametrize(
    ("method", "name", "text"),
    [
        ("assets.transfer", "amount", "0"),
        ("assets.transfer", "amount", "-5"),
        ("assets.transfer", "asset", "EUR"),
        ("members.admit", "member", "bo"),
        ("members.suspend", "document", "0x12"),
        ("members.suspend", "document", "@/no/such/file"),
        ("voting.vote", "choice", "maybe"),
        ("registry.pause", "seconds", "soon"),
        ("members.set_rules", "by_itself", "perhaps"),
        ("multisig.reveal", "policy", "{"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(
    words: Words, method: str, name: str, text: str
) -> None:
    with pytest.raises(Failure) as refused:
        words.read(field_of(method, name), text, {})
    assert refused.value.code is Exit.USAGE and name in refused.value.why


def test_the_account_that_acts_need_not_be_typed(words: Words) -> None:
    short = words.read_call("assets.transfer", ["bo", "CNY", "25"], ADA)
    full = words.read_call("assets.transfer", ["ada", "bo", "CNY", "25", "-"], BO)
    assert short == full == (16, 7, 0, (ADA, BO, 1, 2_500, None))


def test_a_call_with_too_few_or_unknown_words_says_what_it_takes(words: Words) -> None:
    with pytest.raises(Failure) as refused:
        words.read_call("assets.transfer", ["bo"], ADA)
    assert (
        "takes 4 arguments, 1 were typed" in refused.value.why and "TO ASSET AMOUNT MEMO" in refused.value.do
    )
    for name in ("assets.steal", "thieves.transfer", "assets"):
        with pytest.raises(Failure):
            words.read_call(name, [], ADA)


def test_a_typed_program_is_one_that_a_chain_can_run(words: Words) -> None:
    raw = words.read_program("registry.pause assets transfer 1d; members.admit ada", None, NO_ACTOR)
    template = parse_template(codec.decode(raw, len(raw)), REGISTRY, 0)
    assert [step.method.name for step in template.program] == ["pause", "admit"]  # type: ignore[union-attr]
    assert raw == pin_program(((4, 4, NO_ACTOR, (16, 7, 86_400)), (17, 6, NO_ACTOR, (7,))))
    pins = codec.decode(raw, len(raw))[0]  # type: ignore[index]
    assert pins == tuple((number, REGISTRY.by_id[number].version) for number in (4, 17))


def test_a_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "invoice"
    file.write_bytes(b"ten sacks of seed")
    assert read_digest(f"@{file}") == hashlib.sha256(b"ten sacks of seed").digest()


def test_numbers_are_shown_by_what_their_schema_says(words: Words) -> None:
    """A count is no money, a state is a word, and a method has the name that its contract gives it."""

    def show(field: Field, **values: Any) -> str:
        return show_field(field, values, words, 1)

    shares = {f.name: f for f in REGISTRY.by_name["shares"].tables[0].fields}
    assert show(shares["count"], count=1_020) == "count 1,020"
    assert show(shares["par"], par="10000") == "par 100.00 CNY"
    pause = {f.name: f for f in find_method("registry.pause")[1].arguments}
    assert show(pause["contract"], contract=16) == "contract assets"
    assert show(pause["method"], contract=16, method=7) == "method transfer"
    assert show(pause["method"], contract=16, method=9_999) == "method 9,999"
    decided = next(e for e in REGISTRY.by_name["treasury"].events if e.name == "decided").fields[1]
    assert show(decided, state=3) == "state paid" and show(decided, state=77) == "state 77"


def test_no_count_is_typed_as_money() -> None:
    """Names of counts never carry a kind that is shown with decimals and a currency."""
    kinds = [
        (contract.name, field)
        for contract in REGISTRY.contracts
        for table in contract.tables
        for field in table.fields
    ]
    kinds += [(c.name, f) for c in REGISTRY.contracts for e in c.events for f in e.fields]
    kinds += [(c.name, f) for c in REGISTRY.contracts for m in c.methods for f in m.arguments]
    for contract in REGISTRY.contracts:
        for query in contract.queries:
            kinds += [(contract.name, field) for field in fields_of(query.result)]
    wrong = [(c, f.name) for c, f in kinds if f.name in COUNTS and f.kind.name in AMOUNT_NAMES]
    assert set(wrong) == {("members", "shares"), ("lending", "shares")}, "share capital is money; no count is"


def fields_of(kind: Kind) -> tuple[Field, ...]:
    while isinstance(kind, Maybe | Many):
        kind = kind.kind
    return kind.fields if isinstance(kind, Fields) else ()


def test_rules_that_are_shown_as_money_or_days_are_rules_of_a_contract() -> None:
    """A rule that is renamed would be shown as a bare number."""
    folder = Path(ledger.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.parent.rglob("*.py"))
    assert [rule for rule in sorted(MONEY_RULES | DAY_RULES) if f'"{rule}"' not in sources] == []


def test_the_limits_of_a_rule_are_shown_as_what_they_are(words: Words) -> None:
    assert show_bound("treasury.budget", 235_000, words) == "2,350.00 CNY"
    assert show_bound("shares.redeem_after", 20_780, words) == "2026-11-23"
    assert show_bound("ledger.hold_seconds", 500, words) == "500"
    assert show_bound("voting.starts", NOW, words) == "2026-01-01 08:00"
    assert show_bound("lending.dsr_bp", 3_410, words) == "34.10 %"
    assert show_bound("lending.coverage_bp", 3_410, words) == "34.10 CNY"
    assert show_bound("assets.second_cashier", None, words) == "-"
